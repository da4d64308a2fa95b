//! Time as data: instants of the API and of this machine, and how they are read.
//!
//! Two clocks are never mixed. What is *data* (when a task was created, when a window ends) is an argument,
//! a [`Timestamp`], so that tests own it. What is *waiting* (timeouts, timers, backoff) is tokio's.
//! The [`Clock`] here is read where data enters: when an answer of the API arrives.

use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// One reading of both clocks of this machine at the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time of day. It can be wrong, and it can be set back or forth while the process runs.
    pub wall: Timestamp,
    /// Time since some fixed instant. It only grows, and says nothing of the time of day.
    pub steady: Duration,
}

/// A source of [`Moment`]s.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

/// The instant `by` before `at`, or the earliest that can be written.
#[must_use]
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The instant `by` after `at`, or the latest that can be written.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How far `at` is after `since`; zero if it is not.
#[must_use]
pub fn elapsed(since: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(since)).unwrap_or_default()
}

/// Seconds since the Unix epoch, as Prometheus writes instants.
#[must_use]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

// === impl SystemClock ===

impl SystemClock {
    /// A clock whose steady reading starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::now(), steady: self.started.elapsed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        let hour = Duration::from_hours(1);
        assert_eq!(earlier(Timestamp::MIN, hour), Timestamp::MIN);
        assert_eq!(later(Timestamp::MAX, hour), Timestamp::MAX);
        assert_eq!(elapsed(Timestamp::UNIX_EPOCH, later(Timestamp::UNIX_EPOCH, hour)), hour);
        assert_eq!(elapsed(later(Timestamp::UNIX_EPOCH, hour), Timestamp::UNIX_EPOCH), Duration::ZERO);
    }
}
