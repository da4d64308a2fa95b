//! What one account publishes: its last good numbers and how its polls went, swapped as a whole.
//!
//! A scrape reads whichever [`Published`] is current and never waits for a poll; whoever has news (the poll, the
//! supervisor of the polls, a reload) builds the next one and swaps it in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::recent::RecentPolls;
use crate::clumio::Reason;
use crate::store::Snapshot;
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

/// What is done between polls, and can fail without failing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackgroundJob {
    /// Comparing counts with the API.
    Audit,
    /// Reading back to the retention.
    HistorySync,
}

/// How far the syncs of an account are, from 0 to 1; none while there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SyncProgress {
    /// The initial sync.
    pub initial: Option<f64>,
    /// The history sync.
    pub history: Option<f64>,
}

/// Tells how far the syncs are; it is asked by every scrape.
#[derive(Clone)]
pub struct SyncObserver(Arc<dyn Fn() -> SyncProgress + Send + Sync>);

/// One account on the page.
#[derive(Debug)]
pub struct Account {
    pub(super) name: String,
    pub(super) published: ArcSwap<Published>,
    changes: Arc<AtomicU64>,
    /// When the last invalid row was read, in seconds since 1970; 0 if none was.
    last_invalid_row: AtomicI64,
}

/// How an account stands after its last poll.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) interval: Duration,
    pub(crate) window: Duration,
    pub(crate) syncs: SyncObserver,
    pub(crate) token_expiry: Option<Timestamp>,
    pub(crate) up: bool,
    pub(crate) polls: u64,
    pub(crate) failures: [u64; Failure::ALL.len()],
    pub(crate) last_duration: Option<Duration>,
    /// When the last poll ended, and why it failed if it did.
    pub(crate) last_poll: Option<(Timestamp, Option<Failure>)>,
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) audit_failures: u64,
    pub(crate) history_sync_failures: u64,
    /// The last failure of what is done between polls.
    pub(crate) last_background_failure: Option<Timestamp>,
    /// When a poll last found tasks that were listed too late or vanished.
    pub(crate) last_missed: Option<Timestamp>,
    pub(crate) recent: RecentPolls,
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
        let last_invalid_row = AtomicI64::default();
        Self { name, published: ArcSwap::default(), changes, last_invalid_row }
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

    /// Notes that an invalid row was read at `at`.
    pub fn read_invalid_row(&self, at: Timestamp) {
        self.last_invalid_row.store(at.as_second(), Ordering::Relaxed);
    }

    /// When the last invalid row was read; none if none was since the start.
    pub(crate) fn last_invalid_row(&self) -> Option<Timestamp> {
        let second = self.last_invalid_row.load(Ordering::Relaxed);
        Timestamp::from_second(second).ok().filter(|_| second != 0)
    }

    /// Publishes how the account is polled from now on.
    pub fn configured(&self, interval: Duration, window: Duration) {
        self.publish(|published| {
            published.interval = interval;
            published.window = window;
        });
    }

    /// Takes the numbers off the page until a poll brings new ones, because the account begins anew, with an
    /// initial sync that `syncs` observes. What was counted of its polls stays.
    pub fn begins(&self, syncs: &SyncObserver) {
        self.publish(|published| {
            published.syncs = syncs.clone();
            published.up = false;
            published.last_success = None;
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
    pub fn succeeded(&self, snapshot: impl Into<Arc<Snapshot>>, took: Duration, at: Timestamp) {
        let snapshot = snapshot.into();
        self.publish(|published| {
            published.polls += 1;
            published.last_duration = Some(took);
            published.up = true;
            published.last_poll = Some((at, None));
            published.last_success = Some(at);
            published.recent.add(at, false);
            published.note_missed(&snapshot, at);
            published.snapshot = Some(Arc::clone(&snapshot));
        });
    }

    /// Publishes what the process before committed last; its last successful poll ended at `last_success`.
    pub fn restored(&self, snapshot: impl Into<Arc<Snapshot>>, last_success: Option<Timestamp>) {
        let snapshot = snapshot.into();
        self.publish(|published| {
            published.last_success = last_success;
            published.snapshot = Some(Arc::clone(&snapshot));
        });
    }

    /// Publishes the last commit again, evaluated by other rules.
    pub fn republished(&self, snapshot: impl Into<Arc<Snapshot>>) {
        let snapshot = snapshot.into();
        self.publish(|published| published.snapshot = Some(Arc::clone(&snapshot)));
    }

    /// Counts a failure, at `at`, of what is done between polls.
    pub fn background_failed(&self, job: BackgroundJob, at: Timestamp) {
        self.publish(|published| {
            published.last_background_failure = Some(at);
            match job {
                BackgroundJob::Audit => published.audit_failures += 1,
                BackgroundJob::HistorySync => published.history_sync_failures += 1,
            }
        });
    }

    /// Publishes what may be published of a poll that took `took` and ended at `at`, and that it could not be
    /// committed.
    pub fn not_committed(&self, snapshot: impl Into<Arc<Snapshot>>, took: Duration, at: Timestamp) {
        let snapshot = snapshot.into();
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

// === impl SyncObserver ===

impl SyncObserver {
    /// An observer that asks `progress`.
    pub fn new(progress: impl Fn() -> SyncProgress + Send + Sync + 'static) -> Self {
        Self(Arc::new(progress))
    }

    pub(crate) fn progress(&self) -> SyncProgress {
        (self.0)()
    }
}

impl Default for SyncObserver {
    fn default() -> Self {
        Self::new(SyncProgress::default)
    }
}

impl fmt::Debug for SyncObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress().fmt(f)
    }
}

// === impl Published ===

impl Published {
    fn failed(&mut self, failure: Failure, took: Option<Duration>, at: Timestamp) {
        self.last_poll = Some((at, Some(failure)));
        self.recent.add(at, true);
        self.polls += 1;
        self.last_duration = took.or(self.last_duration);
        self.up = false;
        let counts = Failure::ALL.iter().zip(&mut self.failures);
        counts.filter(|(reason, _)| **reason == failure).for_each(|(_, count)| *count += 1);
    }

    fn note_missed(&mut self, snapshot: &Snapshot, at: Timestamp) {
        let total = |snapshot: &Snapshot| snapshot.missed_total + snapshot.vanished_total;
        if self.snapshot.as_deref().is_some_and(|before| total(before) < total(snapshot)) {
            self.last_missed = Some(at);
        }
    }
}
