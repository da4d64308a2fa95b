//! What one account publishes: its last good numbers and how its polls went, swapped as a whole.
//!
//! A scrape reads whichever [`Published`] is current and never waits for a poll; whoever has news (the poll, the
//! supervisor of the polls, a reload) builds the next one and swaps it in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clumio::Reason;
use crate::ledger::Snapshot;
use crate::poll::Progress;
use crate::state::Written;
use crate::time::Timestamp;

/// Why a poll failed, as the value of the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The API could not be read.
    Api(Reason),
    /// The poller panicked, which is a fault of the exporter.
    Panic,
    /// What was read could not be kept.
    State,
}

/// One account on the page.
#[derive(Debug)]
pub struct Account {
    pub(super) name: String,
    pub(super) published: ArcSwap<Published>,
    changes: Arc<AtomicU64>,
}

/// How an account stands after its last poll.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) interval: Duration,
    pub(crate) window: Duration,
    pub(crate) progress: Arc<Progress>,
    pub(crate) token_expiry: Option<Timestamp>,
    pub(crate) up: bool,
    pub(crate) polls: u64,
    pub(crate) failures: [u64; Failure::ALL.len()],
    pub(crate) last_duration: Option<Duration>,
    /// When the last poll ended, and why it failed if it did.
    pub(crate) last_poll: Option<(Timestamp, Option<Failure>)>,
    pub(crate) last_success: Option<Timestamp>,
    /// What was written last to the state directory.
    pub(crate) written: Option<Written>,
    /// The numbers of the last poll that succeeded.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
}

// === impl Failure ===

impl Failure {
    /// Every reason, in alphabetical order.
    pub const ALL: [Self; 9] = [
        Self::Api(Reason::Auth),
        Self::Api(Reason::Connect),
        Self::Panic,
        Self::Api(Reason::Protocol),
        Self::Api(Reason::Rejected),
        Self::Api(Reason::Server),
        Self::State,
        Self::Api(Reason::Throttled),
        Self::Api(Reason::Timeout),
    ];

    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api(reason) => reason.as_str(),
            Self::Panic => "panic",
            Self::State => "state",
        }
    }
}

// === impl Account ===

impl Account {
    pub(super) fn new(name: String, changes: Arc<AtomicU64>) -> Self {
        Self { name, published: ArcSwap::default(), changes }
    }

    /// The value of the label `account`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the last poll succeeded; none before the first one that does.
    #[must_use]
    pub fn was_up(&self) -> Option<bool> {
        let published = self.published.load();
        (published.polls > 0 && published.last_success.is_some()).then_some(published.up)
    }

    /// Publishes how the account is polled from now on.
    pub fn configured(&self, interval: Duration, window: Duration) {
        self.publish(|published| {
            published.interval = interval;
            published.window = window;
        });
    }

    /// Takes the numbers off the page until a poll brings new ones, because the account begins anew, with a first
    /// pass that goes on by `progress`. What was counted of its polls stays.
    pub fn begins(&self, progress: &Arc<Progress>) {
        self.publish(|published| {
            published.progress = Arc::clone(progress);
            published.up = false;
            published.last_success = None;
            published.written = None;
            published.snapshot = None;
        });
    }

    /// Publishes when the token expires; none where it does not say so.
    pub fn token_expires(&self, expiry: Option<Timestamp>) {
        if self.published.load().token_expiry != expiry {
            self.publish(|published| published.token_expiry = expiry);
        }
    }

    /// Publishes the numbers of a poll that took `took` and succeeded at `at`, on this machine's clock: rules
    /// compare it with Prometheus' own.
    pub fn succeeded(&self, snapshot: Snapshot, written: Option<Written>, took: Duration, at: Timestamp) {
        let snapshot = Arc::new(snapshot);
        self.publish(|published| {
            published.polls += 1;
            published.last_duration = Some(took);
            published.up = true;
            published.last_poll = Some((at, None));
            published.last_success = Some(at);
            published.written = written;
            published.snapshot = Some(Arc::clone(&snapshot));
        });
    }

    /// Publishes what the process before kept, as old as it is.
    pub fn restored(&self, snapshot: Option<Snapshot>, written: Written) {
        let snapshot = snapshot.map(Arc::new);
        self.publish(|published| {
            published.last_success = snapshot.is_some().then_some(written.at);
            published.written = Some(written);
            published.snapshot.clone_from(&snapshot);
        });
    }

    /// Publishes what may be published of a poll that took `took` and ended at `at`, and that its numbers could not be
    /// kept.
    pub fn not_kept(&self, snapshot: Snapshot, took: Duration, at: Timestamp) {
        let snapshot = Arc::new(snapshot);
        self.publish(|published| {
            published.failed(Failure::State, Some(took), at);
            published.snapshot = Some(Arc::clone(&snapshot));
        });
    }

    /// Publishes that a poll that took `took` failed at `at`, or that none was under way when the poller broke down; its
    /// numbers stay those of the last that succeeded.
    pub fn failed(&self, failure: Failure, took: Option<Duration>, at: Timestamp) {
        self.publish(|published| published.failed(failure, took, at));
    }

    fn publish(&self, change: impl Fn(&mut Published)) {
        self.published.rcu(|published| {
            let mut published = Published::clone(published);
            change(&mut published);
            published
        });
        self.changes.fetch_add(1, Ordering::Release);
    }
}

// === impl Published ===

impl Published {
    fn failed(&mut self, failure: Failure, took: Option<Duration>, at: Timestamp) {
        self.last_poll = Some((at, Some(failure)));
        self.polls += 1;
        self.last_duration = took.or(self.last_duration);
        self.up = false;
        let counts = Failure::ALL.iter().zip(&mut self.failures);
        counts.filter(|(reason, _)| **reason == failure).for_each(|(_, count)| *count += 1);
    }
}
