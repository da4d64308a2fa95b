//! How each account stands, for whoever is on call: what is wrong first, in words, and then the numbers.
//!
//! Everything is from what polls have published, and nothing waits for one. Where the last poll failed, the numbers are
//! old: they are shown with their age.
//!
//! A [`Report`] is bounded, whatever the number of accounts: those in trouble come first, and only the first
//! [`MOST_WHOLE`] have their numbers in it. A report about one account has all of them.

mod account;
mod failures;
mod health;
mod numbers;
mod problem;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

pub use crate::store::Period;
pub use account::{Account, words_of};
pub use failures::{Entity, FailedTask};
pub use health::Health;
pub use numbers::{Kind, Numbers, Picture};
pub use problem::{Problem, Severity};

use crate::metrics::{Current, Exposition, Published};
use crate::store::Outcomes;
use crate::time::Timestamp;

/// How many accounts are told with their numbers in a report about all.
pub const MOST_WHOLE: usize = 20;

/// How accounts stand.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of the exporter.
    pub version: &'static str,
    /// When the report was made, on this machine's clock.
    pub generated: Timestamp,
    /// Whether what failed tasks were about is told.
    pub entities_shown: bool,
    /// What is wrong with the exporter itself.
    pub problems: Vec<Problem>,
    /// The size of the database and its WAL; none in memory.
    pub state_bytes: Option<u64>,
    /// When this process last wrote to the database; none in memory.
    pub state_last_write: Option<Timestamp>,
    /// When a database that could not be used was replaced; none if none was.
    pub state_recovered: Option<Timestamp>,
    /// How many accounts are polled.
    pub accounts_total: usize,
    /// Those that the report is about, those in trouble first.
    pub accounts: Vec<Account>,
}

/// What a report is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The one account that it is about; none: all.
    pub account: Option<String>,
    /// Whether it tells what failed tasks were about.
    pub entities: bool,
}

// === impl Report ===

impl Report {
    /// The accounts that a report at `now` shows with their numbers. It needs their [`Outcomes`].
    #[must_use]
    pub fn shown(exposition: &Exposition, scope: &Scope, now: Timestamp) -> Vec<String> {
        exposition.with_current(|current| {
            let standing = standing(current, scope, now).into_iter().take(MOST_WHOLE);
            standing.map(|(account, _)| account.name).collect()
        })
    }

    /// The state of the accounts at `now`, on the local clock, with the outcomes of those that are shown.
    #[must_use]
    pub fn new(
        exposition: &Exposition,
        outcomes: &BTreeMap<String, Outcomes>,
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let (accounts, accounts_total) = exposition.with_current(|current| {
            let mut standing = standing(current, scope, now);
            for (account, published) in standing.iter_mut().take(MOST_WHOLE) {
                let outcomes = outcomes.get(&account.name);
                let numbers = published.snapshot.as_deref().zip(outcomes);
                account.numbers =
                    numbers.map(|(snapshot, outcomes)| Numbers::new(snapshot, outcomes, scope.entities));
            }
            (standing.into_iter().map(|(account, _)| account).collect(), current.len())
        });
        let version = env!("CARGO_PKG_VERSION");
        let store = exposition.store_status();
        let on_disk = store.filter(|store| store.bytes.is_some());
        let state_recovered = store.and_then(|store| store.recovered);
        let refused = exposition.config_is_refused().then(Problem::config_refused);
        let recovered = state_recovered.map(|at| Problem::state_recovered(at, now));
        Self {
            version,
            generated: now,
            entities_shown: scope.entities,
            problems: refused.into_iter().chain(recovered).collect(),
            state_bytes: on_disk.and_then(|store| store.bytes),
            state_last_write: on_disk.and_then(|store| store.last_write),
            state_recovered,
            accounts_total,
            accounts,
        }
    }
}

/// The accounts that a report is about, those in trouble first.
fn standing<'a>(current: &Current<'a>, scope: &Scope, now: Timestamp) -> Vec<(Account, &'a Published)> {
    let is_asked = |name: &str| scope.account.as_ref().is_none_or(|asked| asked == name);
    let accounts = current.iter().filter(|(account, _)| is_asked(account.name()));
    let mut standing: Vec<_> = accounts
        .map(|(account, published)| (Account::brief(account.name(), published, now), *published))
        .collect();
    standing.sort_by(|(a, _), (b, _)| (Reverse(a.health), &a.name).cmp(&(Reverse(b.health), &b.name)));
    standing
}
