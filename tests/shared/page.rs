//! What the exporter serves: a page with every family on it, and the families of a page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clumio_exporter::metrics::{Exposition, SyncObserver, SyncProgress};
use clumio_exporter::store::{
    AssetLabels, AssetSamples, AssetState, AssetTypeSample, CompletedWithin, DurationHistogram, FailingAsset,
    KindSample, LateAsset, Snapshot, StatusSample, StoreStatus, Unnamed,
};
use clumio_exporter::task::{Label, Status};
use clumio_exporter::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// A family of the page: its type, and the names of its labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub kind: String,
    pub labels: BTreeSet<String>,
}

/// A page with every family on it: one account with a task of one kind, whose syncs are half done.
pub fn page() -> String {
    let exposition = Exposition::new();
    exposition.count_dropped_log_lines(|| 0);
    let syncs = SyncObserver::new(|| SyncProgress { initial: Some(0.5), history: Some(0.5) });
    let account = exposition.add_account("docs", Duration::from_mins(1), DAY, &syncs);
    account.token_expires(Some(Timestamp::UNIX_EPOCH));
    account.succeeded(snapshot(), Duration::from_secs(1), Timestamp::UNIX_EPOCH);
    let at = Some(Timestamp::UNIX_EPOCH);
    exposition.store_is(StoreStatus { bytes: Some(1), last_write: at, recovered: at });
    exposition.external_url_is(Some("https://monitoring.example.com/clumio"));
    String::from_utf8(exposition.page().plain().to_vec()).expect("the page must be text")
}

fn snapshot() -> Snapshot {
    let statuses = Status::OPEN.into_iter().map(|status| (status, None));
    let statuses = statuses.chain(Status::ENDED.into_iter().map(|status| (status, Some(1))));
    let (at, durations) = (Timestamp::UNIX_EPOCH, Some(Box::<DurationHistogram>::default()));
    let kind = KindSample {
        category: Label::new("backup"),
        task_type: Label::new("aws_ebs_volume_incremental_backup"),
        created_total: 1,
        queue_durations: durations.clone(),
        statuses: statuses
            .map(|(status, ended_total)| StatusSample {
                status,
                tasks: 1,
                open: 0,
                oldest_open: Some(at),
                ended_total,
                last_ended: Some(at),
                run_durations: durations.clone(),
            })
            .collect(),
    };
    Snapshot {
        time: at,
        window: DAY,
        baseline: at,
        watermark: Some(at),
        covered_from: at,
        rows: 1,
        vanished_total: 0,
        missed_total: 0,
        drift: Some(0),
        kinds: vec![kind],
        assets: assets(),
    }
}

/// One asset, which is failing and overdue.
fn assets() -> AssetSamples {
    let label = Label::new("backup");
    let labels = AssetLabels {
        category: label.clone(),
        asset_type: label.clone(),
        asset: label.clone(),
        asset_id: label.clone(),
        parent: label.clone(),
    };
    let (since, state) = (Timestamp::UNIX_EPOCH, AssetState::Overdue);
    AssetSamples {
        types: vec![AssetTypeSample {
            category: label.clone(),
            asset_type: label.clone(),
            states: [0, 1, 0, 0, 0],
            failing: 1,
            completed_within: vec![CompletedWithin { label: "24h".to_owned(), period: DAY, assets: 1 }],
        }],
        failing: vec![FailingAsset { labels: labels.clone(), task_type: label, since }],
        late: vec![LateAsset { labels, state, unprotected_since: since }],
        forgotten_total: 1,
        unnamed: Unnamed::default(),
    }
}

/// The families of a page; the label of the buckets of a histogram is no label of its family.
pub fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            name.clone_into(&mut current);
            families.insert(current.clone(), Family { kind: kind.to_owned(), labels: BTreeSet::new() });
        } else if let Some(family) = families.get_mut(&current) {
            let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
            let names = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
            let names = names.filter_map(|label| label.split('=').next()).filter(|name| *name != "le");
            family.labels.extend(names.map(str::to_owned));
        }
    }
    families
}
