//! An independent implementation of what is published of assets: over all tasks ever read, without any index or summary.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::super::{
    AssetSamples, AssetState, AssetTypeSample, CompletedWithin, FailingAsset, LateAsset, Unnamed,
};
use super::found::Found;
use super::{Backup, HOUR, START};
use crate::config::Assets;
use crate::task::Label;
use crate::time::Timestamp;

pub(super) const DAY: i64 = 24 * HOUR;

/// Category, type of the asset, its id, its name if it has no id.
pub(super) type Key = (String, String, Option<String>, Option<String>);

/// A task, and when it vanished if it has.
pub(super) type Known = (Backup, Option<i64>);

/// What an ideal exporter knows. Times are seconds after the start.
#[derive(Debug, Default)]
pub(super) struct Naive {
    /// By their id.
    pub(super) tasks: BTreeMap<i64, Known>,
    types: BTreeSet<(String, String)>,
    /// Assets in the order in which they were first read: of equally recent ones, the last one is named first.
    order: Vec<Key>,
    named_failing: BTreeSet<Key>,
    named_late: BTreeSet<Key>,
    forgotten: u64,
}

/// The time of an evaluation, and the rules.
pub(super) struct At<'a> {
    pub(super) time: i64,
    pub(super) covered_from: i64,
    pub(super) horizon: i64,
    pub(super) rules: &'a Assets,
}

// === impl Naive ===

impl Naive {
    pub(super) fn read(&mut self, task: &Backup) {
        if let Some(key) = key(task).filter(|key| !self.order.contains(key)) {
            self.order.push(key);
        }
        self.tasks.insert(task.id, (task.clone(), None));
    }

    pub(super) fn samples(&mut self, at: &At<'_>) -> AssetSamples {
        self.forget(at);
        let tasks = self.tasks.clone();
        let found: BTreeMap<Key, Found<'_>> =
            by_asset(&tasks, at.rules).into_iter().map(|(key, tasks)| (key, Found::new(tasks, at))).collect();
        self.types.extend(found.keys().map(|key| (key.0.clone(), key.1.clone())));
        let failing_since = |found: &Found<'_>| found.failing.iter().map(|(_, since)| *since).min();
        let order = |key: &Key| self.order.iter().position(|one| one == key);
        let failing =
            found.iter().filter_map(|(key, found)| Some(((failing_since(found)?, order(key)), key)));
        rename(&mut self.named_failing, failing.collect(), at.rules.max_named);
        let is_late = |found: &Found<'_>| found.state.is_late();
        let late = found
            .iter()
            .filter(|(_, found)| is_late(found))
            .map(|(key, found)| ((found.late_from, order(key)), key));
        rename(&mut self.named_late, late.collect(), at.rules.max_named);
        AssetSamples {
            types: self.types.iter().map(|of_type| sample(of_type, &found, at)).collect(),
            failing: self.failing(&found, at),
            late: self.late(&found, at),
            forgotten_total: self.forgotten,
            unnamed: Unnamed {
                failing: found
                    .iter()
                    .filter(|(key, found)| !found.failing.is_empty() && !self.named_failing.contains(*key))
                    .count() as u64,
                overdue: self.unnamed(&found, AssetState::Overdue),
                silent: self.unnamed(&found, AssetState::Silent),
            },
        }
    }

    /// Forgets vanished tasks, and assets without a task within the retention.
    fn forget(&mut self, at: &At<'_>) {
        let before: BTreeSet<Key> = by_asset(&self.tasks, at.rules).into_keys().collect();
        let retention = at.time - at.horizon;
        self.tasks.retain(|_, (_, vanished)| vanished.is_none_or(|since| since >= at.time - retention));
        let is_recent = |(task, vanished): &Known| {
            let end = task.ended.filter(|_| vanished.is_none());
            end.is_none_or(|ended| ended >= at.horizon) || task.created >= at.horizon
        };
        let kept = by_asset(&self.tasks, at.rules).into_iter();
        let kept = kept.filter(|(_, tasks)| tasks.iter().any(|task| is_recent(task)));
        let kept: BTreeMap<Key, BTreeSet<i64>> =
            kept.map(|(key, tasks)| (key, tasks.iter().map(|(task, _)| task.id).collect())).collect();
        self.forgotten += (before.len() - kept.len()) as u64;
        self.tasks.retain(|id, _| kept.values().any(|ids| ids.contains(id)));
        self.order.retain(|key| kept.contains_key(key));
    }

    fn unnamed(&self, found: &BTreeMap<Key, Found<'_>>, state: AssetState) -> u64 {
        found.iter().filter(|(key, found)| found.state == state && !self.named_late.contains(*key)).count()
            as u64
    }

    fn failing(&self, found: &BTreeMap<Key, Found<'_>>, at: &At<'_>) -> Vec<FailingAsset> {
        let mut failing = Vec::new();
        for (key, found) in found.iter().filter(|(key, _)| self.named_failing.contains(*key)) {
            for (task_type, since) in &found.failing {
                let labels = found.labels(key, at.rules.names);
                failing.push(FailingAsset {
                    labels,
                    task_type: Label::new(task_type),
                    since: instant(*since),
                });
            }
        }
        failing.sort_by(|a, b| (&a.labels, &a.task_type).cmp(&(&b.labels, &b.task_type)));
        failing
    }

    fn late(&self, found: &BTreeMap<Key, Found<'_>>, at: &At<'_>) -> Vec<LateAsset> {
        let named = found.iter().filter(|(key, _)| self.named_late.contains(*key));
        let mut late: Vec<_> = named
            .map(|(key, found)| LateAsset {
                labels: found.labels(key, at.rules.names),
                state: found.state,
                unprotected_since: instant(found.since),
            })
            .collect();
        late.sort_by(|a, b| a.labels.cmp(&b.labels));
        late
    }
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).expect("the second must be in range")
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).expect("it must be short")
}

/// The asset of a task; none if it belongs to none.
fn key(task: &Backup) -> Option<Key> {
    let (id, name) = task.asset.clone()?;
    let name = if id.is_none() { Some(name?) } else { None };
    Some((task.category.to_owned(), task.asset_type.unwrap_or("unknown").to_owned(), id, name))
}

fn by_asset<'a>(tasks: &'a BTreeMap<i64, Known>, rules: &Assets) -> BTreeMap<Key, Vec<&'a Known>> {
    let mut assets: BTreeMap<Key, Vec<_>> = BTreeMap::new();
    for task in tasks.values().filter(|(task, _)| rules.categories.contains(&Label::new(task.category))) {
        if let Some(key) = key(&task.0) {
            assets.entry(key).or_default().push(task);
        }
    }
    assets
}

/// Who keeps a name, and who gets one: the most recent.
fn rename(named: &mut BTreeSet<Key>, all: Vec<((i64, Option<usize>), &Key)>, max: usize) {
    named.retain(|key| all.iter().any(|(_, one)| *one == key));
    let mut all = all;
    all.sort_by_key(|(recency, _)| Reverse(*recency));
    // A lower limit takes the names of the least recent.
    let (has_name, has_none): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, key)| named.contains(*key));
    *named = has_name.into_iter().chain(has_none).take(max).map(|(_, key)| key.clone()).collect();
}

fn sample(
    (category, asset_type): &(String, String),
    found: &BTreeMap<Key, Found<'_>>,
    at: &At<'_>,
) -> AssetTypeSample {
    let of_type =
        || found.iter().filter(|(key, _)| key.0 == *category && key.1 == *asset_type).map(|(_, found)| found);
    let judged = || of_type().filter(|found| found.state != AssetState::Ignored);
    let within = at.rules.within.iter().filter(|within| at.covered_from <= at.time - seconds(within.period));
    AssetTypeSample {
        category: Label::new(category),
        asset_type: Label::new(asset_type),
        states: AssetState::ALL.map(|state| of_type().filter(|found| found.state == state).count() as u64),
        failing: judged().filter(|found| !found.failing.is_empty()).count() as u64,
        completed_within: within
            .map(|within| CompletedWithin {
                label: within.label.clone(),
                period: within.period,
                assets: judged()
                    .filter(|found| found.completed.is_some_and(|end| end > at.time - seconds(within.period)))
                    .count() as u64,
            })
            .collect(),
    }
}
