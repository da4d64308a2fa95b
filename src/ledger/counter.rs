//! A counter that is held back until Prometheus has had the time to see where it started.
//!
//! `increase()` ignores the first sample of a series: a counter that first appears as 1 has, to a rule, never
//! risen. So a new series is published as 0 and stays there for at least one poll and for the hold, and
//! only then moves to what was counted. This depends on time and polls, never on who scraped: a second
//! Prometheus, or one that was down, cannot change what is published.
//!
//! A counter that a restart restored is held in the same way at the value where it was: the process may be another
//! Pod, whose series are new. A hold that was under way goes on instead of starting anew, so that a process that
//! restarts often still moves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, elapsed};

/// The largest count that is taken from outside: the largest that Prometheus can tell from its neighbours.
pub(super) const MOST: u64 = 1 << 53;

/// The sum, and never more than [`MOST`]: what is kept is to be taken in again.
pub(super) fn add(count: u64, more: u64) -> u64 {
    count.saturating_add(more).min(MOST)
}

/// A number that only rises, and what is published of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    total: u64,
    published: u64,
    hold: Hold,
    /// When this process last published it; none if it has not yet.
    #[serde(skip)]
    seen: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hold {
    /// It begins with the next poll.
    #[default]
    New,
    /// Published at its first value for so long. Only the time between polls of one process counts: while there
    /// is none, nobody can see it.
    Held(Duration),
    /// Free to move.
    Over,
}

// === impl Counter ===

impl Counter {
    pub(super) fn increment(&mut self) {
        self.total = add(self.total, 1);
    }

    /// What is published.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// The counter as it is kept.
    pub(super) fn saved(&self) -> Self {
        Self { seen: None, ..self.clone() }
    }

    /// The counter as a new process begins with it; none if it cannot be one.
    pub(super) fn restored(self) -> Option<Self> {
        let hold = match self.hold {
            Hold::Over => Hold::New,
            under_way => under_way,
        };
        let restored = Self { hold, seen: None, ..self };
        (self.published <= self.total && self.total <= MOST).then_some(restored)
    }

    /// Publishes at the instant `now`: the first time the value so far published, later the total, once the
    /// hold is over. Call it once a poll.
    pub(super) fn publish(&mut self, hold: Duration, now: Timestamp) {
        let since = self.seen.replace(now);
        let before = match self.hold {
            Hold::New => Duration::ZERO,
            Hold::Held(before) => before,
            Hold::Over => hold,
        };
        // A clock that was set back adds nothing, and takes nothing away.
        let so_far = before.saturating_add(since.map_or(Duration::ZERO, |since| elapsed(since, now)));
        self.hold = Hold::Held(so_far);
        if since.is_some() && so_far >= hold {
            self.hold = Hold::Over;
            self.published = self.total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_mins(2);

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).expect("the second must be in range")
    }

    fn published_at(counter: &mut Counter, at: i64) -> u64 {
        counter.publish(HOLD, second(at));
        counter.published()
    }

    #[test]
    fn a_new_series_is_zero_until_the_hold_is_over() {
        let mut counter = Counter::default();
        counter.increment();
        assert_eq!(published_at(&mut counter, 1000), 0);
        assert_eq!(published_at(&mut counter, 1119), 0);
        counter.increment();
        assert_eq!(published_at(&mut counter, 1120), 2);
        counter.increment();
        assert_eq!(published_at(&mut counter, 1121), 3);
    }

    #[test]
    fn without_a_hold_a_new_series_is_zero_for_one_poll() {
        let mut counter = Counter::default();
        counter.increment();
        counter.publish(Duration::ZERO, second(1000));
        assert_eq!(counter.published(), 0);
        counter.publish(Duration::ZERO, second(1000));
        assert_eq!(counter.published(), 1);
    }

    #[test]
    fn a_restored_counter_stands_where_it_was_for_the_hold() {
        let mut counter = Counter::default();
        counter.increment();
        published_at(&mut counter, 0);
        assert_eq!(published_at(&mut counter, 120), 1);
        counter.increment();
        let mut counter = counter.restored().expect("it must be restored");
        assert_eq!(published_at(&mut counter, 1000), 1);
        assert_eq!(published_at(&mut counter, 1060), 1);
        let mut counter = counter.restored().expect("it must be restored");
        assert_eq!(published_at(&mut counter, 9000), 1, "nobody could see it while there was no process");
        assert_eq!(published_at(&mut counter, 9060), 2, "a second restart does not prolong the hold");
    }

    #[test]
    fn what_cannot_be_a_counter_is_not_restored() {
        assert_eq!(Counter { total: 1, published: 2, ..Counter::default() }.restored(), None);
        assert_eq!(Counter { total: MOST + 1, published: 2, ..Counter::default() }.restored(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_hold() {
        let mut counter = Counter::default();
        counter.increment();
        assert_eq!(published_at(&mut counter, 10_000), 0);
        assert_eq!(published_at(&mut counter, 2_000), 0);
        assert_eq!(published_at(&mut counter, 2_120), 1);
    }

    #[test]
    fn a_counter_at_its_most_stays_there() {
        let mut counter = Counter { total: MOST, published: MOST, hold: Hold::Over, seen: None };
        counter.increment();
        assert_eq!(counter.total, MOST);
        assert!(counter.restored().is_some(), "what is kept must be taken in again");
    }
}
