//! Assets for pages: one pass over the summaries of the accounts, which keeps the rows of one page.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row as SqlRow};

use super::super::entities::StoredEntity;
use super::super::scope::Scope;
use super::super::{Result, micros, timestamp};
use super::filter::{AssetCondition, AssetFilter, AssetOrder};
use super::kinds::asset_types;
use super::objective::Judgement;
use super::samples::AssetState;
use crate::config::AUTO_COVERS;
use crate::task::Label;
use crate::time::{Timestamp, earlier};

/// The assets of one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetList {
    /// The rows.
    pub rows: Vec<AssetRow>,
    /// How many assets the filter selects.
    pub total: u64,
}

/// One asset, as of the last poll of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRow {
    /// The account.
    pub account: String,
    /// The category of the tasks.
    pub category: Label,
    /// The type of the asset, as in metrics.
    pub asset_type: Label,
    /// Its id.
    pub id: String,
    /// Its name, or its id if it has none or names are not published.
    pub name: String,
    /// The same of what it belongs to; none if it belongs to nothing.
    pub parent: Option<String>,
    /// The state.
    pub state: AssetState,
    /// The types whose tasks fail, each with the end of the first failure; empty if the asset is not failing.
    pub failing: Vec<(Label, Timestamp)>,
    /// The last completion.
    pub completed: Option<Timestamp>,
    /// The last completion, or the creation of the first known task.
    pub unprotected_since: Timestamp,
    /// When it becomes or became late; none if it is ignored.
    pub late_from: Option<Timestamp>,
}

/// A row of the table `asset` that is evaluated.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Evaluated {
    pub(super) entity: i64,
    pub(super) category: String,
    asset_type: i64,
    parent: Option<i64>,
    pub(super) state: AssetState,
    completed: Option<i64>,
    since: i64,
    late_from: i64,
    pub(super) failing_since: Option<i64>,
}

/// What rows are sorted by: whether they lack it, which puts them last both ways; two numbers and a text. Equal ones are
/// sorted by account and asset.
type SortKey = (bool, i64, i64, String);

/// The first rows in the order of a filter.
struct Page<'a> {
    filter: &'a AssetFilter,
    text: Option<String>,
    /// The rows, with the position of their account.
    first: BTreeSet<(SortKey, usize, Evaluated)>,
    total: u64,
}

/// The columns that [`Evaluated::read`] reads.
pub(super) const COLUMNS: &str = "asset.entity, asset.category, asset.asset_type, asset.parent, completed, since, \
                                  objective, late_from, attempted, failing_since";

/// The assets that the filter selects.
pub(in super::super) fn list(
    db: &Connection,
    scopes: &[Scope<'_>],
    filter: &AssetFilter,
) -> Result<AssetList> {
    let text = filter.text.as_ref().map(|text| text.to_lowercase()).filter(|text| !text.is_empty());
    let mut page = Page { filter, text, first: BTreeSet::new(), total: 0 };
    for (position, scope) in scopes.iter().enumerate() {
        if filter.account.as_ref().is_none_or(|account| account == scope.name) {
            page.read(db, scope, position)?;
        }
    }
    let rows = page.first.iter().skip(filter.offset);
    let rows = rows.map(|(_, position, found)| found.row(db, &scopes[*position]));
    Ok(AssetList { rows: rows.collect::<Result<_>>()?, total: page.total })
}

// === impl Page ===

impl Page<'_> {
    fn read(&mut self, db: &Connection, scope: &Scope<'_>, position: usize) -> Result<()> {
        let types = asset_types(db, scope.account)?;
        let types = types.into_iter().filter(|(_, (category, asset_type))| {
            is_asked(self.filter.category.as_deref(), category.as_str())
                && is_asked(self.filter.asset_type.as_deref(), asset_type.as_str())
                && scope.rules.assets.categories.contains(category)
        });
        let types: std::collections::HashMap<_, _> =
            types.map(|(id, (_, asset_type))| (id, asset_type)).collect();
        // Looking up every entity takes longer than all the rest.
        let mut query = db.prepare_cached(&if self.needs_names() {
            format!(
                "SELECT {COLUMNS}, entity.key, entity.has_id, entity.name
                 FROM asset CROSS JOIN entity ON entity.id = asset.entity WHERE asset.account = ?1"
            )
        } else {
            format!("SELECT {COLUMNS} FROM asset WHERE asset.account = ?1")
        })?;
        let mut rows = query.query([scope.account])?;
        while let Some(row) = rows.next()? {
            let Some(asset_type) = types.get(&row.get(2)?) else { continue };
            self.add(row, scope, (position, asset_type))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        row: &SqlRow<'_>,
        scope: &Scope<'_>,
        (position, asset_type): (usize, &Label),
    ) -> Result<()> {
        let found = Evaluated::read(row, scope)?;
        if !self.selects(&found) {
            return Ok(());
        }
        let name = self.needs_names().then(|| entity(row)).transpose()?;
        let name =
            name.map_or_else(String::new, |entity| entity.label(scope.rules.assets.names).to_lowercase());
        if !self.matches(row, scope, &name)? {
            return Ok(());
        }
        self.total += 1;
        let text = match self.filter.order {
            AssetOrder::Name => name,
            AssetOrder::AssetType => asset_type.as_str().to_owned(),
            AssetOrder::Account => scope.name.to_owned(),
            _ => String::new(),
        };
        let (key, is_descending) = (found.sort_key(self.filter.order), self.filter.is_descending);
        let is_missing = found.lacks(self.filter.order);
        let key = if is_descending {
            (is_missing, !key.0, !key.1, reversed(&text))
        } else {
            (is_missing, key.0, key.1, text)
        };
        let entry = (key, position, found);
        let is_full = self.first.len() >= self.filter.offset.saturating_add(self.filter.limit);
        if is_full && self.first.last().is_none_or(|last| *last < entry) {
            return Ok(());
        }
        self.first.insert(entry);
        if is_full {
            self.first.pop_last();
        }
        Ok(())
    }

    fn needs_names(&self) -> bool {
        self.text.is_some() || self.filter.order == AssetOrder::Name
    }

    fn selects(&self, found: &Evaluated) -> bool {
        let is_failing = found.failing_since.is_some();
        let has_condition = match self.filter.condition {
            None => true,
            Some(AssetCondition::Is(state)) => found.state == state,
            Some(AssetCondition::Failing) => is_failing,
            Some(AssetCondition::Late) => found.state.is_late(),
            Some(AssetCondition::Unprotected) => is_failing || found.state.is_late(),
        };
        has_condition && self.filter.is_failing.is_none_or(|asked| asked == is_failing)
    }

    fn matches(&self, row: &SqlRow<'_>, scope: &Scope<'_>, name: &str) -> Result<bool> {
        let Some(text) = &self.text else { return Ok(true) };
        Ok(name.contains(text) || entity(row)?.id(scope.rules.assets.names).to_lowercase().contains(text))
    }
}

fn is_asked(asked: Option<&str>, word: &str) -> bool {
    asked.is_none_or(|asked| asked == word)
}

fn entity(row: &SqlRow<'_>) -> Result<StoredEntity> {
    let (key, has_id, name) = (row.get(10)?, row.get(11)?, row.get(12)?);
    Ok(StoredEntity { entity_type: None, key, has_id, name })
}

/// A text that sorts the other way around. A character of U+10FFFF at the end makes a prefix sort after what it begins.
fn reversed(text: &str) -> String {
    let reverse = |c: char| char::from_u32(0x10_FFFF - u32::from(c)).unwrap_or('\u{D7FF}');
    text.chars().map(reverse).chain(['\u{10FFFF}']).collect()
}

// === impl Evaluated ===

impl Evaluated {
    /// Reads [`COLUMNS`].
    pub(super) fn read(row: &SqlRow<'_>, scope: &Scope<'_>) -> Result<Self> {
        let time = scope.state.marks.time;
        let is_covered = scope.state.marks.covered_from <= earlier(time, AUTO_COVERS);
        let (late_from, is_attempted): (i64, bool) = (row.get(7)?, row.get(8)?);
        let judgement = Judgement::from_id(row.get(6)?)?;
        let state = judgement.state(late_from < micros(time), is_attempted, is_covered);
        let failing_since: Option<i64> = row.get(9)?;
        Ok(Self {
            entity: row.get(0)?,
            category: row.get(1)?,
            asset_type: row.get(2)?,
            parent: row.get(3)?,
            state,
            completed: row.get(4)?,
            since: row.get(5)?,
            late_from,
            failing_since: failing_since.filter(|_| state != AssetState::Ignored),
        })
    }

    /// Whether it has no value in this column.
    fn lacks(&self, order: AssetOrder) -> bool {
        match order {
            AssetOrder::FailingSince => self.failing_since.is_none(),
            AssetOrder::Due => self.state == AssetState::Ignored,
            _ => false,
        }
    }

    fn sort_key(&self, order: AssetOrder) -> (i64, i64) {
        match order {
            AssetOrder::Attention => match (self.failing_since, self.state) {
                (Some(since), _) => (0, since),
                (None, AssetState::Overdue) => (1, self.since),
                (None, AssetState::Silent) => (2, self.since),
                (None, AssetState::Unjudged) => (3, self.since),
                (None, AssetState::Ok) => (4, self.since),
                (None, AssetState::Ignored) => (5, self.since),
            },
            AssetOrder::State => (self.state as i64, self.since),
            AssetOrder::FailingSince => (self.failing_since.unwrap_or_default(), self.since),
            AssetOrder::Completed => (self.completed.unwrap_or(i64::MIN), self.since),
            AssetOrder::Due => (self.late_from, self.since),
            AssetOrder::Account | AssetOrder::Name | AssetOrder::AssetType => (0, 0),
        }
    }

    /// The asset with its names.
    pub(super) fn row(&self, db: &Connection, scope: &Scope<'_>) -> Result<AssetRow> {
        let names = scope.rules.assets.names;
        let time = scope.state.marks.time;
        let entity = StoredEntity::find(db, self.entity)?;
        let parent = self.parent.map(|parent| StoredEntity::find(db, parent)).transpose()?;
        let mut query = db.prepare_cached("SELECT type FROM asset_type WHERE id = ?1")?;
        let asset_type: String = query.query_row([self.asset_type], |row| row.get(0))?;
        let failing = if self.failing_since.is_some() { self.failures(db, scope)? } else { Vec::new() };
        Ok(AssetRow {
            account: scope.name.to_owned(),
            category: Label::new(&self.category),
            asset_type: Label::new(&asset_type),
            id: entity.id(names),
            name: entity.label(names),
            parent: parent.map(|parent| parent.label(names)),
            state: self.state,
            failing,
            completed: self.completed.map(|at| timestamp(at).min(time)),
            unprotected_since: timestamp(self.since).min(time),
            late_from: (self.state != AssetState::Ignored).then(|| timestamp(self.late_from)),
        })
    }

    fn failures(&self, db: &Connection, scope: &Scope<'_>) -> Result<Vec<(Label, Timestamp)>> {
        let mut query = db.prepare_cached(
            "SELECT kind.type, asset_failure.since FROM asset_failure JOIN kind ON kind.id = asset_failure.kind
             WHERE asset_failure.account = ?1 AND entity = ?2 AND asset_failure.category = ?3
             ORDER BY asset_failure.since, kind.type",
        )?;
        let rows = query.query_map((scope.account, self.entity, &self.category), |row| {
            let since = timestamp(row.get(1)?).min(scope.state.marks.time);
            Ok((Label::new(row.get_ref(0)?.as_str()?), since))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
