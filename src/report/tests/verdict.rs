//! When the verdict is good, and what it says.

use super::*;
use crate::store::AssetTypeSample;

/// A snapshot with so many assets in each state (ok, overdue, silent, unjudged, ignored), and failing.
fn with_assets(states: [u64; 5], failing: u64) -> Snapshot {
    let (category, asset_type) = (Label::new("backup"), Label::new("volume"));
    let sample = AssetTypeSample { category, asset_type, states, failing, completed_within: Vec::new() };
    let mut snapshot = snapshot();
    snapshot.assets.types.push(sample);
    snapshot
}

fn verdict(snapshot: Snapshot, at: i64) -> (Level, String) {
    let exposition = Exposition::new();
    account(&exposition, "prod").succeeded(snapshot, Duration::from_secs(1), second(0));
    let verdict = report(&exposition, at).verdict;
    (verdict.level, verdict.text)
}

#[test]
fn the_verdict_counts_what_is_unprotected() {
    for (states, failing, level, expected) in [
        ([1_205, 1, 0, 2, 9], 2, Level::Critical, "2 of 1,208 assets failing, 1 overdue, 2 not judged"),
        ([5, 0, 3, 0, 0], 0, Level::Warning, "3 of 8 assets silent"),
        ([1_208, 0, 0, 0, 9], 0, Level::Good, "All 1,208 assets are protected"),
        ([1, 0, 0, 0, 0], 0, Level::Good, "The asset is protected"),
        (
            [5, 0, 0, 3, 0],
            0,
            Level::Good,
            "5 of 8 assets protected, the others not judged: max_age = \"auto\" needs 15 days of history (state.retention) and three completed tasks of each",
        ),
        (
            [0, 0, 0, 3, 0],
            0,
            Level::Waiting,
            "3 assets, none judged: max_age = \"auto\" needs 15 days of history (state.retention) and three completed tasks of each",
        ),
        (
            [0, 0, 0, 0, 7],
            0,
            Level::Waiting,
            "No asset is known: no task has a category of assets.categories and names an asset",
        ),
    ] {
        assert_eq!(verdict(with_assets(states, failing), 30), (level, expected.to_owned()));
    }
}

#[test]
fn the_verdict_is_never_good_while_an_alert_would_fire() {
    let good = || with_assets([9, 0, 0, 0, 0], 0);
    assert_eq!(verdict(good(), 30).0, Level::Good);
    let with_kind = |change: &dyn Fn(&mut KindSample)| {
        let mut snapshot = good();
        change(&mut snapshot.kinds[0]);
        verdict(snapshot, 30)
    };
    let (level, text) = with_kind(&|kind| kind.category = Label::new("restore"));
    assert_eq!((level, text.as_str()), (Level::Critical, "All 9 assets are protected; 1 restore failed"));
    let open_for =
        |seconds: i64| move |kind: &mut KindSample| kind.statuses[1].oldest_open = Some(second(-seconds));
    assert_eq!(with_kind(&open_for(86_399)).0, Level::Good);
    assert_eq!(with_kind(&open_for(86_401)).0, Level::Warning);
    let seeding = |seconds| {
        move |kind: &mut KindSample| {
            kind.task_type = Label::new("ebs_seeding");
            open_for(seconds)(kind);
        }
    };
    assert_eq!(
        [with_kind(&seeding(6 * 86_400)).0, with_kind(&seeding(8 * 86_400)).0],
        [Level::Good, Level::Warning]
    );
    let unknown = with_kind(&|kind| kind.statuses[0].status = Status::Other(Label::new("paused")));
    assert!(
        unknown.0 == Level::Warning && unknown.1.ends_with("1 task with an unknown status"),
        "{unknown:?}"
    );
    for (snapshot, at) in [
        (Snapshot { rows: 0, ..good() }, 30),
        (Snapshot { drift: Some(2), ..good() }, 30),
        (Snapshot { drift: Some(-2), ..good() }, 30),
        (good(), 3_600),
    ] {
        assert!(verdict(snapshot, at).0 >= Level::Warning);
    }
}

#[test]
fn the_verdict_waits_for_accounts_that_are_not_read_yet() {
    let exposition = Exposition::new();
    let good = with_assets([9, 0, 0, 0, 0], 0);
    account(&exposition, "prod").succeeded(good, Duration::from_secs(1), second(0));
    account(&exposition, "new");
    let Verdict { level, text } = report(&exposition, 30).verdict;
    assert_eq!(
        (level, text.as_str()),
        (Level::Waiting, "All 9 assets are protected; 1 account not read yet")
    );
    let one = report_on(&exposition, &Scope { account: Some("prod".to_owned()) }, 30);
    assert_eq!(one.verdict.level, Level::Good);
}

#[test]
fn the_verdict_follows_what_rules_see_over_an_hour() {
    let exposition = Exposition::new();
    let (took, account) = (Duration::from_secs(1), account(&exposition, "prod"));
    let good = || with_assets([9, 0, 0, 0, 0], 0);
    let minute = |n: i64| second(n * 60);
    let level = |n: i64| report(&exposition, n * 60 + 30).verdict.level;
    (0..4).for_each(|n| account.succeeded(good(), took, minute(n)));
    assert_eq!(level(3), Level::Good);
    account.failed(Failure::Api(Reason::Server), None, minute(4));
    account.failed(Failure::Api(Reason::Server), None, minute(5));
    assert_eq!(level(5), Level::Critical);
    account.succeeded(good(), took, minute(6));
    assert_eq!(level(6), Level::Good, "two failures of seven polls do not last");
    (7..22).for_each(|n| account.failed(Failure::Api(Reason::Server), None, minute(n)));
    account.succeeded(good(), took, minute(22));
    assert_eq!(level(22), Level::Warning, "17 of 23 polls failed");
    (23..120).for_each(|n| account.succeeded(good(), took, minute(n)));
    assert_eq!(level(119), Level::Good);
    account.background_failed(metrics::BackgroundJob::Audit, minute(119));
    assert_eq!(level(119), Level::Warning);
    (120..200).for_each(|n| account.succeeded(good(), took, minute(n)));
    assert_eq!(level(199), Level::Good);
    account.succeeded(Snapshot { missed_total: 1, ..good() }, took, minute(200));
    assert_eq!(level(200), Level::Warning);
    (201..290).for_each(|n| account.succeeded(Snapshot { missed_total: 1, ..good() }, took, minute(n)));
    assert_eq!(level(289), Level::Good);
    account.read_invalid_row(minute(289));
    assert_eq!(level(289), Level::Warning);
    exposition.config_read(Some(minute(0)));
    exposition.config_read(None);
    assert!(report(&exposition, 290 * 60).verdict.text.contains("the exporter has a problem"));
}
