//! What one account publishes: immutable numbers as of one poll.

use std::time::Duration;

use super::assets::AssetSamples;
use super::histogram::DurationHistogram;
use crate::task::{Label, Status};
use crate::time::Timestamp;

/// The numbers of one account, as of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// T, the API's time at the poll, at which the window was evaluated.
    pub time: Timestamp,
    /// How long ended tasks stay in the gauges.
    pub window: Duration,
    /// The time at which the counters started.
    pub baseline: Timestamp,
    /// The newest creation read; none as long as nothing was.
    pub watermark: Option<Timestamp>,
    /// The creation time from which the replica is complete.
    pub covered_from: Timestamp,
    /// Rows of the replica.
    pub rows: u64,
    /// Open tasks that the API stopped returning, since the baseline.
    pub vanished_total: u64,
    /// Tasks that the API listed too late and that an audit found, since the baseline.
    pub missed_total: u64,
    /// Replica count minus API count, as of the last audit; none before the first.
    pub drift: Option<i64>,
    /// The numbers of every kind once seen, sorted by category and type.
    pub kinds: Vec<KindSample>,
    /// What is published of assets.
    pub assets: AssetSamples,
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
    /// From creation to start, of those that [`StatusSample::ended_total`] counts and that started; none before the
    /// first.
    pub queue_durations: Option<Box<DurationHistogram>>,
    /// The numbers of every status, sorted by its word: the six known ones, and others while there are such tasks.
    pub statuses: Vec<StatusSample>,
}

/// The numbers of one status of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSample {
    /// The status.
    pub status: Status,
    /// Open tasks, or tasks that ended within the window.
    pub tasks: u64,
    /// How many of them are open.
    pub open: u64,
    /// When the oldest open task was created; none if there is none.
    pub oldest_open: Option<Timestamp>,
    /// Tasks that ended with this status since the baseline; none for the status of open tasks.
    pub ended_total: Option<u64>,
    /// When the newest task ended of those in the replica with this status; none if there is none.
    pub last_ended: Option<Timestamp>,
    /// From start to end, of those that `ended_total` counts and that started; none before the first.
    pub run_durations: Option<Box<DurationHistogram>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// The same gauges with the counters and histograms of an earlier snapshot; what that does not have is 0. Published
    /// when a transaction could not be committed: counters that were not kept would decrease at the next restart.
    #[must_use]
    pub fn with_counters_of(mut self, earlier: Option<&Self>) -> Self {
        self.vanished_total = earlier.map_or(0, |earlier| earlier.vanished_total);
        self.missed_total = earlier.map_or(0, |earlier| earlier.missed_total);
        self.assets.forgotten_total = earlier.map_or(0, |earlier| earlier.assets.forgotten_total);
        for kind in &mut self.kinds {
            let before = earlier.and_then(|earlier| earlier.kind(&kind.category, &kind.task_type));
            kind.created_total = before.map_or(0, |before| before.created_total);
            set_back(&mut kind.queue_durations, before.and_then(|before| before.queue_durations.as_deref()));
            for sample in &mut kind.statuses {
                let before = before.and_then(|before| before.status(&sample.status));
                let total = before.and_then(|before| before.ended_total);
                sample.ended_total = sample.ended_total.map(|_| total.unwrap_or(0));
                set_back(
                    &mut sample.run_durations,
                    before.and_then(|before| before.run_durations.as_deref()),
                );
            }
        }
        self
    }

    fn kind(&self, category: &Label, task_type: &Label) -> Option<&KindSample> {
        let position =
            self.kinds.binary_search_by(|kind| (&kind.category, &kind.task_type).cmp(&(category, task_type)));
        self.kinds.get(position.ok()?)
    }
}

impl KindSample {
    fn status(&self, status: &Status) -> Option<&StatusSample> {
        self.statuses.iter().find(|sample| sample.status == *status)
    }
}

fn set_back(histogram: &mut Option<Box<DurationHistogram>>, before: Option<&DurationHistogram>) {
    if histogram.is_some() {
        *histogram = Some(Box::new(before.cloned().unwrap_or_default()));
    }
}
