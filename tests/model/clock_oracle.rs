//! What T each poll must have, by the rules of the contract.

use std::time::Duration;

use clumio_exporter::time::{Timestamp, elapsed, later};

use crate::api::Record;

/// What a process knows of the server's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    /// The last T, and the monotonic clock then, if it was in this process.
    last: Option<(Timestamp, Option<Duration>)>,
    unconfirmed: Option<(Timestamp, Duration)>,
}

/// The T that polls of a process must have. A poll that fails may have read the time or not, so several may be possible.
#[derive(Debug, Clone)]
pub struct ClockOracle {
    possible: Vec<Known>,
}

/// The time of a poll.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    pub time: Timestamp,
    /// Whether the server's time was used though it was not expected.
    pub is_confirmed_jump: bool,
    pub is_doubted: bool,
}

// === impl ClockOracle ===

impl ClockOracle {
    /// A process that begins, where the database has this T.
    pub fn new(time: Option<Timestamp>) -> Self {
        Self { possible: vec![Known { last: time.map(|time| (time, None)), unconfirmed: None }] }
    }

    /// The last T, as far as is known.
    pub fn times(&self) -> Vec<i64> {
        let last = self.possible.iter().filter_map(|known| known.last);
        last.map(|(time, _)| time.as_microsecond()).collect()
    }

    /// A poll ended without result.
    pub fn failed(&mut self, record: &Record, overlap: Duration) {
        let Some(first) = record.first else { return };
        let read =
            self.possible.iter().map(|known| known.read(first.0, first.1.wall, first.1.steady, overlap).0);
        let read: Vec<_> = read.collect();
        if !record.has_other || record.begins_with_other {
            self.possible.extend(read);
        } else {
            self.possible = read;
        }
    }

    /// The time of a poll with this record that published `time`; none if it must have been another one. `slack` is how
    /// long after the first response the poll may have taken its time.
    pub fn judge(
        &mut self,
        record: &Record,
        time: Timestamp,
        overlap: Duration,
        slack: Duration,
    ) -> Option<Judged> {
        let (date, received) = record.first?;
        let read =
            self.possible.iter().map(|known| known.read(date, received.wall, received.steady, overlap));
        let fitting: Vec<_> =
            read.filter(|(_, judged)| judged.time <= time && elapsed(judged.time, time) <= slack).collect();
        self.possible = fitting.iter().map(|(known, _)| *known).collect();
        fitting.first().map(|(_, judged)| *judged)
    }
}

// === impl Known ===

impl Known {
    fn read(
        self,
        date: Option<Timestamp>,
        wall: Timestamp,
        steady: Duration,
        overlap: Duration,
    ) -> (Self, Judged) {
        let server = date.unwrap_or(wall);
        let expected = self.last.map(|(last, at)| later(last, steady.saturating_sub(at.unwrap_or(steady))));
        let is_expected = match (expected, self.last) {
            (Some(expected), Some((_, Some(_)))) => distance(expected, server) <= overlap,
            (Some(expected), _) => server >= expected || distance(expected, server) <= overlap,
            (None, _) => true,
        };
        let is_confirmed = self.unconfirmed.is_some_and(|(time, at)| {
            let passed = steady.saturating_sub(at);
            distance(server, later(time, passed)) <= (passed / 2).max(Duration::from_secs(2))
        });
        let is_used = is_expected || is_confirmed;
        let time = if is_used { server } else { expected.unwrap_or(server) };
        let known =
            Self { last: Some((time, Some(steady))), unconfirmed: (!is_used).then_some((server, steady)) };
        (known, Judged { time, is_confirmed_jump: is_used && !is_expected, is_doubted: !is_used })
    }
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    elapsed(a, b).max(elapsed(b, a))
}
