//! What one account publishes: its last good numbers and how its polls went, swapped as a whole.
//!
//! A scrape reads whichever [`Published`] is current and never waits for a poll; a poll builds the next one and
//! swaps it in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::api::Reason;
use crate::ledger::Snapshot;
use crate::poll::Progress;
use crate::time::Timestamp;

/// Why a poll failed, as the value of the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The API could not be read.
    Api(Reason),
    /// The poller panicked, which is a fault of the exporter.
    Panic,
}

/// One account on the page.
#[derive(Debug)]
pub struct Account {
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) window: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) published: ArcSwap<Published>,
    changes: Arc<AtomicU64>,
}

/// How an account stands after its last poll.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) up: bool,
    pub(super) polls: u64,
    pub(super) failures: [u64; Failure::ALL.len()],
    pub(super) last_duration: Option<Duration>,
    pub(super) last_success: Option<Timestamp>,
    /// The numbers of the last poll that succeeded.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

// === impl Failure ===

impl Failure {
    /// Every reason, in alphabetical order.
    pub const ALL: [Self; 8] = [
        Self::Api(Reason::Auth),
        Self::Api(Reason::Connect),
        Self::Panic,
        Self::Api(Reason::Protocol),
        Self::Api(Reason::Rejected),
        Self::Api(Reason::Server),
        Self::Api(Reason::Throttled),
        Self::Api(Reason::Timeout),
    ];

    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api(reason) => reason.as_str(),
            Self::Panic => "panic",
        }
    }
}

// === impl Account ===

impl Account {
    pub(super) fn new(
        name: String,
        interval: Duration,
        window: Duration,
        progress: Arc<Progress>,
        changes: Arc<AtomicU64>,
    ) -> Self {
        Self { name, interval, window, progress, published: ArcSwap::default(), changes }
    }

    /// Publishes the numbers of a poll that took `took` and succeeded at `at`, on this machine's clock: rules
    /// compare it with Prometheus' own.
    pub fn succeeded(&self, snapshot: Snapshot, took: Duration, at: Timestamp) {
        self.publish(took, |published| {
            published.up = true;
            published.last_success = Some(at);
            published.snapshot = Some(Arc::new(snapshot));
        });
    }

    /// Publishes that a poll that took `took` failed; its numbers stay those of the last that succeeded.
    pub fn failed(&self, failure: Failure, took: Duration) {
        self.publish(took, |published| {
            published.up = false;
            let counts = Failure::ALL.iter().zip(&mut published.failures);
            counts.filter(|(reason, _)| **reason == failure).for_each(|(_, count)| *count += 1);
        });
    }

    /// Only the account's own poller publishes, so that nothing is lost between the read and the swap.
    fn publish(&self, took: Duration, change: impl FnOnce(&mut Published)) {
        let mut published = Published::clone(&self.published.load());
        published.polls += 1;
        published.last_duration = Some(took);
        change(&mut published);
        self.published.store(Arc::new(published));
        self.changes.fetch_add(1, Ordering::Release);
    }
}
