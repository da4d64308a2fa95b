//! What the rows of one asset say about it.
//!
//! Only the index `task_asset` is read, and only as far as it matters ([`groups`](super::groups)).

use std::cmp::Ordering;

use rusqlite::{Connection, OptionalExtension};

use super::super::Result;
use super::ends::{End, EndedRow, TaskKey, read_end, read_key};
use super::groups::{COMPLETED, FAILED, Group, GroupRow, Groups};
use super::interval;
use super::kinds::AssetKinds;
use crate::task::Label;

/// `phase` of a task that is open, of one whose end is final, and of one that has vanished (merge.rs).
const PHASE_OPEN: i64 = 0;
const PHASE_ENDED: i64 = 2;
const PHASE_VANISHED: i64 = 3;

/// The rows of an asset that define its state.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The last completion.
    pub(super) completed: Option<End>,
    /// The last completion of each type.
    completed_by_kind: Vec<(i64, End)>,
    /// The usual interval.
    pub(super) usual: Option<i64>,
    /// The oldest completion on which the usual interval depends.
    oldest_completion: Option<End>,
    /// Whether older completions cannot change the usual interval.
    is_usual_settled: bool,
    /// The first failure since the last completion, of each type that fails.
    pub(super) failures: Vec<(i64, End)>,
    /// The newest end of another status, if it is after the last completion.
    attempt: Option<End>,
    /// Whether there was an attempt since the last completion.
    pub(super) is_attempted: bool,
    /// Whether a task is open.
    pub(super) is_open: bool,
    /// Creation and id of the first known task, if none has completed.
    first: Option<(i64, TaskKey)>,
    /// The latest creation or end; the maximum while a row is open, provisional or vanished.
    pub(super) newest_change: i64,
    /// What the asset belongs to, of the newest task.
    pub(super) parent: Option<i64>,
}

/// Reads the evidence of the asset with this entity and category; none if it has no rows.
pub(super) fn read(
    db: &Connection,
    account: i64,
    (entity, category): (i64, &Label),
    kinds: &AssetKinds,
) -> Result<Option<Evidence>> {
    of(db, account, (entity, category), (&Groups::read(db, entity)?, kinds))
}

/// The evidence of an asset whose rows are read.
pub(super) fn of(
    db: &Connection,
    account: i64,
    (entity, category): (i64, &Label),
    (groups, kinds): (&Groups, &AssetKinds),
) -> Result<Option<Evidence>> {
    let groups = groups.of(category, kinds);
    if groups.is_empty() {
        return Ok(None);
    }
    let mut evidence = Evidence { newest_change: i64::MIN, ..Evidence::default() };
    evidence.note_completions(&groups);
    evidence.read_failures(db, (account, entity), &groups, kinds)?;
    evidence.note_attempts(&groups);
    evidence.parent = newest(&groups).and_then(|row| row.parent);
    if evidence.completed.is_none() {
        evidence.first = first(db, entity, &groups)?;
    }
    Ok(Some(evidence))
}

/// The first failure of a kind after a completion, or of all.
fn first_failure(
    db: &Connection,
    (account, entity, kind): (i64, i64, i64),
    after: Option<&End>,
) -> Result<Option<End>> {
    let mut query = db.prepare_cached(
        "SELECT ended_by, created, id FROM task INDEXED BY task_asset
         WHERE entity = ?1 AND kind = ?2 AND status = ?3 AND (ended_by, created, account, id) > (?4, ?5, ?6, ?7)
         ORDER BY ended_by, created, account, id LIMIT 1",
    )?;
    let all = End { ended: i64::MIN, created: i64::MIN, id: TaskKey::Number(i64::MIN) };
    let after = after.unwrap_or(&all);
    let found = query.query_row(
        rusqlite::params![entity, kind, FAILED, after.ended, after.created, account, after.id],
        |row| read_end(row, 0),
    );
    Ok(found.optional()?)
}

/// The task that was created first.
fn first(db: &Connection, entity: i64, groups: &[&Group]) -> Result<Option<(i64, TaskKey)>> {
    let mut query = db.prepare_cached(
        "SELECT created, id FROM task INDEXED BY task_asset WHERE entity = ?1 AND kind = ?2 AND status = ?3
         ORDER BY created, id LIMIT 1",
    )?;
    let mut first = None;
    for group in groups {
        let key = (entity, group.kind, group.status);
        let found = query.query_row(key, |row| Ok((row.get(0)?, read_key(row, 1)?))).optional()?;
        first = first.into_iter().chain(found).min();
    }
    Ok(first)
}

/// The newest task: an open one, or else the one that ended last.
fn newest<'a>(groups: &[&'a Group]) -> Option<&'a GroupRow> {
    let open = unfinished(groups).filter(|row| row.ended.is_none());
    let open = open.max_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    let ended = groups.iter().filter_map(|group| group.rows.first());
    open.or_else(|| ended.max_by_key(|row| row.end()))
}

/// The rows that have not ended, or not finally: those whose status is not a final one.
fn unfinished<'a>(groups: &[&'a Group]) -> impl Iterator<Item = &'a GroupRow> {
    groups.iter().filter(|group| !group.is_final()).flat_map(|group| &group.rows)
}

// === impl Evidence ===

impl Evidence {
    /// The last completion, or else the creation of the first known task.
    pub(super) fn unprotected_since(&self) -> i64 {
        let first = || self.first.as_ref().map(|(created, _)| *created);
        self.completed.as_ref().map(|end| end.ended).or_else(first).unwrap_or(i64::MAX)
    }

    /// The last completion of each kind, by its id.
    pub(super) fn completions(&self) -> impl Iterator<Item = (i64, i64)> {
        self.completed_by_kind.iter().map(|(kind, end)| (*kind, end.ended))
    }

    /// When the first type began to fail; none if no type fails.
    pub(super) fn failing_since(&self) -> Option<i64> {
        self.failures.iter().map(|(_, end)| end.ended).min()
    }

    /// The time before which a row that has ended, and not failed, changes nothing: neither the last completion nor the usual
    /// interval, and an asset that does not fail begins to only with a failure. The minimum if any row may.
    pub(super) fn settled_before(&self) -> i64 {
        let oldest =
            self.oldest_completion.as_ref().filter(|_| self.is_usual_settled && self.failures.is_empty());
        oldest.map_or(i64::MIN, |end| end.ended)
    }

    /// Whether the state of the asset depends on this row.
    pub(super) fn needs(&self, row: &EndedRow) -> bool {
        let is_of = |list: &[(i64, End)]| list.iter().any(|(kind, end)| (*kind, end) == (row.kind, &row.end));
        let is_first = self.first.as_ref().is_some_and(|(_, id)| *id == row.end.id);
        match row.status {
            COMPLETED => {
                self.oldest_completion.as_ref().is_some_and(|oldest| row.end >= *oldest)
                    || is_of(&self.completed_by_kind)
            }
            _ => is_first || is_of(&self.failures) || self.attempt.as_ref() == Some(&row.end),
        }
    }

    fn note_completions(&mut self, groups: &[&Group]) {
        let completed = || groups.iter().filter(|group| group.status == COMPLETED);
        self.completed_by_kind =
            completed().filter_map(|group| Some((group.kind, group.newest()?))).collect();
        self.completed = self.completed_by_kind.iter().map(|(_, end)| end).max().cloned();
        let mut all: Vec<End> =
            completed().flat_map(|group| group.rows.iter().filter_map(GroupRow::end)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let ends: Vec<i64> = all.iter().map(|end| end.ended).collect();
        let interval = interval::usual(&ends);
        (self.usual, self.is_usual_settled) = (interval.usual, interval.is_settled);
        self.oldest_completion =
            interval.completions.checked_sub(1).and_then(|last| all.into_iter().nth(last));
    }

    fn read_failures(
        &mut self,
        db: &Connection,
        (account, entity): (i64, i64),
        groups: &[&Group],
        kinds: &AssetKinds,
    ) -> Result<()> {
        for group in groups.iter().filter(|group| group.status == FAILED) {
            let Some(newest) = group.newest() else { continue };
            let of_kind = || self.completed_by_kind.iter().find(|(kind, _)| *kind == group.kind);
            let is_seeding = kinds.get(group.kind).is_some_and(|kind| kind.is_seeding);
            let resolved = if is_seeding { self.completed.as_ref() } else { of_kind().map(|(_, end)| end) };
            if resolved.cmp(&Some(&newest)) == Ordering::Less
                && let Some(end) = first_failure(db, (account, entity, group.kind), resolved)?
            {
                self.failures.push((group.kind, end));
            }
        }
        Ok(())
    }

    fn note_attempts(&mut self, groups: &[&Group]) {
        let ends: Vec<(i64, End)> =
            groups.iter().filter_map(|group| Some((group.status, group.newest()?))).collect();
        let changes = ends.iter().map(|(_, end)| end.ended.max(end.created)).max();
        let is_unfinished = unfinished(groups).any(|row| row.phase != PHASE_ENDED);
        self.newest_change = if is_unfinished { i64::MAX } else { changes.unwrap_or(i64::MIN) };
        self.is_open = unfinished(groups).any(|row| row.phase == PHASE_OPEN);
        let attempt = ends.into_iter().filter(|(status, _)| *status != COMPLETED).map(|(_, end)| end).max();
        self.attempt = attempt.filter(|end| Some(end) > self.completed.as_ref());
        // One that has no end has not ended before the last completion. Nothing is known of one that has vanished.
        let may_complete = |row: &GroupRow| row.ended.is_none() && row.phase != PHASE_VANISHED;
        self.is_attempted = self.attempt.is_some() || unfinished(groups).any(may_complete);
    }
}
