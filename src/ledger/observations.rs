//! How long tasks took, counted in the buckets of a histogram.
//!
//! The buckets are the same for every kind: a rule for all kinds needs them so. They go from ten seconds (indexing, a
//! file restore) over hours (backups) to days (seeding). A bound divides what alerts compare: eight hours is one because
//! three times that is a day, and 24 hours and seven days are because they are thresholds themselves.
//!
//! The sum is a [`Duration`], so that it stays exact over restarts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counter::MOST;
use super::held::{Held, Rising};
use crate::time::{Timestamp, elapsed};

/// How many buckets have an upper bound.
const FINITE: usize = 11;

/// The largest sum: as of counts, the largest that Prometheus can tell from its neighbours, in seconds.
const MOST_SUM: Duration = Duration::from_secs(MOST);

/// Observed durations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observations {
    /// How many fell into each bucket and not into the one below it; the last bucket has no bound.
    counts: [u64; FINITE + 1],
    sum: Duration,
}

/// A histogram, and what is published of it.
pub(super) type Histogram = Held<Observations>;

/// How long a task took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Durations {
    /// From its creation to its start.
    pub(super) queue: Duration,
    /// From its start to its end.
    pub(super) run: Duration,
}

// === impl Observations ===

impl Observations {
    /// The upper bounds of the buckets; a duration that equals one is in its bucket.
    pub const BOUNDS: [Duration; FINITE] = [
        Duration::from_secs(10),
        Duration::from_mins(1),
        Duration::from_mins(5),
        Duration::from_mins(15),
        Duration::from_hours(1),
        Duration::from_hours(2),
        Duration::from_hours(4),
        Duration::from_hours(8),
        Duration::from_hours(24),
        Duration::from_hours(3 * 24),
        Duration::from_hours(7 * 24),
    ];

    /// Adds a duration, unless there are more already than can be counted.
    pub fn observe(&mut self, duration: Duration) {
        let sum = self.sum.saturating_add(duration);
        if self.count() < MOST && sum <= MOST_SUM {
            self.counts[Self::BOUNDS.partition_point(|bound| *bound < duration)] += 1;
            self.sum = sum;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they are together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bound, with how many are not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS.into_iter().zip(counts)
    }

    /// What was added since `before`; none if that is not a part of it.
    fn since(&self, before: &Self) -> Option<Self> {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(before.counts) {
            *count = count.checked_sub(before)?;
        }
        Some(Self { counts, sum: self.sum.checked_sub(before.sum)? })
    }

    /// Whether there are durations that are counted like this.
    fn is_possible(&self) -> bool {
        let count = self.counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let longest = elapsed(Timestamp::MIN, Timestamp::MAX);
        let bounds = [&[Duration::ZERO], &Self::BOUNDS[..], &[longest]].concat();
        // A duration is longer than the bound below, by a nanosecond at least.
        let total = |bounds: &[Duration]| -> u128 {
            bounds.iter().zip(self.counts).map(|(bound, count)| bound.as_nanos() * u128::from(count)).sum()
        };
        count.is_some_and(|count| count <= MOST)
            && self.sum <= MOST_SUM
            && (total(&bounds[..=FINITE])..=total(&bounds[1..])).contains(&self.sum.as_nanos())
    }
}

impl Rising for Observations {
    fn can_follow(&self, before: &Self) -> bool {
        // A part of what is possible may be impossible, and the other way round.
        let is_part = before.is_possible() && self.since(before).is_some_and(|added| added.is_possible());
        is_part && self.is_possible()
    }
}

// === impl Histogram ===

impl Histogram {
    pub(super) fn observe(&mut self, duration: Duration) {
        self.total.observe(duration);
    }

    /// How many durations are published, and how many are counted.
    pub(super) fn counts(&self) -> [u64; 2] {
        [self.published().count(), self.total.count()]
    }
}

// === impl Durations ===

impl Durations {
    /// How long a task took that began to run; negative durations, which are nonsense, are zero.
    pub(super) fn of(created: Timestamp, started: Option<Timestamp>, ended: Timestamp) -> Option<Self> {
        // Nothing starts after its end: its wait would be as wrong as the start.
        let started = started?.min(ended);
        Some(Self { queue: elapsed(created, started), run: elapsed(started, ended) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(seconds: &[u64]) -> Observations {
        let mut observations = Observations::default();
        for seconds in seconds {
            observations.observe(Duration::from_secs(*seconds));
        }
        observations
    }

    #[test]
    fn a_duration_that_equals_a_bound_is_in_its_bucket() {
        let hours = 3_600;
        let cumulative =
            |seconds| observed(&[seconds]).cumulative().map(|(_, count)| count).collect::<Vec<_>>();
        assert_eq!(cumulative(0), [1; FINITE]);
        assert_eq!(cumulative(8 * hours), [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(cumulative(8 * hours + 1), [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(cumulative(168 * hours + 1), [0; FINITE]);
    }

    #[test]
    fn the_bounds_rise() {
        assert!(Observations::BOUNDS.is_sorted());
    }

    #[test]
    fn what_was_observed_can_follow_what_was_observed_before() {
        let (before, after) = (observed(&[0, 9, 700]), observed(&[0, 9, 700, 10, 1_000_000]));
        assert!(after.can_follow(&before) && after.can_follow(&Observations::default()));
        assert!(after.can_follow(&after));
        assert!(!before.can_follow(&after));
    }

    #[test]
    fn sums_that_no_durations_have_are_impossible() {
        let with_sum = |seconds| Observations { sum: Duration::from_secs(seconds), ..observed(&[30, 40]) };
        let is_possible = |seconds| with_sum(seconds).can_follow(&Observations::default());
        assert_eq!([19, 20, 120, 121].map(is_possible), [false, true, true, false]);
        // Each is possible, and the one that came between is not.
        assert!(
            !Observations { sum: Duration::from_secs(100), ..observed(&[30; 3]) }.can_follow(&with_sum(95))
        );
    }

    #[test]
    fn what_cannot_be_counted_is_not_added() {
        let mut most = Observations { counts: [0; FINITE + 1], sum: Duration::ZERO };
        most.counts[0] = MOST;
        assert!(most.is_possible());
        most.observe(Duration::ZERO);
        assert_eq!(most.count(), MOST);
        let mut longest = observed(&[MOST - 5]);
        longest.observe(Duration::from_secs(6));
        assert_eq!(longest, observed(&[MOST - 5]), "the sum would be too large");
    }

    #[test]
    fn negative_durations_are_zero() {
        let second = |n| Timestamp::from_second(n).expect("the second must be in range");
        let took = |created, started, ended| {
            let took = Durations::of(second(created), Some(second(started)), second(ended));
            took.map(|took| (took.queue.as_secs(), took.run.as_secs()))
        };
        assert_eq!(took(100, 110, 150), Some((10, 40)));
        assert_eq!(took(120, 110, 150), Some((0, 40)), "started before it was created");
        assert_eq!(took(100, 900, 150), Some((50, 0)), "started after it ended");
        assert_eq!(Durations::of(second(100), None, second(150)), None);
    }
}
