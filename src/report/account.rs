//! How one account stands, in a sentence and with its times.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Health, Numbers, Problem};
use crate::metrics::Published;
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
    /// The numbers; none before the initial sync has ended, and for accounts that are told in brief.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

// === impl Account ===

impl Account {
    /// How it stands, without the numbers.
    pub(super) fn brief(name: &str, published: &Published, now: Timestamp) -> Self {
        let problems = Problem::all(published, now);
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
            numbers: None,
        }
    }
}

/// What polls may take beyond two intervals before somebody is told.
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
        (Health::Healthy, Some(age)) => format!("All is well: the last poll succeeded {age} ago."),
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

/// A length of time as people say it, in its two largest units at most.
#[must_use]
pub fn words_of(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = parts.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(parts.len() - 1);
    let (unit, name) = parts[first];
    let words = format!("{} {name}", seconds / unit);
    // Days and hours are told with what is left of them; the seconds of minutes tell nobody anything.
    let left = parts[..3].get(first + 1).map(|(next, name)| (seconds % unit / next, name));
    left.filter(|(n, _)| *n > 0).map_or(words.clone(), |(n, name)| format!("{words} {n} {name}"))
}

/// A length of time in seconds.
pub(super) fn seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(length.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (119, "1 min"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
            (864_059, "10 d"),
        ] {
            assert_eq!(words_of(Duration::from_secs(seconds)), expected);
        }
    }
}
