//! Heals: what a ledger takes over from one that has read everything anew.

mod pinned;

use super::*;

/// How long before the baseline the first pass of every scenario reads.
const WEEK: i64 = 168 * HOUR;

pub(super) fn time(at: i64) -> PollTime {
    PollTime { first_answer: second(at), last_answer: second(at), latest: second(at) }
}

impl Scenario {
    /// A poll at `at` that is committed to this ledger and to one whose pass began at `began` and read `history`; then a
    /// heal. Gives the numbers after it, or none if nothing was taken over.
    fn heal(
        &mut self,
        rules: &Rules,
        began: i64,
        history: &[Task],
        at: i64,
        rows: &[Task],
    ) -> Option<String> {
        let mut fresh = self.ledger.fresh(rules, second(began));
        fresh.take_slice(history.to_vec(), second(began), time(began));
        fresh.commit(rows.to_vec(), time(at));
        self.ledger.commit(rows.to_vec(), time(at));
        let is_healed = self.ledger.heal(&fresh);
        is_healed.then(|| numbers(&self.ledger.snapshot().expect("a poll must have been committed")))
    }

    /// The API counts so many tasks in the range that is audited.
    fn audit(&mut self, total: u64, at: i64) -> Option<i64> {
        let range = self.ledger.audit_due(Duration::ZERO, second(at)).expect("there must be a range");
        self.ledger.audited(range, total, second(at));
        self.ledger.drift()
    }
}

/// An account with tasks from a day before the baseline, which is audited.
fn audited() -> (Scenario, Vec<Task>) {
    let tasks: Vec<Task> =
        (0..10).map(|n| ended(&format!("{n}"), "completed", (n - 24) * HOUR, (n - 23) * HOUR)).collect();
    let mut ledger = Ledger::new(rules(), second(0), second(-WEEK));
    ledger.take_slice(tasks.clone(), second(0), time(0));
    let mut scenario = Scenario { ledger };
    scenario.poll(0, &[]);
    scenario.poll(HOUR, &[task("now", "queued", HOUR - 60)]);
    (scenario, tasks)
}

#[test]
fn an_audit_that_agrees_wants_no_heal() {
    let (mut scenario, _) = audited();
    assert_eq!(scenario.audit(10, HOUR), Some(0));
    assert!(!scenario.ledger.needs_heal());
}

#[test]
fn a_heal_is_wanted_when_the_api_has_more_twice() {
    let (mut scenario, _) = audited();
    assert_eq!(scenario.audit(11, HOUR), Some(-1));
    assert!(!scenario.ledger.needs_heal(), "it may have been a lagging replica");
    assert_eq!(scenario.audit(12, HOUR), Some(-2));
    assert!(!scenario.ledger.needs_heal(), "another number");
    assert_eq!(scenario.audit(12, HOUR), Some(-2));
    assert!(scenario.ledger.needs_heal());
}

/// What stays of an audit that counted `total` tasks when nothing can be audited for three hours, and for four.
fn drift_when_nothing_is_left(total: u64) -> [Option<i64>; 2] {
    let (mut scenario, _) = audited();
    scenario.audit(total, HOUR);
    [4, 5].map(|hour| {
        scenario.ledger.not_audited(Duration::from_hours(1), second(hour * HOUR));
        scenario.ledger.drift()
    })
}

#[test]
fn that_the_api_has_more_is_forgotten_when_nothing_is_left_to_audit() {
    assert_eq!(drift_when_nothing_is_left(11), [Some(-1), None]);
}

#[test]
fn that_the_api_has_fewer_stands_when_nothing_is_left_to_audit() {
    assert_eq!(drift_when_nothing_is_left(4), [Some(6), Some(6)]);
}

#[test]
fn when_the_api_has_fewer_nothing_is_read_anew() {
    let (mut scenario, _) = audited();
    for _ in 0..3 {
        assert_eq!(scenario.audit(4, HOUR), Some(6));
        assert!(!scenario.ledger.needs_heal());
    }
}

#[test]
fn a_heal_finds_what_was_missed_and_counts_it_as_missed_only() {
    let (mut scenario, mut tasks) = audited();
    scenario.audit(12, HOUR);
    scenario.audit(12, HOUR);
    tasks.push(ended("late", "failed", -3 * HOUR, -2 * HOUR));
    tasks.push(task("late and open", "in_progress", -3 * HOUR));
    let now = task("now", "queued", HOUR - 60);
    let rows = [now, task("late and open", "in_progress", -3 * HOUR)];
    let before = scenario.poll(HOUR, &rows[..1]);
    assert_eq!(before, "created=1 completed=10 queued=1");
    let after = scenario.heal(&rules(), HOUR, &tasks, HOUR + 60, &rows).expect("it must be healed");
    assert_eq!(after, "created=1 completed=9 failed=1 in_progress=1 queued=1 missed=2");
    assert!(!scenario.ledger.needs_heal());
    let rows = [rows[0].clone(), ended("late and open", "failed", -3 * HOUR, HOUR + 90)];
    let after = scenario.poll(HOUR + 120, &rows);
    assert_eq!(
        after, "created=1 completed=9 failed=2 failed total=1 queued=1 missed=2",
        "seen open, seen to end"
    );
}

#[test]
fn a_heal_keeps_an_open_task_that_is_not_listed() {
    let (mut scenario, tasks) = audited();
    let before = scenario.poll(HOUR + 60, &[]);
    assert!(before.contains("queued=1"), "missing, not yet gone: {before}");
    assert_eq!(scenario.heal(&rules(), HOUR, &tasks, HOUR + 120, &[]), Some(before));
}

#[test]
fn a_task_that_ended_and_is_deleted_while_a_heal_reads_does_not_come_back_as_open() {
    let (mut scenario, mut tasks) = audited();
    let shorter = Rules { window: Duration::from_mins(30), ..rules() };
    let long = task("long", "in_progress", -2 * HOUR);
    scenario.ledger.set_rules(shorter);
    for at in [HOUR + 1, HOUR + 2] {
        scenario.poll(at, std::slice::from_ref(&long));
    }
    tasks.push(long);
    let mut fresh = scenario.ledger.fresh(&rules(), second(HOUR + 3));
    fresh.take_slice(tasks, second(HOUR + 3), time(HOUR + 3));
    // It ends, and leaves the window and the overlap, before the heal gets on.
    scenario.poll(HOUR + 60, &[ended("long", "failed", -2 * HOUR, HOUR + 50)]);
    let later = task("later", "queued", 2 * HOUR + 30 * 60);
    scenario.poll(3 * HOUR, std::slice::from_ref(&later));
    let before = scenario.poll(3 * HOUR + 60, std::slice::from_ref(&later));
    fresh.commit(vec![later], time(3 * HOUR + 60));
    assert!(!scenario.ledger.heal(&fresh));
    assert_eq!(numbers(&scenario.ledger.snapshot().expect("it must have polled")), before);
    assert!(!before.contains("in_progress") && before.contains("failed total=1"), "{before}");
}

#[test]
fn a_heal_that_begins_while_the_clock_is_ahead_takes_in_what_is_created_meanwhile() {
    let mut scenario = Scenario::new(&[]);
    let longer = Rules { window: Duration::from_hours(48), ..rules() };
    scenario.ledger.set_rules(longer.clone());
    let rows = [ended("x", "completed", 70, 80)];
    scenario.poll(100, &rows);
    let before = scenario.poll(110, &rows);
    assert_eq!(before, "created=1 completed=1 completed total=1");
    // Its baseline is an hour after anything that the API can have shown.
    let mut fresh = scenario.ledger.fresh(&longer, second(HOUR));
    fresh.take_slice(Vec::new(), second(HOUR), time(HOUR));
    fresh.commit(rows.to_vec(), time(120));
    scenario.ledger.commit(rows.to_vec(), time(120));
    assert!(scenario.ledger.heal(&fresh));
    assert_eq!(numbers(&scenario.ledger.snapshot().expect("it must have polled")), before);
}

#[test]
fn a_heal_that_shows_fewer_tasks_replaces_nothing() {
    let (mut scenario, tasks) = audited();
    let before = scenario.poll(HOUR + 60, &[]);
    assert_eq!(scenario.heal(&rules(), HOUR, &tasks[2..], HOUR + 60, &[]), None);
    assert_eq!(scenario.poll(HOUR + 60, &[]), before);
}

#[test]
fn a_heal_waits_while_a_replica_shows_it_something_else() {
    let (mut scenario, mut tasks) = audited();
    let row = ended("now", "failed", HOUR - 60, HOUR + 30);
    scenario.poll(HOUR + 60, std::slice::from_ref(&row));
    tasks.push(task("now", "in_progress", HOUR - 60));
    assert_eq!(scenario.heal(&rules(), HOUR, &tasks, HOUR + 120, &[]), None, "the fresh one has it open");
    let rows = std::slice::from_ref(&row);
    assert!(scenario.heal(&rules(), HOUR, &tasks, HOUR + 180, rows).is_some(), "now both have seen it end");
}

#[test]
fn a_longer_window_is_filled_by_a_heal() {
    let (mut scenario, tasks) = audited();
    let before = scenario.poll(12 * HOUR, &[]);
    assert_eq!(before, "created=1 queued=1");
    let longer = Rules { window: Duration::from_hours(72), ..rules() };
    scenario.ledger.set_rules(longer.clone());
    assert_eq!(scenario.poll(12 * HOUR + 1, &[]), before, "the old window counts until then");
    assert!(scenario.ledger.needs_heal());
    let after = scenario.heal(&longer, 12 * HOUR, &tasks, 12 * HOUR + 2, &[]).expect("it must be healed");
    assert!(after.contains("completed=10"), "{after}");
    assert_eq!(scenario.ledger.window(), longer.window);
    assert!(!scenario.ledger.needs_heal());
}

#[test]
fn a_shorter_window_acts_at_once() {
    let (mut scenario, _) = audited();
    scenario.ledger.set_rules(Rules { window: Duration::from_hours(20), ..rules() });
    let after = scenario.poll(2 * HOUR, &[]);
    assert!(after.contains("completed=5"), "{after}");
    assert!(!scenario.ledger.needs_heal());
}

#[test]
fn a_new_task_that_the_heal_sees_first_is_counted_by_the_next_poll() {
    let (mut scenario, mut tasks) = audited();
    let (now, new) = (task("now", "queued", HOUR - 60), ended("new", "failed", HOUR + 5, HOUR + 20));
    tasks.extend([now.clone(), new.clone()]);
    let stale = std::slice::from_ref(&now);
    assert_eq!(
        scenario.heal(&rules(), HOUR + 30, &tasks, HOUR + 40, stale),
        None,
        "the poll has not seen it"
    );
    let rows = [now, new];
    scenario.heal(&rules(), HOUR + 30, &tasks, HOUR + 60, &rows).expect("it must be healed");
    let after = scenario.poll(HOUR + 120, &rows);
    assert!(after.contains("created=2") && after.contains("failed total=1"), "{after}");
}

#[test]
fn a_task_that_is_found_does_not_hide_that_another_one_is_not() {
    let (mut scenario, mut tasks) = audited();
    tasks.retain(|task| task.id.as_str() != "5");
    tasks.push(ended("late", "completed", -3 * HOUR, -2 * HOUR));
    assert_eq!(scenario.heal(&rules(), HOUR, &tasks, HOUR + 60, &[]), None);
}

#[test]
fn a_task_that_is_gone_before_a_heal_and_given_up_after_it_makes_no_drift() {
    let (mut scenario, tasks) = audited();
    scenario.heal(&rules(), HOUR, &tasks, HOUR + 60, &[]).expect("it must be healed");
    for at in [HOUR + 120, HOUR + 180, 2 * HOUR + 200, 2 * HOUR + 260] {
        scenario.poll(at, &[]);
    }
    scenario.poll(3 * HOUR, &[task("new", "queued", 3 * HOUR - 60)]);
    let range = scenario.ledger.audit_due(Duration::ZERO, second(3 * HOUR)).expect("there must be a range");
    assert_eq!(range.tasks, 10);
}

#[test]
fn only_what_a_heal_finds_was_missed() {
    let (mut scenario, tasks) = audited();
    for _ in 0..2 {
        scenario.audit(15, HOUR);
    }
    let rows = [task("now", "queued", HOUR - 60)];
    let after = scenario.heal(&rules(), HOUR, &tasks, HOUR + 60, &rows).expect("it must be healed");
    assert!(!after.contains("missed"), "the API's count is wrong, and nothing was missing: {after}");
}

#[test]
fn a_drift_that_cannot_be_looked_at_again_is_not_published() {
    let (mut scenario, _) = audited();
    scenario.audit(11, HOUR);
    scenario.ledger.audit_after(second(HOUR));
    assert_eq!(scenario.ledger.drift(), None);
}

/// When the newest task ended that has this status, in seconds after the baseline.
fn last_end(ledger: &Ledger, status: &str) -> Option<i64> {
    let snapshot = ledger.snapshot().expect("a poll must have been committed");
    let mut samples = snapshot.kinds.iter().flat_map(|kind| &kind.statuses);
    let sample = samples.find(|sample| sample.status.as_str() == status).expect("it must be there");
    sample.last_ended.map(|ended| ended.as_second() - BASELINE)
}

#[test]
fn a_last_end_that_was_missed_is_taken_over_and_in_no_histogram() {
    let (mut scenario, mut tasks) = audited();
    let late = Task { started: Some(second(-3 * HOUR)), ..ended("late", "failed", -3 * HOUR, -2 * HOUR) };
    tasks.push(late);
    assert_eq!(last_end(&scenario.ledger, "failed"), None);
    let completed = last_end(&scenario.ledger, "completed");
    scenario.heal(&rules(), HOUR, &tasks, HOUR + 60, &[]).expect("it must be healed");
    assert_eq!(last_end(&scenario.ledger, "failed"), Some(-2 * HOUR));
    assert_eq!(last_end(&scenario.ledger, "completed"), completed);
    let snapshot = scenario.ledger.snapshot().expect("a poll must have been committed");
    assert!(snapshot.kinds[0].queue_durations.is_none());
}

#[test]
fn a_heal_does_not_take_a_task_without_a_credible_end_as_of_now() {
    let (mut scenario, mut tasks) = audited();
    let rows = [task("x", "failed", HOUR), ended("y", "aborted", HOUR, 900 * HOUR)];
    scenario.poll(HOUR + 60, &rows);
    tasks.push(ended("y", "aborted", HOUR, 900 * HOUR));
    let after = scenario.heal(&rules(), HOUR + 60, &tasks, HOUR + 300, &rows);
    assert!(after.is_some(), "it must be healed");
    for status in ["failed", "aborted"] {
        assert_eq!(last_end(&scenario.ledger, status), Some(HOUR + 60), "{status}");
    }
}

#[test]
fn a_heal_keeps_histograms_and_last_ends_that_it_does_not_find() {
    let (mut scenario, tasks) = audited();
    let row = Task { started: Some(second(HOUR)), ..ended("now", "failed", HOUR - 60, HOUR + 30) };
    scenario.poll(HOUR + 60, std::slice::from_ref(&row));
    scenario.poll(HOUR + 120, &[]);
    let queue = |ledger: &Ledger| ledger.snapshot().map(|snapshot| snapshot.kinds[0].queue_durations.clone());
    let before = (last_end(&scenario.ledger, "failed"), queue(&scenario.ledger));
    assert_eq!(before.0, Some(HOUR + 30));
    scenario.heal(&rules(), HOUR, &tasks, 30 * HOUR, &[]).expect("it must be healed");
    assert_eq!((last_end(&scenario.ledger, "failed"), queue(&scenario.ledger)), before);
}
