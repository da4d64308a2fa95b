//! What a heal does with ended tasks that it does not find where they are counted.

use super::*;

#[test]
fn a_heal_keeps_what_a_first_pass_cannot_find() {
    let seeding = task("seeding", "in_progress", -WEEK - 48 * HOUR);
    let (mut scenario, tasks) = audited();
    scenario.poll(HOUR, std::slice::from_ref(&seeding));
    scenario.poll(HOUR + 1, std::slice::from_ref(&seeding));
    scenario.poll(HOUR + 2, &[ended("seeding", "failed", -WEEK - 48 * HOUR, HOUR + 1)]);
    let before = scenario.poll(3 * HOUR, &[]);
    assert!(before.contains("failed=1 failed total=1"), "{before}");
    let after = scenario.heal(&rules(), 2 * HOUR, &tasks, 3 * HOUR, &[]).expect("it must be healed");
    assert_eq!(after, before);
    let later = scenario.poll(27 * HOUR, &[]);
    assert!(
        later.contains("failed total=1") && !later.contains("failed=1"),
        "it leaves with the window: {later}"
    );
}

#[test]
fn an_end_that_the_api_fills_in_later_counts_once() {
    let (mut scenario, mut tasks) = audited();
    let before = scenario.poll(HOUR + 60, &[task("x", "failed", HOUR)]);
    assert!(before.contains("failed=1"), "{before}");
    tasks.push(ended("x", "failed", HOUR, HOUR + 30));
    let after = scenario.heal(&rules(), 2 * HOUR, &tasks, 2 * HOUR + 60, &[]).expect("it must be healed");
    assert!(after.contains("failed=1 "), "{after}");
}

#[test]
fn an_end_that_nobody_else_knows_is_kept_where_it_was_seen() {
    let (mut scenario, mut tasks) = audited();
    let row = task("x", "failed", -30 * HOUR);
    scenario.poll(HOUR + 10, &[task("x", "in_progress", -30 * HOUR)]);
    scenario.poll(HOUR + 20, &[task("x", "in_progress", -30 * HOUR)]);
    let before = scenario.poll(HOUR + 60, std::slice::from_ref(&row));
    assert!(before.contains("failed=1 "), "{before}");
    tasks.push(row);
    let after = scenario.heal(&rules(), 2 * HOUR, &tasks, 2 * HOUR + 60, &[]).expect("it must be healed");
    assert!(after.contains("failed=1 "), "a first pass would have put it out of the window: {after}");
}

/// A task that runs for six days, and the audited account that has seen it open.
fn with_long_task() -> (Scenario, Vec<Task>, Task) {
    let (mut scenario, mut tasks) = audited();
    let long = task("long", "in_progress", -145 * HOUR);
    for at in [HOUR, HOUR + 1] {
        scenario.poll(at, std::slice::from_ref(&long));
    }
    // What was created since lets a fresh ledger forget older ids.
    tasks.push(task("now", "queued", HOUR - 60));
    (scenario, tasks, long)
}

#[test]
fn a_task_that_is_hidden_until_the_heal_has_read_everything_is_not_lost() {
    let (mut scenario, tasks, long) = with_long_task();
    let now = task("now", "queued", HOUR - 60);
    let rows = [now, ended("long", "failed", -145 * HOUR, HOUR + 90)];
    let before = scenario.poll(HOUR + 60, &[rows[0].clone(), long]);
    assert!(before.contains("in_progress=1"), "{before}");
    let after = scenario.heal(&rules(), HOUR + 60, &tasks, HOUR + 120, &rows).expect("it must be healed");
    assert!(after.contains("failed=1 failed total=1"), "{after}");
    let later = scenario.heal(&rules(), HOUR + 120, &tasks, HOUR + 180, &rows[..1]);
    assert_eq!(later, Some(after), "the API has forgotten it, and the window has not");
}

#[test]
fn a_task_that_comes_back_before_the_heal_reads_it_counts_once() {
    let (mut scenario, mut tasks, long) = with_long_task();
    let now = task("now", "queued", HOUR - 60);
    scenario.poll(HOUR + 60, &[now.clone(), long]);
    let row = ended("long", "failed", -145 * HOUR, HOUR + 90);
    tasks.push(row.clone());
    let after = scenario.heal(&rules(), 3 * HOUR, &tasks, 3 * HOUR + 60, &[now, row]);
    let after = after.expect("it must be healed");
    assert!(after.contains("failed=1 failed total=1"), "{after}");
}

#[test]
fn a_heal_waits_while_a_replica_shows_it_as_open_what_ended_long_ago() {
    let (mut scenario, mut tasks, long) = with_long_task();
    let rows = [task("now", "queued", HOUR - 60), ended("long", "failed", -145 * HOUR, HOUR + 30)];
    scenario.poll(HOUR + 60, &rows);
    scenario.poll(2 * HOUR, &rows[..1]);
    tasks.push(long.clone());
    let stale = [rows[0].clone(), long];
    assert_eq!(scenario.heal(&rules(), 2 * HOUR, &tasks, 2 * HOUR + 60, &stale), None);
    let after = scenario.heal(&rules(), 2 * HOUR, &tasks, 2 * HOUR + 120, &rows);
    let after = after.expect("it must be healed");
    assert!(after.contains("failed=1 failed total=1") && !after.contains("in_progress"), "{after}");
}

#[test]
fn an_end_that_the_api_filled_in_hours_ago_counts_once() {
    let (mut scenario, mut tasks) = audited();
    let now = task("now", "queued", 3 * HOUR - 60);
    scenario.poll(HOUR + 60, &[task("x", "failed", HOUR)]);
    let before = scenario.poll(3 * HOUR, std::slice::from_ref(&now));
    assert!(before.contains("failed=1"), "{before}");
    tasks.extend([ended("x", "failed", HOUR, HOUR + 30), now.clone()]);
    for began in [3 * HOUR, 5 * HOUR] {
        let rows = std::slice::from_ref(&now);
        let after = scenario.heal(&rules(), began, &tasks, began + 60, rows).expect("it must be healed");
        assert!(after.contains("failed=1 "), "{after}");
    }
    tasks.retain(|task| task.id.as_str() != "x");
    let after = scenario.heal(&rules(), 7 * HOUR, &tasks, 7 * HOUR + 60, &[now]);
    assert_eq!(after, None, "it is where the API said, and no longer shown there");
}

#[test]
fn a_heal_that_may_have_read_what_it_cannot_remember_replaces_nothing() {
    let (mut scenario, mut tasks) = audited();
    let mut fresh = scenario.ledger.fresh(&rules(), second(HOUR));
    // It is late, and nobody knew it when the heal began.
    let late = task("late", "failed", -30 * HOUR);
    for row in ["in_progress", "in_progress", "failed"] {
        scenario.poll(HOUR + 60, &[task("late", row, -30 * HOUR)]);
    }
    assert!(late.ended.is_none());
    tasks.extend([ended("late", "failed", -30 * HOUR, -HOUR), task("now", "queued", HOUR - 60)]);
    fresh.take_slice(tasks, second(HOUR), time(HOUR));
    let rows = [task("now", "queued", HOUR - 60)];
    fresh.commit(rows.to_vec(), time(2 * HOUR));
    scenario.ledger.commit(rows.to_vec(), time(2 * HOUR));
    assert!(!scenario.ledger.heal(&fresh));
}

#[test]
fn a_task_with_an_end_in_the_far_future_does_not_come_back_with_a_heal() {
    let (mut scenario, mut tasks) = audited();
    let row = ended("x", "failed", HOUR, 900 * HOUR);
    let before = scenario.poll(HOUR + 60, std::slice::from_ref(&row));
    assert!(before.contains("failed=1 "), "{before}");
    let rows = [task("now", "queued", HOUR - 60), task("new", "queued", 30 * HOUR - 60)];
    tasks.push(row);
    tasks.extend(rows.clone());
    let before = scenario.poll(30 * HOUR, &rows);
    assert!(!before.contains("failed=1"), "{before}");
    assert_eq!(scenario.heal(&rules(), 30 * HOUR, &tasks, 30 * HOUR + 60, &rows), Some(before));
}
