//! The table `asset`: one row for each asset, derived from its tasks.

use rusqlite::{Connection, OptionalExtension};

use super::super::{Result, Rules};
use super::ends::{EndedRow, read_end};
use super::evidence::{self, Evidence};
use super::kinds::{AssetKinds, AssetTypes};
use super::objective::{Judged, Objectives, Subject};
use crate::task::Label;

/// Entities that a rebuild reads at once.
const ENTITIES_AT_ONCE: i64 = 1_000;

/// Keeps the summaries of one account equal to what its rows say, for one transaction.
pub(in super::super) struct Summaries<'a> {
    db: &'a Connection,
    account: i64,
    kinds: &'a AssetKinds,
    types: AssetTypes,
    objectives: Objectives,
    /// Rows that were created and ended before it are removed unless a state depends on them.
    horizon: i64,
    pub(super) removed: Removed,
}

/// What is no longer there.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) rows: u64,
    pub(super) assets: u64,
}

/// A row of the table without its key and what evaluations add to it.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    asset_type: i64,
    parent: Option<i64>,
    completed: Option<i64>,
    since: i64,
    objective: i64,
    late_from: i64,
    is_attempted: bool,
    failing_since: Option<i64>,
    newest_change: i64,
}

// === impl Summaries ===

impl<'a> Summaries<'a> {
    pub(super) fn new(
        db: &'a Connection,
        account: i64,
        (rules, kinds): (&Rules, &'a AssetKinds),
        horizon: i64,
    ) -> Result<Self> {
        let types = AssetTypes::load(db, account, rules)?;
        let objectives = Objectives::new(&rules.assets);
        Ok(Self { db, account, kinds, types, objectives, horizon, removed: Removed::default() })
    }

    /// Whether objectives depend on the names of parents.
    pub(super) fn depends_on_parents(&self) -> bool {
        self.objectives.has_parent
    }

    /// Computes the summary of one asset from its rows.
    pub(super) fn recompute(&mut self, entity: i64, category: &Label) -> Result<()> {
        let key = (self.account, entity, category.as_str());
        let stored = find(self.db, key)?;
        let Some(evidence) = evidence::read(self.db, self.account, (entity, category), self.kinds)? else {
            if stored.is_some() {
                remove(self.db, key)?;
                self.removed.assets += 1;
            }
            return Ok(());
        };
        // A row that is removed with the next poll makes no asset.
        if stored.is_none() && evidence.newest_change < self.horizon {
            return Ok(());
        }
        let summary = self.summary(entity, category, &evidence)?;
        if stored.as_ref().map(|(stored, _)| stored) != Some(&summary) {
            write(self.db, key, &summary)?;
        }
        let was_failing = stored.as_ref().is_some_and(|(stored, _)| stored.failing_since.is_some());
        if was_failing || !evidence.failures.is_empty() {
            write_failures(self.db, key, &evidence)?;
        }
        if stored.is_some_and(|(_, has_kept_rows)| has_kept_rows) {
            self.remove_rows(entity, category, &evidence)?;
        }
        Ok(())
    }

    /// Computes every summary from the rows, after a change of the rules.
    pub(super) fn rebuild(&mut self, rules: &Rules) -> Result<()> {
        remove_other_categories(self.db, self.account, &rules.assets.categories)?;
        let mut after = i64::MIN;
        loop {
            let entities = entities(self.db, self.account, after)?;
            let Some(last) = entities.last() else { return Ok(()) };
            after = *last;
            for entity in entities {
                for category in &rules.assets.categories {
                    self.recompute(entity, category)?;
                }
            }
        }
    }

    fn summary(&mut self, entity: i64, category: &Label, evidence: &Evidence) -> Result<Summary> {
        let mut query =
            self.db.prepare_cached("SELECT type, coalesce(name, key) FROM entity WHERE id = ?1")?;
        let (asset_type, name): (Option<String>, String) =
            query.query_row([entity], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let parent: Option<String> = match evidence.parent.filter(|_| self.objectives.has_parent) {
            Some(parent) => Some(query.query_row([parent], |row| row.get(1))?),
            None => None,
        };
        let asset_type = asset_type.map_or_else(Label::unknown, |word| Label::new(&word));
        let subject = Subject {
            asset_type: asset_type.as_str(),
            name: &name,
            parent: parent.as_deref().unwrap_or_default(),
        };
        let Judged { judgement, late_from } = self.objectives.judge(subject, evidence);
        Ok(Summary {
            asset_type: self.types.id(self.db, category, &asset_type)?,
            parent: evidence.parent,
            completed: evidence.completed.as_ref().map(|end| end.ended),
            since: evidence.unprotected_since(),
            objective: judgement as i64,
            late_from,
            is_attempted: evidence.is_attempted,
            failing_since: evidence.failing_since(),
            newest_change: evidence.newest_change,
        })
    }

    /// Removes the rows of an asset before the horizon on which its state no longer depends.
    fn remove_rows(&mut self, entity: i64, category: &Label, evidence: &Evidence) -> Result<()> {
        let mut query = self.db.prepare_cached(
            "SELECT kind, status, ended, created, id FROM task INDEXED BY task_asset
             WHERE entity = ?1 AND ended < ?2 AND created < ?2 AND phase = 2",
        )?;
        let rows = query.query_map((entity, self.horizon), |row| {
            Ok(EndedRow { kind: row.get(0)?, status: row.get(1)?, end: read_end(row, 2)? })
        })?;
        let rows: Vec<EndedRow> = rows.collect::<rusqlite::Result<_>>()?;
        let mut has_kept_rows = false;
        for row in rows.iter().filter(|row| self.kinds.category(row.kind) == Some(category)) {
            if evidence.needs(row) {
                has_kept_rows = true;
            } else {
                remove_row(self.db, self.account, row)?;
                self.removed.rows += 1;
            }
        }
        if !has_kept_rows {
            set_kept(self.db, (self.account, entity, category.as_str()), false)?;
        }
        Ok(())
    }
}

type Key<'a> = (i64, i64, &'a str);

/// The summary of an asset, and whether rows of it are kept that are older than the retention.
fn find(db: &Connection, key: Key<'_>) -> Result<Option<(Summary, bool)>> {
    let mut query = db.prepare_cached(
        "SELECT asset_type, parent, completed, since, objective, late_from, attempted, failing_since, newest_change, kept
         FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3",
    )?;
    let found = query.query_row(key, |row| {
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
        };
        Ok((summary, row.get(9)?))
    });
    Ok(found.optional()?)
}

fn write(db: &Connection, (account, entity, category): Key<'_>, summary: &Summary) -> Result<()> {
    let mut write = db.prepare_cached(
        "INSERT INTO asset (account, entity, category, asset_type, parent, completed, since, objective, late_from,
                            attempted, failing_since, newest_change)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT DO UPDATE SET
             asset_type = excluded.asset_type, parent = excluded.parent, completed = excluded.completed,
             since = excluded.since, objective = excluded.objective, late_from = excluded.late_from,
             attempted = excluded.attempted, failing_since = excluded.failing_since,
             newest_change = excluded.newest_change",
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
    ])?;
    Ok(())
}

fn write_failures(db: &Connection, (account, entity, category): Key<'_>, evidence: &Evidence) -> Result<()> {
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

fn remove_other_categories(db: &Connection, account: i64, categories: &[Label]) -> Result<()> {
    let mut query = db.prepare_cached("SELECT DISTINCT category FROM asset WHERE account = ?1")?;
    let stored = query.query_map([account], |row| row.get::<_, String>(0))?;
    let stored: Vec<String> = stored.collect::<rusqlite::Result<_>>()?;
    for category in stored.iter().filter(|word| !categories.iter().any(|known| known.as_str() == **word)) {
        for table in ["asset", "asset_failure"] {
            let remove = format!("DELETE FROM {table} WHERE account = ?1 AND category = ?2");
            db.execute(&remove, (account, category))?;
        }
    }
    Ok(())
}

fn entities(db: &Connection, account: i64, after: i64) -> Result<Vec<i64>> {
    let mut query =
        db.prepare_cached("SELECT id FROM entity WHERE id > ?2 AND +account = ?1 ORDER BY id LIMIT ?3")?;
    let rows = query.query_map((account, after, ENTITIES_AT_ONCE), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
