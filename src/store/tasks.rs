//! The table `task`: reads and writes of single rows.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row as SqlRow, ToSql};

use super::assets::Touched;
use super::entities::Entities;
use super::labels::Labels;
use super::merge::{COUNTS_ENDED, CREATION_GIVEN, Context, Counted, Phase, Reading, Row};
use super::series::Increments;
use super::status::StatusId;
use super::{Result, Rules, micros, timestamp};
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// An id as it is stored: an integer if it prints back identically, because that is half as long.
pub(super) struct StoredId<'a>(pub(super) &'a TaskId);

/// Stores readings of one account in one transaction.
pub(super) struct Upserts<'a> {
    db: &'a Connection,
    account: i64,
    labels: Labels,
    entities: Entities<'a>,
    /// Held for the whole transaction, since every row needs it.
    insert: CachedStatement<'a>,
    increments: Increments,
    /// What the readings changed.
    pub(super) outcome: Outcome,
}

/// What readings changed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows that were not there before.
    pub(super) inserted: u64,
    /// Rows that were not there before and count.
    pub(super) inserted_counted: u64,
    /// The earliest last change of an ended row that was inserted or changed.
    pub(super) earliest_change: Option<i64>,
    /// What assets depend on.
    pub(super) touched: Touched,
}

// === impl StoredId ===

impl ToSql for StoredId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = self.0.as_str();
        Ok(match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => ToSqlOutput::Owned(Value::Integer(number)),
            _ => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// The id in a column.
pub(super) fn read_id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<TaskId> {
    let id = match row.get_ref(column)? {
        ValueRef::Integer(number) => TaskId::new(&number.to_string()),
        other => TaskId::new(other.as_str()?),
    };
    id.ok_or(rusqlite::Error::InvalidQuery)
}

// === impl Upserts ===

impl<'a> Upserts<'a> {
    pub(super) fn new(db: &'a Connection, account: i64, rules: &Rules) -> Result<Self> {
        let labels = Labels::load(db, account, rules)?;
        let entities = Entities::new(db, account)?;
        let insert = db.prepare_cached(
            "INSERT INTO task
                 (account, id, kind, status, phase, created, started, ended, ended_by, entity, parent, flags, since,
                  missing, progress)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING",
        )?;
        let (increments, outcome) = (Increments::default(), Outcome::default());
        Ok(Self { db, account, labels, entities, insert, increments, outcome })
    }

    /// Stores a reading of a task.
    pub(super) fn upsert(&mut self, task: &'a Task, context: &Context) -> Result<()> {
        let reading = self.reading(task, context)?;
        let (first, counted) = Row::first(&reading, context);
        if first.is_removed(context) && find(self.db, self.account, &task.id)?.is_none() {
            return Ok(());
        }
        if insert(&mut self.insert, self.account, &task.id, &first)? {
            self.outcome.inserted += 1;
            let counts = counted.created || first.counts_ended();
            self.outcome.inserted_counted += u64::from(counts);
            self.outcome.touched.inserted(&first);
            self.note(&first, counted);
            return Ok(());
        }
        let old = find(self.db, self.account, &task.id)?.expect("a row that is not inserted must be there");
        let (row, counted) = old.again(&reading, context);
        if row != old {
            update(self.db, self.account, &task.id, &row)?;
            if !row.differs_in_progress_alone(&old) {
                self.outcome.touched.changed(&old);
                self.outcome.touched.changed(&row);
            }
            self.note(&row, counted);
        }
        Ok(())
    }

    /// Replaces a row by its final form.
    pub(super) fn finalize(&mut self, id: &TaskId, old: Row) -> Result<()> {
        let (row, counted) = old.finalized();
        update(self.db, self.account, id, &row)?;
        self.outcome.touched.changed(&row);
        self.note(&row, counted);
        Ok(())
    }

    /// Stores the counters.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        self.increments.store(self.db)?;
        self.outcome.touched.renamed = self.entities.finish()?;
        Ok(self.outcome)
    }

    fn note(&mut self, row: &Row, counted: Counted) {
        if counted.created {
            self.increments.created(row.kind);
        }
        if counted.ended {
            self.increments.ended(row.kind, row.status, row.durations());
        }
        if row.phase == Phase::Ended
            && let Some(change) = row.last_change()
        {
            let earliest = self.outcome.earliest_change.get_or_insert(change);
            *earliest = change.min(*earliest);
        }
    }

    fn reading(&mut self, task: &'a Task, context: &Context) -> Result<Reading> {
        let created = task.created.map(micros);
        let newness = created.unwrap_or_else(|| context.time());
        Ok(Reading {
            kind: self.labels.kind(self.db, &task.category, &task.task_type)?,
            status: self.labels.status(self.db, &task.status)?,
            created,
            started: task.started.map(micros),
            ended: task.ended.map(micros),
            progress: task.progress,
            entity: self.entities.id(task.primary.as_deref(), newness)?,
            parent: self.entities.id(task.parent.as_deref(), newness)?,
        })
    }
}

fn insert(insert: &mut CachedStatement<'_>, account: i64, id: &TaskId, row: &Row) -> Result<bool> {
    let inserted = insert.execute(rusqlite::params![
        account,
        StoredId(id),
        row.kind,
        row.status.0,
        row.phase as i64,
        row.created,
        row.started,
        row.ended,
        row.ended_by,
        row.entity,
        row.parent,
        row.flags,
        row.since,
        row.missing,
        row.progress,
    ])?;
    Ok(inserted == 1)
}

pub(super) fn update(db: &Connection, account: i64, id: &TaskId, row: &Row) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE task SET kind = ?3, status = ?4, phase = ?5, created = ?6, started = ?7, ended = ?8, ended_by = ?9,
                entity = ?10, parent = ?11, flags = ?12, since = ?13, missing = ?14,
                progress = ?15
         WHERE account = ?1 AND id = ?2",
    )?;
    update.execute(rusqlite::params![
        account,
        StoredId(id),
        row.kind,
        row.status.0,
        row.phase as i64,
        row.created,
        row.started,
        row.ended,
        row.ended_by,
        row.entity,
        row.parent,
        row.flags,
        row.since,
        row.missing,
        row.progress,
    ])?;
    Ok(())
}

/// The row of a task.
pub(super) fn find(db: &Connection, account: i64, id: &TaskId) -> Result<Option<Row>> {
    let mut query = db.prepare_cached(
        "SELECT kind, status, phase, created, started, ended, ended_by, entity, parent, flags, since, missing,
                progress
         FROM task WHERE account = ?1 AND id = ?2",
    )?;
    Ok(query.query_row((account, StoredId(id)), |row| read(row, 0)).optional()?)
}

/// The provisional rows.
pub(super) fn provisional(db: &Connection, account: i64) -> Result<Vec<(TaskId, Row)>> {
    let mut query = db.prepare_cached(
        "SELECT id, kind, status, phase, created, started, ended, ended_by, entity, parent, flags, since, missing,
                progress
         FROM task INDEXED BY task_followed
         WHERE account = ?1 AND phase <> 2 AND phase = 1",
    )?;
    let rows = query.query_map([account], |row| Ok((read_id(row, 0)?, read(row, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Lets no provisional row count as ended.
pub(super) fn uncount_provisional(db: &Connection, account: i64) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE task SET flags = flags & ~?2 WHERE account = ?1 AND phase <> 2 AND phase = 1",
    )?;
    update.execute([account, COUNTS_ENDED])?;
    Ok(())
}

fn read(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Row> {
    Ok(Row {
        kind: row.get(at)?,
        status: StatusId(row.get(at + 1)?),
        phase: match row.get(at + 2)? {
            0 => Phase::Open,
            1 => Phase::Provisional,
            2 => Phase::Ended,
            3 => Phase::Vanished,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(at + 2, other)),
        },
        created: row.get(at + 3)?,
        started: row.get(at + 4)?,
        ended: row.get(at + 5)?,
        ended_by: row.get(at + 6)?,
        entity: row.get(at + 7)?,
        parent: row.get(at + 8)?,
        flags: row.get(at + 9)?,
        since: row.get(at + 10)?,
        missing: row.get(at + 11)?,
        progress: row.get(at + 12)?,
    })
}

/// The ids of open and provisional tasks, which every poll has to read.
pub(super) fn followed(db: &Connection, account: i64) -> Result<Vec<TaskId>> {
    let mut query = db.prepare_cached(
        "SELECT id FROM task INDEXED BY task_followed
         WHERE account = ?1 AND phase <> 2 AND phase IN (0, 1)",
    )?;
    let ids = query.query_map([account], |row| read_id(row, 0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// The ids of at most `limit` vanished tasks, oldest creation first, after skipping `offset` of them.
pub(super) fn vanished(db: &Connection, account: i64, offset: u64, limit: u64) -> Result<Vec<TaskId>> {
    let mut query = db.prepare_cached(
        "SELECT id FROM task INDEXED BY task_followed
         WHERE account = ?1 AND phase <> 2 AND phase = 3 ORDER BY kind, status, created LIMIT ?3 OFFSET ?2",
    )?;
    let ids = query.query_map(rusqlite::params![account, offset, limit], |row| read_id(row, 0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// The newest creation time that the API has given, and the task that has it. The T that stands for a missing one may be
/// far ahead of what the next tasks are stamped with.
pub(super) fn newest(db: &Connection, account: i64) -> Result<Option<(Timestamp, TaskId)>> {
    let mut query = db.prepare_cached(
        "SELECT created, id FROM task INDEXED BY task_created WHERE account = ?1 AND phase <> 3 AND flags & ?2 <> 0
         ORDER BY created DESC LIMIT 1",
    )?;
    let newest =
        query.query_row([account, CREATION_GIVEN], |row| Ok((timestamp(row.get(0)?), read_id(row, 1)?)));
    Ok(newest.optional()?)
}
