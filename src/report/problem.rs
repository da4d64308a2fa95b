//! What is wrong with an account, and what to do about it.

use std::time::Duration;

use serde::Serialize;

use super::reasons::explained;
use super::words::words_of;
use crate::metrics::Published;
use crate::time::{Timestamp, elapsed, later};

/// A token that expires sooner is a problem: the alerts say so as well.
const EXPIRES_SOON: Duration = Duration::from_hours(7 * 24);

/// What the alert on old data allows beyond three intervals.
const SLACK: Duration = Duration::from_mins(2);

/// For how long an event counts as recent: as long as the alerts look back.
const RECENT: Duration = Duration::from_hours(1);

/// For how long polls fail before the alert on them fires.
const FAILS_FOR: Duration = Duration::from_mins(15);

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is wrong; the numbers say less than one may think.
    Info,
    /// It is to be looked at.
    Warning,
    /// The numbers are old, or soon will be.
    Critical,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A word for it: the reason of a failed poll, or one of the README's list.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

// === impl Severity ===

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

// === impl Problem ===

impl Problem {
    fn new(id: &'static str, severity: Severity, message: String, remedy: &'static str) -> Self {
        Self { id, severity, message, remedy }
    }

    /// What was configured last is not in use.
    pub(super) fn config_refused() -> Self {
        Self::new(
            "config_refused",
            Severity::Warning,
            "The configuration that was read last was refused: the one before is in use.".to_owned(),
            "Fix what the log says is wrong and reload, before something restarts the exporter.",
        )
    }

    /// A database that could not be used was replaced by an empty one.
    pub(super) fn state_recovered(at: Timestamp, now: Timestamp) -> Self {
        let ago = words_of(elapsed(at, now));
        Self::new(
            "state_recovered",
            Severity::Warning,
            format!(
                "The database could not be used and was replaced {ago} ago: every account started cold, with \
                 counters at 0."
            ),
            "The log names the reason and the renamed file. Check the disk. This message disappears with a restart.",
        )
    }

    /// The replica could not be read for a report.
    pub(super) fn replica_not_read(error: &str) -> Self {
        Self::new(
            "replica_not_read",
            Severity::Warning,
            format!("Assets and tasks are missing here: {error}."),
            "Reload the page. The metrics are not affected.",
        )
    }

    /// Everything that is wrong with an account at `now`, the worst first.
    pub(super) fn all(
        published: &Published,
        last_invalid_row: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Self> {
        let found = [
            failed_poll(published, now),
            old_data(published, now),
            failing_polls(published, now),
            failing_background(published, now),
            invalid_rows(last_invalid_row, now),
            nothing_visible(published),
            token(published, now),
            drift(published),
            initial_sync(published),
            history_sync(published),
            not_counted(published, now),
        ];
        let mut problems: Vec<_> = found.into_iter().flatten().collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        problems
    }
}

fn failed_poll(published: &Published, now: Timestamp) -> Option<Problem> {
    let (at, Some(failure)) = published.last_poll? else { return None };
    let ago = words_of(elapsed(at, now));
    let (what, remedy) = explained(failure);
    Some(Problem::new(
        failure.as_str(),
        Severity::Critical,
        format!("The last poll failed {ago} ago: {what}."),
        remedy,
    ))
}

/// The last poll succeeded, but that was long ago.
fn old_data(published: &Published, now: Timestamp) -> Option<Problem> {
    let age = elapsed(published.last_success?, now);
    let is_old = age > published.interval * 3 + SLACK;
    (is_old && published.up).then(|| {
        let message = format!("The last poll ended {} ago, and none since.", words_of(age));
        Problem::new(
            "overdue",
            Severity::Critical,
            message,
            "Look at the log and at /-/healthy: the poller may hang.",
        )
    })
}

/// More than the alert on failing polls allows: a quarter of the last hour, for 15 minutes.
fn failing_polls(published: &Published, now: Timestamp) -> Option<Problem> {
    let (polls, failures) = published.recent.within_an_hour(now);
    let lasts = published.recent.first_failure(now).is_some_and(|ago| ago >= FAILS_FOR);
    (published.up && lasts && failures * 4 > polls).then(|| {
        let message = format!("{failures} of {polls} polls of the last hour failed.");
        Problem::new("polls_failing", Severity::Warning, message, "The log names the reason of each.")
    })
}

/// Audits or the history sync failed within the last hour.
fn failing_background(published: &Published, now: Timestamp) -> Option<Problem> {
    let at = published.last_background_failure.filter(|at| elapsed(*at, now) < RECENT)?;
    let message = format!("Audits or the history sync failed, last {} ago.", words_of(elapsed(at, now)));
    let remedy = "The log names the reason. They are tried again; polls are not affected.";
    Some(Problem::new("background_failing", Severity::Warning, message, remedy))
}

/// Rows that are skipped or corrected were read within the last hour.
fn invalid_rows(last: Option<Timestamp>, now: Timestamp) -> Option<Problem> {
    let at = last.filter(|at| elapsed(*at, now) < RECENT)?;
    let message = format!(
        "Clumio listed tasks that were skipped or corrected, last {} ago.",
        words_of(elapsed(at, now))
    );
    let remedy = "The log names their ids. Tasks without id or status are in no number: ask Clumio.";
    Some(Problem::new("invalid_rows", Severity::Warning, message, remedy))
}

/// A token without permissions reads an empty list, which no other alert can tell from a quiet account.
fn nothing_visible(published: &Published) -> Option<Problem> {
    let is_empty = published.snapshot.as_ref().is_some_and(|snapshot| snapshot.rows == 0);
    is_empty.then(|| {
        Problem::new(
            "nothing_visible",
            Severity::Warning,
            "The token sees no tasks at all.".to_owned(),
            "Check that the token may list tasks, of organizational_unit if that is set. On a new account, wait for its \
             first task. Until then no alert about backups can fire.",
        )
    })
}

fn token(published: &Published, now: Timestamp) -> Option<Problem> {
    let expiry = published.token_expiry?;
    let remedy = "Make a new token in the Clumio portal and put it into the token file.";
    if expiry <= now {
        let message = format!("The token says that it expired {} ago.", words_of(elapsed(expiry, now)));
        return Some(Problem::new("token_expired", Severity::Warning, message, remedy));
    }
    (expiry <= later(now, EXPIRES_SOON)).then(|| {
        let message = format!("The token expires in {}.", words_of(elapsed(now, expiry)));
        Problem::new("token_expires", Severity::Warning, message, remedy)
    })
}

fn drift(published: &Published) -> Option<Problem> {
    let drift = published.snapshot.as_ref()?.drift.filter(|drift| *drift != 0)?;
    let count = drift.unsigned_abs();
    let (message, remedy) = if drift < 0 {
        (
            format!("The audit found {count} more tasks in the API than in the replica."),
            "They are read again by themselves. If it recurs, tasks are listed later than poll.overlap: raise it.",
        )
    } else {
        (
            format!("The audit found {count} fewer tasks in the API than in the replica."),
            "Check what the token may see. Nothing is removed: an alert must not resolve when a token loses permissions.",
        )
    };
    Some(Problem::new("drift", Severity::Warning, message, remedy))
}

fn initial_sync(published: &Published) -> Option<Problem> {
    if published.snapshot.is_some() {
        return None;
    }
    let message = match published.syncs.progress().initial {
        Some(ratio) => format!("The initial sync reads the task list: {} % are done.", percent(ratio)),
        None if published.last_poll.is_some() => "The initial sync has not read anything yet.".to_owned(),
        None => "The first poll has not begun yet.".to_owned(),
    };
    let remedy = if matches!(published.last_poll, Some((_, Some(_)))) {
        "Nothing is published before it has ended, and it continues only when polls succeed."
    } else {
        "Wait: nothing is published before it has ended."
    };
    Some(Problem::new("initial_sync", Severity::Info, message, remedy))
}

fn history_sync(published: &Published) -> Option<Problem> {
    let ratio = published.syncs.progress().history?;
    let message = format!("The history is read back to state.retention: {} % are done.", percent(ratio));
    Some(Problem::new("history_sync", Severity::Info, message, "Wait: polls are not affected."))
}

fn not_counted(published: &Published, now: Timestamp) -> Option<Problem> {
    let snapshot = published.snapshot.as_ref()?;
    let is_recent = published.last_missed.is_some_and(|at| elapsed(at, now) < RECENT);
    let severity = if is_recent { Severity::Warning } else { Severity::Info };
    let (missed, vanished) = (snapshot.missed_total, snapshot.vanished_total);
    (missed + vanished > 0).then(|| {
        let message = format!(
            "Since the exporter started to count, {missed} tasks were listed later than poll.overlap, and \
             {vanished} open ones vanished from the API."
        );
        Problem::new(
            "not_counted",
            severity,
            message,
            "Look at such tasks in the Clumio portal; see the README.",
        )
    })
}

/// The part in percent, rounded down: 100 is when it is done.
fn percent(ratio: f64) -> String {
    format!("{:.0}", (ratio * 100.0).floor())
}
