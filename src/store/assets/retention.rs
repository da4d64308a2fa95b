//! Which rows of assets outlive the retention, and the assets that do not.
//!
//! Rows before the horizon are examined once, in the order of their creation: `swept` is how far. A row that is kept then
//! is examined again when its asset changes, because only then its state can depend on other rows. What changes an ended
//! row, or inserts one, moves `swept` back to it.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::super::account::AccountState;
use super::super::{Result, micros};
use super::ends::{EndedRow, read_end};
use super::evidence::{self, Evidence};
use super::kinds::AssetKinds;
use super::table;
use crate::task::Label;

/// Rows that one transaction examines, but for those of the same creation.
const MAX_EXAMINED: usize = 5_000;

/// Removes rows of one account that are older than the retention.
pub(in super::super) struct Sweep<'a> {
    db: &'a Connection,
    account: i64,
    kinds: &'a AssetKinds,
    /// The evidence of known assets that have been met.
    evidence: HashMap<(i64, Label), Option<Evidence>>,
    removed: u64,
    /// Entities of removed rows.
    entities: HashSet<i64>,
}

/// A row that was created before the horizon.
struct OldRow {
    row: EndedRow,
    entity: Option<i64>,
}

// === impl Sweep ===

impl<'a> Sweep<'a> {
    /// Removes rows that were created and ended before the horizon, unless the state of an asset depends on them.
    pub(in super::super) fn run(
        db: &'a Connection,
        account: i64,
        kinds: &'a AssetKinds,
        state: &mut AccountState,
    ) -> Result<()> {
        let horizon = micros(state.marks.horizon);
        let from = state.assets.swept.min(horizon);
        let mut sweep =
            Sweep { db, account, kinds, evidence: HashMap::new(), removed: 0, entities: HashSet::new() };
        let (rows, swept) = old_rows(db, account, (from, horizon))?;
        for row in &rows {
            sweep.examine(row)?;
        }
        remove_unused_entities(db, &sweep.entities)?;
        state.assets.swept = swept;
        if sweep.removed > 0 {
            state.marks.forget();
            state.rows = state.rows.saturating_sub(sweep.removed);
        }
        Ok(())
    }

    fn examine(&mut self, OldRow { row, entity }: &OldRow) -> Result<()> {
        if let Some((entity, category)) = entity.zip(self.kinds.category(row.kind)) {
            let key = (self.account, entity, category.as_str());
            if self.evidence(entity, category)?.is_some_and(|evidence| evidence.needs(row)) {
                return table::set_kept(self.db, key, true);
            }
        }
        self.entities.extend(*entity);
        self.removed += 1;
        table::remove_row(self.db, self.account, row)
    }

    /// What the asset's state depends on; none if it is not known.
    fn evidence(&mut self, entity: i64, category: &Label) -> Result<Option<&Evidence>> {
        let key = (entity, category.clone());
        if !self.evidence.contains_key(&key) {
            let is_known = table::exists(self.db, (self.account, entity, category.as_str()))?;
            let read = || evidence::read(self.db, self.account, (entity, category), self.kinds);
            let evidence = if is_known { read()? } else { None };
            self.evidence.insert(key.clone(), evidence);
        }
        Ok(self.evidence.get(&key).and_then(Option::as_ref))
    }
}

/// The ended rows that were created from `from` until before the horizon and ended before it, and how far they are
/// examined with that: not beyond a row that ended later.
fn old_rows(db: &Connection, account: i64, (from, horizon): (i64, i64)) -> Result<(Vec<OldRow>, i64)> {
    let mut query = db.prepare_cached(
        "SELECT kind, status, ended_by, created, id, entity, ended FROM task INDEXED BY task_created
         WHERE account = ?1 AND created >= ?2 AND created < ?3 AND phase = 2 ORDER BY created",
    )?;
    let mut rows = query.query((account, from, horizon))?;
    let (mut old, mut swept) = (Vec::new(), horizon);
    let mut last = i64::MIN;
    while let Some(row) = rows.next()? {
        let end = read_end(row, 2)?;
        // Never between rows of one creation: the next sweep begins there.
        if old.len() >= MAX_EXAMINED && end.created > last {
            return Ok((old, swept.min(end.created)));
        }
        last = end.created;
        if row.get::<_, i64>(6)? >= horizon {
            swept = swept.min(end.created);
        } else {
            let ended = EndedRow { kind: row.get(0)?, status: row.get(1)?, end };
            old.push(OldRow { row: ended, entity: row.get(5)? });
        }
    }
    Ok((old, swept))
}

/// Whether an asset, whose newest change by end is before the horizon, has no row within the retention.
pub(super) fn is_forgotten(
    db: &Connection,
    (entity, category): (i64, &str),
    kinds: &AssetKinds,
    horizon: i64,
) -> Result<bool> {
    let mut query = db.prepare_cached(
        "SELECT kind FROM task INDEXED BY task_asset
         WHERE entity = ?1 AND (phase <> 2 OR created >= ?2 OR ended >= ?2)",
    )?;
    let mut rows = query.query((entity, horizon))?;
    while let Some(row) = rows.next()? {
        if kinds.category(row.get(0)?).is_some_and(|word| word.as_str() == category) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes forgotten assets with their rows.
pub(super) fn forget(
    db: &Connection,
    account: i64,
    kinds: &AssetKinds,
    (assets, state): (&[(i64, String)], &mut AccountState),
) -> Result<()> {
    // The query covers the whole entity: its tasks of other categories may be open.
    let mut query = db.prepare_cached(
        "SELECT kind, status, ended_by, created, id FROM task INDEXED BY task_asset WHERE entity = ?1 AND phase = 2",
    )?;
    for (entity, category) in assets {
        let rows = query.query_map([entity], |row| {
            Ok(EndedRow { kind: row.get(0)?, status: row.get(1)?, end: read_end(row, 2)? })
        })?;
        let rows: Vec<EndedRow> = rows.collect::<rusqlite::Result<_>>()?;
        let is_of_asset = |kind| kinds.category(kind).is_some_and(|word| word.as_str() == category);
        for row in rows.iter().filter(|row| is_of_asset(row.kind)) {
            table::remove_row(db, account, row)?;
            state.rows = state.rows.saturating_sub(1);
        }
        table::remove(db, (account, *entity, category))?;
    }
    state.assets.forgotten_total += assets.len() as u64;
    if !assets.is_empty() {
        state.marks.forget();
        remove_unused_entities(db, &assets.iter().map(|(entity, _)| *entity).collect())?;
    }
    Ok(())
}

/// Removes those of these entities that no task refers to.
pub(super) fn remove_unused_entities(db: &Connection, entities: &HashSet<i64>) -> Result<()> {
    let mut remove = db.prepare_cached(
        "DELETE FROM entity WHERE id = ?1 AND is_parent = 0
             AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_asset WHERE entity = ?1)",
    )?;
    for entity in entities {
        remove.execute([entity])?;
    }
    Ok(())
}
