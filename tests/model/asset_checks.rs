//! The checks of what a poll published of assets against what the replica must have.

use std::collections::{BTreeMap, BTreeSet};

use clumio_exporter::store::{AssetLabels, AssetSamples, AssetState, AssetTypeSample};
use proptest::prelude::*;

use crate::account::{ASSETS, PARENTS};
use crate::asset_config::WITHIN;
use crate::asset_knowledge::{AssetKey, KnownAsset};
use crate::assets::{Instant, Verdict};

/// What must be published.
#[derive(Debug)]
pub struct Expected<'a> {
    pub assets: &'a BTreeMap<AssetKey, KnownAsset>,
    pub instant: Instant,
    /// Whether types of tasks share one series: then nothing tells which of them fail.
    pub folds: bool,
}

/// The assets that have series of their own, with what is published of each.
pub type Named<T> = BTreeMap<AssetKey, (AssetLabels, Vec<T>)>;

// === impl Expected ===

impl Expected<'_> {
    pub fn check(&self, published: &AssetSamples) -> Result<(), TestCaseError> {
        let types = self.assets.keys().map(|key| (key.1, type_of(key.0))).collect::<BTreeSet<_>>();
        for sample in &published.types {
            self.check_type(sample)?;
        }
        for (category, asset_type) in types {
            let is_it = |it: &AssetTypeSample| {
                it.category.as_str() == category && it.asset_type.as_str() == asset_type
            };
            let is_certain =
                self.of_type(category, asset_type).any(|known| matches!(known, KnownAsset::Certain(_)));
            prop_assert!(
                !is_certain || published.types.iter().any(is_it),
                "no {} of {}",
                asset_type,
                category
            );
        }
        self.check_failing(published)?;
        self.check_late(published)?;
        self.check_unnamed(published)
    }

    fn of_type<'a>(&'a self, category: &'a str, asset_type: &'a str) -> impl Iterator<Item = &'a KnownAsset> {
        let is_it = move |key: &AssetKey| key.1 == category && type_of(key.0) == asset_type;
        self.assets.iter().filter(move |(key, _)| is_it(key)).map(|(_, known)| known)
    }

    fn check_type(&self, sample: &AssetTypeSample) -> Result<(), TestCaseError> {
        let of_type = || self.of_type(sample.category.as_str(), sample.asset_type.as_str());
        let uncertain = of_type().filter(|known| **known == KnownAsset::Uncertain).count() as u64;
        let certain = |is_it: &dyn Fn(&Verdict) -> bool| {
            of_type().filter(|known| matches!(known, KnownAsset::Certain(verdict) if is_it(verdict))).count()
                as u64
        };
        let is_possible = |number: u64, least: u64| (least..=least + uncertain).contains(&number);
        for (state, number) in AssetState::ALL.into_iter().zip(sample.states) {
            let least = certain(&|verdict| verdict.state == state);
            prop_assert!(
                is_possible(number, least),
                "{:?}: {} of {:?}, {:?}",
                sample,
                least,
                state,
                self.assets
            );
        }
        let failing = certain(&|verdict| !verdict.failing.is_empty());
        prop_assert!(self.folds || is_possible(sample.failing, failing), "{:?}: {} fail", sample, failing);
        let Instant { time, covered_from, .. } = self.instant;
        let within = WITHIN.iter().filter(|(_, period)| covered_from <= time - period);
        let labels: Vec<_> = sample.completed_within.iter().map(|within| within.label.as_str()).collect();
        prop_assert_eq!(labels, within.clone().map(|(label, _)| *label).collect::<Vec<_>>());
        for (published, (label, period)) in sample.completed_within.iter().zip(within) {
            let is_within = |verdict: &Verdict| {
                verdict.state != AssetState::Ignored && verdict.completed.is_some_and(|at| at > time - period)
            };
            let least = certain(&is_within);
            prop_assert!(is_possible(published.assets, least), "{:?}: {} within {}", sample, least, label);
        }
        Ok(())
    }

    fn check_failing(&self, published: &AssetSamples) -> Result<(), TestCaseError> {
        for (key, (labels, series)) in failing(published) {
            let Some(verdict) = self.verdict(key, &labels)? else { continue };
            let since = |(task_type, since): &(&'static str, i64)| {
                ((*task_type).to_owned(), (*since).min(self.instant.time))
            };
            let expected: Vec<_> = verdict.failing.iter().map(since).collect();
            prop_assert!(
                self.folds || series == expected,
                "{:?} fails: {:?}, not {:?}",
                labels,
                series,
                expected
            );
        }
        Ok(())
    }

    fn check_late(&self, published: &AssetSamples) -> Result<(), TestCaseError> {
        for (key, (labels, series)) in late(published) {
            let Some(verdict) = self.verdict(key, &labels)? else { continue };
            let expected = vec![(verdict.state, verdict.since.min(self.instant.time))];
            prop_assert_eq!(series, expected, "{:?}", labels);
            prop_assert!(verdict.state.is_late(), "{:?} is not late", labels);
        }
        Ok(())
    }

    /// What must be published of an asset that has series; none if that is not certain.
    fn verdict(&self, key: AssetKey, labels: &AssetLabels) -> Result<Option<&Verdict>, TestCaseError> {
        let known = self.assets.get(&key);
        prop_assert!(known.is_some(), "{:?} is not there", labels);
        let Some(KnownAsset::Certain(verdict)) = known else { return Ok(None) };
        prop_assert_eq!(labels.parent.as_str(), verdict.parent.unwrap_or_default(), "{:?}", labels);
        Ok(Some(verdict))
    }

    /// Every asset is named, as far as the limit allows, or unnamed.
    fn check_unnamed(&self, published: &AssetSamples) -> Result<(), TestCaseError> {
        let sum = |of: &dyn Fn(&AssetTypeSample) -> u64| published.types.iter().map(of).sum::<u64>();
        let of_state = |state: AssetState| {
            sum(&|sample| {
                sample.states[AssetState::ALL.iter().position(|it| *it == state).expect("it must be a state")]
            })
        };
        let (failing, late) = (failing(published), late(published));
        let named = |state| {
            late.values().filter(|(_, series)| series.iter().any(|(it, _)| *it == state)).count() as u64
        };
        let (overdue, silent) = (of_state(AssetState::Overdue), of_state(AssetState::Silent));
        let unnamed = &published.unnamed;
        let all = sum(&|sample| sample.failing);
        let max = self.instant.config.max_named as u64;
        prop_assert_eq!(
            (failing.len() as u64, unnamed.failing),
            (all.min(max), all - all.min(max)),
            "{:?}",
            published
        );
        prop_assert_eq!(named(AssetState::Overdue) + unnamed.overdue, overdue, "{:?}", published);
        prop_assert_eq!(named(AssetState::Silent) + unnamed.silent, silent, "{:?}", published);
        prop_assert_eq!(late.len() as u64, (overdue + silent).min(max), "{:?}", published);
        Ok(())
    }

    /// Who was named before keeps the name, and free names go to the most recent.
    pub fn check_names(&self, before: &AssetSamples, now: &AssetSamples) -> Result<(), TestCaseError> {
        let failing_since = |verdict: &Verdict| verdict.failing.iter().map(|(_, since)| *since).min();
        let late_from = |verdict: &Verdict| verdict.state.is_late().then_some(verdict.late_from);
        if !self.folds {
            self.check_named(&failing(before), &failing(now), failing_since)?;
        }
        self.check_named(&late(before), &late(now), late_from)
    }

    fn check_named<T>(
        &self,
        before: &Named<T>,
        now: &Named<T>,
        recency: impl Fn(&Verdict) -> Option<i64>,
    ) -> Result<(), TestCaseError> {
        let certain = self.assets.iter().filter_map(|(key, known)| match known {
            KnownAsset::Certain(verdict) => Some((key, recency(verdict)?)),
            KnownAsset::Uncertain => None,
        });
        let (named, unnamed): (Vec<_>, Vec<_>) = certain.partition(|(key, _)| now.contains_key(key));
        for (lost, since) in unnamed.iter().filter(|(key, _)| before.contains_key(key)) {
            // Only a lower limit takes names, and those of the least recent.
            let all = now.keys().all(|key| before.contains_key(key));
            prop_assert!(all && now.len() == self.instant.config.max_named, "{:?} has lost its name", lost);
            prop_assert!(named.iter().all(|(_, kept)| kept >= since), "{:?} is more recent", lost);
        }
        for (new, since) in named.iter().filter(|(key, _)| !before.contains_key(key)) {
            let older = |(_, other): &(&AssetKey, i64)| other <= since;
            prop_assert!(unnamed.iter().all(older), "{:?} is not the most recent: {:?}", new, unnamed);
        }
        Ok(())
    }
}

/// The failing assets that are named, each with the types of its tasks and since when.
pub fn failing(published: &AssetSamples) -> Named<(String, i64)> {
    let mut named = Named::new();
    for failing in &published.failing {
        let series = (failing.task_type.to_string(), failing.since.as_microsecond());
        named.entry(key(&failing.labels)).or_insert_with(|| (failing.labels.clone(), vec![])).1.push(series);
    }
    named
}

/// The late assets that are named, each with its state and since when it is unprotected.
pub fn late(published: &AssetSamples) -> Named<(AssetState, i64)> {
    let mut named = Named::new();
    for late in &published.late {
        let series = (late.state, late.unprotected_since.as_microsecond());
        named.entry(key(&late.labels)).or_insert_with(|| (late.labels.clone(), vec![])).1.push(series);
    }
    named
}

fn type_of(asset: usize) -> &'static str {
    ASSETS[asset].0.unwrap_or("unknown")
}

/// The asset with these labels.
fn key(labels: &AssetLabels) -> AssetKey {
    let is_it = |asset: &usize| {
        let (_, id, name) = ASSETS[*asset];
        let id = id.or(name).unwrap_or_default();
        (labels.asset_type.as_str(), labels.asset_id.as_str(), labels.asset.as_str())
            == (type_of(*asset), id, name.unwrap_or(id))
    };
    let asset = (0..ASSETS.len()).find(is_it).expect("only the account's assets must be published");
    let parents = PARENTS.map(Option::unwrap_or_default);
    assert!(
        parents.contains(&labels.parent.as_str()),
        "only the account's parents must be published: {labels:?}"
    );
    let category = ["backup", "snapshot"].into_iter().find(|word| *word == labels.category.as_str());
    (asset, category.expect("only categories that protect assets must be published"))
}
