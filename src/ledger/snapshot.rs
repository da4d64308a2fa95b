//! What one account publishes: an immutable picture of the ledger after a poll.

use std::time::Duration;

use crate::tasks::{Label, Status};
use crate::time::Timestamp;

/// The numbers of one account, as of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The API's time at the poll: the instant at which the window was evaluated.
    pub at: Timestamp,
    /// How long ended tasks stay in the gauges.
    pub window: Duration,
    /// The instant at which the counters started.
    pub baseline: Timestamp,
    /// The newest creation read.
    pub watermark: Timestamp,
    /// Open tasks that the API stopped returning, since the baseline.
    pub vanished_total: u64,
    /// Tasks that the API listed too late to be counted, since the baseline.
    pub missed_total: u64,
    /// The ledger's own count of tasks minus the API's, as of the last audit; none before the first.
    pub drift: Option<i64>,
    /// The numbers of every kind once seen, sorted by category and type.
    pub kinds: Vec<KindSample>,
}

/// The numbers of one kind of task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSample {
    /// The category.
    pub category: Label,
    /// The API's `type`.
    pub task_type: Label,
    /// Tasks created since the baseline.
    pub created_total: u64,
    /// The numbers of every status, sorted by its word: the six known ones, and others once seen.
    pub statuses: Vec<StatusSample>,
}

/// The numbers of one status of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSample {
    /// The status.
    pub status: Status,
    /// Open tasks, or tasks that ended within the window.
    pub tasks: u64,
    /// Tasks that ended with this status since the baseline; none for the status of open tasks.
    pub ended_total: Option<u64>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The same gauges with the counters of an earlier snapshot; what that does not have is 0.
    #[must_use]
    pub fn with_counters_of(mut self, earlier: Option<&Self>) -> Self {
        self.vanished_total = earlier.map_or(0, |earlier| earlier.vanished_total);
        self.missed_total = earlier.map_or(0, |earlier| earlier.missed_total);
        for kind in &mut self.kinds {
            let before = earlier.and_then(|earlier| earlier.kind(&kind.category, &kind.task_type));
            kind.created_total = before.map_or(0, |before| before.created_total);
            for sample in &mut kind.statuses {
                let before = before.and_then(|before| before.ended_total(&sample.status));
                sample.ended_total = sample.ended_total.map(|_| before.unwrap_or(0));
            }
        }
        self
    }

    fn kind(&self, category: &Label, task_type: &Label) -> Option<&KindSample> {
        let place =
            self.kinds.binary_search_by(|kind| (&kind.category, &kind.task_type).cmp(&(category, task_type)));
        self.kinds.get(place.ok()?)
    }
}

impl KindSample {
    fn ended_total(&self, status: &Status) -> Option<u64> {
        self.statuses.iter().find(|sample| sample.status == *status)?.ended_total
    }
}
