//! How counters are held.

use std::time::Duration;

use super::super::{Rules, Snapshot, Store};
use super::{PollCommit, at, commit, created, numbers, poll, replica, rules, synced, task};

const HOLD: Duration = Duration::from_mins(2);

fn held() -> Rules {
    Rules { counter_hold: HOLD, ..rules() }
}

fn failed(id: &str, created: i64) -> crate::task::Task {
    task(id, "failed", created, Some(created))
}

fn run_count(snapshot: &Snapshot) -> Option<u64> {
    let statuses = &snapshot.kinds.first()?.statuses;
    let failed = statuses.iter().find(|sample| sample.status.as_str() == "failed")?;
    failed.run_durations.as_ref().map(|durations| durations.count())
}

#[tokio::test]
async fn a_new_series_is_zero_until_its_hold_is_over() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, held(), vec![]).await;
    let counted = async |seconds, tasks| {
        let snapshot = commit(&replica, poll(seconds, tasks)).await;
        (created(&snapshot), numbers(&snapshot, "failed"), run_count(&snapshot))
    };
    assert_eq!(counted(60, vec![failed("1", 50)]).await, (0, (1, 0), Some(0)));
    assert_eq!(counted(179, vec![failed("2", 170)]).await, (0, (2, 0), Some(0)));
    assert_eq!(counted(180, vec![]).await, (2, (2, 2), Some(2)));
    assert_eq!(counted(181, vec![failed("3", 181)]).await, (3, (3, 3), Some(3)));
}

#[tokio::test]
async fn without_a_hold_a_new_series_is_zero_for_one_poll() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![]).await;
    assert_eq!(created(&commit(&replica, poll(60, vec![failed("1", 50)])).await), 0);
    assert_eq!(created(&commit(&replica, poll(60, vec![])).await), 1);
}

#[tokio::test]
async fn a_restored_series_is_held_where_it_was_and_a_second_restart_does_not_prolong_it() {
    let store = Store::in_memory().expect("the store must open");
    let first = synced(&store, held(), vec![]).await;
    commit(&first, poll(60, vec![failed("1", 50)])).await;
    assert_eq!(created(&commit(&first, poll(180, vec![])).await), 1);

    let second = replica(&store, held()).await;
    let process_begins = |seconds, tasks| PollCommit { has_published: false, ..poll(seconds, tasks) };
    assert_eq!(created(&commit(&second, process_begins(200, vec![failed("2", 190)])).await), 1);
    // A minute of the hold passes and is written.
    assert_eq!(created(&commit(&second, poll(261, vec![])).await), 1);

    let third = replica(&store, held()).await;
    assert_eq!(created(&commit(&third, process_begins(262, vec![])).await), 1);
    assert_eq!(created(&commit(&third, poll(319, vec![])).await), 1);
    assert_eq!(created(&commit(&third, poll(320, vec![])).await), 2, "two minutes after 200");
}

#[tokio::test]
async fn the_first_poll_of_a_process_moves_nothing() {
    let store = Store::in_memory().expect("the store must open");
    let first = synced(&store, held(), vec![]).await;
    commit(&first, poll(60, vec![failed("1", 50)])).await;
    let second = replica(&store, held()).await;
    let process_begins = PollCommit { has_published: false, ..poll(9_000, vec![]) };
    assert_eq!(created(&commit(&second, process_begins).await), 0, "though the hold is over");
    assert_eq!(created(&commit(&second, poll(9_060, vec![])).await), 1);
}

#[tokio::test]
async fn counters_of_a_poll_that_is_not_committed_stay_where_they_were() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![]).await;
    commit(&replica, poll(60, vec![failed("1", 50)])).await;
    let before = commit(&replica, poll(120, vec![])).await;
    store.set_fails_commits(true).await;
    let attempt = replica.commit_poll(poll(180, vec![failed("2", 170)])).await;
    let (snapshot, outcome) = attempt.expect("the numbers must be there");
    assert!(outcome.is_err());
    let published = snapshot.with_counters_of(Some(&before));
    assert_eq!((created(&published), numbers(&published, "failed")), (1, (2, 1)));
    store.set_fails_commits(false).await;
    let after = commit(&replica, poll(240, vec![failed("2", 170)])).await;
    assert_eq!((created(&after), numbers(&after, "failed")), (2, (2, 2)));
    assert_eq!(after.time, at(240).time);
}
