//! How well an account is, in one word.

use serde::Serialize;

use super::problem::{Problem, Severity};

/// How well an account is, the worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The last poll succeeded, and nothing is to be done.
    Healthy,
    /// No poll has ended since the start.
    Starting,
    /// The last poll succeeded, and something is to be looked at.
    Degraded,
    /// The numbers are old, or soon will be.
    Failing,
}

// === impl Health ===

impl Health {
    /// How well an account is that has these problems.
    pub(super) fn of(problems: &[Problem], has_polled: bool) -> Self {
        match problems.iter().map(|problem| problem.severity).max() {
            Some(Severity::Critical) => Self::Failing,
            Some(Severity::Warning) => Self::Degraded,
            _ if has_polled => Self::Healthy,
            _ => Self::Starting,
        }
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}
