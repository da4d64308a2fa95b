//! `rate_limit`: how often requests may come.

use std::time::Duration;

use config::ValueKind;

use super::super::table::{Table, Verdict};
use super::super::values::{duration, minutes, whole};

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time between two requests, not zero.
    pub interval: Duration,
    /// How many may come at once.
    pub burst: u32,
}

/// The limit, if there is one.
pub(super) fn read(mut table: Table<'_>) -> Option<RateLimit> {
    let interval = table.or("interval", Duration::ZERO, interval);
    let burst = table.optional("burst", whole(0..=1_000_000));
    if interval.is_zero() {
        table.close();
        return None;
    }
    if burst.unwrap_or(0) == 0 {
        table
            .complain("burst", "nobody would be let in; write how many requests may come at once, 1 or more");
    }
    table.close();
    Some(RateLimit { interval, burst: burst.unwrap_or(1) })
}

/// A duration; a bare 0 switches the limit off.
fn interval(value: &ValueKind) -> Verdict<Duration> {
    match value {
        ValueKind::I64(0) => Ok(Duration::ZERO),
        ValueKind::String(text) if text == "0" => Ok(Duration::ZERO),
        other => duration(Duration::ZERO..=minutes(60))(other),
    }
}
