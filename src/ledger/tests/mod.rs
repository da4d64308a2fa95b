//! The ledger's rules, one scenario each. That they hold together is for the model test.

mod durations;
mod failures;
mod heals;
mod instants;

use super::*;
use crate::task::{Label, Status};

/// The baseline of every scenario, in seconds since the Unix epoch.
const BASELINE: i64 = 1_800_000_000;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A ledger, and the rows that its next polls read.
struct Scenario {
    ledger: Ledger,
}

fn rules() -> Rules {
    Rules {
        window: Duration::from_hours(24),
        overlap: Duration::from_mins(10),
        counter_hold: Duration::ZERO,
        max_categories: 20,
        max_kinds: 200,
    }
}

impl Scenario {
    /// An account whose first pass read these rows.
    fn new(baseline: &[Task]) -> Self {
        let mut ledger = Ledger::new(rules(), second(0), second(-168 * HOUR));
        ledger.take_baseline(baseline.to_vec(), second(0));
        let mut scenario = Self { ledger };
        // The first poll publishes every series at 0, so that the numbers of the next ones show.
        let follow: Vec<Task> = scenario.followed(baseline);
        scenario.poll(0, &follow);
        scenario
    }

    /// A poll at `at` that read these rows, as the text of all numbers that are not 0.
    fn poll(&mut self, at: i64, rows: &[Task]) -> String {
        let time = PollTime { first_answer: second(at), last_answer: second(at), latest: second(at) };
        let snapshot = self.ledger.commit(rows.to_vec(), time);
        numbers(&snapshot)
    }

    /// Those of the rows that the ledger follows.
    fn followed(&self, rows: &[Task]) -> Vec<Task> {
        let followed: HashSet<&TaskId> = self.ledger.followed().collect();
        rows.iter().filter(|row| followed.contains(&row.id)).cloned().collect()
    }
}

/// The text of all numbers that are not 0.
fn numbers(snapshot: &Snapshot) -> String {
    let mut numbers = Vec::new();
    for kind in &snapshot.kinds {
        numbers.push(("created".to_owned(), kind.created_total));
        for sample in &kind.statuses {
            numbers.push((sample.status.as_str().to_owned(), sample.tasks));
            numbers.push((format!("{} total", sample.status.as_str()), sample.ended_total.unwrap_or(0)));
        }
    }
    numbers.push(("vanished".to_owned(), snapshot.vanished_total));
    numbers.push(("missed".to_owned(), snapshot.missed_total));
    let shown = numbers.into_iter().filter(|(_, number)| *number > 0);
    shown.map(|(name, number)| format!("{name}={number}")).collect::<Vec<_>>().join(" ")
}

/// An instant, in seconds after the baseline.
fn second(at: i64) -> Timestamp {
    Timestamp::from_second(BASELINE + at).expect("the second must be in range")
}

/// A task that was created at `created`.
fn task(id: &str, status: &str, created: i64) -> Task {
    Task {
        id: TaskId::new(id).expect("the id must be valid"),
        category: Label::new("backup"),
        task_type: Label::new("ebs"),
        status: Status::from_word(status),
        created: Some(second(created)),
        started: None,
        ended: None,
        primary: None,
        parent: None,
    }
}

/// The same, ended at `ended`.
fn ended(id: &str, status: &str, created: i64, ended: i64) -> Task {
    Task { ended: Some(second(ended)), ..task(id, status, created) }
}

#[test]
fn what_ended_before_the_baseline_is_in_the_gauges_only() {
    let mut scenario = Scenario::new(&[ended("1", "failed", -HOUR, -MINUTE)]);
    assert_eq!(scenario.poll(MINUTE, &[]), "failed=1");
}

#[test]
fn a_large_slice_of_a_first_pass_is_as_good_as_small_ones_and_leaves_no_room_for_itself() {
    let slice = |from: i64, to: i64| -> Vec<Task> {
        // Several tasks a second, of which every tenth goes on.
        let rows = (4 * from..4 * to).map(|n| {
            let (id, created) = (n.to_string(), n.div_euclid(4));
            if n % 10 == 0 {
                task(&id, "queued", created)
            } else {
                ended(&id, "failed", created, created + 5)
            }
        });
        rows.collect()
    };
    let read = |length: i64| {
        let mut ledger = Ledger::new(rules(), second(0), second(-HOUR));
        for from in (-HOUR..0).step_by(usize::try_from(length).expect("it must fit")) {
            ledger.take_slice(slice(from, from + length), second(from + length), heals::time(0));
        }
        ledger
    };
    let (whole, parts) = (read(HOUR), read(30));
    assert_eq!(whole.saved(), parts.saved());
    // Open ones, and those of the overlap.
    assert!(whole.tasks.len() > 10 * 60 * 4 && whole.tasks.capacity() < 4 * whole.tasks.len());
}

#[test]
fn a_task_that_was_open_at_the_baseline_counts_as_ended_and_not_as_created() {
    let mut scenario = Scenario::new(&[task("1", "in_progress", -HOUR)]);
    assert_eq!(scenario.poll(MINUTE, &[ended("1", "failed", -HOUR, 30)]), "failed=1 failed total=1");
}

#[test]
fn a_new_task_counts_once_however_often_it_is_read() {
    let mut scenario = Scenario::new(&[ended("0", "completed", -HOUR, -MINUTE)]);
    assert_eq!(scenario.poll(MINUTE, &[task("1", "queued", 30)]), "created=1 completed=1 queued=1");
    let row = ended("1", "failed", 30, 90);
    for poll in 2..5 {
        let numbers = scenario.poll(poll * MINUTE, std::slice::from_ref(&row));
        assert_eq!(numbers, "created=1 completed=1 failed=1 failed total=1");
    }
}

#[test]
fn a_task_that_appears_late_counts_though_it_is_older_than_the_baseline() {
    let mut scenario = Scenario::new(&[ended("0", "completed", -HOUR, -MINUTE)]);
    let late = ended("1", "failed", -9 * MINUTE, -8 * MINUTE);
    assert_eq!(scenario.poll(MINUTE, &[late]), "created=1 completed=1 failed=1 failed total=1");
}

#[test]
fn a_task_leaves_the_gauges_after_the_window_and_stays_in_the_counters() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    scenario.poll(MINUTE, &[ended("1", "completed", -HOUR, MINUTE)]);
    assert_eq!(scenario.poll(24 * HOUR, &[]), "completed=1 completed total=1");
    assert_eq!(scenario.poll(24 * HOUR + 3 * MINUTE, &[]), "completed total=1");
}

#[test]
fn an_ended_task_does_not_open_again_whatever_a_stale_replica_answers() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    scenario.poll(MINUTE, &[ended("1", "failed", -HOUR, 30)]);
    for at in [2 * MINUTE, 3 * MINUTE, 10 * MINUTE] {
        assert_eq!(scenario.poll(at, &[task("1", "queued", -HOUR)]), "failed=1 failed total=1");
    }
}

#[test]
fn a_stale_replica_does_not_open_what_ended_just_before_the_first_pass() {
    let mut scenario = Scenario::new(&[ended("1", "completed", -HOUR, -MINUTE)]);
    for poll in 1..9 {
        assert_eq!(scenario.poll(poll * MINUTE, &[task("1", "in_progress", -HOUR)]), "completed=1");
    }
}

#[test]
fn an_old_open_task_is_taken_in_when_two_polls_in_a_row_show_it() {
    let mut scenario = Scenario::new(&[]);
    let old = [task("1", "in_progress", -90 * HOUR)];
    assert_eq!(scenario.poll(MINUTE, &old), "", "it may be a stale answer");
    assert_eq!(scenario.poll(2 * MINUTE, &[]), "");
    assert_eq!(scenario.poll(3 * MINUTE, &old), "", "the polls must be in a row");
    assert_eq!(scenario.poll(4 * MINUTE, &old), "in_progress=1");
    let end = [ended("1", "failed", -90 * HOUR, 5 * MINUTE)];
    assert_eq!(scenario.poll(5 * MINUTE, &end), "failed=1 failed total=1", "its series are new no more");
}

#[test]
fn an_old_ended_task_that_was_never_seen_is_not_taken_in() {
    let mut scenario = Scenario::new(&[]);
    for at in [MINUTE, 2 * MINUTE] {
        assert_eq!(scenario.poll(at, &[ended("1", "failed", -90 * HOUR, -HOUR)]), "");
    }
}

#[test]
fn a_task_that_the_api_stops_returning_vanishes_after_three_polls_and_an_hour() {
    // The other one, which left the window, moves the watermark past it.
    let mut scenario =
        Scenario::new(&[task("1", "queued", -30 * HOUR), ended("0", "completed", -25 * HOUR, -25 * HOUR)]);
    assert_eq!(scenario.poll(MINUTE, &[]), "queued=1");
    assert_eq!(scenario.poll(90 * MINUTE, &[]), "queued=1", "two polls are not three");
    assert_eq!(scenario.poll(91 * MINUTE, &[]), "vanished=1");
    assert_eq!(scenario.ledger.followed().count(), 1, "it may come back");
    assert_eq!(scenario.poll(26 * HOUR, &[]), "vanished=1");
    assert_eq!(scenario.ledger.followed().count(), 0, "after the window it may not");
}

#[test]
fn a_task_that_is_returned_in_between_does_not_vanish() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let there = [task("1", "queued", -HOUR)];
    for (at, rows) in [(1, &[][..]), (50, &[]), (55, &there), (100, &[]), (110, &[])] {
        assert_eq!(scenario.poll(at * MINUTE, rows), "queued=1");
    }
}

#[test]
fn a_vanished_task_that_comes_back_goes_on_where_it_was() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR), task("2", "queued", -HOUR)]);
    for at in [1, 2, 62] {
        scenario.poll(at * MINUTE, &[]);
    }
    let back = [task("1", "in_progress", -HOUR), ended("2", "failed", -HOUR, 10)];
    assert_eq!(scenario.poll(70 * MINUTE, &back), "failed=1 failed total=1 in_progress=1 vanished=2");
}

#[test]
fn an_unknown_status_without_an_end_is_open() {
    let mut scenario = Scenario::new(&[task("1", "paused", -HOUR)]);
    assert_eq!(scenario.poll(MINUTE, &[task("1", "paused", -HOUR)]), "paused=1");
    assert_eq!(scenario.ledger.followed().count(), 1);
}

#[test]
fn an_unknown_status_with_an_end_enters_the_counters_after_an_hour() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let skipped = [ended("1", "skipped", -HOUR, 30)];
    assert_eq!(scenario.poll(MINUTE, &skipped), "skipped=1");
    assert_eq!(scenario.poll(60 * MINUTE, &skipped), "skipped=1");
    assert_eq!(scenario.poll(61 * MINUTE, &skipped), "skipped=1", "its counter is new, so 0");
    assert_eq!(scenario.ledger.followed().count(), 0);
    assert_eq!(scenario.poll(62 * MINUTE, &[]), "skipped=1 skipped total=1");
}

#[test]
fn an_unknown_status_that_turns_out_to_be_a_known_one_counts_as_that() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    scenario.poll(MINUTE, &[ended("1", "finalising", -HOUR, 30)]);
    let numbers = scenario.poll(2 * MINUTE, &[ended("1", "failed", -HOUR, 90)]);
    assert_eq!(numbers, "failed=1 failed total=1");
}

#[test]
fn an_end_without_an_instant_is_when_it_was_first_seen() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    scenario.poll(HOUR, &[task("1", "failed", -HOUR)]);
    assert_eq!(scenario.poll(25 * HOUR, &[]), "failed=1 failed total=1");
    assert_eq!(scenario.poll(25 * HOUR + 3 * MINUTE, &[]), "failed total=1");
}

#[test]
fn in_the_baseline_an_end_without_an_instant_is_the_start_or_else_the_creation() {
    let started = Task { started: Some(second(-2 * HOUR)), ..task("1", "failed", -30 * HOUR) };
    let mut scenario = Scenario::new(&[started, task("2", "aborted", -30 * HOUR)]);
    assert_eq!(scenario.poll(MINUTE, &[]), "failed=1", "the other left the window hours ago");
}

#[test]
fn an_end_in_the_future_is_not_believed() {
    let mut scenario = Scenario::new(&[ended("1", "failed", -HOUR, 900 * HOUR)]);
    assert_eq!(scenario.poll(MINUTE, &[]), "failed=1", "it did not end after the baseline");
    assert_eq!(scenario.poll(25 * HOUR, &[]), "", "nor does it stay for ever");
}

#[test]
fn a_task_without_a_creation_counts_from_when_it_was_first_seen() {
    let mut scenario = Scenario::new(&[Task { created: None, ..task("1", "queued", 0) }]);
    assert_eq!(scenario.poll(MINUTE, &[Task { created: None, ..task("1", "queued", 0) }]), "queued=1");
    let both = [
        Task { created: None, ..task("1", "queued", 0) },
        Task { created: None, ..task("2", "in_progress", 0) },
    ];
    assert_eq!(scenario.poll(2 * MINUTE, &both), "created=1 in_progress=1 queued=1");
    assert_eq!(scenario.poll(3 * MINUTE, &both), "created=1 in_progress=1 queued=1");
}

#[test]
fn the_watermark_is_the_newest_creation_but_never_past_the_poll() {
    let mut scenario = Scenario::new(&[]);
    assert_eq!(scenario.ledger.listed_from(), second(-10 * MINUTE));
    scenario.poll(HOUR, &[task("1", "queued", 30 * MINUTE)]);
    assert_eq!(scenario.ledger.listed_from(), second(20 * MINUTE));
    scenario.poll(2 * HOUR, &[task("2", "queued", 900 * HOUR)]);
    assert_eq!(scenario.ledger.listed_from(), second(110 * MINUTE));
    scenario.poll(3 * HOUR, &[task("3", "queued", 115 * MINUTE)]);
    assert_eq!(scenario.ledger.listed_from(), second(110 * MINUTE), "nor back");
}

#[test]
fn memory_follows_what_is_open_and_recent_not_what_was_read() {
    let mut scenario = Scenario::new(&[]);
    for poll in 1..500_i64 {
        let rows: Vec<Task> = (0..20)
            .map(|n| ended(&format!("{poll}-{n}"), "completed", poll * MINUTE - n, poll * MINUTE))
            .collect();
        scenario.poll(poll * MINUTE, &rows);
    }
    assert!(scenario.ledger.tasks.len() <= 20 * 13, "{} ids", scenario.ledger.tasks.len());
}

#[test]
fn what_a_long_first_pass_reads_counts_once_and_is_not_remembered() {
    let mut ledger = Scenario::new(&[]).ledger;
    ledger.watermark = None;
    let slices = (0..100_i64).map(|slice| {
        (0..50)
            .map(|n| {
                let created = -100 * HOUR + slice * HOUR + n;
                ended(&format!("{slice}-{n}"), "failed", created, created + 9)
            })
            .collect::<Vec<Task>>()
    });
    for (minute, slice) in slices.enumerate() {
        ledger.take_baseline(slice, second(i64::try_from(minute).expect("it must fit") * MINUTE));
    }
    assert!(ledger.tasks.len() <= 100, "{} ids", ledger.tasks.len());
    let mut scenario = Scenario { ledger };
    scenario.poll(2 * HOUR, &[]);
    assert_eq!(scenario.poll(2 * HOUR, &[]), "failed=1100", "those of the last 24 hours at the poll");
}

#[test]
fn an_open_task_created_after_the_baseline_does_not_move_the_watermark_past_it() {
    let mut scenario = Scenario::new(&[]);
    scenario.ledger.watermark = None;
    scenario.ledger.take_baseline(vec![task("1", "queued", HOUR)], second(HOUR));
    assert_eq!(scenario.ledger.listed_from(), second(-10 * MINUTE));
}

#[test]
fn a_row_without_a_creation_counts_once_for_as_long_as_it_is_listed() {
    let mut scenario = Scenario::new(&[ended("0", "completed", -30 * HOUR, -29 * HOUR)]);
    let row = Task { created: None, ..ended("1", "failed", 0, 30) };
    for poll in 1..100 {
        let rows = [row.clone(), task(&poll.to_string(), "aborting", poll * MINUTE)];
        let numbers = scenario.poll(poll * MINUTE, &rows[..1]);
        assert_eq!(numbers, "created=1 failed=1 failed total=1", "poll {poll}");
    }
}

#[test]
fn a_kind_that_the_api_tells_late_is_taken_over() {
    let mut scenario = Scenario::new(&[Task {
        category: Label::unknown(),
        task_type: Label::unknown(),
        ..task("1", "queued", -HOUR)
    }]);
    assert_eq!(scenario.poll(MINUTE, &[task("1", "queued", -HOUR)]), "queued=1");
    let snapshot = scenario.ledger.snapshot().expect("a poll must have been committed");
    let kinds: Vec<_> =
        snapshot.kinds.iter().map(|kind| (kind.category.as_str(), kind.statuses[5].tasks)).collect();
    assert_eq!(kinds, [("backup", 1), ("unknown", 0)]);
}

#[test]
fn after_a_jump_of_the_clock_that_is_not_believed_yet_ends_are() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let time = PollTime { first_answer: second(60), last_answer: second(60), latest: second(9 * HOUR) };
    scenario.ledger.commit(vec![ended("1", "failed", -HOUR, 8 * HOUR)], time);
    assert_eq!(scenario.poll(31 * HOUR, &[]), "failed=1 failed total=1");
    assert_eq!(scenario.poll(32 * HOUR + 2 * MINUTE, &[]), "failed total=1");
}
