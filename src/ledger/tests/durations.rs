//! Durations: which tasks are in the histograms, with how long, and when that shows.

use super::*;

/// A task that started and ended.
fn ran(id: &str, status: &str, [created, started, end]: [i64; 3]) -> Task {
    Task { started: Some(second(started)), ..ended(id, status, created, end) }
}

/// The histograms that are published: how many durations, and their sum in seconds.
fn histograms(ledger: &Ledger) -> String {
    let snapshot = ledger.snapshot().expect("a poll must have been committed");
    let shown = |name: &str, durations: &Observations| {
        format!("{name}={} in {}s", durations.count(), durations.sum().as_secs())
    };
    let mut all = Vec::new();
    for kind in &snapshot.kinds {
        all.extend(kind.queue_durations.iter().map(|durations| shown("queue", durations)));
        for sample in &kind.statuses {
            all.extend(sample.run_durations.iter().map(|durations| shown(sample.status.as_str(), durations)));
        }
    }
    all.join(" ")
}

impl Scenario {
    /// A poll at `at`, and the histograms after it.
    fn observed(&mut self, at: i64, rows: &[Task]) -> String {
        self.poll(at, rows);
        histograms(&self.ledger)
    }

    /// The ledger of the next process, with another hold.
    fn restarted(&self, counter_hold: Duration) -> Self {
        let rules = Rules { counter_hold, ..rules() };
        let ledger = Ledger::restored(self.ledger.saved(), rules).expect("it must be restored");
        Self { ledger }
    }
}

#[test]
fn a_histogram_begins_at_zero_and_has_what_the_counter_counts() {
    let mut scenario = Scenario::new(&[task("1", "in_progress", -HOUR)]);
    assert_eq!(histograms(&scenario.ledger), "");
    let rows = [ran("1", "failed", [-HOUR, -HOUR + 10, 30]), ran("2", "completed", [5, 10, 40])];
    let begun = "queue=0 in 0s completed=0 in 0s failed=0 in 0s";
    assert_eq!(scenario.observed(MINUTE, &rows), begun);
    let moved = "queue=2 in 15s completed=1 in 30s failed=1 in 3620s";
    assert_eq!(scenario.observed(2 * MINUTE, &rows), moved);
}

#[test]
fn what_the_counter_does_not_count_is_in_no_histogram() {
    let mut scenario = Scenario::new(&[ran("1", "failed", [-HOUR, -HOUR, -MINUTE])]);
    scenario.poll(MINUTE, &[]);
    assert_eq!(scenario.observed(2 * MINUTE, &[]), "");
}

#[test]
fn a_task_that_was_aborted_in_the_queue_has_no_duration() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let counted = scenario.poll(MINUTE, &[ended("1", "aborted", -HOUR, 30)]);
    assert_eq!(counted, "aborted=1 aborted total=1");
    assert_eq!(scenario.observed(2 * MINUTE, &[]), "");
}

#[test]
fn without_an_end_a_task_ran_until_it_was_seen_ended() {
    let mut scenario = Scenario::new(&[task("1", "in_progress", -HOUR)]);
    let row = Task { started: Some(second(-HOUR + 60)), ..task("1", "failed", -HOUR) };
    scenario.poll(MINUTE, &[row]);
    assert_eq!(scenario.observed(2 * MINUTE, &[]), "queue=1 in 60s failed=1 in 3600s");
}

#[test]
fn a_start_that_makes_no_sense_makes_no_negative_duration() {
    let mut scenario = Scenario::new(&[]);
    let rows = [ran("1", "failed", [20, 10, 30]), ran("2", "failed", [20, 900 * HOUR, 30])];
    scenario.poll(MINUTE, &rows);
    assert_eq!(scenario.observed(2 * MINUTE, &[]), "queue=2 in 10s failed=2 in 20s");
}

#[test]
fn an_unknown_status_brings_its_durations_when_it_is_final() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let skipped = [ran("1", "skipped", [-HOUR, -HOUR + 10, 30])];
    scenario.poll(MINUTE, &skipped);
    assert_eq!(scenario.observed(60 * MINUTE, &skipped), "");
    // It may not be shown again before it is final: a restart must not lose what it is made of.
    let mut scenario = scenario.restarted(Duration::ZERO);
    scenario.poll(61 * MINUTE, &[]);
    assert_eq!(scenario.observed(62 * MINUTE, &[]), "queue=1 in 10s skipped=1 in 3620s");
}

#[test]
fn a_vanished_task_that_comes_back_ended_has_its_durations() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    for at in [1, 2, 62] {
        scenario.poll(at * MINUTE, &[]);
    }
    scenario.poll(70 * MINUTE, &[ran("1", "failed", [-HOUR, -HOUR + 10, 10])]);
    assert_eq!(scenario.observed(71 * MINUTE, &[]), "queue=1 in 10s failed=1 in 3600s");
}

#[test]
fn a_restored_histogram_stands_where_it_was_for_the_hold() {
    let mut scenario = Scenario::new(&[]);
    scenario.poll(MINUTE, &[ran("1", "failed", [0, 10, 30])]);
    let before = "queue=1 in 10s failed=1 in 20s";
    assert_eq!(scenario.observed(2 * MINUTE, &[]), before);
    let mut scenario = scenario.restarted(Duration::from_mins(2));
    let row = [ran("2", "failed", [60, 65, 100])];
    assert_eq!(scenario.observed(3 * MINUTE, &row), before);
    assert_eq!(scenario.observed(4 * MINUTE, &[]), before);
    assert_eq!(scenario.observed(5 * MINUTE, &[]), "queue=2 in 15s failed=2 in 55s");
}

#[test]
fn a_histogram_whose_hold_goes_on_after_a_restart_does_not_overtake_its_counter() {
    let mut scenario = Scenario::new(&[]).restarted(Duration::from_mins(10));
    // The counters are of the first of these tasks, and free to move when the histograms begin.
    scenario.poll(0, &[ended("0", "failed", -MINUTE, -30)]);
    scenario.poll(10 * MINUTE, &[]);
    let begun = "queue=0 in 0s failed=0 in 0s";
    let row = [ran("1", "failed", [10 * MINUTE, 10 * MINUTE + 5, 10 * MINUTE + 15])];
    assert_eq!(scenario.observed(11 * MINUTE, &row), begun);
    assert_eq!(scenario.observed(20 * MINUTE, &[]), begun);
    let mut scenario = scenario.restarted(Duration::from_mins(10));
    scenario.poll(21 * MINUTE, &[]);
    assert_eq!(scenario.observed(22 * MINUTE, &[]), begun, "its own hold is over");
    assert_eq!(scenario.observed(31 * MINUTE, &[]), "queue=1 in 5s failed=1 in 10s");
}

#[test]
fn where_the_state_cannot_be_written_histograms_stay_and_instants_go_on() {
    let mut scenario = Scenario::new(&[]);
    scenario.poll(MINUTE, &[ran("1", "failed", [0, 10, 30])]);
    scenario.poll(2 * MINUTE, &[]);
    let kept = scenario.ledger.snapshot().expect("a poll must have been committed");
    scenario.poll(3 * MINUTE, &[ran("2", "failed", [60, 65, 100]), ran("3", "aborted", [60, 65, 100])]);
    let later = scenario.ledger.snapshot().expect("a poll must have been committed");
    let stopped = later.clone().with_counters_of(Some(&kept));
    let of = |snapshot: &Snapshot, status: &str| {
        let sample = snapshot.kinds[0].statuses.iter().find(|sample| sample.status.as_str() == status);
        let sample = sample.expect("the status must be there");
        (sample.last_ended, sample.run_durations.as_ref().map(|durations| durations.count()))
    };
    assert_eq!(of(&later, "failed"), (Some(second(100)), Some(2)));
    assert_eq!(of(&stopped, "failed"), (Some(second(100)), Some(1)));
    assert_eq!(of(&stopped, "aborted"), (Some(second(100)), Some(0)), "it begins at 0 as it would");
    assert_eq!(stopped.kinds[0].queue_durations, kept.kinds[0].queue_durations);
}
