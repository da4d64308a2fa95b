//! How tasks ended over the window, period by period: the picture for people.
//!
//! It is summed up by each poll. That reads every granule once, which a poll does anyway when it clones the ledger to
//! commit to it, and allocates some fifty sums: a page that is asked for has nothing left to compute, and no lock to
//! wait for.

use std::time::Duration;

use serde::Serialize;

use super::counter::add;
use super::window::EndedCounts;
use crate::task::Status;
use crate::time::{Timestamp, earlier};

/// How many periods the window has at most, and one more, for it rarely begins with one.
const MOST: u64 = 48;

/// The lengths that a period can have, in seconds: people read a clock.
const LENGTHS: [u64; 8] = [60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400];

/// The ended tasks of the gauges, by when they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods {
    /// How long a period is. Each begins at a multiple of it, in UTC.
    pub length: Duration,
    /// The periods that the window touches, oldest first and without a gap. A granule that lies in two of them is in
    /// the later one.
    pub list: Vec<Period>,
}

/// How tasks ended in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// When it begins.
    pub from: Timestamp,
    /// Tasks that ended well.
    pub completed: u64,
    /// Tasks that ended badly.
    pub failed: u64,
    /// Tasks that were aborted.
    pub aborted: u64,
    /// Tasks with a status that this version does not know.
    pub other: u64,
}

// === impl Periods ===

impl Periods {
    /// Sums up what ended in a window of this length until `at`.
    pub(super) fn of<'a>(
        window: Duration,
        at: Timestamp,
        ended: impl Iterator<Item = (&'a Status, &'a EndedCounts)>,
    ) -> Self {
        let length = length(window);
        let (first, last) = (index(earlier(at, window), length), index(at, length));
        let mut periods: Vec<_> = (first..=last).map(|index| Period::new(index * length)).collect();
        for (status, counts) in ended {
            for (granule, count) in counts.granules() {
                // All of its tasks ended before its end. Clocks differ: what ended a little later belongs to the last.
                let ended = earlier(granule.end(), Duration::from_secs(1));
                let place = index(ended, length).clamp(first, last) - first;
                let place = usize::try_from(place).expect("it must be within the list");
                let sum = periods[place].count_of(status);
                *sum = add(*sum, count);
            }
        }
        Self { length: Duration::from_secs(length.unsigned_abs()), list: periods }
    }
}

fn length(window: Duration) -> i64 {
    let fits = |length: &&u64| window.as_secs() <= **length * MOST;
    let length = LENGTHS.iter().find(fits).copied().unwrap_or(window.as_secs() / MOST);
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn index(at: Timestamp, length: i64) -> i64 {
    at.as_second().div_euclid(length)
}

// === impl Period ===

impl Period {
    fn new(from: i64) -> Self {
        let from = Timestamp::from_second(from).unwrap_or(Timestamp::MIN);
        Self { from, completed: 0, failed: 0, aborted: 0, other: 0 }
    }

    fn count_of(&mut self, status: &Status) -> &mut u64 {
        match status {
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Aborted => &mut self.aborted,
            _ => &mut self.other,
        }
    }

    /// How many tasks ended in it.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.completed + self.failed + self.aborted + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::super::counter::MOST;
    use super::super::window::Window;
    use super::*;

    #[test]
    fn absurd_counts_of_many_kinds_stay_absurd_and_no_more() {
        let window = Duration::from_hours(24);
        let at = Timestamp::UNIX_EPOCH;
        let full = EndedCounts::restored(vec![(Window::new(window).granule(at), MOST)]);
        let full = full.expect("as many as that must be taken in");
        let kinds = (0..5_000).map(|_| (&Status::Failed, &full));
        let periods = Periods::of(window, at, kinds);
        assert_eq!(periods.list.last().map(|last| last.failed), Some(MOST));
    }

    #[test]
    fn periods_are_lengths_that_people_read_and_at_most_forty_eight() {
        let hours = |hours| length(Duration::from_hours(hours));
        assert_eq!(length(Duration::from_mins(1)), 60);
        assert_eq!([1, 12, 24, 48, 7 * 24, 30 * 24].map(hours), [300, 900, 3_600, 3_600, 21_600, 86_400]);
    }
}
