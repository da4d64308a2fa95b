//! Watches the loop of one account, and starts another one over the same memory when it has died or hangs.
//!
//! A loop that is found twice in a row to be overdue hangs: once is not enough, because a process that was stopped for a
//! while (a debugger, a frozen container) finds its timers late and everything overdue. Each restart waits twice as
//! long as the one before, until the loop gets on again: after one that hung, a request finishes; after one that died, a
//! whole round is done, for what it died of may come after the requests of each.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use super::poller::AccountPoller;
use crate::clumio::{Reason, TaskList};
use crate::metrics::Failure;
use crate::time::Timestamp;

/// The wait before the first restart, which then doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// For how long restarts may not help before the process is unhealthy.
const UNHEALTHY_AFTER: Duration = Duration::from_mins(5);

/// How long a loop that is stopped may take to end; it ends at its next await.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// A poller and the task that runs its loop; dropped, the loop stops.
pub(super) struct Supervised<L> {
    pub(super) poller: Arc<AccountPoller<L>>,
    task: AbortOnDropHandle<()>,
    /// The signs of life when it was last looked at.
    signs: u64,
    /// The rounds that were done then.
    rounds: u64,
    /// Whether it was overdue then.
    was_overdue: bool,
    trouble: Option<Trouble>,
    /// When the next loop starts, if the one before was stopped.
    restart_at: Option<Instant>,
}

/// A poller that broke down and has not got on since.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    restarts: u32,
    /// When its loop died, if that is how it broke down last.
    died: Option<Instant>,
}

// === impl Supervised ===

impl<L: TaskList + 'static> Supervised<L> {
    /// Starts the loop; it polls for the first time after `delay`.
    pub(super) fn start(poller: Arc<AccountPoller<L>>, delay: Duration) -> Self {
        let task = spawn(&poller, delay);
        let signs = poller.activity.signs();
        let rounds = poller.activity.rounds();
        Self { poller, task, signs, rounds, was_overdue: false, trouble: None, restart_at: None }
    }

    /// Looks whether the loop lives and gets on, and does what is due; to be called about once a second.
    pub(super) fn look(&mut self) {
        self.notice_that_it_gets_on();
        if let Some(at) = self.restart_at {
            if Instant::now() >= at {
                self.restart();
            }
            return;
        }
        let is_overdue = self.poller.activity.is_overdue();
        if self.task.is_finished() {
            self.broke(Failure::Panic, "the poller has died, a fault of the exporter: please report it");
        } else if is_overdue && self.was_overdue {
            self.broke(
                Failure::Api(Reason::Timeout),
                "the poller hangs: no request of it has finished for five request timeouts; check that its \
                 token_file can be read",
            );
        } else {
            self.was_overdue = is_overdue;
        }
    }

    fn notice_that_it_gets_on(&mut self) {
        let (signs, rounds) = (self.poller.activity.signs(), self.poller.activity.rounds());
        let has_died = self.trouble.as_ref().is_some_and(|trouble| trouble.died.is_some());
        if rounds != self.rounds || (signs != self.signs && !has_died) {
            self.trouble = None;
        }
        (self.signs, self.rounds) = (signs, rounds);
    }

    /// What is wrong, if restarts have not helped for five minutes, or for two request timeouts where that is longer:
    /// one request may take as long.
    pub(super) fn complaint(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        let activity = &self.poller.activity;
        let patience = UNHEALTHY_AFTER.max(2 * activity.request_timeout());
        let lasts = match trouble.died {
            // The round that is under way may be a long one, and end well.
            Some(died) => died.duration_since(trouble.since),
            None => trouble.since.max(activity.waits_until()).elapsed(),
        };
        (lasts >= patience).then(|| {
            let (name, seconds, restarts) = (&self.poller.name, lasts.as_secs(), trouble.restarts);
            format!(
                "the poller of account {name:?} has not got on for {seconds} s, started again {restarts} times; \
                 see the log"
            )
        })
    }

    /// Stops the loop, and waits until nothing of it is left.
    ///
    /// # Errors
    /// When it does not end.
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        self.task.abort();
        self.restart_at = Some(Instant::now());
        let end = Instant::now() + STOPS_WITHIN;
        let ended = timeout_at(end, &mut self.task).await.is_ok();
        // One that hung before this one was started may be there still.
        if ended && timeout_at(end, self.poller.poller.lock()).await.is_ok() {
            return Ok(());
        }
        Err(format!("account {:?}: its poller does not stop; restart the exporter", self.poller.name))
    }

    /// Starts the loop again.
    pub(super) fn restart(&mut self) {
        self.restart_at = None;
        self.was_overdue = false;
        self.task = spawn(&self.poller, Duration::ZERO);
    }

    fn broke(&mut self, failure: Failure, message: &str) {
        self.task.abort();
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, restarts: 0, died: None });
        trouble.died = (failure == Failure::Panic).then_some(now);
        let wait = backoff(trouble.restarts);
        trouble.restarts += 1;
        self.restart_at = Some(now + wait);
        // Not by the clock of the poller: that may be what broke.
        self.poller.view.failed(failure, self.poller.activity.polling_for(), Timestamp::now());
        error!(account = self.poller.name, restarts = trouble.restarts, ?wait, "{message}");
    }
}

fn spawn<L: TaskList + 'static>(poller: &Arc<AccountPoller<L>>, delay: Duration) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(Arc::clone(poller).run(delay)))
}

/// The wait before the next restart, after so many.
fn backoff(restarts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << restarts.min(16)).min(LONGEST_WAIT)
}
