//! Why a poll, or a step between polls, failed.

use crate::clumio;
use crate::store;

/// Why a poll failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The API could not be read.
    #[error(transparent)]
    Api(#[from] clumio::Error),
    /// The replica could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is done between polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Comparing counts with the API, reading again what differs, and recomputing the summaries of assets.
    Audit,
    /// Reading back to the retention.
    HistorySync,
}

/// Why a step between polls failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", job.as_str())]
pub struct BackgroundError {
    /// What was being done.
    pub job: Job,
    /// Why it failed.
    pub error: Error,
}

// === impl Job ===

impl Job {
    /// What it is called in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::HistorySync => "history sync",
        }
    }
}
