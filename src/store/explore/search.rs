//! Looking for tasks: newest first, from the index that fits the filter best.
//!
//! A filter can select few of many rows. Rows are therefore read one by one until a page is full or the time is over;
//! the position that was reached is where the next page begins.

use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, Row as SqlRow};

use super::super::assets::{TaskKey, read_key};
use super::super::entities;
use super::super::scope::Scope;
use super::super::status::StatusId;
use super::super::tasks::read_id;
use super::super::{Result, micros};
use super::tasks::{Found, Words};
use super::{TaskFilter, TaskPosition, TaskStatus};

/// Rows between two looks at the clock.
const ROWS_BETWEEN_LOOKS: usize = 256;

/// What one account adds to a page.
pub(super) struct Search<'a> {
    pub(super) filter: &'a TaskFilter,
    pub(super) scope: (usize, &'a Scope<'a>),
    pub(super) words: &'a Words,
    pub(super) end: Instant,
    pub(super) found: Vec<Found>,
    /// The position at which the time was over.
    pub(super) stopped: Option<TaskPosition>,
}

// Each begins at a time (?2) and an id (?3), both excluded.

/// By creation.
const CREATED: &str =
    "SELECT created, id, kind, status, phase, created, started, ended, entity, parent, progress
    FROM task INDEXED BY task_created WHERE account = ?1 AND (created, id) < (?2, ?3) AND created >= ?4
    ORDER BY created DESC, id DESC";

/// Ended with another status than `completed`, by end.
const UNSUCCESSFUL: &str =
    "SELECT ended, id, kind, status, phase, created, started, ended, entity, parent, progress
    FROM task INDEXED BY task_failed
    WHERE account = ?1 AND ended IS NOT NULL AND status <> 3 AND (ended, id) < (?2, ?3)
    ORDER BY ended DESC, id DESC";

/// Open, provisional and vanished.
const FOLLOWED: &str =
    "SELECT created, id, kind, status, phase, created, started, ended, entity, parent, progress
    FROM task INDEXED BY task_followed WHERE account = ?1 AND phase <> 2 AND (created, id) < (?2, ?3)
    ORDER BY created DESC, id DESC";

/// About one entity.
const OF_ENTITY: &str =
    "SELECT created, id, kind, status, phase, created, started, ended, entity, parent, progress
    FROM task INDEXED BY task_asset WHERE entity = ?1 AND (created, id) < (?2, ?3)
    ORDER BY created DESC, id DESC";

// === impl Search ===

impl Search<'_> {
    pub(super) fn run(&mut self, db: &Connection) -> Result<()> {
        let account = self.scope.1.account;
        if let Some(asset) = &self.filter.asset {
            let names = self.scope.1.rules.assets.names;
            for entity in entities::with_id(db, (account, names), asset)? {
                self.read(db, OF_ENTITY, &[("?1", entity.into())])?;
            }
            return Ok(());
        }
        match &self.filter.status {
            Some(TaskStatus::Open) => self.read(db, FOLLOWED, &[("?1", account.into())]),
            Some(TaskStatus::Is(status)) if StatusId::known(status).is_some_and(StatusId::is_open) => {
                self.read(db, FOLLOWED, &[("?1", account.into())])
            }
            _ if self.filter.is_by_end() => self.read(db, UNSUCCESSFUL, &[("?1", account.into())]),
            _ => {
                let from = self.filter.from.map_or(i64::MIN, micros);
                self.read(db, CREATED, &[("?1", account.into()), ("?4", from.into())])
            }
        }
    }

    /// Reads rows from the position at which the page begins.
    fn read(&mut self, db: &Connection, sql: &str, parameters: &[(&str, Value)]) -> Result<()> {
        let (time, id) = self.start();
        let mut query = db.prepare_cached(sql)?;
        for (name, value) in parameters.iter().chain(&[("?2", time.into()), ("?3", id)]) {
            if let Some(index) = query.parameter_index(name)? {
                query.raw_bind_parameter(index, value)?;
            }
        }
        let mut rows = query.raw_query();
        let (mut read, most) = (0, self.found.len() + self.filter.limit + 1);
        while let Some(row) = rows.next()? {
            self.found.extend(self.select(row)?);
            read += 1;
            if self.found.len() >= most {
                return Ok(());
            }
            if read % ROWS_BETWEEN_LOOKS == 0 && Instant::now() > self.end {
                let position = self.position(row)?;
                self.stopped = self.stopped.take().into_iter().chain([position]).min();
                return Ok(());
            }
        }
        Ok(())
    }

    /// The time and id before which rows are read.
    fn start(&self) -> (i64, Value) {
        let least = || Value::Integer(i64::MIN);
        let to = if self.filter.is_by_end() { i64::MAX } else { self.filter.to.map_or(i64::MAX, micros) };
        let Some(after) = self.filter.after.as_ref().filter(|after| after.time < to) else {
            return (to, least());
        };
        match after.account.as_str().cmp(self.scope.1.name) {
            std::cmp::Ordering::Less => (after.time.saturating_add(1), least()),
            std::cmp::Ordering::Greater => (after.time, least()),
            std::cmp::Ordering::Equal => match &after.id {
                TaskKey::Number(id) => (after.time, Value::Integer(*id)),
                TaskKey::Text(id) => (after.time, Value::Text(id.to_string())),
            },
        }
    }

    /// The row, if the filter selects it.
    fn select(&self, row: &SqlRow<'_>) -> Result<Option<Found>> {
        let (kind, status, phase): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let created: i64 = row.get(5)?;
        let is_in_range = self.filter.from.is_none_or(|from| created >= micros(from))
            && self.filter.to.is_none_or(|to| created < micros(to));
        let is_selected = is_in_range
            && self.filter.has_status(phase, self.words.statuses.get(&status))
            && self.filter.has_kind(self.words.kinds.get(&kind));
        if !is_selected {
            return Ok(None);
        }
        Ok(Some(Found {
            position: self.position(row)?,
            scope: self.scope.0,
            id: read_id(row, 1)?,
            kind,
            status,
            phase,
            times: [Some(created), row.get(6)?, row.get(7)?],
            entity: row.get(8)?,
            parent: row.get(9)?,
            progress: row.get(10)?,
        }))
    }

    fn position(&self, row: &SqlRow<'_>) -> Result<TaskPosition> {
        let (time, id) = (row.get(0)?, read_key(row, 1)?);
        Ok(TaskPosition { time, account: self.scope.1.name.to_owned(), id })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Store;
    use super::*;

    #[tokio::test]
    async fn pages_are_read_from_an_index_in_its_order() {
        let store = Store::in_memory().expect("the store must open");
        for (sql, is_in_order) in
            [(CREATED, true), (UNSUCCESSFUL, true), (FOLLOWED, false), (OF_ENTITY, false)]
        {
            let plan = store.read(move |db, _| {
                let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let parameters = vec![1; query.parameter_count()];
                let lines = query.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))?;
                Ok(lines.collect::<rusqlite::Result<Vec<String>>>()?.join("; "))
            });
            let plan = plan.await.expect("there must be a plan");
            assert!(plan.starts_with("SEARCH task USING INDEX"), "{plan}");
            assert_eq!(!plan.contains("TEMP B-TREE"), is_in_order, "{plan}");
        }
    }
}
