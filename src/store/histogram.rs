//! Durations of tasks, counted in the buckets of a histogram.
//!
//! The buckets are the same for every kind, because a rule for all kinds needs that. They go from ten seconds (indexing,
//! a file restore) over hours (backups) to days (seeding). Eight hours is a bound because three times that is a day;
//! 24 hours and seven days are because alerts compare with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets with an upper bound.
const FINITE: usize = 11;

/// A histogram of durations. The sum is in whole microseconds, so that it stays exact over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationHistogram {
    /// How many are in each bucket and not in the one below; the last bucket has no bound.
    counts: [u64; FINITE + 1],
    sum_us: u64,
}

// === impl DurationHistogram ===

impl DurationHistogram {
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

    /// Adds a duration.
    pub fn observe(&mut self, duration: Duration) {
        self.counts[Self::BOUNDS.partition_point(|bound| *bound < duration)] += 1;
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    /// Adds the durations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they are together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// Each bound, with how many are not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(seconds: &[u64]) -> DurationHistogram {
        let mut histogram = DurationHistogram::default();
        for seconds in seconds {
            histogram.observe(Duration::from_secs(*seconds));
        }
        histogram
    }

    #[test]
    fn a_duration_that_equals_a_bound_is_in_its_bucket() {
        let cumulative =
            |seconds| observed(&[seconds]).cumulative().map(|(_, count)| count).collect::<Vec<_>>();
        assert_eq!(cumulative(0), [1; FINITE]);
        assert_eq!(cumulative(8 * 3_600), [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(cumulative(8 * 3_600 + 1), [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(cumulative(168 * 3_600 + 1), [0; FINITE]);
    }

    #[test]
    fn merging_is_observing_one_after_the_other() {
        let mut merged = observed(&[1, 700]);
        merged.merge(&observed(&[10, 1_000_000]));
        assert_eq!(merged, observed(&[1, 700, 10, 1_000_000]));
        assert_eq!((merged.count(), merged.sum()), (4, Duration::from_secs(1_000_711)));
    }

    #[test]
    fn the_bounds_increase() {
        assert!(DurationHistogram::BOUNDS.is_sorted());
    }
}
