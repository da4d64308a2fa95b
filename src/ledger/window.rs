//! Ended tasks that are still in the window, counted by when they ended.
//!
//! Tasks are counted in granules of time, not kept: memory follows the window's length, never the number of
//! tasks. A granule leaves as a whole once its latest instant has left, so that no task leaves early and none
//! leaves more than one granule late.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counter::MOST;
use crate::time::{Timestamp, earlier};

/// How many granules the window is cut into.
const GRANULES: u64 = 1440;

/// How long ended tasks are counted, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    length: Duration,
    granule: i64,
}

/// A granule, by its end in seconds since the Unix epoch: all its tasks ended before it. So a granule keeps its place
/// when the window, and with it the width of granules, changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Granule(i64);

/// The number of tasks that ended in the window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EndedCounts {
    granules: BTreeMap<Granule, u64>,
    sum: u64,
}

// === impl Window ===

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let granule = (length.as_secs() / GRANULES).max(1);
        Self { length, granule: i64::try_from(granule).unwrap_or(i64::MAX) }
    }

    pub(super) fn length(self) -> Duration {
        self.length
    }

    /// The granule in which `ended` lies.
    pub(super) fn granule(self, ended: Timestamp) -> Granule {
        Granule((ended.as_second().div_euclid(self.granule) + 1).saturating_mul(self.granule))
    }

    /// How far apart the granules can be, in seconds, in which the two windows count the same task.
    pub(super) fn slack(self, other: Self) -> i64 {
        if self == other { 0 } else { self.granule.max(other.granule) }
    }

    /// This granule and those that follow it; none where time ends.
    pub(super) fn granules_from(self, first: Granule) -> impl Iterator<Item = Option<Granule>> {
        let end = move |after| first.0.checked_add(self.granule.checked_mul(after)?).map(Granule);
        (0..).map(end)
    }

    /// How many granules `to` comes after `from`; none if it is none of those that follow it.
    pub(super) fn granules_between(self, from: Granule, to: Granule) -> Option<i64> {
        let apart = to.0.checked_sub(from.0)?;
        (apart % self.granule == 0).then_some(apart / self.granule)
    }

    /// Whether a granule has not left by `at`.
    pub(super) fn has(self, granule: Granule, at: Timestamp) -> bool {
        granule > self.left(at)
    }

    /// This granule and those before have left.
    fn left(self, at: Timestamp) -> Granule {
        Granule(earlier(at, self.length).as_second())
    }
}

// === impl Granule ===

impl Granule {
    /// The instant at which it ends.
    pub(super) fn end(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or(Timestamp::MAX)
    }
}

// === impl EndedCounts ===

impl EndedCounts {
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Counts a task that ended in `granule`, unless it has left the window by `at`.
    pub(super) fn add(&mut self, window: Window, granule: Granule, at: Timestamp) {
        if window.has(granule, at) && self.sum < MOST {
            *self.granules.entry(granule).or_default() += 1;
            self.sum += 1;
        }
    }

    /// Takes back a task that was counted in `granule`; nothing happens if it has left.
    pub(super) fn remove(&mut self, granule: Granule) {
        if let Some(count) = self.granules.get_mut(&granule)
            && *count > 0
        {
            *count -= 1;
            self.sum -= 1;
        }
    }

    /// Drops what has left the window by `at`.
    pub(super) fn expire(&mut self, window: Window, at: Timestamp) {
        let left = window.left(at);
        while let Some(first) = self.granules.first_entry()
            && *first.key() <= left
        {
            self.sum -= first.remove();
        }
    }

    /// Whether every task that `before` counts, and that is not about to leave, can be among these: in the same granule, or
    /// in one that is at most `slack` seconds away.
    pub(super) fn has_no_fewer_than(&self, before: &Self, window: Window, slack: i64, at: Timestamp) -> bool {
        let left = window.left(at).0.saturating_add(slack);
        before.granules.iter().filter(|(granule, _)| granule.0 > left).all(|(granule, count)| {
            let near = Granule(granule.0.saturating_sub(slack))..=Granule(granule.0.saturating_add(slack));
            self.granules.range(near).map(|(_, count)| count).sum::<u64>() >= *count
        })
    }

    /// The counts, the oldest first.
    pub(super) fn granules(&self) -> impl Iterator<Item = (Granule, u64)> {
        self.granules.iter().map(|(granule, count)| (*granule, *count))
    }

    /// Counts that were kept; none if they cannot be added up.
    pub(super) fn restored(granules: Vec<(Granule, u64)>) -> Option<Self> {
        let sum = granules.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count))?;
        (sum <= MOST).then(|| Self { granules: BTreeMap::from_iter(granules), sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).expect("the second must be in range")
    }

    #[test]
    fn a_task_leaves_the_window_never_early_and_at_most_one_granule_late() {
        let window = Window::new(Duration::from_hours(24));
        for ended in 1_000_000..1_000_120 {
            let mut counts = EndedCounts::default();
            counts.add(window, window.granule(second(ended)), second(ended));
            counts.expire(window, second(ended + 86_400));
            assert_eq!(counts.sum(), 1, "ended at {ended}");
            counts.expire(window, second(ended + 86_400 + 60));
            assert_eq!(counts.sum(), 0, "ended at {ended}");
        }
    }

    #[test]
    fn a_task_that_left_before_it_was_read_is_not_counted() {
        let window = Window::new(Duration::from_mins(1));
        let mut counts = EndedCounts::default();
        counts.add(window, window.granule(second(100)), second(200));
        assert_eq!(counts.sum(), 0);
    }

    #[test]
    fn what_is_taken_back_is_no_longer_counted() {
        let window = Window::new(Duration::from_mins(1));
        let mut counts = EndedCounts::default();
        let granule = window.granule(second(100));
        counts.add(window, granule, second(110));
        counts.remove(granule);
        counts.remove(granule);
        assert_eq!(counts.sum(), 0);
    }

    #[test]
    fn as_many_as_can_be_kept_are_counted_and_no_more() {
        let window = Window::new(Duration::from_mins(1));
        let granule = window.granule(second(100));
        let mut counts =
            EndedCounts::restored(vec![(granule, MOST)]).expect("as many as that must be taken in");
        counts.add(window, granule, second(100));
        assert_eq!(counts.sum(), MOST);
        assert_eq!(EndedCounts::restored(vec![(granule, MOST + 1)]).map(|counts| counts.sum()), None);
    }
}
