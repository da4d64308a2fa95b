//! The table `asset` with the table `asset_failure`: one row for each asset, derived from its tasks.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::Result;
use super::ends::EndedRow;
use super::evidence::Evidence;

/// A row of the table without its key and what evaluations and the retention add to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) asset_type: i64,
    pub(super) parent: Option<i64>,
    pub(super) completed: Option<i64>,
    pub(super) since: i64,
    pub(super) objective: i64,
    pub(super) late_from: i64,
    pub(super) is_attempted: bool,
    pub(super) failing_since: Option<i64>,
    pub(super) newest_change: i64,
    pub(super) settled_before: i64,
}

const COLUMNS: &str =
    "asset_type, parent, completed, since, objective, late_from, attempted, failing_since, newest_change,
    settled_before, kept";

/// Account, entity, category.
pub(super) type Key<'a> = (i64, i64, &'a str);

/// The summary of an asset, and whether rows of it are kept that are older than the retention.
pub(super) fn find(db: &Connection, key: Key<'_>) -> Result<Option<(Summary, bool)>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3"
    ))?;
    Ok(query.query_row(key, read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Summary, bool)> {
    let summary = Summary {
        asset_type: row.get(0)?,
        parent: row.get(1)?,
        completed: row.get(2)?,
        since: row.get(3)?,
        objective: row.get(4)?,
        late_from: row.get(5)?,
        is_attempted: row.get(6)?,
        failing_since: row.get(7)?,
        newest_change: row.get(8)?,
        settled_before: row.get(9)?,
    };
    Ok((summary, row.get(10)?))
}

pub(super) fn write(db: &Connection, (account, entity, category): Key<'_>, summary: &Summary) -> Result<()> {
    let mut write = db.prepare_cached(
        "INSERT INTO asset (account, entity, category, asset_type, parent, completed, since, objective, late_from,
                            attempted, failing_since, newest_change, settled_before)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT DO UPDATE SET
             asset_type = excluded.asset_type, parent = excluded.parent, completed = excluded.completed,
             since = excluded.since, objective = excluded.objective, late_from = excluded.late_from,
             attempted = excluded.attempted, failing_since = excluded.failing_since,
             newest_change = excluded.newest_change, settled_before = excluded.settled_before",
    )?;
    write.execute(rusqlite::params![
        account,
        entity,
        category,
        summary.asset_type,
        summary.parent,
        summary.completed,
        summary.since,
        summary.objective,
        summary.late_from,
        summary.is_attempted,
        summary.failing_since,
        summary.newest_change,
        summary.settled_before,
    ])?;
    Ok(())
}

pub(super) fn write_failures(
    db: &Connection,
    (account, entity, category): Key<'_>,
    evidence: &Evidence,
) -> Result<()> {
    let mut query = db.prepare_cached(
        "SELECT kind, since FROM asset_failure WHERE account = ?1 AND entity = ?2 AND category = ?3 ORDER BY kind",
    )?;
    let stored = query.query_map((account, entity, category), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let stored: Vec<(i64, i64)> = stored.collect::<rusqlite::Result<_>>()?;
    let mut failures: Vec<_> = evidence.failures.iter().map(|(kind, end)| (*kind, end.ended)).collect();
    failures.sort_unstable();
    if failures == stored {
        return Ok(());
    }
    remove_failures(db, (account, entity, category))?;
    let mut insert = db.prepare_cached(
        "INSERT INTO asset_failure (account, entity, category, kind, since) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (kind, since) in failures {
        insert.execute((account, entity, category, kind, since))?;
    }
    Ok(())
}

fn remove_failures(db: &Connection, key: Key<'_>) -> Result<()> {
    let mut remove =
        db.prepare_cached("DELETE FROM asset_failure WHERE account = ?1 AND entity = ?2 AND category = ?3")?;
    remove.execute(key)?;
    Ok(())
}

pub(super) fn remove(db: &Connection, key: Key<'_>) -> Result<()> {
    remove_failures(db, key)?;
    let mut remove =
        db.prepare_cached("DELETE FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3")?;
    remove.execute(key)?;
    Ok(())
}

/// Whether the asset has a summary.
pub(super) fn exists(db: &Connection, key: Key<'_>) -> Result<bool> {
    let mut query =
        db.prepare_cached("SELECT 1 FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3")?;
    Ok(query.exists(key)?)
}

/// Notes whether rows of the asset are kept that are older than the retention.
pub(super) fn set_kept(db: &Connection, (account, entity, category): Key<'_>, is_kept: bool) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE asset SET kept = ?4 WHERE account = ?1 AND entity = ?2 AND category = ?3 AND kept <> ?4",
    )?;
    update.execute((account, entity, category, is_kept))?;
    Ok(())
}

pub(super) fn remove_row(db: &Connection, account: i64, row: &EndedRow) -> Result<()> {
    db.prepare_cached("DELETE FROM task WHERE account = ?1 AND id = ?2")?.execute((account, &row.end.id))?;
    Ok(())
}

/// The summaries of an entity by their category, each with whether older rows are kept.
pub(super) fn of_entity(
    db: &Connection,
    account: i64,
    entity: i64,
) -> Result<HashMap<String, (Summary, bool)>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS}, category FROM asset WHERE account = ?1 AND entity = ?2"
    ))?;
    let rows = query.query_map((account, entity), |row| Ok((row.get(11)?, read(row)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first so many entities after an id.
pub(super) fn entities(db: &Connection, account: i64, (after, limit): (i64, i64)) -> Result<Vec<i64>> {
    let mut query =
        db.prepare_cached("SELECT id FROM entity WHERE id > ?2 AND +account = ?1 ORDER BY id LIMIT ?3")?;
    let rows = query.query_map((account, after, limit), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
