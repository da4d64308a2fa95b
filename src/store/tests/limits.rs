//! Kinds and statuses beyond the limits.

use super::super::{Rules, Snapshot, Store};
use super::{commit, poll, replica, rules, synced, task};
use crate::task::{Label, Task};

fn of_kind(id: usize, category: &str, task_type: &str) -> Task {
    let task = task(&id.to_string(), "queued", 10, None);
    Task { category: Label::new(category), task_type: Label::new(task_type), ..task }
}

fn kinds(snapshot: &Snapshot) -> Vec<(&str, &str, u64)> {
    let open = |kind: &super::super::KindSample| kind.statuses.iter().map(|sample| sample.open).sum();
    snapshot.kinds.iter().map(|kind| (kind.category.as_str(), kind.task_type.as_str(), open(kind))).collect()
}

#[tokio::test]
async fn beyond_the_limits_types_and_then_categories_become_other_and_stay_so() {
    let store = Store::in_memory().expect("the store must open");
    let limited = Rules { max_categories: 2, max_kinds: 2, ..rules() };
    let before = synced(&store, limited, vec![]).await;
    let tasks = vec![
        of_kind(1, "backup", "a"),
        of_kind(2, "backup", "b"),
        of_kind(3, "backup", "c"),
        of_kind(4, "restore", "a"),
        of_kind(5, "system", "a"),
    ];
    let expected = [
        ("backup", "a", 1),
        ("backup", "b", 1),
        ("backup", "other", 1),
        ("other", "other", 1),
        ("restore", "other", 1),
    ];
    assert_eq!(kinds(&commit(&before, poll(60, tasks.clone())).await), expected);
    let after = replica(&store, rules()).await;
    let more = vec![of_kind(6, "backup", "c")];
    let kinds_after = commit(&after, poll(120, [tasks, more].concat())).await;
    assert_eq!(
        kinds(&kinds_after)[2],
        ("backup", "c", 2),
        "there is room now, and the row moves with its task"
    );
}

#[tokio::test]
async fn only_so_many_unknown_statuses_have_series() {
    let store = Store::in_memory().expect("the store must open");
    let replica = synced(&store, rules(), vec![]).await;
    let words = (0..30).map(|n| task(&n.to_string(), &format!("unknown-{n}"), 10, Some(20)));
    let snapshot = commit(&replica, poll(60, words.collect())).await;
    let statuses = &snapshot.kinds[0].statuses;
    assert_eq!(statuses.len(), 6 + 20 + 1);
    let other = statuses.iter().find(|sample| sample.status.as_str() == "other");
    assert_eq!(other.map(|sample| sample.tasks), Some(10));
}
