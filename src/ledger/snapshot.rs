//! What one account publishes: an immutable picture of the ledger after a poll.

use crate::tasks::{Label, Status};
use crate::time::Timestamp;

/// The numbers of one account, as of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The API's time at the poll: the instant at which the window was evaluated.
    pub at: Timestamp,
    /// The instant at which the counters started.
    pub baseline: Timestamp,
    /// The newest creation read.
    pub watermark: Timestamp,
    /// Open tasks that the API stopped returning, since the baseline.
    pub vanished_total: u64,
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
