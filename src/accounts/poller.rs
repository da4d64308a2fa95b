//! The loop of one account: wait, poll, publish.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::api::TaskList;
use crate::exposition::{Account, Failure};
use crate::poll::{Poller, Report};
use crate::state::Disk;
use crate::time::Clock;

/// Polls one account, again and again, and publishes what came of it.
pub(super) struct AccountPoller<L> {
    pub(super) name: String,
    pub(super) poller: Poller<L, Option<Disk>>,
    pub(super) account: Arc<Account>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether the last poll succeeded; none before the first.
    pub(super) was_up: Option<bool>,
}

// === impl AccountPoller ===

impl<L: TaskList> AccountPoller<L> {
    /// Polls every `interval`, the first time after `delay`; never returns.
    ///
    /// A poll that takes longer than the interval is not interrupted: the ones that it delays are left out.
    pub(super) async fn run(mut self, delay: Duration, interval: Duration) {
        let mut ticks = interval_at(Instant::now() + delay, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.poll().await;
        }
    }

    /// Polls once and publishes. A panic ends the poll, not the poller: a poll commits to a copy of the ledger, so
    /// that what a panic leaves behind is the ledger of the poll before.
    pub(super) async fn poll(&mut self) -> bool {
        let start = Instant::now();
        let span = info_span!("poll", account = self.name);
        let outcome = AssertUnwindSafe(self.poller.poll().instrument(span)).catch_unwind().await;
        let took = start.elapsed();
        match outcome {
            Ok(Ok(report)) => self.succeeded(report, took),
            Ok(Err(failure)) => {
                self.failed(Failure::Api(failure.reason()), took);
                warn!(account = self.name, reason = failure.reason().as_str(), error = %failure, "poll failed");
            }
            Err(_) => {
                self.failed(Failure::Panic, took);
                error!(account = self.name, "poll panicked, a fault of the exporter: please report it");
            }
        }
        self.was_up == Some(true)
    }

    fn succeeded(&mut self, report: Report, took: Duration) {
        let Report { snapshot, .. } = report;
        let seconds = took.as_secs_f64();
        match self.was_up.replace(true) {
            None => info!(account = self.name, seconds, kinds = snapshot.kinds.len(), "first poll succeeded"),
            Some(false) => info!(account = self.name, seconds, "poll succeeded again"),
            Some(true) => debug!(account = self.name, seconds, "poll succeeded"),
        }
        self.account.succeeded(snapshot, took, self.clock.now().wall);
    }

    fn failed(&mut self, failure: Failure, took: Duration) {
        self.was_up = Some(false);
        self.account.failed(failure, took);
    }
}
