//! A number that is held back until Prometheus has had the time to see where it started.
//!
//! `increase()` ignores the first sample of a series: a counter that first appears as 1 has, to a rule, never
//! risen. So a new series is published as 0 and stays there for at least one poll and for the hold, and
//! only then moves to what was counted. This depends on time and polls, never on who scraped: a second
//! Prometheus, or one that was down, cannot change what is published.
//!
//! A series that a restart restored is held in the same way at the value where it was: the process may be another
//! Pod, whose series are new. A hold that was under way goes on instead of starting anew, so that a process that
//! restarts often still moves.
//!
//! Counters are held, and histograms, of which all samples move together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, elapsed};

/// What can be held: it only rises.
pub(super) trait Rising: Clone + Default {
    /// Whether it can have become this after it was `before`, and is not more than can be counted.
    fn can_follow(&self, before: &Self) -> bool;
}

/// What only rises, and what is published of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held<T> {
    pub(super) total: T,
    published: T,
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

// === impl Held ===

impl<T: Rising> Held<T> {
    /// What is published.
    pub(super) fn published(&self) -> &T {
        &self.published
    }

    /// Whether what is published is the total.
    pub(super) fn is_free(&self) -> bool {
        self.hold == Hold::Over
    }

    /// The same as it is kept.
    pub(super) fn saved(&self) -> Self {
        Self { seen: None, ..self.clone() }
    }

    /// The same as a new process begins with it; none if nothing can have become this.
    pub(super) fn restored(self) -> Option<Self> {
        let hold = match self.hold {
            Hold::Over => Hold::New,
            under_way => under_way,
        };
        let restored = Self { hold, seen: None, ..self };
        restored.total.can_follow(&restored.published).then_some(restored)
    }

    /// Publishes at the instant `now`: the first time the value so far published, later the total, once the
    /// hold is over. Call it once a poll.
    pub(super) fn publish(&mut self, hold: Duration, now: Timestamp) {
        self.publish_if(true, hold, now);
    }

    /// The same, but it stays where it is unless it `may_move`.
    pub(super) fn publish_if(&mut self, may_move: bool, hold: Duration, now: Timestamp) {
        let since = self.seen.replace(now);
        let before = match self.hold {
            Hold::New => Duration::ZERO,
            Hold::Held(before) => before,
            Hold::Over => hold,
        };
        // A clock that was set back adds nothing, and takes nothing away.
        let so_far = before.saturating_add(since.map_or(Duration::ZERO, |since| elapsed(since, now)));
        self.hold = Hold::Held(so_far);
        if may_move && since.is_some() && so_far >= hold {
            self.hold = Hold::Over;
            self.published.clone_from(&self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counter::{Counter, MOST};
    use super::*;

    const HOLD: Duration = Duration::from_mins(2);

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).expect("the second must be in range")
    }

    fn published_at(counter: &mut Counter, at: i64) -> u64 {
        counter.publish(HOLD, second(at));
        *counter.published()
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
        assert_eq!(*counter.published(), 0);
        counter.publish(Duration::ZERO, second(1000));
        assert_eq!(*counter.published(), 1);
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

    #[test]
    fn what_may_not_move_stays_though_its_hold_is_over() {
        let mut counter = Counter::default();
        counter.increment();
        for at in [1000, 1120, 1240] {
            counter.publish_if(false, HOLD, second(at));
            assert_eq!((*counter.published(), counter.is_free()), (0, false));
        }
        counter.publish_if(true, HOLD, second(1241));
        assert_eq!((*counter.published(), counter.is_free()), (1, true));
    }
}
