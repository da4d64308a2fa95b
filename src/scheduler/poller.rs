//! The loop of one account: wait, poll, publish.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::activity::Activity;
use crate::clumio::TaskList;
use crate::metrics::{Account as View, Failure};
use crate::poll::{Poller, Report};
use crate::state::Disk;
use crate::time::{Clock, Timestamp};

/// Polls one account, again and again, and publishes what came of it.
///
/// It outlives the task that runs its loop, so that a loop which hangs can be stopped at any await and another one
/// started over the same memory.
pub(super) struct AccountPoller<L> {
    pub(super) name: String,
    pub(super) interval: Duration,
    /// Locked by a poll from beginning to end, and by a reload when no loop runs.
    pub(super) poller: Arc<Mutex<Poller<L, Option<Disk>>>>,
    pub(super) view: Arc<View>,
    pub(super) activity: Arc<Activity>,
    pub(super) clock: Arc<dyn Clock>,
}

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
                self.heal(tick + self.interval).await;
            }
            self.activity.completes();
        }
    }

    /// Polls once and publishes; gives whether it succeeded. A panic ends the poll, not the loop: a poll commits to a
    /// copy of the ledger, so that what a panic leaves behind is the ledger of the poll before.
    pub(super) async fn poll(&self) -> bool {
        let start = Instant::now();
        self.activity.begins();
        let mut poller = self.poller.lock().await;
        // A loop that was stopped and did not end at once has ended its own poll only now.
        self.activity.begins();
        let span = info_span!("poll", account = self.name);
        let outcome = AssertUnwindSafe(poller.poll().instrument(span)).catch_unwind().await;
        self.activity.ends();
        drop(poller);
        let took = start.elapsed();
        match outcome {
            Ok(Ok(report)) => return self.succeeded(report, took),
            Ok(Err(failure)) => {
                self.view.failed(Failure::Api(failure.reason()), Some(took), self.now());
                warn!(account = self.name, reason = failure.reason().as_str(), error = %failure, "poll failed");
            }
            Err(_) => {
                self.view.failed(Failure::Panic, Some(took), self.now());
                error!(account = self.name, "poll panicked, a fault of the exporter: please report it");
            }
        }
        false
    }

    /// Reads anew what a heal has to read, in steps, until the next poll is due: one step at least, so that a heal gets
    /// on where polls take longer than the interval.
    async fn heal(&self, next_poll: Instant) {
        let mut poller = self.poller.lock().await;
        while poller.is_healing() {
            self.activity.begins();
            let span = info_span!("heal", account = self.name);
            let outcome = AssertUnwindSafe(poller.heal_step().instrument(span)).catch_unwind().await;
            self.activity.ends();
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    warn!(account = self.name, error = %failure, "the heal waits for the next poll");
                    return;
                }
                Err(_) => {
                    error!(
                        account = self.name,
                        "the heal panicked, a fault of the exporter: please report it"
                    );
                    return;
                }
            }
            if Instant::now() >= next_poll {
                return;
            }
        }
    }

    /// Publishes what a poll read; gives whether it was kept as well.
    fn succeeded(&self, report: Report, took: Duration) -> bool {
        let Report { snapshot, state } = report;
        let seconds = took.as_secs_f64();
        let written = match state {
            Ok(written) => written,
            Err(error) => {
                self.view.not_kept(snapshot, took, self.now());
                let reason = Failure::State.as_str();
                warn!(account = self.name, reason, %error, "poll failed: its numbers cannot be kept");
                return false;
            }
        };
        match self.view.was_up() {
            None => info!(account = self.name, seconds, kinds = snapshot.kinds.len(), "first poll succeeded"),
            Some(false) => info!(account = self.name, seconds, "poll succeeded again"),
            Some(true) => debug!(account = self.name, seconds, "poll succeeded"),
        }
        self.view.succeeded(snapshot, written, took, self.now());
        true
    }

    /// What this machine's clock says.
    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}
