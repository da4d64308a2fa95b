//! The scheduler: a poller for each account, on a timer of its own, watched by a supervisor.
//!
//! Accounts share connections and nothing else. Each poller is a task of its own: one that waits, fails, hangs or
//! panics holds up no other. What an account knows outlives that task, so that the supervisor and a reload can stop it
//! and start another.

mod activity;
mod clients;
mod poller;
mod reload;
mod supervisor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::warn;

use supervisor::Supervised;

pub use clients::{Clients, Plan};
pub use reload::{Applied, Change};

use crate::clumio::Client;
use crate::config::Settings;
use crate::metrics::Exposition;
use crate::store::{self, Explorer, Store};
use crate::time::{Clock, SystemClock};

/// How often the supervisor looks at each account.
const LOOK: Duration = Duration::from_secs(1);

/// When a process checks its database first, and how long it waits then. Bits flip rarely, and the check reads everything.
const FIRST_CHECK: Duration = Duration::from_mins(1);
const CHECK_EVERY: Duration = Duration::from_hours(24);

/// How long the end of a process waits for its last write.
const FINISH_WITHIN: Duration = Duration::from_secs(1);

/// The accounts that are polled; none at first.
pub struct Accounts {
    exposition: Arc<Exposition>,
    clock: Arc<dyn Clock>,
    store: Store,
    /// Whether what they know ends with the process.
    is_in_memory: bool,
    members: Mutex<Members>,
}

/// Accounts by their names.
type Members = BTreeMap<String, Member>;

/// An account that is polled.
struct Member {
    plan: Plan,
    supervised: Supervised<Client>,
}

/// Why accounts cannot be polled as configured: one message each, which names the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

// === impl Problems ===

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

// === impl Accounts ===

impl Accounts {
    /// No accounts yet. What is polled is published on `exposition`, and stored in the state directory, or in memory if
    /// there is none. It waits for the disk.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(exposition: Arc<Exposition>, state: Option<&Path>) -> Result<Self, store::Error> {
        let store = state.map_or_else(Store::in_memory, Store::open)?;
        let clock = Arc::new(SystemClock::new());
        Ok(Self { exposition, clock, store, is_in_memory: state.is_none(), members: Mutex::default() })
    }

    /// Polls every account of `settings` once, all at the same time. Gives whether all succeeded.
    ///
    /// # Errors
    /// When an account cannot be set up; nothing was sent then.
    pub async fn poll_once(&self, settings: &Settings) -> Result<bool, Problems> {
        let change = self.prepare(settings)?;
        let polls = change.opened.into_iter().map(async |opened| self.poller(opened).await.poll().await);
        Ok(join_all(polls).await.into_iter().all(|succeeded| succeeded))
    }

    /// Reads the replicas of the accounts, as far as they have been polled.
    #[must_use]
    pub fn explorer(&self) -> Explorer {
        let members = self.members();
        let replicas = members.values().filter_map(|member| member.supervised.poller.replica.load_full());
        Explorer::new(self.store.clone(), replicas.collect())
    }

    /// Stops every poller, writes what the next process needs and closes the database, unless it takes longer than a
    /// second.
    pub async fn finish(&self) {
        let members = std::mem::take(&mut *self.members());
        let finish = join_all(members.into_values().map(async |mut member| {
            if member.supervised.stop().await.is_ok() {
                member.supervised.poller.finish().await;
            }
        }));
        // What is not written costs the next process a part of a hold, and a database that is not closed a check.
        let _ = timeout(FINISH_WITHIN, async {
            finish.await;
            self.store.close().await;
        })
        .await;
    }

    /// Starts pollers again that have died or hang, and checks the database; never returns.
    pub async fn supervise(self: Arc<Self>) {
        tokio::join!(self.look_after_pollers(), check_database(&self.store));
    }

    async fn look_after_pollers(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.members().values_mut().for_each(|member| member.supervised.look());
        }
    }

    /// Whether every poller gets on, however the API answers.
    ///
    /// # Errors
    /// Which do not, though they were started again and again for minutes.
    pub fn health(&self) -> Result<(), String> {
        let members = self.members();
        let complaints: Vec<_> =
            members.values().filter_map(|member| member.supervised.complaint()).collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn check_database(store: &Store) {
    let mut wait = FIRST_CHECK;
    loop {
        sleep(wait).await;
        if let Err(error) = store.check_integrity().await {
            warn!(%error, "the database cannot be checked; it is tried again in a day");
        }
        wait = CHECK_EVERY;
    }
}
