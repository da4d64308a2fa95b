//! The state of accounts and assets for people: what is unprotected first, in words, and then the numbers.
//!
//! Counts and health are from what polls have published, so they agree with the metrics; single assets and tasks are read
//! from the replica. Nothing waits for a poll. If the last poll failed, the numbers are old: they are shown with their age.
//!
//! A [`Report`] is bounded, whatever the number of accounts: those in trouble come first, and only the first
//! [`MAX_COMPLETE`] have their numbers in it. A report about one account has all of them.

mod account;
mod assets;
mod csv;
mod details;
mod health;
mod numbers;
mod problem;
mod reasons;
mod tasks;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::cmp::Reverse;

use serde::Serialize;

pub use crate::store::Period;
pub use account::Account;
pub use assets::{AssetCounts, AssetReport, AssetsReport};
pub use csv::csv;
pub use details::{Details, MAX_DETAILS};
pub use health::Health;
pub use numbers::{EndedByPeriod, Kind, Numbers};
pub use problem::{Problem, Severity};
pub use tasks::{TaskReport, TasksReport};
pub use verdict::{Concerns, Level, Verdict};
pub use words::{count, words_of};

use crate::metrics::{Current, Exposition, Published};
use crate::time::Timestamp;

/// How many accounts have their numbers in a report about all.
pub const MAX_COMPLETE: usize = 20;

/// The state of accounts.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of the exporter.
    pub version: &'static str,
    /// When the report was made, on this machine's clock.
    pub generated: Timestamp,
    /// Whether assets are protected.
    pub verdict: Verdict,
    /// What is wrong with the exporter itself.
    pub problems: Vec<Problem>,
    /// The size of the database and its WAL; none in memory.
    pub state_bytes: Option<u64>,
    /// When this process last wrote to the database; none in memory.
    pub state_last_write: Option<Timestamp>,
    /// When a database that could not be used was replaced; none if none was.
    pub state_recovered: Option<Timestamp>,
    /// How many assets there are, over the accounts of the report.
    pub assets: AssetCounts,
    /// What is wrong with tasks, over the accounts of the report.
    pub concerns: Concerns,
    /// Failing assets, those first that failed last.
    pub failing_assets: Vec<AssetReport>,
    /// Overdue assets, those first that became late last.
    pub overdue_assets: Vec<AssetReport>,
    /// Silent assets, likewise.
    pub silent_assets: Vec<AssetReport>,
    /// Tasks that are open for too long, the oldest first.
    pub tasks_open_too_long: Vec<TaskReport>,
    /// The tasks that ended last with another status than `completed`.
    pub unsuccessful_tasks: Vec<TaskReport>,
    /// How many accounts are polled.
    pub accounts_total: usize,
    /// Those that the report is about, those in trouble first.
    pub accounts: Vec<Account>,
}

/// What a report is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The account; none: all.
    pub account: Option<String>,
}

// === impl Scope ===

impl Scope {
    fn includes(&self, account: &str) -> bool {
        self.account.as_ref().is_none_or(|asked| asked == account)
    }
}

// === impl Report ===

impl Report {
    /// The state of the accounts at `now`, on the local clock, with what was read from the replica.
    #[must_use]
    pub fn new(exposition: &Exposition, details: Details, scope: &Scope, now: Timestamp) -> Self {
        let (accounts, concerns, accounts_total) = exposition.with_current(|current| {
            let mut ranked = ranked(current, scope, now);
            for (account, published) in ranked.iter_mut().take(MAX_COMPLETE) {
                let periods = details.periods.get(&account.name);
                let numbers = published.snapshot.as_deref().zip(periods);
                account.numbers = numbers.map(|(snapshot, periods)| Numbers::new(snapshot, periods));
            }
            let concerns = ranked.iter().map(|(_, published)| Concerns::of(published));
            let concerns = concerns.fold(Concerns::default(), Concerns::plus);
            (ranked.into_iter().map(|(account, _)| account).collect::<Vec<_>>(), concerns, current.len())
        });
        let store = exposition.store_status();
        let on_disk = store.filter(|store| store.bytes.is_some());
        let state_recovered = store.and_then(|store| store.recovered);
        let rejected = exposition.config_is_refused().then(Problem::config_refused);
        let recovered = state_recovered.map(|at| Problem::state_recovered(at, now));
        let unread = details.error.as_deref().map(Problem::replica_not_read);
        let problems: Vec<_> = rejected.into_iter().chain(recovered).chain(unread).collect();
        let known = accounts.iter().filter_map(|account| account.assets.as_ref());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            generated: now,
            verdict: Verdict::new(&accounts, concerns, &problems, now),
            problems,
            state_bytes: on_disk.and_then(|store| store.bytes),
            state_last_write: on_disk.and_then(|store| store.last_write),
            state_recovered,
            assets: known.fold(AssetCounts::default(), AssetCounts::plus),
            concerns,
            failing_assets: details.failing,
            overdue_assets: details.overdue,
            silent_assets: details.silent,
            tasks_open_too_long: details.open_too_long,
            unsuccessful_tasks: details.unsuccessful,
            accounts_total,
            accounts,
        }
    }
}

/// The accounts that the report is about, those in trouble first.
fn ranked<'a>(current: &Current<'a>, scope: &Scope, now: Timestamp) -> Vec<(Account, &'a Published)> {
    let accounts = current.iter().filter(|(account, _)| scope.includes(account.name()));
    let mut ranked: Vec<_> =
        accounts.map(|(account, published)| (Account::brief(account, published, now), *published)).collect();
    ranked.sort_by(|(a, _), (b, _)| (Reverse(a.health), &a.name).cmp(&(Reverse(b.health), &b.name)));
    ranked
}
