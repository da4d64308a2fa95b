//! Counts: how far they go, and those that are published.

use super::held::{Held, Rising};

/// The largest count that is taken from outside: the largest that Prometheus can tell from its neighbours.
pub(super) const MOST: u64 = 1 << 53;

/// A number that only rises, and what is published of it.
pub(super) type Counter = Held<u64>;

/// The sum, and never more than [`MOST`]: what is kept is to be taken in again.
pub(super) fn add(count: u64, more: u64) -> u64 {
    count.saturating_add(more).min(MOST)
}

// === impl Counter ===

impl Counter {
    pub(super) fn increment(&mut self) {
        self.total = add(self.total, 1);
    }
}

impl Rising for u64 {
    fn can_follow(&self, before: &Self) -> bool {
        before <= self && *self <= MOST
    }
}
