//! What is published of assets, from poll to poll: the checks after each of them.

use std::collections::BTreeMap;

use clumio_exporter::store::{AssetState, Snapshot};
use proptest::prelude::*;

use crate::account::Account;
use crate::api::{Record, SimulatedApi};
use crate::asset_checks::Expected;
use crate::asset_config::AssetConfig;
use crate::asset_knowledge::{AssetKey, AssetKnowledge, KnownAsset, possible_times};
use crate::assets::{Instant, Verdict};
use crate::schedule::Schedule;
use crate::tally::{Happening, tally};
use crate::truth::{Trace, View};

/// What must be published of assets.
#[derive(Debug, Default)]
pub struct AssetOracle {
    knowledge: AssetKnowledge,
    folds: bool,
    /// Whether T is the true time.
    are_clocks_right: bool,
    /// What was known after the last poll that was committed, and by which configuration.
    last: Option<(AssetConfig, BTreeMap<AssetKey, KnownAsset>)>,
    /// Whether nothing but the last poll tells which assets are named in the database.
    knows_names: bool,
}

// === impl AssetOracle ===

impl AssetOracle {
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            knowledge: AssetKnowledge::new(&schedule.account),
            folds: schedule.setup.folds,
            are_clocks_right: !schedule.setup.sets_clocks && schedule.behaviour.wrong_date == 0.0,
            last: None,
            knows_names: true,
        }
    }

    /// Notes rows that were shown and may have been stored at one of these T.
    pub fn note(&mut self, account: &Account, traces: &[Trace], record: &Record, times: (i64, i64)) {
        self.knowledge.note(account, traces, record, times);
    }

    /// Between which instants the T lies with which rows were stored since `start`.
    pub fn possible_times(
        &self,
        api: &SimulatedApi,
        record: &Record,
        (start, known): (i64, &[i64]),
    ) -> (i64, i64) {
        possible_times(api, record, start, known, self.are_clocks_right)
    }

    /// A process begins; `is_changed`: another transaction was committed since the last poll.
    pub fn restart(&mut self, config: AssetConfig, is_changed: bool) {
        let is_same = self.last.as_ref().is_none_or(|(last, _)| *last == config);
        self.knows_names &= is_same && !is_changed;
        if let Some((_, assets)) = self.last.as_mut().filter(|_| is_changed) {
            *assets = assets.keys().map(|key| (*key, KnownAsset::Uncertain)).collect();
        }
    }

    /// Checks what a process finds.
    pub fn check_found(
        &self,
        view: &View<'_>,
        found: &Snapshot,
        (config, is_changed): (AssetConfig, bool),
    ) -> Result<(), TestCaseError> {
        let is_same = self.last.as_ref().is_some_and(|(last, _)| *last == config);
        if is_changed || !is_same || !self.knows_names {
            return Ok(());
        }
        let assets = self.knowledge.assets(view, config);
        self.expected(view, &assets, config).check(&found.assets)
    }

    /// Checks a poll that was committed with this horizon.
    pub fn check(
        &mut self,
        view: &View<'_>,
        (before, now): (Option<&Snapshot>, &Snapshot),
        (config, horizon): (AssetConfig, i64),
    ) -> Result<(), TestCaseError> {
        self.knowledge.note_stored(view);
        let forgotten = self.knowledge.forget(view, horizon, config);
        let assets = self.knowledge.assets(view, config);
        let expected = self.expected(view, &assets, config);
        expected.check(&now.assets)?;
        if self.knows_names
            && let Some(before) = before
        {
            expected.check_names(&before.assets, &now.assets)?;
        }
        let was_certain =
            |key: &&AssetKey| self.was(key).is_some_and(|known| *known != KnownAsset::Uncertain);
        let least = forgotten.certain.iter().filter(was_certain).count() as u64;
        let may_be = assets.values().filter(|known| **known == KnownAsset::Uncertain).count();
        let uncertain = self.last.iter().flat_map(|(_, assets)| assets.values());
        let was_uncertain = uncertain.filter(|known| **known == KnownAsset::Uncertain).count();
        // What was read between polls and is old by now has never been published.
        let forgettable = forgotten.certain.len() + forgotten.possible.len();
        let most = (forgettable + may_be + was_uncertain) as u64;
        let more = now.assets.forgotten_total - before.map_or(0, |before| before.assets.forgotten_total);
        prop_assert!((least..=most).contains(&more), "{} forgotten, not {} to {}", more, least, most);
        self.tally(&assets, more, view.is_at_rest, now);
        self.knows_names = true;
        self.last = Some((config, assets));
        Ok(())
    }

    fn expected<'a>(
        &self,
        view: &View<'_>,
        assets: &'a BTreeMap<AssetKey, KnownAsset>,
        config: AssetConfig,
    ) -> Expected<'a> {
        let instant = Instant { time: view.time, covered_from: view.covered_from, config };
        Expected { assets, instant, folds: self.folds }
    }

    fn was(&self, key: &AssetKey) -> Option<&KnownAsset> {
        self.last.as_ref().and_then(|(_, assets)| assets.get(key))
    }

    fn tally(
        &self,
        assets: &BTreeMap<AssetKey, KnownAsset>,
        forgotten: u64,
        is_at_rest: bool,
        now: &Snapshot,
    ) {
        let is_bad = |verdict: &Verdict| !verdict.failing.is_empty() || verdict.state.is_late();
        for (key, known) in assets {
            let KnownAsset::Certain(verdict) = known else {
                if is_at_rest {
                    tally(Happening::AssetUnknownAtRest);
                }
                continue;
            };
            let was_bad = matches!(self.was(key), Some(KnownAsset::Certain(before)) if is_bad(before));
            let happened = [
                (Happening::AssetFailing, !verdict.failing.is_empty()),
                (Happening::AssetOverdue, verdict.state == AssetState::Overdue),
                (Happening::AssetSilent, verdict.state == AssetState::Silent),
                (Happening::AssetJudged, verdict.is_auto && verdict.state != AssetState::Unjudged),
                (Happening::AssetRecovered, was_bad && !is_bad(verdict)),
                (Happening::AssetComparedAtRest, is_at_rest),
            ];
            happened.into_iter().filter(|(_, has_happened)| *has_happened).for_each(|(it, _)| tally(it));
        }
        (0..forgotten).for_each(|_| tally(Happening::AssetForgotten));
        if now.assets.unnamed != clumio_exporter::store::Unnamed::default() {
            tally(Happening::AssetUnnamed);
        }
    }
}
