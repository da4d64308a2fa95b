//! The rows of an entity that can matter to its assets, grouped by kind and status.
//!
//! Of most entities, one scan of the index `task_asset` is cheaper than a search for each group. A group with many rows that
//! do not matter is left by a search for the next one, so the cost does not grow with the rows of an entity, but for its
//! completions of the last 15 days.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row as SqlRow};

use super::super::Result;
use super::super::status::StatusId;
use super::ends::{End, TaskKey, read_key};
use super::interval;
use super::kinds::AssetKinds;
use crate::task::Label;

pub(super) const COMPLETED: i64 = StatusId::ENDED[0].0;
pub(super) const FAILED: i64 = StatusId::ENDED[1].0;

/// Rows of a group that are skipped before the next group is searched for, which costs about as much.
const MAX_SKIPPED: usize = if cfg!(test) { 1 } else { 20 };

/// The rows of an entity, by kind and status.
pub(super) struct Groups(Vec<Group>);

/// The rows of an entity with one kind and status.
pub(super) struct Group {
    pub(super) kind: i64,
    pub(super) status: i64,
    /// By end, newest first: completions as far as the usual interval can depend on them, all rows of a status that is not
    /// final, or else the newest row.
    pub(super) rows: Vec<GroupRow>,
}

pub(super) struct GroupRow {
    pub(super) phase: i64,
    pub(super) created: i64,
    /// `ended_by` of the row.
    pub(super) ended: Option<i64>,
    pub(super) id: TaskKey,
    pub(super) parent: Option<i64>,
}

// === impl Groups ===

impl Groups {
    pub(super) fn read(db: &Connection, entity: i64) -> Result<Self> {
        let mut query = db.prepare_cached(
            "SELECT kind, status, ended_by, created, id, phase, parent FROM task INDEXED BY task_asset
             WHERE entity = ?1 AND (kind, status) < (?2, ?3)
             ORDER BY kind DESC, status DESC, ended_by DESC, created DESC, account DESC, id DESC",
        )?;
        let mut groups = Self(Vec::new());
        let mut before = Some((i64::MAX, i64::MAX));
        while let Some((kind, status)) = before {
            let mut rows = query.query((entity, kind, status))?;
            before = None;
            let mut skipped = 0;
            while let Some(row) = rows.next()? {
                if groups.add(row)? {
                    continue;
                }
                skipped += 1;
                if skipped == MAX_SKIPPED {
                    before = Some((row.get(0)?, row.get(1)?));
                    break;
                }
            }
        }
        Ok(groups)
    }

    /// The categories in which the entity is an asset.
    pub(super) fn categories(&self, kinds: &AssetKinds) -> BTreeSet<Label> {
        self.0.iter().filter_map(|group| kinds.category(group.kind).cloned()).collect()
    }

    /// Those of the tasks that protect the entity in this category.
    pub(super) fn of(&self, category: &Label, kinds: &AssetKinds) -> Vec<&Group> {
        self.0.iter().filter(|group| kinds.category(group.kind) == Some(category)).collect()
    }

    /// Adds a row, if it can matter.
    fn add(&mut self, row: &SqlRow<'_>) -> Result<bool> {
        let (kind, status) = (row.get(0)?, row.get(1)?);
        let row = || GroupRow::read(row);
        match self.0.last_mut().filter(|group| (group.kind, group.status) == (kind, status)) {
            None => self.0.push(Group { kind, status, rows: vec![row()?] }),
            Some(group) if group.is_complete() => return Ok(false),
            Some(group) => group.rows.push(row()?),
        }
        Ok(true)
    }
}

// === impl Group ===

impl Group {
    pub(super) fn is_final(&self) -> bool {
        StatusId(self.status).is_final()
    }

    /// The newest end; none if no row has ended.
    pub(super) fn newest(&self) -> Option<End> {
        self.rows.first().and_then(GroupRow::end)
    }

    /// Whether older rows do not matter.
    fn is_complete(&self) -> bool {
        let ended = |row: Option<&GroupRow>| row.and_then(|row| row.ended).unwrap_or(i64::MIN);
        match self.status {
            // The last completion of the asset is not older than that of this kind.
            COMPLETED => {
                interval::is_enough(self.rows.len(), ended(self.rows.first()), ended(self.rows.last()))
            }
            _ => self.is_final(),
        }
    }
}

// === impl GroupRow ===

impl GroupRow {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            ended: row.get(2)?,
            created: row.get(3)?,
            id: read_key(row, 4)?,
            phase: row.get(5)?,
            parent: row.get(6)?,
        })
    }

    pub(super) fn end(&self) -> Option<End> {
        Some(End { ended: self.ended?, created: self.created, id: self.id.clone() })
    }
}
