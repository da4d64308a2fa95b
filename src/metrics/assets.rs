//! The families about assets, of every account that has a snapshot.

use super::families::{Current, snapshots};
use super::family::{Family, Label};
use crate::store::{AssetLabels, AssetSamples, AssetState, AssetTypeSample};
use crate::time::unix_seconds;

/// The families, which are filled together.
struct AssetFamilies {
    assets: Family,
    failing: Family,
    completed_within: Family,
    failing_since: Family,
    unprotected_since: Family,
    forgotten: Family,
    unnamed: Family,
}

/// The families, filled.
pub(super) fn assets(accounts: &Current<'_>) -> [Family; 7] {
    let mut families = AssetFamilies::empty();
    for (account, snapshot) in snapshots(accounts) {
        families.add(&account.name, &snapshot.assets);
    }
    let AssetFamilies {
        assets,
        failing,
        completed_within,
        failing_since,
        unprotected_since,
        forgotten,
        unnamed,
    } = families;
    [assets, failing, completed_within, failing_since, unprotected_since, forgotten, unnamed]
}

// === impl AssetFamilies ===

impl AssetFamilies {
    fn empty() -> Self {
        Self {
            assets: Family::gauge(
                "clumio_assets",
                "Assets by state: ok, overdue (older than the objective, with attempts since the last completion), \
                 silent (older, without one), unjudged or ignored. As of the last successful poll, on the exporter's \
                 own timer.",
            ),
            failing: Family::gauge(
                "clumio_assets_failing",
                "Assets whose newest failed task of some type has no later completed one. Polled on the exporter's own \
                 timer.",
            ),
            completed_within: Family::gauge(
                "clumio_assets_completed_within",
                "Assets that completed within the period, without ignored ones; absent where the replica does not \
                 cover the period. Polled on the exporter's own timer.",
            ),
            failing_since: Family::gauge(
                "clumio_failing_asset_since_timestamp_seconds",
                "When the first task of a failing asset failed since its last completion. Polled on the exporter's own \
                 timer.",
            ),
            unprotected_since: Family::gauge(
                "clumio_late_asset_unprotected_since_timestamp_seconds",
                "The last completion of an overdue or silent asset, or the creation of its first known task. Polled on \
                 the exporter's own timer.",
            ),
            forgotten: Family::counter(
                "clumio_assets_forgotten_total",
                "Assets that were forgotten because they had no task within the retention.",
            ),
            unnamed: Family::gauge(
                "clumio_assets_unnamed",
                "Failing, overdue and silent assets without series of their own, because there are more than \
                 assets.max_named. Polled on the exporter's own timer.",
            ),
        }
    }

    fn add(&mut self, account: &str, assets: &AssetSamples) {
        assets.types.iter().for_each(|sample| self.add_type(account, sample));
        for asset in &assets.failing {
            let labels = asset_labels(account, &asset.labels, ("type", asset.task_type.as_str()));
            self.failing_since.add(&labels, unix_seconds(asset.since));
        }
        for asset in &assets.late {
            let labels = asset_labels(account, &asset.labels, ("state", asset.state.as_str()));
            self.unprotected_since.add(&labels, unix_seconds(asset.unprotected_since));
        }
        let account = ("account", account);
        self.forgotten.add(&[account], assets.forgotten_total as f64);
        let unnamed = assets.unnamed;
        for (state, count) in
            [("failing", unnamed.failing), ("overdue", unnamed.overdue), ("silent", unnamed.silent)]
        {
            self.unnamed.add(&[account, ("state", state)], count as f64);
        }
    }

    fn add_type(&mut self, account: &str, sample: &AssetTypeSample) {
        let labels = [
            ("account", account),
            ("asset_type", sample.asset_type.as_str()),
            ("category", sample.category.as_str()),
        ];
        let [account, asset_type, category] = labels;
        for (state, count) in AssetState::ALL.iter().zip(sample.states) {
            self.assets.add(&[account, asset_type, category, ("state", state.as_str())], count as f64);
        }
        self.failing.add(&labels, sample.failing as f64);
        for within in &sample.completed_within {
            let labels = [account, asset_type, category, ("within", within.label.as_str())];
            self.completed_within.add(&labels, within.assets as f64);
        }
    }
}

/// The labels of an asset; `last` is named after all of them.
fn asset_labels<'a>(account: &'a str, labels: &'a AssetLabels, last: Label<'a>) -> [Label<'a>; 7] {
    [
        ("account", account),
        ("asset", labels.asset.as_str()),
        ("asset_id", labels.asset_id.as_str()),
        ("asset_type", labels.asset_type.as_str()),
        ("category", labels.category.as_str()),
        ("parent", labels.parent.as_str()),
        last,
    ]
}
