//! What one transaction does: rows, counters, holds and marks together, or nothing.

use std::time::Duration;

use rusqlite::Connection;

use super::account::AccountState;
use super::marks::PollInstant;
use super::merge::{Context, Phase, Row, Source};
use super::snapshot::Snapshot;
use super::tasks::{self, Outcome, Upserts};
use super::{Result, Rules, gauges, micros, retention, series, timestamp};
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// A task that is missing for that long and in that many polls has vanished.
const VANISHES_AFTER: Duration = Duration::from_hours(1);
const VANISHES_AFTER_POLLS: i64 = 3;

/// For how long a task that ended with an unknown status is provisional.
const PROVISIONAL_FOR: Duration = Duration::from_hours(1);

/// How often the elapsed time is written while a hold is pending and nothing else changes.
const WRITE_ELAPSED_AFTER: Duration = Duration::from_mins(1);

/// Rows that are read apart from a poll's end: a slice of a sync, a repair, a slice after an outage.
#[derive(Debug, Clone)]
pub struct SliceCommit {
    /// What was read.
    pub tasks: Vec<Task>,
    /// What it was read for.
    pub source: Source,
    /// When it was read.
    pub now: PollInstant,
    /// The state to store with it, apart from what the rows change.
    pub state: AccountState,
}

/// Everything that one poll has read.
#[derive(Debug, Clone)]
pub struct PollCommit {
    /// The rows, with the state at T.
    pub slice: SliceCommit,
    /// Open tasks that were looked up and not returned.
    pub missing: Vec<TaskId>,
    /// Whether the listing by creation has the newest known task. If it has not, the token may have lost permissions, and
    /// nothing vanishes.
    pub sees_newest: bool,
    /// Whether this process has published before: the holds of its first poll are never over.
    pub has_published: bool,
    /// Elapsed time when the state was last written.
    pub written_at: Duration,
}

/// What a poll leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The state after the poll.
    pub state: AccountState,
    /// What is published.
    pub snapshot: Snapshot,
    /// Whether anything was written.
    pub is_written: bool,
}

/// Stores a slice.
pub(super) fn slice(db: &Connection, account: i64, rules: &Rules, slice: SliceCommit) -> Result<AccountState> {
    let SliceCommit { tasks, source, now, mut state } = slice;
    let context = context(db, account, rules, source, now, &state)?;
    let mut upserts = Upserts::new(db, account, rules)?;
    for task in &tasks {
        upserts.upsert(task, &context)?;
    }
    let outcome = upserts.finish()?;
    if source == Source::Audit {
        state.missed_total += outcome.inserted_counted;
    }
    state.note(&outcome);
    state.save(db, account)?;
    Ok(state)
}

/// Stores everything that a poll has read, and evaluates what is to be published.
pub(super) fn poll(db: &Connection, account: i64, rules: &Rules, poll: PollCommit) -> Result<Committed> {
    let changes_before = db.total_changes();
    let SliceCommit { tasks, source, now, mut state } = poll.slice;
    let context = context(db, account, rules, source, now, &state)?;
    let mut upserts = Upserts::new(db, account, rules)?;
    for task in &tasks {
        upserts.upsert(task, &context)?;
    }
    finalize_provisional(db, account, &context, &mut upserts)?;
    let outcome = upserts.finish()?;
    state.note(&outcome);
    if poll.sees_newest {
        state.vanished_total += note_missing(db, account, &context, &poll.missing)?;
    }
    state.sync_from = None;
    retention::remove_old(db, account, &mut state, &context, rules)?;
    let is_pending =
        series::publish(db, account, (rules.counter_hold, context.elapsed()), poll.has_published)?;
    let is_due = is_pending && now.elapsed.saturating_sub(poll.written_at) >= WRITE_ELAPSED_AFTER;
    let is_written = db.total_changes() != changes_before || is_due || !poll.has_published;
    if is_written {
        state.save(db, account)?;
    }
    let snapshot = gauges::snapshot(db, account, &state, rules.window)?;
    Ok(Committed { state, snapshot, is_written })
}

fn context(
    db: &Connection,
    account: i64,
    rules: &Rules,
    source: Source,
    now: PollInstant,
    state: &AccountState,
) -> Result<Context> {
    let watermark = gauges::watermark(db, account, now.time)?;
    Ok(Context::new(source, now, &state.marks, watermark, rules.overlap))
}

/// Makes provisional rows final whose hour is over.
fn finalize_provisional(
    db: &Connection,
    account: i64,
    context: &Context,
    upserts: &mut Upserts<'_>,
) -> Result<()> {
    let is_over = |row: &Row| has_passed(row.since, context, PROVISIONAL_FOR);
    for (id, row) in tasks::provisional(db, account)?.into_iter().filter(|(_, row)| is_over(row)) {
        upserts.finalize(&id, row)?;
    }
    Ok(())
}

/// Notes that tasks are missing; gives how many of them have vanished now.
fn note_missing(db: &Connection, account: i64, context: &Context, missing: &[TaskId]) -> Result<u64> {
    let mut vanished = 0;
    for id in missing {
        let Some(old) = tasks::find(db, account, id)?.filter(|row| row.phase == Phase::Open) else {
            continue;
        };
        let polls = old.missing.unwrap_or(0) + 1;
        let since = old.since.or(Some(context.elapsed()));
        let has_vanished = polls >= VANISHES_AFTER_POLLS && has_passed(since, context, VANISHES_AFTER);
        let row = if has_vanished {
            vanished += 1;
            Row { phase: Phase::Vanished, since: Some(context.elapsed()), missing: None, ..old }
        } else {
            Row { since, missing: Some(polls), ..old }
        };
        tasks::update(db, account, id, &row)?;
    }
    Ok(vanished)
}

fn has_passed(since: Option<i64>, context: &Context, duration: Duration) -> bool {
    let duration = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    since.is_some_and(|since| context.elapsed().saturating_sub(since) >= duration)
}

// === impl AccountState ===

impl AccountState {
    fn note(&mut self, outcome: &Outcome) {
        self.rows += outcome.inserted;
        let is_remembered = |change: &Timestamp| *change >= self.marks.forgotten_before;
        if let Some(change) = outcome.earliest_change.map(timestamp).filter(is_remembered)
            && micros(change) < micros(self.marks.horizon)
        {
            self.marks.keep(change);
        }
    }
}
