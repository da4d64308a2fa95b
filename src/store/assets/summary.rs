//! Keeping the summaries of assets equal to what their tasks say.

use rusqlite::Connection;

use super::super::account::AccountState;
use super::super::{Result, Rules};
use super::ends::{EndedRow, read_end};
use super::evidence::{self, Evidence};
use super::groups::Groups;
use super::kinds::{AssetKinds, AssetTypes};
use super::objective::{Judged, Objectives, Subject};
use super::retention;
use super::table::{self, Summary};
use crate::task::Label;

/// Entities whose assets one transaction of a rebuild computes: some 30 ms on a slow machine. Tests have only a few.
const ENTITIES_AT_ONCE: i64 = if cfg!(test) { 2 } else { 250 };

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

// === impl Removed ===

impl Removed {
    /// Adds it to what is known of the account.
    pub(super) fn note(&self, state: &mut AccountState) {
        if state.sync_from.is_none() {
            state.assets.forgotten_total += self.assets;
        }
        if self.rows > 0 {
            state.marks.forget();
            state.rows = state.rows.saturating_sub(self.rows);
        }
    }
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

    /// Computes the summary of one asset from its rows, unless no row that was created and has ended until then can change
    /// it.
    pub(super) fn recompute(&mut self, entity: i64, category: &Label, until: i64) -> Result<()> {
        let stored = table::find(self.db, (self.account, entity, category.as_str()))?;
        let is_settled =
            |(stored, has_kept_rows): &(Summary, bool)| until < stored.settled_before && !has_kept_rows;
        if stored.as_ref().is_some_and(is_settled) {
            return Ok(());
        }
        let evidence = evidence::read(self.db, self.account, (entity, category), self.kinds)?;
        self.replace((entity, category), stored, evidence)
    }

    /// Writes what differs from the stored summary, if there is one.
    fn replace(
        &mut self,
        (entity, category): (i64, &Label),
        stored: Option<(Summary, bool)>,
        evidence: Option<Evidence>,
    ) -> Result<()> {
        let key = (self.account, entity, category.as_str());
        let Some(evidence) = evidence else {
            if stored.is_some() {
                table::remove(self.db, key)?;
                self.removed.assets += 1;
            }
            return Ok(());
        };
        // Rows that are removed with the next poll make no asset.
        if stored.is_none()
            && evidence.newest_change < self.horizon
            && retention::is_forgotten(self.db, (entity, category.as_str()), self.kinds, self.horizon)?
        {
            return Ok(());
        }
        let summary = self.summary(entity, category, &evidence)?;
        if stored.as_ref().map(|(stored, _)| stored) != Some(&summary) {
            table::write(self.db, key, &summary)?;
        }
        let was_failing = stored.as_ref().is_some_and(|(stored, _)| stored.failing_since.is_some());
        if was_failing || !evidence.failures.is_empty() {
            table::write_failures(self.db, key, &evidence)?;
        }
        if stored.is_some_and(|(_, has_kept_rows)| has_kept_rows) {
            self.remove_rows(entity, category, &evidence)?;
        }
        Ok(())
    }

    /// Computes the summaries of the next entities after an id from their rows; gives the last one, if there was one.
    pub(super) fn rebuild(&mut self, after: i64) -> Result<Option<i64>> {
        let entities = table::entities(self.db, self.account, (after, ENTITIES_AT_ONCE))?;
        for entity in &entities {
            let mut stored = table::of_entity(self.db, self.account, *entity)?;
            let groups = Groups::read(self.db, *entity)?;
            for category in groups.categories(self.kinds) {
                let of = (*entity, &category);
                let evidence = evidence::of(self.db, self.account, of, (&groups, self.kinds))?;
                self.replace(of, stored.remove(category.as_str()), evidence)?;
            }
            // Its tasks protect nothing any more.
            for category in stored.keys() {
                table::remove(self.db, (self.account, *entity, category))?;
            }
        }
        Ok(entities.last().copied())
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
            settled_before: evidence.settled_before(),
        })
    }

    /// Removes the rows of an asset before the horizon on which its state no longer depends.
    fn remove_rows(&mut self, entity: i64, category: &Label, evidence: &Evidence) -> Result<()> {
        let mut query = self.db.prepare_cached(
            "SELECT kind, status, ended_by, created, id FROM task INDEXED BY task_asset
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
                table::remove_row(self.db, self.account, row)?;
                self.removed.rows += 1;
            }
        }
        if !has_kept_rows {
            table::set_kept(self.db, (self.account, entity, category.as_str()), false)?;
        }
        Ok(())
    }
}
