//! T: the time of the API server, and how far it is believed.
//!
//! Creations and ends are stamped by the API, so windows and overlaps are measured on its clock; the local one may be
//! hours off. T is the `Date` of a poll's first response. A `Date` can be wrong as well (a cache, a gateway, a server
//! whose clock jumped), so one that differs from the expected time by more than the overlap is used only once a second
//! poll confirms it: its `Date` must then have advanced by the time that has passed, which that of a cache has not.
//! Until then the expected time is used. Without a `Date` the local clock takes its place.
//!
//! `Date` is truncated to a second and travels for a while. T is therefore late and never early, which is the safe side.

use std::time::Duration;

use crate::store::PollInstant;
use crate::time::{Moment, Timestamp, elapsed, later};

/// How exactly a `Date` that confirms another one must have advanced, at least: it is truncated to a second.
const MIN_TOLERANCE: Duration = Duration::from_secs(2);

/// When a response arrived, and the `Date` in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) date: Option<Timestamp>,
    pub(super) received: Moment,
}

/// The API's clock, from poll to poll.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiClock {
    /// The last T, and when it was on the monotonic clock; at first the last T of the process before.
    last: Option<(Timestamp, Option<Duration>)>,
    /// A time that differs from the expected one and is not confirmed yet.
    unconfirmed: Option<(Timestamp, Duration)>,
    /// The elapsed time of the account when this process began, and the monotonic clock then.
    began: (Duration, Option<Duration>),
    /// What was read in this poll.
    reading: Option<Reading>,
}

/// When a poll takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) now: PollInstant,
    /// What the server says, as long as it is not believed.
    pub(super) unconfirmed: Option<Timestamp>,
    /// What the server said in the poll before, if this poll confirms it.
    pub(super) confirmed: Option<Timestamp>,
}

// === impl ApiClock ===

impl ApiClock {
    /// The clock of a process that begins where another one has polled at `time`, after `elapsed`.
    pub(super) fn resumed(time: Timestamp, elapsed: Duration) -> Self {
        Self { last: Some((time, None)), began: (elapsed, None), ..Self::default() }
    }

    /// A poll begins.
    pub(super) fn begin_poll(&mut self) {
        self.reading = None;
    }

    /// What this poll has read already.
    pub(super) fn reading(&self) -> Option<Reading> {
        self.reading
    }

    /// When this poll takes place, at the first response of a listing. Only the first call of a poll judges the `Date`: a
    /// poll cannot confirm itself.
    pub(super) fn at(&mut self, first: Response, overlap: Duration) -> Reading {
        let reading = match self.reading {
            None => self.read(first, overlap),
            Some(reading) => Reading { now: self.later(first), ..reading },
        };
        self.reading = Some(reading);
        reading
    }

    fn read(&mut self, first: Response, overlap: Duration) -> Reading {
        let steady = first.received.steady;
        let server = first.date.unwrap_or(first.received.wall);
        let is_believed = self.last.is_none_or(|(last, at)| match at {
            Some(at) => distance(server, later(last, steady.saturating_sub(at))) <= overlap,
            // Nobody knows how long the process was away.
            None => server >= last || distance(server, last) <= overlap,
        });
        let is_confirmed = self.unconfirmed.is_some_and(|(time, at)| {
            let passed = steady.saturating_sub(at);
            distance(server, later(time, passed)) <= (passed / 2).max(MIN_TOLERANCE)
        });
        let mut confirmed = None;
        let time = if is_believed || is_confirmed {
            confirmed = self.unconfirmed.take().filter(|_| !is_believed).map(|(time, _)| time);
            server
        } else {
            self.unconfirmed = Some((server, steady));
            self.expected(steady).unwrap_or(server)
        };
        self.last = Some((time, Some(steady)));
        let now = PollInstant { time, local: first.received.wall, elapsed: self.elapsed(steady) };
        Reading { now, unconfirmed: self.unconfirmed.map(|(time, _)| time), confirmed }
    }

    /// What time it is at a later response of the same poll.
    pub(super) fn later(&mut self, response: Response) -> PollInstant {
        let Moment { wall, steady } = response.received;
        let time = self.expected(steady).unwrap_or(wall);
        PollInstant { time, local: wall, elapsed: self.elapsed(steady) }
    }

    /// The elapsed time of the account at the poll before.
    pub(super) fn elapsed_now(&self) -> Option<Duration> {
        self.reading.map(|reading| reading.now.elapsed)
    }

    fn expected(&self, steady: Duration) -> Option<Timestamp> {
        let (last, at) = self.last?;
        Some(later(last, steady.saturating_sub(at.unwrap_or(steady))))
    }

    fn elapsed(&mut self, steady: Duration) -> Duration {
        let (before, began) = &mut self.began;
        before.saturating_add(steady.saturating_sub(*began.get_or_insert(steady)))
    }
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    elapsed(a, b).max(elapsed(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_mins(10);

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + n).expect("the second must be in range")
    }

    /// T and the unconfirmed time of a poll at `steady` whose response has this `Date`.
    fn read(clock: &mut ApiClock, steady: u64, date: Option<i64>) -> (i64, Option<i64>) {
        let received = Moment { wall: second(7_000), steady: Duration::from_secs(steady) };
        let reading = clock.read(Response { date: date.map(second), received }, OVERLAP);
        let seconds = |at: Timestamp| at.as_second() - 1_800_000_000;
        (seconds(reading.now.time), reading.unconfirmed.map(seconds))
    }

    #[test]
    fn a_time_that_is_far_off_is_used_once_a_second_poll_confirms_it() {
        let mut clock = ApiClock::default();
        assert_eq!(read(&mut clock, 0, Some(0)), (0, None));
        assert_eq!(read(&mut clock, 60, Some(90_060)), (60, Some(90_060)));
        assert_eq!(read(&mut clock, 120, Some(90_119)), (90_119, None));
        assert_eq!(read(&mut clock, 180, Some(180)), (90_179, Some(180)));
        assert_eq!(read(&mut clock, 240, Some(90_240)), (90_240, None), "it was right after all");
    }

    #[test]
    fn a_date_that_does_not_advance_confirms_nothing() {
        let mut clock = ApiClock::default();
        read(&mut clock, 0, Some(0));
        for poll in 1..5_i64 {
            let steady = 60 * poll.unsigned_abs();
            assert_eq!(read(&mut clock, steady, Some(90_000)), (60 * poll, Some(90_000)));
        }
    }

    #[test]
    fn a_process_trusts_its_first_time_unless_it_is_earlier_than_that_of_the_process_before() {
        let resumed = || ApiClock::resumed(second(5_000), Duration::from_hours(1));
        assert_eq!(read(&mut resumed(), 0, Some(4_900)), (4_900, None), "within the overlap");
        assert_eq!(read(&mut resumed(), 0, Some(500_000)), (500_000, None));
        let mut clock = resumed();
        assert_eq!(read(&mut clock, 0, Some(0)), (5_000, Some(0)));
        assert_eq!(read(&mut clock, 60, Some(60)), (60, None));
    }

    #[test]
    fn the_elapsed_time_continues_that_of_the_process_before() {
        let mut clock = ApiClock::resumed(second(0), Duration::from_secs(100));
        let at = |steady| Response {
            date: Some(second(0)),
            received: Moment { wall: second(0), steady: Duration::from_secs(steady) },
        };
        assert_eq!(clock.read(at(40), OVERLAP).now.elapsed, Duration::from_secs(100));
        assert_eq!(clock.later(at(50)).elapsed, Duration::from_secs(110));
        assert_eq!(clock.later(at(50)).time, second(10));
    }

    #[test]
    fn without_a_date_the_local_clock_is_used() {
        assert_eq!(read(&mut ApiClock::default(), 0, None), (7_000, None));
    }
}
