//! The clocks: the server's `Date`, which can be wrong, and those of the exporter's machine.

use std::time::Duration;

use clumio_exporter::time::{Moment, Timestamp};

use crate::account::{SECOND, START, timestamp};

/// The clocks, as far as they are off.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// True time, in microseconds.
    pub now: i64,
    /// True time at which the monotonic clock of the process shows zero.
    pub epoch: i64,
    /// How far the exporter's time of day is ahead.
    pub local_ahead: i64,
    /// How far the `Date` of responses is ahead.
    pub date_ahead: i64,
    /// The `Date` of every response, while a cache answers.
    pub frozen: Option<i64>,
    /// Whether responses have a `Date`.
    pub has_date: bool,
}

// === impl Clocks ===

impl Clocks {
    pub fn new(has_date: bool) -> Self {
        Self { now: START, epoch: START, local_ahead: 0, date_ahead: 0, frozen: None, has_date }
    }

    /// Begins a process, whose monotonic clock starts anew.
    pub fn restart(&mut self) {
        self.epoch = self.now;
    }

    /// Time passes that the monotonic clock does not notice.
    pub fn suspend(&mut self, length: i64) {
        self.now += length;
        self.epoch += length;
    }

    pub fn moment(&self) -> Moment {
        Moment { wall: timestamp(self.now + self.local_ahead), steady: self.steady() }
    }

    pub fn steady(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now - self.epoch).expect("time must not go back"))
    }

    /// The `Date` of a response, which is `error` off: it has no fraction of a second.
    pub fn date(&self, error: i64) -> Option<Timestamp> {
        let date = self.frozen.unwrap_or(self.now + self.date_ahead + error);
        self.has_date.then(|| timestamp(date.div_euclid(SECOND) * SECOND))
    }
}
