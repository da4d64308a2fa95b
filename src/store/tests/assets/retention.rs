//! What outlives the retention, and what is forgotten; and what is not judged while history is missing.

use super::super::super::{AssetState, Completes, PollCommit, PollInstant, Rules, SliceCommit, Store};
use super::{
    Backup, DAY, HOUR, commit, failing, late, poll, polled, rules, states, synced, synced_back_to, tasks,
};
use crate::config::{Assets, MaxAge};

const DAY_SECONDS: i64 = 24 * HOUR;

fn backup(status: &'static str, asset: &str, id: i64, ended: i64) -> Backup {
    Backup { status, created: ended - HOUR, ended: Some(ended), ..Backup::of(asset, id) }
}

fn day(day: i64) -> i64 {
    day * DAY_SECONDS
}

/// Rows of the replica, and failing assets, after a poll with these tasks.
async fn rows(replica: &super::Replica, seconds: i64, backups: &[Backup]) -> (u64, super::AssetSamples) {
    let snapshot = commit(replica, poll(seconds, tasks(backups))).await;
    (snapshot.rows, snapshot.assets)
}

#[tokio::test]
async fn rows_that_define_a_state_outlive_the_retention() {
    let store = Store::in_memory().expect("the store must open");
    let first = [
        backup("completed", "a", 1, day(-4)),
        backup("failed", "a", 2, day(-3)),
        backup("failed", "a", 3, day(-2)),
        backup("aborted", "a", 4, day(-1)),
    ];
    let (replica, _) = synced(&store, rules(), &first).await;
    let (_, samples) = rows(&replica, day(33), &[backup("failed", "a", 5, day(32))]).await;
    assert_eq!(failing(&samples), [("a", "ebs", day(-3))]);
    // The second failure and the aborted task are not needed.
    let (count, samples) = rows(&replica, day(60), &[]).await;
    assert_eq!((count, failing(&samples)), (3, vec![("a", "ebs", day(-3))]));
    assert_eq!(late(&samples), [("a", AssetState::Overdue, day(-4))]);
    // Once it completes, only the completions are.
    let (count, samples) = rows(&replica, day(61), &[backup("completed", "a", 6, day(61) - 9)]).await;
    assert_eq!((count, failing(&samples), late(&samples)), (3, vec![], vec![]));
}

#[tokio::test]
async fn the_usual_interval_outlives_the_retention() {
    let store = Store::in_memory().expect("the store must open");
    let monthly: Vec<_> = (0..7).map(|n| backup("completed", "a", n + 1, day(30 * n))).collect();
    let (replica, _) = synced(&store, rules(), &monthly[..1]).await;
    for (n, task) in (1..).zip(&monthly[1..]) {
        polled(&replica, day(30 * n) + 60, std::slice::from_ref(task)).await;
    }
    let (count, samples) = rows(&replica, day(180 + 35), &[]).await;
    assert_eq!((count, states(&samples)), (5, [1, 0, 0, 0, 0]), "five completions make four gaps");
}

#[tokio::test]
async fn an_asset_without_a_task_in_the_retention_is_forgotten() {
    let store = Store::in_memory().expect("the store must open");
    let assets =
        [backup("failed", "a", 1, 0), backup("failed", "b", 2, -60), backup("completed", "a", 3, -90)];
    let (replica, _) = synced(&store, rules(), &assets).await;
    let (count, samples) = rows(&replica, day(35) - 1, &[]).await;
    assert_eq!((count, failing(&samples).len(), samples.forgotten_total), (2, 1, 1));
    assert_eq!(failing(&samples), [("a", "ebs", 0)]);
    assert_eq!(rows(&replica, day(35), &[]).await.0, 2, "the edge belongs to the retention");
    let (count, samples) = rows(&replica, day(35) + 1, &[]).await;
    assert_eq!((count, failing(&samples), samples.forgotten_total), (0, vec![], 2));
    let entities: i64 = store
        .run(|database| {
            database.read(None, |db| {
                Ok(db.query_row("SELECT count(*) FROM entity WHERE is_parent = 0", [], |row| row.get(0))?)
            })
        })
        .await
        .expect("it must be read");
    assert_eq!(entities, 0);
}

#[tokio::test]
async fn an_asset_is_forgotten_though_a_task_of_another_category_is_open() {
    let store = Store::in_memory().expect("the store must open");
    let restore =
        Backup { category: "restore", status: "queued", ended: None, ..backup("queued", "a", 2, 0) };
    let (replica, _) = synced(&store, rules(), &[backup("completed", "a", 1, 0), restore]).await;
    let (count, samples) = rows(&replica, day(35) + 1, &[]).await;
    assert_eq!((count, states(&samples), samples.forgotten_total), (1, [0; 5], 1));
}

#[tokio::test]
async fn rows_of_other_categories_are_removed_once_these_are_configured() {
    let store = Store::in_memory().expect("the store must open");
    let tasks = [backup("completed", "a", 1, day(-1)), backup("failed", "a", 2, 0)];
    let (mut replica, _) = synced(&store, rules(), &tasks).await;
    rows(&replica, day(34), &[Backup { status: "queued", created: day(34) - 60, ..Backup::of("a", 3) }])
        .await;
    assert_eq!(rows(&replica, day(50), &[]).await.0, 3);
    let categories = vec![crate::task::Label::new("snapshot")];
    replica.set_rules(Rules { assets: Assets { categories, ..Assets::default() }, ..rules() });
    let (count, samples) = rows(&replica, day(50) + 60, &[]).await;
    assert_eq!((count, samples.types.len(), samples.forgotten_total), (1, 0, 0));
}

#[tokio::test]
async fn auto_judges_nothing_until_15_days_are_covered() {
    let store = Store::in_memory().expect("the store must open");
    let tasks: Vec<_> = (2..7).map(|n| backup("completed", "a", n, day(-n))).collect();
    let failed = backup("failed", "b", 9, day(-2));
    let (replica, samples) = synced_back_to(&store, rules(), &[tasks, vec![failed]].concat(), DAY * 7).await;
    assert_eq!((states(&samples), failing(&samples).len()), ([0, 0, 0, 2, 0], 1));
    let labels: Vec<_> =
        samples.types[0].completed_within.iter().map(|within| within.label.as_str()).collect();
    assert_eq!(labels, ["24h", "7d"]);
    assert_eq!(states(&polled(&replica, day(8) - 1, &[]).await), [0, 0, 0, 2, 0]);
    assert_eq!(states(&polled(&replica, day(8), &[]).await), [0, 1, 1, 0, 0]);
}

#[tokio::test]
async fn configured_ages_judge_without_history() {
    let store = Store::in_memory().expect("the store must open");
    let assets = Assets { max_age: MaxAge::Fixed(DAY), ..Assets::default() };
    let tasks = [backup("completed", "a", 1, day(-2)), backup("failed", "b", 2, -60)];
    let (_, samples) = synced_back_to(&store, Rules { assets, ..rules() }, &tasks, DAY * 7).await;
    assert_eq!(states(&samples), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_poll_without_changes_of_assets_writes_nothing() {
    let store = Store::in_memory().expect("the store must open");
    let tasks = [backup("failed", "a", 1, -60), backup("completed", "b", 2, -60)];
    let (replica, _) = synced(&store, rules(), &tasks).await;
    polled(&replica, 60, &[]).await;
    let before = store.status().await.expect("the store must answer").last_write;
    let samples = polled(&replica, 120, &tasks).await;
    assert_eq!(failing(&samples), [("a", "ebs", -60)]);
    assert_eq!(store.status().await.expect("the store must answer").last_write, before);
}

#[tokio::test]
async fn a_task_that_gets_another_asset_or_type_changes_both() {
    let store = Store::in_memory().expect("the store must open");
    let open = Backup { status: "queued", created: -60, ..Backup::of("a", 1) };
    let (replica, samples) = synced(&store, rules(), std::slice::from_ref(&open)).await;
    assert_eq!(samples.types.len(), 1);
    let moved = Backup { asset_type: Some("vm"), ..Backup::of("b", 1) };
    let samples = polled(&replica, 60, &[Backup { status: "queued", created: -60, ..moved }]).await;
    let counts: Vec<_> = samples.types.iter().map(|sample| sample.states.iter().sum::<u64>()).collect();
    assert_eq!((counts, samples.forgotten_total), (vec![1, 0], 1), "vm, volume");
}

#[tokio::test]
async fn what_a_process_publishes_before_its_first_poll_is_forgotten_only_by_that_poll() {
    let store = Store::in_memory().expect("the store must open");
    let (replica, _) = synced(&store, rules(), &[backup("failed", "a", 1, day(-1))]).await;
    let (_, samples) = rows(&replica, day(33), &[backup("completed", "b", 2, day(32))]).await;
    assert_eq!(failing(&samples), [("a", "ebs", day(-1))]);
    // The process ends a day and a half later, which moves the horizon.
    replica.touch(super::at(day(34) + 12 * HOUR)).await.expect("the time must be stored");
    let after = super::replica(&store, rules()).await;
    let found = after.last_snapshot().await.expect("it must be read").expect("it must be there");
    assert_eq!(failing(&found.assets), [("a", "ebs", day(-1))]);
    let (_, samples) = rows(&after, day(35), &[]).await;
    assert_eq!((failing(&samples), samples.forgotten_total), (vec![], 1));
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_slices_are_read_hides_no_asset() {
    let store = Store::in_memory().expect("the store must open");
    let (replica, _) = synced(&store, rules(), &[backup("completed", "a", 1, day(-1))]).await;
    // Without a creation, its times are at most T, which is long before the horizon of the poll before.
    let mut undated = tasks(&[backup("failed", "b", 2, day(-40))]);
    undated[0].created = None;
    let back = poll(day(-400), vec![]);
    // Only the API's clock is wrong.
    let back = PollCommit { now: PollInstant { time: back.now.time, ..poll(1, vec![]).now }, ..back };
    let slice =
        SliceCommit { tasks: undated, source: back.source, now: back.now, completes: Completes::Nothing };
    replica.commit_slice(slice).await.expect("the slice must be stored");
    assert_eq!(failing(&commit(&replica, back).await.assets), [("b", "ebs", day(-400))]);
}
