//! One asset for its page: its summary, and why it is judged as it is.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::super::entities::{self, StoredEntity};
use super::super::scope::Scope;
use super::super::{Result, timestamp};
use super::evidence::{self, Evidence};
use super::kinds::AssetKinds;
use super::list::{AssetRow, COLUMNS, Evaluated};
use super::objective::{AgeBasis, Objectives, Subject};
use crate::config::Objective;
use crate::task::Label;
use crate::time::Timestamp;

/// One asset in one category, with what its state follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetDetail {
    /// Its summary.
    pub row: AssetRow,
    /// The usual interval between completions; none with fewer than three.
    pub usual_interval: Option<Duration>,
    /// The entry of `assets.objectives` that selects it; none: `assets.max_age` applies.
    pub objective: Option<Objective>,
    /// Where its age comes from.
    pub basis: AgeBasis,
    /// The last completion of each type of tasks.
    pub completions: Vec<(Label, Timestamp)>,
}

/// The assets of an account with this id, one for each category.
pub(in super::super) fn details(db: &Connection, scope: &Scope<'_>, id: &str) -> Result<Vec<AssetDetail>> {
    let kinds = AssetKinds::load(db, scope.account, scope.rules)?;
    let objectives = Objectives::new(&scope.rules.assets);
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3"
    ))?;
    let mut details = Vec::new();
    for entity in entities::with_id(db, (scope.account, scope.rules.assets.names), id)? {
        for category in &scope.rules.assets.categories {
            let key = (scope.account, entity, category.as_str());
            let found = query.query_row(key, |row| Ok(Evaluated::read(row, scope))).optional()?;
            let evidence = evidence::read(db, scope.account, (entity, category), &kinds)?;
            if let Some((found, evidence)) = found.zip(evidence) {
                let row = found?.row(db, scope)?;
                details.push(AssetDetail::new(db, scope, (row, entity), &evidence, (&objectives, &kinds))?);
            }
        }
    }
    Ok(details)
}

/// An objective of the account, without the patterns that can be names if names are not published.
fn objective(scope: &Scope<'_>, position: usize) -> Objective {
    let mut objective = scope.rules.assets.objectives[position].clone();
    if !scope.rules.assets.names {
        for pattern in [&mut objective.name, &mut objective.parent].into_iter().flatten() {
            "(not shown)".clone_into(pattern);
        }
    }
    objective
}

// === impl AssetDetail ===

impl AssetDetail {
    fn new(
        db: &Connection,
        scope: &Scope<'_>,
        (row, entity): (AssetRow, i64),
        evidence: &Evidence,
        (objectives, kinds): (&Objectives, &AssetKinds),
    ) -> Result<Self> {
        let stored = StoredEntity::find(db, entity)?;
        let parent = evidence.parent.map(|parent| StoredEntity::find(db, parent)).transpose()?;
        let asset_type = stored.entity_type.as_deref().map_or_else(Label::unknown, Label::new);
        let subject = Subject {
            asset_type: asset_type.as_str(),
            name: &stored.label(true),
            parent: &parent.map(|parent| parent.label(true)).unwrap_or_default(),
        };
        let (position, basis) = objectives.explain(subject, evidence);
        let completions = evidence.completions();
        let completions = completions.filter_map(|(kind, ended)| {
            Some((kinds.get(kind)?.task_type.clone(), timestamp(ended).min(scope.state.marks.time)))
        });
        Ok(Self {
            row,
            usual_interval: evidence.usual.map(|usual| Duration::from_micros(usual.unsigned_abs())),
            objective: position.map(|position| objective(scope, position)),
            basis,
            completions: completions.collect(),
        })
    }
}
