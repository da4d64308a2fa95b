//! The marks in time of one account.
//!
//! T is the time of the last poll. Everything else is a limit that only these rules move:
//!
//! - No mark that T has reached exceeds T: when T moves back, they follow. What is between the old and the new T is then
//!   listed again.
//! - The *horizon* advances by at most twice the monotonic time that has passed, and never beyond T minus the retention.
//!   A `Date` that is wrong can therefore hide rows, but not remove them.
//! - *Covered from* never lies before the horizon.
//! - *Forgotten before* never moves back. A row that was created and ended before it may have been counted and removed,
//!   so it is never counted again.
//!
//! Durations for which something must last are measured by [`Marks::elapsed`], the monotonic time of all processes that
//! polled this account, and never by T.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, earlier};

/// The marks of one account, as of one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// T: the time of the API server at the first response of the poll.
    pub time: Timestamp,
    /// Monotonic time for which this account has been polled, over all processes.
    pub elapsed: Duration,
    /// B: counters count what happened after it.
    pub baseline: Timestamp,
    /// The creation time from which the replica is complete.
    pub covered_from: Timestamp,
    /// Rows that were created and ended before it are removed.
    pub horizon: Timestamp,
    /// What was created and ended before it is never counted: it may have been counted and removed.
    pub forgotten_before: Timestamp,
}

/// When a poll takes place, on all clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollInstant {
    /// T: the time of the API server.
    pub time: Timestamp,
    /// The local clock.
    pub local: Timestamp,
    /// See [`Marks::elapsed`].
    pub elapsed: Duration,
}

// === impl Marks ===

impl Marks {
    /// The marks at the first response of an initial sync, whose newest timestamp is `newest`.
    ///
    /// If that is more than the overlap after T, the server's clock is behind its own timestamps, and what it has stamped
    /// so far is no news: the baseline is that timestamp then.
    #[must_use]
    pub fn begin(
        now: PollInstant,
        newest: Option<Timestamp>,
        [overlap, lookback, retention]: [Duration; 3],
    ) -> Self {
        let time = now.time;
        let mut marks = Self {
            time,
            elapsed: now.elapsed,
            baseline: time,
            covered_from: earlier(time, lookback),
            horizon: earlier(time, retention),
            forgotten_before: Timestamp::MIN,
        };
        marks.note_newest(newest, time, overlap);
        marks
    }

    /// During the initial sync: notes the newest timestamp that was read, at the API's time `time`.
    pub fn note_newest(&mut self, newest: Option<Timestamp>, time: Timestamp, overlap: Duration) {
        if let Some(newest) = newest.filter(|newest| earlier(*newest, overlap) > time) {
            self.baseline = self.baseline.max(newest);
        }
    }

    /// The marks at a later poll.
    #[must_use]
    pub fn at(self, now: PollInstant, retention: Duration) -> Self {
        let lowered = |mark: Timestamp| if mark <= self.time { mark.min(now.time) } else { mark };
        let passed = now.elapsed.saturating_sub(self.elapsed);
        let advanced = self.horizon.checked_add(passed.saturating_mul(2)).unwrap_or(Timestamp::MAX);
        let horizon = advanced.min(earlier(now.time, retention));
        Self {
            time: now.time,
            elapsed: now.elapsed.max(self.elapsed),
            baseline: lowered(self.baseline),
            covered_from: lowered(self.covered_from).max(horizon),
            horizon,
            forgotten_before: self.forgotten_before,
        }
    }

    /// The marks of the same poll after more time has passed: only elapsed time and horizon have moved.
    #[must_use]
    pub fn later(self, now: PollInstant, retention: Duration) -> Self {
        let later = self.at(PollInstant { time: now.time.max(self.time), ..now }, retention);
        let covered_from = self.covered_from.max(later.horizon);
        Self { time: self.time, baseline: self.baseline, covered_from, ..later }
    }

    /// Whether T or a mark that follows it is earlier than before.
    #[must_use]
    pub fn has_moved_back(&self, before: &Self) -> bool {
        self.time < before.time || self.baseline < before.baseline || self.covered_from < before.covered_from
    }

    /// Keeps a row that a poll has read and that was created and ended before `until`: the horizon stays behind it.
    pub fn keep(&mut self, until: Timestamp) {
        self.horizon = self.horizon.min(until);
    }

    /// Notes that rows before the horizon were removed.
    pub fn forget(&mut self) {
        self.forgotten_before = self.forgotten_before.max(self.horizon);
        self.covered_from = self.covered_from.max(self.horizon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn hour(n: i64) -> Timestamp {
        Timestamp::from_second(n * 3_600).expect("the hour must be in range")
    }

    fn instant(time: i64, elapsed: u64) -> PollInstant {
        PollInstant { time: hour(time), local: hour(time), elapsed: Duration::from_hours(elapsed) }
    }

    fn begin(time: i64) -> Marks {
        Marks::begin(instant(time, 0), None, [HOUR / 6, 7 * DAY, 35 * DAY])
    }

    #[test]
    fn marks_follow_a_clock_that_is_set_back() {
        let marks = begin(10_000).at(instant(9_000, 1), 35 * DAY);
        assert_eq!((marks.baseline, marks.time), (hour(9_000), hour(9_000)));
        assert_eq!(marks.covered_from, hour(9_000), "10,000 hours minus 7 days is later than that");
        assert_eq!(marks.horizon, hour(9_000 - 35 * 24));
    }

    #[test]
    fn a_baseline_ahead_of_a_clock_that_is_behind_stays() {
        let newest = Some(hour(9_000));
        let marks = Marks::begin(instant(0, 0), newest, [HOUR / 6, 7 * DAY, 35 * DAY]);
        assert_eq!(marks.baseline, hour(9_000));
        assert_eq!(marks.at(instant(-1, 1), 35 * DAY).baseline, hour(9_000));
        assert_eq!(marks.at(instant(9_500, 1), 35 * DAY).baseline, hour(9_000));
    }

    #[test]
    fn the_horizon_advances_by_at_most_twice_the_time_that_has_passed() {
        let marks = begin(10_000).at(instant(20_000, 3), 35 * DAY);
        assert_eq!(marks.horizon, hour(10_000 - 35 * 24 + 6));
        assert_eq!(marks.at(instant(10_010, 10), 35 * DAY).horizon, hour(10_010 - 35 * 24));
    }

    #[test]
    fn the_horizon_stays_behind_what_a_poll_has_read() {
        let mut marks = begin(10_000);
        marks.keep(hour(5_000));
        assert_eq!((marks.horizon, marks.forgotten_before), (hour(5_000), Timestamp::MIN));
        marks.forget();
        marks.keep(hour(4_000));
        assert_eq!((marks.horizon, marks.forgotten_before), (hour(4_000), hour(5_000)));
    }
}
