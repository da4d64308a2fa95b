//! The numbers of an account: kinds of tasks, and how tasks ended over the window.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::account::seconds;
use crate::store::{KindSample, Period, Periods, Snapshot};
use crate::task::{Label, Status};
use crate::time::Timestamp;

/// The numbers of one account, as of one poll.
#[derive(Debug, Clone, Serialize)]
pub struct Numbers {
    /// The API's time at the poll.
    pub at: Timestamp,
    /// How long ended tasks are counted.
    #[serde(rename = "window_seconds", serialize_with = "seconds")]
    pub window: Duration,
    /// Every kind of task once seen: those that failed in the window or are open first.
    pub kinds: Vec<Kind>,
    /// How tasks ended over the window.
    pub ended: EndedByPeriod,
}

/// The numbers of one kind of task.
#[derive(Debug, Clone, Serialize)]
pub struct Kind {
    /// The category.
    pub category: Label,
    /// The API's `type`.
    #[serde(rename = "type")]
    pub task_type: Label,
    /// How many tasks are open.
    pub open: u64,
    /// When the oldest of those was created.
    pub oldest_open_created: Option<Timestamp>,
    /// By status, what `clumio_tasks` says, where it is not 0.
    pub tasks: BTreeMap<String, u64>,
    /// When the newest task ended that completed, in the window or before.
    pub last_completed: Option<Timestamp>,
}

/// How tasks ended over the window.
#[derive(Debug, Clone, Serialize)]
pub struct EndedByPeriod {
    /// How long a period is.
    #[serde(rename = "period_seconds", serialize_with = "seconds")]
    pub length: Duration,
    /// The periods, oldest first and without a gap.
    pub periods: Vec<Period>,
}

// === impl Numbers ===

impl Numbers {
    pub(super) fn new(snapshot: &Snapshot, periods: &Periods) -> Self {
        let mut kinds: Vec<_> = snapshot.kinds.iter().map(Kind::new).collect();
        // The order of the snapshot stays among those that are alike.
        kinds.sort_by_key(|kind| (kind.count("failed") == 0, kind.open == 0));
        Self {
            at: snapshot.time,
            window: snapshot.window,
            kinds,
            ended: EndedByPeriod { length: periods.length, periods: periods.list.clone() },
        }
    }
}

// === impl Kind ===

impl Kind {
    fn new(sample: &KindSample) -> Self {
        let statuses = || sample.statuses.iter();
        let completed = statuses().find(|it| it.status == Status::Completed);
        let counted = statuses().filter(|it| it.tasks > 0);
        Self {
            category: sample.category.clone(),
            task_type: sample.task_type.clone(),
            open: statuses().map(|it| it.open).sum(),
            oldest_open_created: statuses().filter_map(|it| it.oldest_open).min(),
            tasks: counted.map(|it| (it.status.as_str().to_owned(), it.tasks)).collect(),
            last_completed: completed.and_then(|it| it.last_ended),
        }
    }

    /// How many tasks there are with this status.
    #[must_use]
    pub fn count(&self, status: &str) -> u64 {
        self.tasks.get(status).copied().unwrap_or(0)
    }
}

// === impl EndedByPeriod ===

impl EndedByPeriod {
    /// The sum over all periods.
    #[must_use]
    pub fn total(&self) -> Period {
        let from = self.periods.first().map_or(Timestamp::UNIX_EPOCH, |first| first.from);
        let none = Period { from, completed: 0, failed: 0, aborted: 0, other: 0 };
        self.periods.iter().fold(none, |sum, it| Period {
            from,
            completed: sum.completed + it.completed,
            failed: sum.failed + it.failed,
            aborted: sum.aborted + it.aborted,
            other: sum.other + it.other,
        })
    }
}
