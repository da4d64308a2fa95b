//! How often requests may come: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::config::RateLimit;

/// Has a token for each request that may come now.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// When the bucket was, or would have been, empty; a full one was longer ago.
    empty_at: Mutex<Option<Instant>>,
}

// === impl Bucket ===

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, empty_at: Mutex::new(None) }
    }

    pub(super) fn is_for(&self, limit: RateLimit) -> bool {
        self.limit == limit
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let RateLimit { interval, burst } = self.limit;
        let mut empty_at = self.empty_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full = interval.saturating_mul(burst);
        let since = empty_at.map_or(full, |at| now.saturating_duration_since(at).min(full));
        let Some(rest) = since.checked_sub(interval) else { return false };
        *empty_at = now.checked_sub(rest).or(Some(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn as_many_as_the_burst_come_at_once_and_then_one_an_interval() {
        let bucket = Bucket::new(RateLimit { interval: Duration::from_secs(10), burst: 3 });
        let start = Instant::now();
        let taken = |at: u64| bucket.take_at(start + Duration::from_secs(at));
        assert_eq!([taken(0), taken(0), taken(0), taken(0)], [true, true, true, false]);
        assert_eq!([taken(9), taken(10), taken(11), taken(20)], [false, true, false, true]);
        assert_eq!([taken(500), taken(500), taken(500), taken(500)], [true, true, true, false]);
    }
}
