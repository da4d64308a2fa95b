//! Readings of tasks in any order and multiplicity: once the last reading of each task is stored, the replica is the same.

use proptest::prelude::*;

use super::{commit, created, numbers, poll, rules, second, synced, task};
use crate::store::{Snapshot, Store};
use crate::task::{Status, Task};

/// Statuses in which the tasks end; the last two never do.
const OUTCOMES: [Option<&str>; 8] = [
    Some("completed"),
    Some("failed"),
    Some("aborted"),
    Some("failed"),
    Some("failed"),
    Some("completed"),
    None,
    None,
];

/// How a task looks at some time of its life.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Queued,
    Running,
    Last,
}

/// A reading of the task with this number. It was created `number` seconds after the baseline.
fn reading(number: usize, stage: Stage) -> Task {
    let created = i64::try_from(number).expect("the number must be small") + 1;
    let (status, ended) = match (stage, OUTCOMES[number]) {
        (Stage::Queued, _) => ("queued", None),
        (Stage::Running, _) | (Stage::Last, None) => ("in_progress", None),
        (Stage::Last, Some(outcome)) => (outcome, Some(created + 30)),
    };
    let started = Some(second(created)).filter(|_| !matches!(stage, Stage::Queued));
    Task { started, status: Status::from_word(status), ..task(&number.to_string(), status, created, ended) }
}

fn readings() -> impl Strategy<Value = Vec<Task>> {
    let stage = prop_oneof![Just(Stage::Queued), Just(Stage::Running), Just(Stage::Last)];
    let any = proptest::collection::vec((0..OUTCOMES.len(), stage), 0..40);
    let last = Just((0..OUTCOMES.len()).collect::<Vec<_>>()).prop_shuffle();
    (any, last).prop_map(|(any, last)| {
        let any = any.into_iter().map(|(number, stage)| reading(number, stage));
        any.chain(last.into_iter().map(|number| reading(number, Stage::Last))).collect()
    })
}

/// What is published after polls that read so many rows each.
async fn published(readings: Vec<Task>, rows: usize) -> Snapshot {
    let store = Store::in_memory().expect("there must be memory");
    let replica = synced(&store, rules(), Vec::new()).await;
    for (seconds, part) in (100..).zip(readings.chunks(rows)) {
        commit(&replica, poll(seconds, part.to_vec())).await;
    }
    // New series are held for a poll.
    commit(&replica, poll(200, Vec::new())).await;
    commit(&replica, poll(300, Vec::new())).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readings_in_any_order_and_multiplicity_yield_the_same_numbers(readings in readings(), rows in 1..20_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let snapshot = runtime.expect("the runtime must start").block_on(published(readings, rows));
        let ended = ["completed", "failed", "aborted"].map(|status| numbers(&snapshot, status));
        prop_assert_eq!(ended, [(2, 2), (3, 3), (1, 1)]);
        prop_assert_eq!(numbers(&snapshot, "in_progress"), (2, 0));
        prop_assert_eq!((created(&snapshot), snapshot.rows), (8, 8));
        let runs = snapshot.kinds[0].statuses.iter().filter_map(|sample| sample.run_durations.as_ref());
        prop_assert_eq!(runs.map(|runs| runs.count()).sum::<u64>(), 6);
    }
}
