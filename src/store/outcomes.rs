//! How tasks ended, for people: period by period over the window, and the newest that did not end well.

use std::time::Duration;

use rusqlite::{Connection, Row as SqlRow};
use serde::Serialize;

use super::status::{KNOWN, StatusId};
use super::tasks::read_id;
use super::{Result, labels, micros, timestamp};
use crate::task::{Entity, Label, Name, Status, TaskId};
use crate::time::{Timestamp, earlier};

/// Failed tasks that are shown. Who wants more opens the list of tasks.
const MAX_FAILED: u64 = 50;

/// Periods that the window is divided into at most; one more, because it rarely begins with one.
const MAX_PERIODS: u64 = 48;

/// The lengths that a period can have, in seconds: people read a clock.
const LENGTHS: [u64; 8] = [60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400];

/// How the tasks of an account ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    /// How they ended over the window.
    pub periods: Periods,
    /// The newest that ended with another status than `completed`, newest first.
    pub failed: Vec<FailedTask>,
}

/// The ended tasks of the window, by when they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods {
    /// How long a period is. Each begins at a multiple of it, in UTC.
    pub length: Duration,
    /// The periods that the window touches, oldest first and without a gap.
    pub list: Vec<Period>,
}

/// How tasks ended in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// When it begins.
    pub from: Timestamp,
    /// Tasks that completed.
    pub completed: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were aborted.
    pub aborted: u64,
    /// Tasks with a status that this version does not know.
    pub other: u64,
}

/// A task that ended with another status than `completed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTask {
    /// Its identifier.
    pub id: TaskId,
    /// Its category.
    pub category: Label,
    /// The API's `type`.
    pub task_type: Label,
    /// How it ended.
    pub status: Status,
    /// When it was created, or first seen where the API does not tell.
    pub created: Timestamp,
    /// When it ended, or was first seen so where the API does not tell.
    pub ended: Timestamp,
    /// What it was about.
    pub primary: Option<Entity>,
    /// What that belongs to.
    pub parent: Option<Entity>,
}

/// The outcomes of an account at T.
pub(super) fn outcomes(db: &Connection, account: i64, time: Timestamp, window: Duration) -> Result<Outcomes> {
    Ok(Outcomes { periods: periods(db, account, time, window)?, failed: failed(db, account, time)? })
}

/// How the tasks of the window of an account ended, at T.
pub(super) fn periods(db: &Connection, account: i64, time: Timestamp, window: Duration) -> Result<Periods> {
    let length = length(window);
    let index = |at: Timestamp| at.as_second().div_euclid(length);
    let mut list = Vec::new();
    let start = earlier(time, window);
    let kinds: Vec<i64> = labels::kinds(db, account)?.into_iter().map(|(id, ..)| id).collect();
    let unknown: Vec<StatusId> =
        labels::unknown_statuses(db, account)?.into_iter().map(|(id, _)| id).collect();
    let newest = index(time);
    for period in index(start)..=newest {
        let from = period * length * 1_000_000;
        // Clocks differ: what ended a little after T belongs to the last period.
        let to = if period == newest { i64::MAX } else { from + length * 1_000_000 };
        let count = |status: StatusId| {
            let counts =
                kinds.iter().map(|kind| ended_between(db, *kind, status, (from.max(micros(start) + 1), to)));
            counts.sum::<Result<u64>>()
        };
        let [completed, failed, aborted] = StatusId::ENDED;
        list.push(Period {
            from: timestamp(from),
            completed: count(completed)?,
            failed: count(failed)?,
            aborted: count(aborted)?,
            other: unknown.iter().map(|status| count(*status)).sum::<Result<u64>>()?,
        });
    }
    Ok(Periods { length: Duration::from_secs(length.unsigned_abs()), list })
}

fn ended_between(db: &Connection, kind: i64, status: StatusId, (from, to): (i64, i64)) -> Result<u64> {
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM task INDEXED BY task_ended WHERE kind = ?1 AND status = ?2 AND ended >= ?3 AND ended < ?4",
    )?;
    Ok(query.query_row((kind, status.0, from, to), |row| row.get(0))?)
}

fn failed(db: &Connection, account: i64, time: Timestamp) -> Result<Vec<FailedTask>> {
    let mut query = db.prepare_cached(
        "SELECT task.id, category, kind.type, status, word, created, ended,
                entity.type, entity.key, entity.has_id, entity.name, parent.type, parent.key, parent.has_id, parent.name
         FROM task INDEXED BY task_failed JOIN kind ON kind.id = kind
         LEFT JOIN unknown_status ON unknown_status.id = status
         LEFT JOIN entity ON entity.id = entity
         LEFT JOIN entity AS parent ON parent.id = parent
         WHERE task.account = ?1 AND ended IS NOT NULL AND status <> 3
         ORDER BY ended DESC LIMIT ?2",
    )?;
    let rows = query.query_map((account, MAX_FAILED), |row| {
        let status: i64 = row.get(3)?;
        let known = usize::try_from(status).ok().and_then(|id| KNOWN.get(id)).cloned();
        let word: Option<String> = row.get(4)?;
        Ok(FailedTask {
            id: read_id(row, 0)?,
            category: Label::new(row.get_ref(1)?.as_str()?),
            task_type: Label::new(row.get_ref(2)?.as_str()?),
            status: known.unwrap_or_else(|| Status::Other(Label::new(word.as_deref().unwrap_or("other")))),
            created: timestamp(row.get(5)?).min(time),
            ended: timestamp(row.get(6)?).min(time),
            primary: entity(row, 7)?,
            parent: entity(row, 11)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn entity(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Option<Entity>> {
    let Some(key) = row.get::<_, Option<String>>(at + 1)? else { return Ok(None) };
    let (entity_type, has_id): (Option<String>, bool) = (row.get(at)?, row.get(at + 2)?);
    let name: Option<String> = row.get(at + 3)?;
    Ok(Some(Entity {
        entity_type: entity_type.as_deref().map(Label::new),
        id: has_id.then(|| Name::new(&key)),
        name: name.as_deref().map(Name::new),
    }))
}

fn length(window: Duration) -> i64 {
    let fits = |length: &&u64| window.as_secs() <= **length * MAX_PERIODS;
    let length = LENGTHS.iter().find(fits).copied().unwrap_or(window.as_secs() / MAX_PERIODS);
    i64::try_from(length).unwrap_or(i64::MAX)
}

// === impl Period ===

impl Period {
    /// Tasks that ended in it.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.completed + self.failed + self.aborted + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_lengths_that_people_read_and_are_at_most_forty_eight() {
        let hours = |hours| length(Duration::from_hours(hours));
        assert_eq!(length(Duration::from_mins(1)), 60);
        assert_eq!([1, 12, 24, 48, 7 * 24, 30 * 24].map(hours), [300, 900, 3_600, 3_600, 21_600, 86_400]);
    }
}
