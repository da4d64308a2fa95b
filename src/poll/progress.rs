//! How far the syncs are, shared with whoever publishes it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::{Timestamp, elapsed};

/// The parts of the syncs that are done, from 0 to 1.
#[derive(Debug)]
pub struct Progress {
    initial: Ratio,
    history: Ratio,
}

/// A ratio as the bits of a float; not a number: none.
#[derive(Debug)]
struct Ratio(AtomicU64);

// === impl Progress ===

impl Progress {
    /// That of the initial sync; none while there is none.
    #[must_use]
    pub fn initial_sync(&self) -> Option<f64> {
        self.initial.get()
    }

    /// That of the history sync; none while there is none.
    #[must_use]
    pub fn history_sync(&self) -> Option<f64> {
        self.history.get()
    }

    /// The initial sync has read from the first time until the second, of what reaches until the third.
    pub(super) fn sync_initially(&self, [from, until, end]: [Timestamp; 3]) {
        self.initial.set(ratio(elapsed(from, until), elapsed(from, end)));
    }

    pub(super) fn end_initial_sync(&self) {
        self.initial.set(f64::NAN);
    }

    /// The history sync has read back to `covered_from`, of what reaches from `target` until T.
    pub(super) fn sync_history(&self, [target, covered_from, time]: [Timestamp; 3]) {
        self.history.set(ratio(elapsed(covered_from, time), elapsed(target, time)));
    }

    pub(super) fn end_history_sync(&self) {
        self.history.set(f64::NAN);
    }
}

impl Default for Progress {
    fn default() -> Self {
        let none = || Ratio(AtomicU64::new(f64::NAN.to_bits()));
        Self { initial: none(), history: none() }
    }
}

fn ratio(done: std::time::Duration, all: std::time::Duration) -> f64 {
    if all.is_zero() { 1.0 } else { (done.as_secs_f64() / all.as_secs_f64()).clamp(0.0, 1.0) }
}

// === impl Ratio ===

impl Ratio {
    fn get(&self) -> Option<f64> {
        let ratio = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!ratio.is_nan()).then_some(ratio)
    }

    fn set(&self, ratio: f64) {
        self.0.store(ratio.to_bits(), Ordering::Relaxed);
    }
}
