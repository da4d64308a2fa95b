//! Samples out of an evaluation: assets with their labels.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::super::account::AccountState;
use super::super::entities::StoredEntity;
use super::super::{Result, Rules, timestamp};
use super::evaluation::{Counts, Evaluation, Named};
use super::kinds::asset_types;
use super::samples::{
    AssetLabels, AssetSamples, AssetState, AssetTypeSample, CompletedWithin, FailingAsset, LateAsset,
};
use crate::task::Label;
use crate::time::{Timestamp, earlier};

/// What is published of an evaluation.
pub(super) fn samples(
    db: &Connection,
    account: i64,
    (rules, state): (&Rules, &AccountState),
    evaluation: &Evaluation,
) -> Result<AssetSamples> {
    Ok(AssetSamples {
        types: types(db, account, (rules, state), evaluation)?,
        failing: failing(db, account, (rules, state), &evaluation.failing.named)?,
        late: late(db, account, (rules, state), &evaluation.late.named)?,
        forgotten_total: state.assets.forgotten_total,
        unnamed: evaluation.unnamed(),
    })
}

fn types(
    db: &Connection,
    account: i64,
    (rules, state): (&Rules, &AccountState),
    evaluation: &Evaluation,
) -> Result<Vec<AssetTypeSample>> {
    let within = &rules.assets.within;
    let zero = Counts::zero(within.len());
    let is_covered = |period| state.marks.covered_from <= earlier(state.marks.time, period);
    let sample = |(id, (category, asset_type))| {
        let counts = evaluation.counts.get(&id).unwrap_or(&zero);
        let completed = within.iter().zip(&counts.completed_within);
        let completed = completed.filter(|(within, _)| is_covered(within.period));
        let completed_within = completed.map(|(within, assets)| CompletedWithin {
            label: within.label.clone(),
            period: within.period,
            assets: *assets,
        });
        AssetTypeSample {
            category,
            asset_type,
            states: counts.states,
            failing: counts.failing,
            completed_within: completed_within.collect(),
        }
    };
    let all = asset_types(db, account)?.into_iter();
    let all = all.filter(|(_, (category, _))| rules.assets.categories.contains(category));
    let mut samples: Vec<_> = all.map(sample).collect();
    samples.sort_by(|a, b| (&a.category, &a.asset_type).cmp(&(&b.category, &b.asset_type)));
    Ok(samples)
}

/// The failing assets, sorted. Equal labels share one series, with the earliest failure.
fn failing(
    db: &Connection,
    account: i64,
    (rules, state): (&Rules, &AccountState),
    named: &[Named],
) -> Result<Vec<FailingAsset>> {
    let mut query = db.prepare_cached(
        "SELECT kind.type, asset_failure.since FROM asset_failure JOIN kind ON kind.id = asset_failure.kind
         WHERE asset_failure.account = ?1 AND entity = ?2 AND asset_failure.category = ?3",
    )?;
    let mut all: BTreeMap<(AssetLabels, Label), Timestamp> = BTreeMap::new();
    for asset in named {
        let labels = labels(db, account, asset, rules.assets.names)?;
        let mut rows = query.query((account, asset.entity, &asset.category))?;
        while let Some(row) = rows.next()? {
            let key = (labels.clone(), Label::new(&row.get::<_, String>(0)?));
            let since = timestamp(row.get(1)?).min(state.marks.time);
            all.entry(key).and_modify(|first| *first = since.min(*first)).or_insert(since);
        }
    }
    let sample = |((labels, task_type), since)| FailingAsset { labels, task_type, since };
    Ok(all.into_iter().map(sample).collect())
}

/// The late assets, sorted. Equal labels share one series, with the longest time.
fn late(
    db: &Connection,
    account: i64,
    (rules, state): (&Rules, &AccountState),
    named: &[Named],
) -> Result<Vec<LateAsset>> {
    let mut query =
        db.prepare_cached("SELECT since FROM asset WHERE account = ?1 AND entity = ?2 AND category = ?3")?;
    let mut all: BTreeMap<(AssetLabels, AssetState), Timestamp> = BTreeMap::new();
    for asset in named {
        let key = (labels(db, account, asset, rules.assets.names)?, asset.state);
        let since = query.query_row((account, asset.entity, &asset.category), |row| row.get(0))?;
        let since = timestamp(since).min(state.marks.time);
        all.entry(key).and_modify(|first| *first = since.min(*first)).or_insert(since);
    }
    let sample = |((labels, state), unprotected_since)| LateAsset { labels, state, unprotected_since };
    Ok(all.into_iter().map(sample).collect())
}

fn labels(db: &Connection, account: i64, asset: &Named, names: bool) -> Result<AssetLabels> {
    let mut query = db.prepare_cached(
        "SELECT asset_type.type, parent FROM asset JOIN asset_type ON asset_type.id = asset.asset_type
         WHERE asset.account = ?1 AND entity = ?2 AND asset.category = ?3",
    )?;
    let (asset_type, parent): (String, Option<i64>) =
        query.query_row((account, asset.entity, &asset.category), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let entity = StoredEntity::find(db, asset.entity)?;
    let parent = parent.map(|parent| StoredEntity::find(db, parent)).transpose()?;
    Ok(AssetLabels {
        category: Label::new(&asset.category),
        asset_type: Label::new(&asset_type),
        asset: Label::new(&entity.label(names)),
        asset_id: Label::new(&entity.id(names)),
        parent: Label::new(&parent.map_or_else(String::new, |parent| parent.label(names))),
    })
}
