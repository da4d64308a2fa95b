//! How the accounts that are polled become those of the settings: at the start, and at each reload.
//!
//! First everything that can fail is done, and nothing is changed by it. Then loops are stopped, and only when all of
//! them have ended is the rest changed, which cannot fail. An account whose plan is the same, and what is in its CA file,
//! is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Mutex;

use super::activity::{Activity, Watch};
use super::poller::AccountPoller;
use super::supervisor::Supervised;
use super::{Accounts, Clients, Member, Members, Plan, Problems};
use crate::clumio::Client;
use crate::config::{Account, Settings};
use crate::metrics::{Account as View, SyncObserver, SyncProgress};
use crate::poll::{Poller, Progress};
use crate::store::Replica;

/// The longest that the first poll of an account waits beyond its turn, so that exporters which start together do
/// not poll together.
const JITTER: Duration = Duration::from_secs(1);

/// The longest that the first poll of an account waits for that of the one before it: enough to spread the load of
/// many, and nobody waits long for the last of a few.
const SPREAD: Duration = Duration::from_secs(5);

/// What is to be done, with everything at hand that could fail to be had.
pub struct Change {
    pub(super) opened: Vec<Opened>,
    gone: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Accounts that were not polled before.
    pub added: usize,
    /// Accounts that are not polled any more.
    pub removed: usize,
    /// Accounts that are polled in another way.
    pub changed: usize,
}

/// An account that can be polled by its plan.
pub(super) struct Opened {
    plan: Plan,
    start: Start,
    view: Arc<View>,
    activity: Arc<Activity>,
    /// Reads the token, so that its expiry is on the page before the first poll.
    token: BoxFuture<'static, ()>,
}

/// What an account starts with.
enum Start {
    /// What its replica has: it is new, or reads other tasks than before.
    Replica(Box<Client>, Box<Replica>),
    /// What its poller knows, with another client.
    Poller(Arc<Mutex<Poller<Client>>>, Box<Client>),
}

/// An account as it is polled before the change.
struct Current {
    plan: Plan,
    poller: Arc<AccountPoller<Client>>,
}

// === impl Accounts ===

impl Accounts {
    /// Finds out what `settings` change, and does all of it that can fail. It reads files, and waits for them.
    ///
    /// # Errors
    /// When an account cannot be set up: all that is wrong, not only the first. Nothing was changed.
    pub fn prepare(&self, settings: &Settings) -> Result<Change, Problems> {
        let mut clients = Clients::new(Arc::clone(&self.clock));
        let mut current = self.current();
        let (mut opened, mut problems) = (Vec::new(), Vec::new());
        for account in &settings.accounts {
            let plan = Plan::new(account, settings);
            let before = current.remove(&account.name);
            if before.as_ref().is_none_or(|before| before.plan != plan) {
                match self.prepare_account(&mut clients, plan, before.as_ref()) {
                    Ok(account) => opened.push(account),
                    Err(problem) => problems.push(format!("account {:?}: {problem}", account.name)),
                }
            }
        }
        let gone = current.into_keys().collect();
        if problems.is_empty() { Ok(Change { opened, gone }) } else { Err(Problems(problems)) }
    }

    /// Makes everything that an account is polled with.
    fn prepare_account(
        &self,
        clients: &mut Clients,
        plan: Plan,
        before: Option<&Current>,
    ) -> Result<Opened, String> {
        let name = &plan.account.name;
        let view =
            before.map_or_else(|| self.exposition.account(name), |before| Arc::clone(&before.poller.view));
        let activity = Arc::new(Activity::new(plan.request_timeout));
        let metrics = self.exposition.request_metrics(name);
        let watch = Watch { metrics, activity: Arc::clone(&activity), view: Arc::clone(&view) };
        let client = clients.client(&plan, Arc::new(watch)).map_err(|error| error.to_string())?;
        let token = Box::pin(client.read_token());
        let start = match before {
            Some(before) if before.plan.reads_the_same(&plan) => {
                Start::Poller(Arc::clone(&before.poller.poller), Box::new(client))
            }
            _ => {
                let (store, rules) = (self.store.clone(), plan.options.rules.clone());
                let replica = Replica::new(store, name.clone(), plan.identity(), rules);
                Start::Replica(Box::new(client), Box::new(replica))
            }
        };
        Ok(Opened { plan, start, view, activity, token })
    }

    /// Does what was prepared. Accounts start one after the other, so that their polls are spread over the interval.
    ///
    /// # Errors
    /// When a loop that is to end does not; then nothing was changed.
    pub async fn apply(&self, change: Change) -> Result<Applied, Problems> {
        let Change { opened, gone } = change;
        let names: Vec<_> = opened.iter().map(|opened| &opened.plan.account.name).chain(&gone).collect();
        let stopped = self.stop(&names).await?;
        let changed = stopped.len() - gone.len();
        let applied = Applied { added: opened.len() - changed, removed: gone.len(), changed };
        let kept: BTreeSet<_> = opened.iter().filter(|it| it.is_kept()).map(Opened::name).collect();
        for (name, member) in &stopped {
            if !kept.contains(name) {
                self.forget(member, gone.contains(name)).await;
            }
        }
        let count = u32::try_from(opened.len()).unwrap_or(u32::MAX).max(1);
        for (turn, opened) in (0..count).zip(opened) {
            let step = (opened.plan.account.interval / count).min(SPREAD);
            let delay = step * turn + JITTER.min(step).mul_f64(fastrand::f64());
            let plan = opened.plan.clone();
            let supervised = Supervised::start(self.poller(opened).await, delay);
            self.members().insert(plan.account.name.clone(), Member { plan, supervised });
        }
        Ok(applied)
    }

    /// Makes the poller of an account whose loop is not running, and puts the account on the page.
    pub(super) async fn poller(&self, opened: Opened) -> Arc<AccountPoller<Client>> {
        let Opened { plan, start, view, activity, token } = opened;
        view.configured(plan.account.interval, plan.options.rules.window);
        let (poller, is_new) = match start {
            Start::Replica(client, replica) => {
                let poller = Poller::new(*client, *replica, plan.options);
                view.begins(&observer(poller.progress()));
                (Arc::new(Mutex::new(poller)), true)
            }
            Start::Poller(poller, client) => {
                poller.lock().await.reconfigure(*client, plan.options);
                (poller, false)
            }
        };
        self.exposition.show(&view);
        // It may never end, and nothing waits for it.
        tokio::spawn(token);
        let Account { name, interval, .. } = plan.account;
        let poller = Arc::new(AccountPoller {
            name,
            interval,
            poller,
            replica: ArcSwapOption::empty(),
            stopped: AtomicU32::new(0),
            exposition: Arc::clone(&self.exposition),
            view,
            activity,
            clock: Arc::clone(&self.clock),
        });
        if is_new {
            poller.restore().await;
        } else {
            poller.republish().await;
        }
        poller
    }

    /// Takes an account off the exposition that is gone, or reads other tasks from now on. A replica in memory is removed
    /// with it; one on disk is there for an account that comes back.
    async fn forget(&self, member: &Member, is_gone: bool) {
        let poller = &member.supervised.poller;
        if !is_gone {
            poller.view.begins(&SyncObserver::default());
            return;
        }
        self.exposition.remove_account(&member.plan.account.name);
        if self.is_in_memory {
            let replica = poller.poller.lock().await.replica().clone();
            // There is nothing to remove if it was never opened.
            let _ = replica.retire().await;
        }
    }

    /// Stops the loops of those of these accounts that are polled, and waits until they have ended.
    async fn stop(&self, names: &[&String]) -> Result<Members, Problems> {
        let mut stopped: Members = {
            let mut members = self.members();
            names.iter().filter_map(|name| members.remove_entry(*name)).collect()
        };
        let ends = join_all(stopped.values_mut().map(|member| member.supervised.stop())).await;
        let problems: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
        if problems.is_empty() {
            return Ok(stopped);
        }
        for member in stopped.values_mut() {
            member.supervised.restart();
        }
        self.members().append(&mut stopped);
        Err(Problems(problems))
    }

    fn current(&self) -> BTreeMap<String, Current> {
        let members = self.members();
        let current = members.iter().map(|(name, member)| {
            let (plan, poller) = (member.plan.clone(), Arc::clone(&member.supervised.poller));
            (name.clone(), Current { plan, poller })
        });
        current.collect()
    }
}

fn observer(progress: Arc<Progress>) -> SyncObserver {
    SyncObserver::new(move || SyncProgress {
        initial: progress.initial_sync(),
        history: progress.history_sync(),
    })
}

// === impl Opened ===

impl Opened {
    fn name(&self) -> String {
        self.plan.account.name.clone()
    }

    fn is_kept(&self) -> bool {
        matches!(self.start, Start::Poller(..))
    }
}
