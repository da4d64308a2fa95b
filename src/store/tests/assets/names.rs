//! Which assets are named, and how.

use std::time::Duration;

use super::super::super::{AssetState, Rules, Store};
use super::{Backup, DAY, HOUR, failing, late, polled, rules, states, synced};
use crate::config::{Assets, MaxAge, Objective};
use crate::task::Label;

fn failed(asset: &str, id: i64, ended: i64) -> Backup {
    Backup { status: "failed", created: ended - HOUR, ended: Some(ended), ..Backup::of(asset, id) }
}

fn completed(asset: &str, id: i64, ended: i64) -> Backup {
    Backup { status: "completed", ..failed(asset, id, ended) }
}

fn with(assets: Assets) -> Rules {
    Rules { assets, ..rules() }
}

/// The names of failing assets, and how many are unnamed.
fn names(samples: &super::AssetSamples) -> (Vec<&str>, u64) {
    (failing(samples).into_iter().map(|(name, ..)| name).collect(), samples.unnamed.failing)
}

#[tokio::test]
async fn a_named_asset_keeps_its_name_and_free_names_go_to_the_most_recent() {
    let store = Store::in_memory().expect("the store must open");
    let two = with(Assets { max_named: 2, ..Assets::default() });
    let first = [failed("a", 1, -9_000), failed("b", 2, -8_000), failed("c", 3, -7_000)];
    let (replica, samples) = synced(&store, two, &first).await;
    assert_eq!(names(&samples), (vec!["b", "c"], 1));
    let samples = polled(&replica, 100, &[failed("d", 4, 50)]).await;
    assert_eq!(names(&samples), (vec!["b", "c"], 2), "a new failure takes no name");
    let samples = polled(&replica, 200, &[completed("b", 5, 150)]).await;
    assert_eq!(names(&samples), (vec!["c", "d"], 1));
    let samples = polled(&replica, 300, &[failed("b", 6, 250)]).await;
    assert_eq!(names(&samples), (vec!["c", "d"], 2), "it lost its name when it recovered");
}

#[tokio::test]
async fn names_outlive_a_restart_and_follow_the_limit() {
    let store = Store::in_memory().expect("the store must open");
    let limit = |max_named| with(Assets { max_named, ..Assets::default() });
    let first = [failed("a", 1, -9_000), failed("b", 2, -8_000)];
    let (replica, _) = synced(&store, limit(1), &first).await;
    polled(&replica, 100, &[failed("c", 3, 50)]).await;
    let mut after = super::replica(&store, limit(1)).await;
    assert_eq!(names(&polled(&after, 200, &[]).await), (vec!["b"], 2));
    after.set_rules(limit(2));
    assert_eq!(names(&polled(&after, 300, &[]).await), (vec!["b", "c"], 1));
    after.set_rules(limit(1));
    assert_eq!(names(&polled(&after, 400, &[]).await), (vec!["c"], 2));
    after.set_rules(limit(0));
    assert_eq!(names(&polled(&after, 500, &[]).await), (vec![], 3));
}

#[tokio::test]
async fn an_asset_keeps_its_name_from_silent_to_overdue() {
    let store = Store::in_memory().expect("the store must open");
    let assets = Assets { max_named: 1, max_age: MaxAge::Fixed(DAY), ..Assets::default() };
    let tasks = [completed("a", 1, -30 * HOUR), completed("b", 2, -40 * HOUR)];
    let (replica, samples) = synced(&store, with(assets), &tasks).await;
    assert_eq!(late(&samples), [("a", AssetState::Silent, -30 * HOUR)]);
    let samples = polled(&replica, 100, &[failed("a", 3, 50)]).await;
    assert_eq!(late(&samples), [("a", AssetState::Overdue, -30 * HOUR)]);
    assert_eq!((samples.unnamed.overdue, samples.unnamed.silent), (0, 1));
}

#[tokio::test]
async fn without_names_only_ids_are_published() {
    let store = Store::in_memory().expect("the store must open");
    let assets = Assets { names: false, ..Assets::default() };
    let without_id = Backup { asset: Some((None, Some("secret".to_owned()))), ..failed("b", 2, -70) };
    let (_, samples) = synced(&store, with(assets), &[failed("a", 1, -60), without_id]).await;
    let labels: Vec<_> = samples.failing.iter().map(|failing| &failing.labels).collect();
    let shown: Vec<_> =
        labels.iter().map(|labels| [&labels.asset, &labels.asset_id, &labels.parent]).collect();
    let label = Label::new;
    let digest = label("sha256:2bb80d537b1da3e3");
    let parent = label("id-account/us-west-2");
    assert_eq!(shown, [[&label("id-a"), &label("id-a"), &parent], [&digest, &digest, &parent]]);
}

#[tokio::test]
async fn equal_labels_share_one_series_with_the_earliest_time() {
    let store = Store::in_memory().expect("the store must open");
    let long = |end: char| "x".repeat(130) + &end.to_string();
    let asset = |end| Some((Some(long(end)), Some("a".to_owned())));
    let tasks = [
        Backup { asset: asset('1'), ..failed("a", 1, -60) },
        Backup { asset: asset('2'), ..failed("a", 2, -70) },
    ];
    let (_, samples) = synced(&store, rules(), &tasks).await;
    assert_eq!(failing(&samples), [("a", "ebs", -70)]);
    assert_eq!(samples.types[0].failing, 2);
}

#[tokio::test]
async fn types_beyond_the_limit_are_other_and_stay_so() {
    let store = Store::in_memory().expect("the store must open");
    let of = |asset_type, id| Backup { asset_type: Some(asset_type), ..completed(asset_type, id, -60) };
    let one = Rules { max_asset_types: 1, ..rules() };
    let (mut replica, samples) = synced(&store, one, &[of("a", 1), of("b", 2), of("c", 3)]).await;
    let types = |samples: &super::AssetSamples| {
        let types = samples.types.iter().map(|sample| (sample.asset_type.to_string(), sample.states[3]));
        types.collect::<Vec<_>>()
    };
    assert_eq!(types(&samples), [("a".to_owned(), 1), ("other".to_owned(), 2)]);
    replica.set_rules(rules());
    let expected = [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1), ("other".to_owned(), 0)];
    assert_eq!(types(&polled(&replica, 60, &[]).await), expected);
}

#[tokio::test]
async fn another_name_of_the_asset_or_its_parent_selects_another_objective() {
    let store = Store::in_memory().expect("the store must open");
    let objective = |name: Option<&str>, parent: Option<&str>| Objective {
        account: None,
        asset_type: None,
        name: name.map(str::to_owned),
        parent: parent.map(str::to_owned),
        max_age: MaxAge::Fixed(Duration::ZERO),
    };
    let objectives = vec![objective(Some("scratch-*"), None), objective(None, Some("*-scratch"))];
    let assets = Assets { objectives, max_age: MaxAge::Fixed(DAY), ..Assets::default() };
    let (replica, samples) =
        synced(&store, with(assets), &[completed("a", 1, -60), completed("b", 2, -60)]).await;
    assert_eq!(states(&samples), [2, 0, 0, 0, 0]);
    let renamed = Backup {
        category: "restore",
        asset: Some((Some("id-a".to_owned()), Some("scratch-a".to_owned()))),
        ..completed("a", 3, 50)
    };
    assert_eq!(states(&polled(&replica, 60, &[renamed]).await), [1, 0, 0, 0, 1]);
    let parent = Backup {
        category: "restore",
        asset_type: Some("environment"),
        asset: Some((Some("id-account/us-west-2".to_owned()), Some("us-scratch".to_owned()))),
        parent: None,
        ..completed("p", 4, 100)
    };
    assert_eq!(states(&polled(&replica, 120, &[parent]).await), [0, 0, 0, 0, 2]);
}
