//! Whether a poll gets on.
//!
//! A poll that hangs is one of which no request has finished for five request timeouts. So there is a deadline: a
//! poll that starts and a request that finishes move it that far ahead, a wait on purpose (the rate limit, a
//! `Retry-After`, the backoff of a retry) moves it beyond the wait, and the end of the poll takes it away. An initial sync
//! may take an hour, because its requests finish meanwhile; an API that fails or answers nothing for days is none of
//! this, because its requests end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clumio::{Observer, Reason};
use crate::metrics::{Account as View, RequestMetrics};
use crate::task::Defect;
use crate::time::Timestamp;

/// How many request timeouts may pass before a request finishes. One should do; the rest is for a machine that stalls.
const TIMEOUTS: u32 = 5;

/// Longer than a poll waits for its state to be written, in which no request can finish.
const LEAST_PATIENCE: Duration = Duration::from_secs(45);

/// The deadline of a poller that is not polling.
const NEVER: u64 = u64::MAX;

/// What a poller does, as its supervisor sees it. Instants are milliseconds since the start.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    request_timeout: Duration,
    /// When the poll that is under way, or was last, began.
    begun: AtomicU64,
    deadline: AtomicU64,
    /// The end of the latest wait on purpose.
    waits_until: AtomicU64,
    /// How many requests have finished and how many polls have ended by themselves.
    signs: AtomicU64,
    /// How many rounds were done: a poll, what it brought published, and the work in the background.
    rounds: AtomicU64,
}

/// Tells everyone who wants to know what the client of one account does.
pub(super) struct Watch {
    pub(super) metrics: RequestMetrics,
    pub(super) activity: Arc<Activity>,
    pub(super) view: Arc<View>,
}

// === impl Activity ===

impl Activity {
    pub(super) fn new(request_timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            request_timeout,
            begun: AtomicU64::new(0),
            deadline: AtomicU64::new(NEVER),
            waits_until: AtomicU64::new(0),
            signs: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
        }
    }

    /// A poll begins.
    pub(super) fn begins(&self) {
        self.begun.store(self.now(), Ordering::Relaxed);
        self.deadline.store(self.after(Duration::ZERO), Ordering::Relaxed);
    }

    /// The poll has ended, well or not.
    pub(super) fn ends(&self) {
        self.deadline.store(NEVER, Ordering::Relaxed);
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the poll that is under way should have got on by now.
    pub(super) fn is_overdue(&self) -> bool {
        self.now() > self.deadline.load(Ordering::Relaxed)
    }

    /// For how long a poll has been under way; none if there is none.
    pub(super) fn polling_for(&self) -> Option<Duration> {
        let is_polling = self.deadline.load(Ordering::Relaxed) != NEVER;
        let since = || self.now().saturating_sub(self.begun.load(Ordering::Relaxed));
        is_polling.then(|| Duration::from_millis(since()))
    }

    /// A number that moves whenever a request finishes or a poll ends.
    pub(super) fn signs(&self) -> u64 {
        self.signs.load(Ordering::Relaxed)
    }

    /// A round of the loop is done.
    pub(super) fn completes(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// How many rounds were done.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// The end of the latest wait on purpose, which may be still to come.
    pub(super) fn waits_until(&self) -> Instant {
        self.start + Duration::from_millis(self.waits_until.load(Ordering::Relaxed))
    }

    /// The longest that a request may take.
    pub(super) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// The deadline, if nothing but a wait for so long is known.
    fn after(&self, wait: Duration) -> u64 {
        let patience = (self.request_timeout * TIMEOUTS).max(LEAST_PATIENCE);
        self.now().saturating_add(millis(wait)).saturating_add(millis(patience))
    }

    /// Moves the deadline ahead: never back, for another request may wait longer, and [`NEVER`] stays.
    fn extend(&self, wait: Duration) {
        self.deadline.fetch_max(self.after(wait), Ordering::Relaxed);
    }

    fn finished(&self) {
        self.extend(Duration::ZERO);
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    fn waits(&self, at_most: Duration) {
        self.extend(at_most);
        self.waits_until.fetch_max(self.now().saturating_add(millis(at_most)), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    // One less than what stands for never.
    u64::try_from(duration.as_millis()).unwrap_or(NEVER).min(NEVER - 1)
}

// === impl Watch ===

impl Observer for Watch {
    fn request(&self, status: Option<u16>, took: Duration) {
        self.metrics.request(status, took);
    }

    fn retry(&self, reason: Reason) {
        self.metrics.retry(reason);
    }

    fn rows(&self, rows: u64) {
        self.metrics.rows(rows);
    }

    fn defect(&self, defect: Defect) {
        self.metrics.defect(defect);
        self.view.read_invalid_row(Timestamp::now());
    }

    fn finished(&self) {
        self.activity.finished();
    }

    fn waits(&self, at_most: Duration) {
        self.activity.waits(at_most);
    }

    fn token(&self, expiry: Option<Timestamp>) {
        self.view.token_expires(expiry);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_secs(150);
    const MOMENT: Duration = Duration::from_millis(1);

    async fn is_overdue_after(activity: &Activity, wait: Duration) -> bool {
        advance(wait).await;
        activity.is_overdue()
    }

    #[tokio::test(start_paused = true)]
    async fn five_timeouts_without_a_request_that_finishes_are_too_long() {
        let activity = Activity::new(TIMEOUT);
        activity.begins();
        assert!(!is_overdue_after(&activity, PATIENCE).await);
        assert!(is_overdue_after(&activity, MOMENT).await);
        activity.finished();
        assert!(!is_overdue_after(&activity, PATIENCE).await);
        assert!(is_overdue_after(&activity, MOMENT).await);
        assert_eq!(activity.polling_for(), Some(2 * (PATIENCE + MOMENT)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_on_purpose_is_granted_though_other_requests_finish_meanwhile() {
        let activity = Activity::new(TIMEOUT);
        let wait = Duration::from_hours(1);
        activity.begins();
        activity.waits(wait);
        advance(PATIENCE).await;
        activity.finished();
        assert!(!is_overdue_after(&activity, wait).await);
        assert!(is_overdue_after(&activity, MOMENT).await);
        activity.waits(Duration::MAX);
        assert!(!is_overdue_after(&activity, wait).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_is_not_polling_is_never_overdue() {
        let activity = Activity::new(TIMEOUT);
        assert!(!is_overdue_after(&activity, Duration::from_hours(24)).await);
        activity.begins();
        activity.ends();
        activity.finished();
        activity.waits(MOMENT);
        assert!(!is_overdue_after(&activity, Duration::from_hours(24)).await);
        assert_eq!(activity.polling_for(), None);
    }
}
