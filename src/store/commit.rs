//! What one transaction does: rows, counters, holds and marks together, or nothing.

use std::time::Duration;

use rusqlite::Connection;

use super::account::AccountState;
use super::assets::{self, Touched};
use super::marks::{Marks, PollInstant};
use super::merge::{Context, Phase, Row, Source};
use super::snapshot::Snapshot;
use super::tasks::{self, Outcome, Upserts};
use super::{Error, Result, Rules, gauges, retention, series, timestamp};
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
    /// What is complete with it.
    pub completes: Completes,
}

/// What is complete once a slice is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completes {
    /// Nothing by itself.
    Nothing,
    /// The initial sync until this creation time.
    InitialSyncUntil(Timestamp),
    /// The replica from this creation time.
    CoveredFrom(Timestamp),
}

/// Everything that one poll has read.
#[derive(Debug, Clone)]
pub struct PollCommit {
    /// The rows.
    pub tasks: Vec<Task>,
    /// What they were read for.
    pub source: Source,
    /// When the poll took place.
    pub now: PollInstant,
    /// Open tasks that were looked up and not returned.
    pub missing: Vec<TaskId>,
    /// Whether the listing by creation has the newest known task. If it has not, the token may have lost permissions, and
    /// nothing vanishes.
    pub sees_newest: bool,
    /// Whether this process has published before: the holds of its first poll are never over.
    pub has_published: bool,
    /// The creation time before which the API no longer lists, if the listing had to begin there.
    pub gap_until: Option<Timestamp>,
}

/// Begins an initial sync with the tasks that are open.
pub(super) fn begin_sync(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (tasks, now, lookback): (&[Task], PollInstant, Duration),
) -> Result<()> {
    let marks = Marks::begin(now, newest_time(tasks), [rules.overlap, lookback, rules.retention]);
    let mut state = AccountState::begin(marks);
    let outcome = store(db, account, rules, (tasks, Source::InitialSync, now, marks.baseline), &mut state)?;
    assets::maintain(db, account, rules, (&outcome.touched, &mut state))?;
    state.save(db, account)
}

/// Stores a slice. T and the marks that follow it stay those of the last poll, for which the replica is complete.
pub(super) fn slice(db: &Connection, account: i64, rules: &Rules, slice: &SliceCommit) -> Result<()> {
    let SliceCommit { tasks, source, now, completes } = slice;
    let mut state = load(db, account)?;
    let baseline = state.marks.baseline;
    state.marks = state.marks.later(*now, rules.retention);
    let outcome = store(db, account, rules, (tasks, *source, *now, baseline), &mut state)?;
    if *source == Source::Audit {
        state.missed_total += outcome.inserted_counted;
    }
    match completes {
        Completes::Nothing => {}
        Completes::InitialSyncUntil(until) => state.sync_from = Some(*until),
        Completes::CoveredFrom(from) => state.marks.covered_from = state.marks.covered_from.min(*from),
    }
    assets::maintain(db, account, rules, (&outcome.touched, &mut state))?;
    state.save(db, account)
}

/// Computes some summaries of assets before the commit of a poll; gives whether there are more.
pub(super) fn rebuild_assets(db: &Connection, account: i64, rules: &Rules, now: PollInstant) -> Result<bool> {
    let mut state = load(db, account)?;
    let horizon = state.marks.at(now, rules.retention).horizon;
    let has_more = assets::rebuild(db, account, rules, (&mut state, horizon))?;
    state.save(db, account)?;
    Ok(has_more)
}

/// Recomputes the summaries of some entities, those that follow `until`. Returns the last of these entities; none at the end.
pub(super) fn recompute_assets(
    db: &Connection,
    account: i64,
    rules: &Rules,
    until: Option<i64>,
) -> Result<Option<i64>> {
    let mut state = load(db, account)?;
    let changes_before = db.total_changes();
    let next = assets::recompute(db, account, rules, (&mut state, until))?;
    if db.total_changes() != changes_before {
        state.save(db, account)?;
    }
    Ok(next)
}

/// Stores everything that a poll has read, and evaluates what is to be published. A poll that changes nothing writes
/// nothing. Gives nothing, and does nothing, if the summaries of assets do not follow the rules yet; if they cannot be
/// committed before the poll, they are computed with it.
pub(super) fn poll(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (poll, rebuilds_assets): (&PollCommit, bool),
) -> Result<Option<Snapshot>> {
    let changes_before = db.total_changes();
    let mut state = load(db, account)?;
    if !rebuilds_assets && !assets::follow(&state, rules) {
        return Ok(None);
    }
    let before = state.marks;
    let unwritten = poll.now.elapsed.saturating_sub(state.marks.elapsed);
    state.marks = state.marks.at(poll.now, rules.retention);
    if let Some(until) = poll.gap_until {
        state.marks.covered_from = state.marks.covered_from.max(until);
    }
    let readings = (&poll.tasks[..], poll.source, poll.now, before.baseline);
    let mut touched = store(db, account, rules, readings, &mut state)?.touched;
    let elapsed = elapsed(poll.now);
    if poll.sees_newest {
        state.vanished_total += note_missing(db, account, elapsed, (&poll.missing, &mut touched))?;
    }
    retention::remove_vanished(db, account, (elapsed, rules.retention), (&mut state, &mut touched))?;
    let is_pending = series::publish(db, account, (rules.counter_hold, elapsed), poll.has_published)?;
    let ends_sync = state.sync_from.is_some();
    assets::maintain(db, account, rules, (&touched, &mut state))?;
    let horizon = state.marks.horizon;
    while rebuilds_assets && assets::rebuild(db, account, rules, (&mut state, horizon))? {}
    state.sync_from = None;
    let assets = assets::settle(db, account, rules, &mut state)?;
    state.last_success = Some(poll.now.local);
    let is_due = is_pending && unwritten >= WRITE_ELAPSED_AFTER;
    let has_moved_back = state.marks.has_moved_back(&before);
    if ends_sync || is_due || has_moved_back || db.total_changes() != changes_before {
        state.save(db, account)?;
    }
    gauges::snapshot(db, account, &state, (rules.window, assets)).map(Some)
}

/// What is published as of the last commit. It writes nothing.
pub(super) fn restore(
    db: &Connection,
    account: i64,
    rules: &Rules,
    state: &AccountState,
) -> Result<Snapshot> {
    let assets = assets::samples(db, account, rules, state)?;
    gauges::snapshot(db, account, state, (rules.window, assets))
}

/// Stores readings, with what they add to counters and state. `baseline` is that before this transaction: when T moves back,
/// what is read with it is not news.
fn store(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (tasks, source, now, baseline): (&[Task], Source, PollInstant, Timestamp),
    state: &mut AccountState,
) -> Result<Outcome> {
    if source == Source::InitialSync {
        let before = state.marks.baseline;
        // Only what is newer than everything before: an earlier slice may have been read with a later T.
        let newest = newest_time(tasks).filter(|newest| Some(*newest) > state.newest_read);
        state.newest_read = state.newest_read.max(newest);
        state.marks.note_newest(newest, now.time, rules.overlap);
        if state.marks.baseline > before {
            // Everything that was read so far is older than the baseline, and nothing of it is published yet.
            series::delete_all(db, account)?;
            tasks::uncount_provisional(db, account)?;
        }
    }
    let watermark = gauges::watermark(db, account, now.time)?;
    let baseline = match source {
        Source::InitialSync => state.marks.baseline,
        Source::Poll { .. } | Source::History | Source::Audit => baseline.max(state.marks.baseline),
    };
    let context = Context::new(source, now, (&state.marks, baseline), watermark, rules.overlap);
    let mut upserts = Upserts::new(db, account, rules)?;
    for task in tasks {
        upserts.upsert(task, &context)?;
    }
    for (id, row) in tasks::provisional(db, account)? {
        if has_passed(row.since, elapsed(now), PROVISIONAL_FOR) {
            upserts.finalize(&id, row)?;
        }
    }
    let outcome = upserts.finish()?;
    state.rows += outcome.inserted;
    let change = outcome.earliest_change.map(timestamp);
    if let Some(change) = change.filter(|change| *change >= state.marks.forgotten_before) {
        state.marks.keep(change);
    }
    Ok(outcome)
}

/// Writes the elapsed time alone.
pub(super) fn touch(db: &Connection, account: i64, rules: &Rules, now: PollInstant) -> Result<()> {
    let mut state = load(db, account)?;
    state.marks = state.marks.later(now, rules.retention);
    state.save(db, account)
}

/// Writes the drift that audits have found.
pub(super) fn set_drift(db: &Connection, account: i64, drift: i64) -> Result<()> {
    let mut state = load(db, account)?;
    if state.drift == Some(drift) {
        return Ok(());
    }
    state.drift = Some(drift);
    state.save(db, account)
}

fn load(db: &Connection, account: i64) -> Result<AccountState> {
    AccountState::load(db, account)?.ok_or(Error::Damaged("an account has no state"))
}

/// The newest time that the rows mention.
fn newest_time(tasks: &[Task]) -> Option<Timestamp> {
    tasks.iter().flat_map(|task| [task.created, task.started, task.ended]).flatten().max()
}

fn elapsed(now: PollInstant) -> i64 {
    i64::try_from(now.elapsed.as_micros()).unwrap_or(i64::MAX)
}

/// Notes that tasks are missing; gives how many of them have vanished now.
fn note_missing(
    db: &Connection,
    account: i64,
    elapsed: i64,
    (missing, touched): (&[TaskId], &mut Touched),
) -> Result<u64> {
    let mut vanished = 0;
    for id in missing {
        let Some(old) = tasks::find(db, account, id)?.filter(|row| row.phase == Phase::Open) else {
            continue;
        };
        let polls = old.missing.unwrap_or(0) + 1;
        let since = old.since.or(Some(elapsed));
        let has_vanished = polls >= VANISHES_AFTER_POLLS && has_passed(since, elapsed, VANISHES_AFTER);
        let row = if has_vanished {
            vanished += 1;
            Row { phase: Phase::Vanished, since: Some(elapsed), missing: None, progress: None, ..old }
        } else {
            Row { since, missing: Some(polls), ..old }
        };
        touched.changed(&row);
        tasks::update(db, account, id, &row)?;
    }
    Ok(vanished)
}

fn has_passed(since: Option<i64>, elapsed: i64, duration: Duration) -> bool {
    let duration = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    since.is_some_and(|since| elapsed.saturating_sub(since) >= duration)
}
