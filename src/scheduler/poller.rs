//! The loop of one account: wait, poll, publish; then what is done in the background until the next poll.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::activity::Activity;
use crate::clumio::TaskList;
use crate::metrics::{Account as View, BackgroundJob, Exposition, Failure};
use crate::poll::{Background, BackgroundError, Error, Job, Poller, Report};
use crate::store::Replica;
use crate::time::{Clock, Timestamp};

/// Polls one account, again and again, and publishes what came of it.
///
/// It outlives the task that runs its loop, so that a loop which hangs can be stopped at any await and another one
/// started over the same poller.
pub(super) struct AccountPoller<L> {
    pub(super) name: String,
    pub(super) interval: Duration,
    /// Locked by a poll from beginning to end, and by a reload when no loop runs.
    pub(super) poller: Arc<Mutex<Poller<L>>>,
    /// The replica as of the last poll, for readers that do not wait for one.
    pub(super) replica: ArcSwapOption<Replica>,
    /// Consecutive steps between polls that were stopped, or for which there was no time.
    pub(super) stopped: AtomicU32,
    pub(super) exposition: Arc<Exposition>,
    pub(super) view: Arc<View>,
    pub(super) activity: Arc<Activity>,
    pub(super) clock: Arc<dyn Clock>,
}

/// After so many consecutive steps that were stopped, one may delay a poll.
const MAX_STOPPED: u32 = 10;

// === impl AccountPoller ===

impl<L: TaskList> AccountPoller<L> {
    /// Polls at each interval, the first time after `delay`; never returns.
    ///
    /// A poll that takes longer than the interval is not interrupted: the ones that it delays are left out.
    pub(super) async fn run(self: Arc<Self>, delay: Duration) {
        let mut ticks = interval_at(Instant::now() + delay, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let tick = ticks.tick().await;
            if self.poll().await {
                self.work_until(tick + self.interval).await;
            }
            self.activity.completes();
        }
    }

    /// Publishes what the process before committed.
    pub(super) async fn restore(&self) {
        let poller = self.poller.lock().await;
        self.publish_store(&poller).await;
        match poller.replica().restore().await {
            Ok(Some((state, snapshot))) => {
                info!(account = self.name, tasks = snapshot.rows, time = %snapshot.time, "continues with the replica");
                self.view.restored(snapshot, state.last_success);
                self.replica.store(Some(Arc::new(poller.replica().clone())));
            }
            Ok(None) => {
                info!(account = self.name, "the replica has no complete sync: nothing is published yet");
            }
            Err(error) => {
                warn!(account = self.name, %error, "what was published last cannot be read; the first poll tries again");
            }
        }
    }

    /// Publishes the last commit by the current rules: a reload may have turned names off.
    pub(super) async fn republish(&self) {
        let poller = self.poller.lock().await;
        if !poller.replica().is_open() {
            return;
        }
        self.replica.store(Some(Arc::new(poller.replica().clone())));
        match poller.replica().last_snapshot().await {
            Ok(Some(snapshot)) => self.view.republished(snapshot),
            Ok(None) => {}
            Err(error) => warn!(account = self.name, %error, "what was published last cannot be read"),
        }
    }

    /// Polls once and publishes; gives whether it succeeded. A panic ends the poll, not the loop: what it had not
    /// committed is read again.
    pub(super) async fn poll(&self) -> bool {
        let start = Instant::now();
        self.activity.begins();
        let mut poller = self.poller.lock().await;
        // A loop that was stopped and did not end at once has ended its own poll only now.
        self.activity.begins();
        let span = info_span!("poll", account = self.name);
        // Boxed, so that an account that waits does not hold the memory of a poll.
        let outcome = AssertUnwindSafe(Box::pin(poller.poll()).instrument(span)).catch_unwind().await;
        self.activity.ends();
        let took = start.elapsed();
        // Before the numbers: counters that begin again must not be visible without the reason for it.
        self.replica.store(Some(Arc::new(poller.replica().clone())));
        self.publish_store(&poller).await;
        match outcome {
            Ok(Ok(report)) => self.polled(report, took),
            Ok(Err(error)) => {
                let failure = failure(&error);
                self.view.failed(failure, Some(took), self.now());
                warn!(account = self.name, reason = failure.as_str(), %error, "poll failed");
                false
            }
            Err(_) => {
                self.view.failed(Failure::Panic, Some(took), self.now());
                error!(account = self.name, "poll panicked, a fault of the exporter: please report it");
                false
            }
        }
    }

    async fn publish_store(&self, poller: &Poller<L>) {
        if let Ok(status) = poller.replica().store().status().await {
            self.exposition.store_is(status);
        }
    }

    /// Writes what holds depend on, for a process that ends.
    pub(super) async fn finish(&self) {
        let mut poller = self.poller.lock().await;
        if let Err(error) = poller.finish(self.clock.now()).await {
            warn!(account = self.name, %error, "the last state cannot be written");
        }
    }

    /// Reads history, audits and repairs until the next poll is due. What is not done then is stopped and done later, so
    /// that no poll waits for it. Where polls leave no time, one step in [`MAX_STOPPED`] rounds delays the next poll: without
    /// audits and history, numbers could stay wrong.
    async fn work_until(&self, next_poll: Instant) {
        let mut poller = self.poller.lock().await;
        loop {
            let may_delay_poll = self.stopped.load(Ordering::Relaxed) >= MAX_STOPPED;
            if !may_delay_poll && Instant::now() >= next_poll {
                // A step that is stopped at once would only teach the history sync to read less at a time.
                self.stopped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.activity.begins();
            let span = info_span!("background", account = self.name);
            let step = AssertUnwindSafe(Box::pin(poller.background_step()).instrument(span)).catch_unwind();
            let outcome = if may_delay_poll { Ok(step.await) } else { timeout_at(next_poll, step).await };
            self.activity.ends();
            match outcome {
                Ok(_) => self.stopped.store(0, Ordering::Relaxed),
                Err(_) => _ = self.stopped.fetch_add(1, Ordering::Relaxed),
            }
            match outcome {
                Ok(Ok(Ok(Background::More))) => {}
                Ok(Ok(Ok(Background::Done))) => break,
                Ok(Ok(Err(error))) => return self.background_failed(&error),
                Ok(Err(_)) => {
                    error!(
                        account = self.name,
                        "work between polls panicked, a fault of the exporter: please report it"
                    );
                    return;
                }
                Err(_) => return,
            }
        }
        let store = poller.replica().store();
        while Instant::now() < next_poll && matches!(store.purge_retired().await, Ok(true)) {}
    }

    fn background_failed(&self, error: &BackgroundError) {
        let job = match error.job {
            Job::Audit => BackgroundJob::Audit,
            Job::HistorySync => BackgroundJob::HistorySync,
        };
        self.view.background_failed(job, self.now());
        warn!(account = self.name, error = %error.error, "{} failed; it is tried again later", error.job.as_str());
    }

    /// Publishes what a poll read; gives whether it was committed as well.
    fn polled(&self, report: Report, took: Duration) -> bool {
        let Report { snapshot, uncommitted } = report;
        let seconds = took.as_secs_f64();
        if let Some(error) = uncommitted {
            self.view.not_committed(snapshot, took, self.now());
            let reason = Failure::State.as_str();
            warn!(account = self.name, reason, %error, "poll failed: it cannot be committed");
            return false;
        }
        match self.view.was_up() {
            None => info!(account = self.name, seconds, kinds = snapshot.kinds.len(), "first poll succeeded"),
            Some(false) => info!(account = self.name, seconds, "poll succeeded again"),
            Some(true) => debug!(account = self.name, seconds, "poll succeeded"),
        }
        self.view.succeeded(snapshot, took, self.now());
        true
    }

    /// The local clock.
    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Api(error) => Failure::Api(error.reason()),
        Error::Store(_) => Failure::State,
    }
}
