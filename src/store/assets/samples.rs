//! What is published of the assets of an account.

use std::time::Duration;

use crate::task::Label;
use crate::time::Timestamp;

/// The state of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetState {
    /// It meets its objective.
    Ok,
    /// It is late, although its backup was attempted since it completed last.
    Overdue,
    /// It is late, and nothing was attempted since it completed last.
    Silent,
    /// Too little is known of it.
    Unjudged,
    /// Its objective says so.
    Ignored,
}

/// The assets of one account, as of one poll.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetSamples {
    /// The numbers of every type of assets once seen, sorted by category and type.
    pub types: Vec<AssetTypeSample>,
    /// Failing assets, with the type of the tasks that fail.
    pub failing: Vec<FailingAsset>,
    /// Overdue and silent assets.
    pub late: Vec<LateAsset>,
    /// Assets without any task within the retention, since the baseline.
    pub forgotten_total: u64,
    /// Assets that are in none of the lists because there are too many.
    pub unnamed: Unnamed,
}

/// The numbers of one type of assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetTypeSample {
    /// The category of the tasks.
    pub category: Label,
    /// The API's type of the assets.
    pub asset_type: Label,
    /// Assets by state, in the order of [`AssetState::ALL`].
    pub states: [u64; AssetState::ALL.len()],
    /// Failing assets.
    pub failing: u64,
    /// Assets that completed within each period that the replica covers.
    pub completed_within: Vec<CompletedWithin>,
}

/// Assets that completed within a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedWithin {
    /// The period, as it is configured.
    pub label: String,
    /// The period.
    pub period: Duration,
    /// The assets.
    pub assets: u64,
}

/// The labels of one asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetLabels {
    /// The category of the tasks.
    pub category: Label,
    /// The API's type of the asset.
    pub asset_type: Label,
    /// Its name, or its id if it has none or names are not published.
    pub asset: Label,
    /// Its id.
    pub asset_id: Label,
    /// The same of what it belongs to; empty if it belongs to nothing.
    pub parent: Label,
}

/// An asset whose tasks of one type fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingAsset {
    /// The asset.
    pub labels: AssetLabels,
    /// The type of the tasks.
    pub task_type: Label,
    /// End of the first failure since the last completion.
    pub since: Timestamp,
}

/// An asset that is overdue or silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateAsset {
    /// The asset.
    pub labels: AssetLabels,
    /// Overdue or silent.
    pub state: AssetState,
    /// Its last completion, or the creation of its first known task.
    pub unprotected_since: Timestamp,
}

/// Assets without series of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unnamed {
    /// Failing assets.
    pub failing: u64,
    /// Overdue assets.
    pub overdue: u64,
    /// Silent assets.
    pub silent: u64,
}

// === impl AssetState ===

impl AssetState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Overdue, Self::Silent, Self::Unjudged, Self::Ignored];

    /// The value of the label `state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Overdue => "overdue",
            Self::Silent => "silent",
            Self::Unjudged => "unjudged",
            Self::Ignored => "ignored",
        }
    }

    /// Whether the asset is older than its objective.
    #[must_use]
    pub fn is_late(self) -> bool {
        matches!(self, Self::Overdue | Self::Silent)
    }
}
