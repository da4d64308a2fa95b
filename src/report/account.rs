//! How one account stands, in a sentence and with its times.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::words::words_of;
use super::{AssetCounts, Health, Numbers, Problem};
use crate::metrics::{self, Published};
use crate::time::{Timestamp, elapsed};

/// How one account stands.
#[derive(Debug, Serialize)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// How well it is.
    pub health: Health,
    /// The same in a sentence.
    pub summary: String,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
    /// When the last poll ended, whatever came of it; none since the start.
    pub last_poll: Option<Timestamp>,
    /// When the last successful poll ended: as old are the numbers.
    pub last_success: Option<Timestamp>,
    /// How often it is polled.
    #[serde(rename = "poll_interval_seconds", serialize_with = "seconds")]
    pub interval: Duration,
    /// How much of the initial sync is done, from 0 to 1; none while none runs.
    pub initial_sync_progress_ratio: Option<f64>,
    /// How much of the history sync is done, from 0 to 1; none while none runs.
    pub history_sync_progress_ratio: Option<f64>,
    /// Replica count minus API count, as of the last audit.
    pub audit_drift_tasks: Option<i64>,
    /// Tasks in the replica.
    pub replica_tasks: Option<u64>,
    /// The creation time from which the replica is complete.
    pub replica_oldest: Option<Timestamp>,
    /// When the token expires, as far as it says so.
    pub token_expiry: Option<Timestamp>,
    /// Its assets; none before the initial sync has ended.
    pub assets: Option<AssetCounts>,
    /// The numbers; none before the initial sync has ended, and for accounts beyond the first [`super::MAX_COMPLETE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

// === impl Account ===

impl Account {
    /// The columns of the CSV form.
    pub const COLUMNS: [&str; 11] = [
        "name",
        "health",
        "summary",
        "last_poll",
        "last_success",
        "poll_interval_seconds",
        "initial_sync_progress_ratio",
        "history_sync_progress_ratio",
        "replica_tasks",
        "replica_oldest",
        "token_expiry",
    ];

    /// How it stands, without the numbers.
    pub(super) fn brief(current: &metrics::Account, published: &Published, now: Timestamp) -> Self {
        let name = current.name();
        let problems = Problem::all(published, current.last_invalid_row(), now);
        let health = Health::of(&problems, published.last_poll.is_some());
        Self {
            name: name.to_owned(),
            health,
            summary: summary(published, health, now),
            problems,
            last_poll: published.last_poll.map(|(at, _)| at),
            last_success: published.last_success,
            interval: published.interval,
            initial_sync_progress_ratio: published.syncs.progress().initial,
            history_sync_progress_ratio: published.syncs.progress().history,
            audit_drift_tasks: published.snapshot.as_ref().and_then(|snapshot| snapshot.drift),
            replica_tasks: published.snapshot.as_ref().map(|snapshot| snapshot.rows),
            replica_oldest: published.snapshot.as_ref().map(|snapshot| snapshot.covered_from),
            token_expiry: published.token_expiry,
            assets: published.snapshot.as_ref().map(|snapshot| AssetCounts::new(&snapshot.assets)),
            numbers: None,
        }
    }
}

/// What polls may take beyond two intervals before they count as late.
const LATE: Duration = Duration::from_secs(10);

fn summary(published: &Published, health: Health, now: Timestamp) -> String {
    let age = published.last_success.map(|at| words_of(elapsed(at, now)));
    match (health, age) {
        (_, None) if published.last_poll.is_none() => "No poll has ended yet.".to_owned(),
        (_, None) if published.snapshot.is_none() => {
            "No poll has succeeded yet: there are no numbers.".to_owned()
        }
        (_, None) => "No poll has been committed yet: counters do not advance.".to_owned(),
        (Health::Starting, Some(age)) => {
            format!("No poll has ended since the start: the numbers are from the process before, {age} old.")
        }
        // A poll that takes longer than usual is no problem yet, and not well either.
        (Health::Healthy, Some(age)) if is_late(published, now) => {
            format!("The last poll succeeded {age} ago, and the next one has not ended yet.")
        }
        (Health::Healthy, Some(age)) => format!("The last poll succeeded {age} ago."),
        (Health::Degraded, Some(age)) => {
            format!("The last poll succeeded {age} ago, but there is something to look at.")
        }
        (Health::Failing, Some(age)) => {
            format!("The last poll that succeeded ended {age} ago: as old are the numbers.")
        }
    }
}

/// Whether a poll ought to have ended since the last one that succeeded.
fn is_late(published: &Published, now: Timestamp) -> bool {
    published.last_success.is_some_and(|at| elapsed(at, now) > published.interval * 2 + LATE)
}

/// A length of time in seconds.
pub(super) fn seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(length.as_secs())
}
