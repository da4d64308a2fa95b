//! Rows over several polls: what the gauges have, what vanishes, what is removed.

use super::super::{Completes, Explorer, PollCommit, PollInstant, SliceCommit, Source, Store, TaskFilter};
use super::{DAY, MINUTE, Rules, at, commit, created, numbers, poll, replica, rules, second, synced, task};
use crate::task::{Entity, Name, Task, TaskId};

fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("the id must be valid")
}

#[tokio::test]
async fn the_window_is_exact_to_the_microsecond() {
    let store = Store::in_memory().expect("the store must open");
    let rules = Rules { window: DAY, ..rules() };
    let replica = synced(&store, rules, vec![task("1", "failed", -90, Some(60))]).await;
    let failed = async |seconds| numbers(&commit(&replica, poll(seconds, vec![])).await, "failed").0;
    assert_eq!(failed(60).await, 1);
    assert_eq!(failed(60 + 86_399).await, 1);
    assert_eq!(failed(60 + 86_400).await, 0);
}

#[tokio::test]
async fn a_poll_without_changes_writes_nothing() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![task("1", "queued", -90, None)]).await;
    commit(&replica, poll(60, vec![task("1", "queued", -90, None)])).await;
    let before = store.status().await.expect("the store must answer").last_write;
    commit(&replica, poll(120, vec![task("1", "queued", -90, None)])).await;
    assert_eq!(store.status().await.expect("the store must answer").last_write, before);
    let running = |progress| Task { progress: Some(progress), ..task("1", "queued", -90, None) };
    commit(&replica, poll(180, vec![running(1)])).await;
    assert_eq!(
        store.status().await.expect("the store must answer").last_write,
        before,
        "it is not open for an hour"
    );
    commit(&replica, poll(240, vec![task("1", "in_progress", -90, None)])).await;
    assert!(store.status().await.expect("the store must answer").last_write > before);

    commit(&replica, poll(4_000, vec![running(2)])).await;
    let explorer = Explorer::new(store, vec![std::sync::Arc::new(replica)]);
    let listed = explorer.tasks(TaskFilter { limit: 1, ..TaskFilter::default() }).await;
    assert_eq!(listed.expect("the tasks must be read").rows[0].progress, Some(2));
}

#[tokio::test]
async fn a_task_vanishes_after_three_polls_and_an_hour_and_continues_when_it_returns() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![task("1", "queued", -90, None)]).await;
    let missing = |seconds| super::PollCommit { missing: vec![id("1")], ..poll(seconds, vec![]) };
    for (seconds, open) in [(60, 1), (120, 1), (1_800, 1), (3_659, 1), (3_660, 0), (3_720, 0)] {
        let snapshot = commit(&replica, missing(seconds)).await;
        assert_eq!(numbers(&snapshot, "queued").0, open, "after {seconds} s");
        assert_eq!(snapshot.vanished_total, 1 - open);
    }
    assert_eq!(replica.vanished(0, 9).await, Ok(vec![id("1")]));
    let returned = commit(&replica, poll(90_000, vec![task("1", "failed", -90, Some(89_000))])).await;
    assert_eq!((numbers(&returned, "failed"), returned.vanished_total), ((1, 1), 1));
}

#[tokio::test]
async fn nothing_vanishes_while_the_newest_task_is_not_listed() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![task("1", "queued", -90, None)]).await;
    for seconds in [60, 120, 180, 90_000] {
        let blind = super::PollCommit { missing: vec![id("1")], sees_newest: false, ..poll(seconds, vec![]) };
        assert_eq!(numbers(&commit(&replica, blind).await, "queued").0, 1);
    }
}

#[tokio::test]
async fn rows_before_the_horizon_are_removed_and_never_count_again() {
    let store = Store::in_memory().expect("the store must open");
    let rules = Rules { retention: DAY * 2, ..rules() };
    let replica = synced(&store, rules, vec![]).await;
    let old = || vec![task("1", "failed", 10, Some(20))];
    let snapshot = commit(&replica, poll(60, old())).await;
    commit(&replica, poll(120, vec![])).await;
    assert_eq!(snapshot.rows, 1);
    let day = 86_400;
    assert_eq!(commit(&replica, poll(2 * day, vec![])).await.rows, 1);
    assert_eq!(commit(&replica, poll(2 * day + 21, vec![])).await.rows, 0);
    let slice = SliceCommit {
        tasks: old(),
        source: Source::Audit,
        now: at(2 * day + 30),
        completes: Completes::Nothing,
    };
    replica.commit_slice(slice).await.expect("the slice must be stored");
    let after = commit(&replica, poll(2 * day + 60, vec![])).await;
    assert_eq!((created(&after), numbers(&after, "failed").1, after.missed_total), (1, 1, 0));
}

#[tokio::test]
async fn the_name_of_an_entity_is_that_of_the_newest_task() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![]).await;
    let named = |id: &str, created: i64, name: &str| {
        let entity = Entity { entity_type: None, id: Some(Name::new("vol-1")), name: Some(Name::new(name)) };
        let task = task(id, "failed", created, Some(created + 1));
        crate::task::Task { primary: Some(Box::new(entity)), ..task }
    };
    let tasks = vec![named("2", 20, "new"), named("1", 10, "old")];
    commit(&replica, poll(60, tasks)).await;
    let explorer = Explorer::new(store, vec![std::sync::Arc::new(replica)]);
    let tasks = explorer.tasks(TaskFilter { limit: 9, ..TaskFilter::default() }).await;
    let tasks = tasks.expect("the tasks must be read").rows;
    let found: Vec<_> = tasks.iter().map(|task| task.entity.as_ref().map(|it| it.name.as_str())).collect();
    assert_eq!(found, [Some("new"), Some("new")]);
}

#[tokio::test]
async fn ids_come_back_as_the_api_wrote_them() {
    let store = Store::in_memory().expect("the store must open");
    let ids = ["7", "007", "-7", "+7", "9223372036854775808", "a\"b", "é"];
    let tasks = ids.iter().map(|id| task(id, "queued", -90, None)).collect();
    let replica = synced(&store, rules(), tasks).await;
    let followed = replica.followed().await.expect("the ids must be read");
    let mut followed: Vec<_> = followed.iter().map(TaskId::as_str).collect();
    let mut expected = ids.to_vec();
    followed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(followed, expected);
}

#[tokio::test]
async fn only_a_poll_moves_t_back_with_what_it_covers() {
    let store = Store::in_memory().expect("there must be memory");
    let replica = synced(&store, rules(), vec![task("1", "queued", -60, None)]).await;
    let marks = async || replica.load().await.expect("it must be readable").expect("it must be there").marks;
    let before = marks().await;
    let earlier = PollInstant { elapsed: MINUTE, ..at(-3_000_000) };
    let slice = SliceCommit {
        tasks: vec![task("2", "failed", -2_999_000, Some(-2_998_000))],
        source: Source::Poll { counts_from: second(-3_000_000) },
        now: earlier,
        completes: Completes::Nothing,
    };
    replica.commit_slice(slice).await.expect("the slice must be stored");
    replica.touch(earlier).await.expect("the time must be stored");
    let after = marks().await;
    assert_eq!(after.elapsed, MINUTE);
    assert_eq!(
        (after.time, after.baseline, after.covered_from),
        (before.time, before.baseline, before.covered_from)
    );
    commit(&replica, PollCommit { now: earlier, ..poll(0, Vec::new()) }).await;
    assert_eq!(marks().await.covered_from, earlier.time);
}

#[tokio::test]
async fn a_slice_of_the_initial_sync_with_an_earlier_t_uncounts_nothing_newer() {
    let store = Store::in_memory().expect("there must be memory");
    let replica = replica(&store, rules()).await;
    replica.begin_sync(Vec::new(), at(0), DAY * 7).await.expect("the sync must begin");
    // A process that resumes may believe that no time has passed.
    let slices =
        [(3_000, task("1", "failed", 1_000, Some(2_500))), (0, task("2", "failed", -500, Some(1_500)))];
    for (seconds, task) in slices {
        let (source, completes) = (Source::InitialSync, Completes::Nothing);
        let slice = SliceCommit { tasks: vec![task], source, now: at(seconds), completes };
        replica.commit_slice(slice).await.expect("the slice must be stored");
    }
    let last = PollCommit { source: Source::InitialSync, has_published: false, ..poll(3_100, Vec::new()) };
    commit(&replica, last).await;
    commit(&replica, poll(3_200, Vec::new())).await;
    let snapshot = commit(&replica, poll(3_300, Vec::new())).await;
    assert_eq!(numbers(&snapshot, "failed"), (2, 2));
    assert_eq!(created(&snapshot), 1);
}
