//! Instants: when the oldest open task was created, and when the newest ended one ended.

use super::*;

/// The instants that are published, in seconds after the baseline.
fn instants(ledger: &Ledger) -> String {
    let snapshot = ledger.snapshot().expect("a poll must have been committed");
    let mut all = Vec::new();
    for sample in snapshot.kinds.iter().flat_map(|kind| &kind.statuses) {
        for (name, instant) in [("since", sample.oldest_open), ("last", sample.last_ended)] {
            let shown = |instant: Timestamp| {
                format!("{} {name} {}", sample.status.as_str(), instant.as_second() - BASELINE)
            };
            all.extend(instant.map(shown));
        }
    }
    all.join(", ")
}

impl Scenario {
    /// A poll at `at`, and the instants after it.
    fn seen(&mut self, at: i64, rows: &[Task]) -> String {
        self.poll(at, rows);
        instants(&self.ledger)
    }
}

#[test]
fn the_oldest_open_task_of_each_status_is_told_and_none_when_there_is_none() {
    let rows = [task("1", "queued", -HOUR), task("2", "queued", -30), task("3", "paused", -MINUTE)];
    let mut scenario = Scenario::new(&rows);
    assert_eq!(instants(&scenario.ledger), "paused since -60, queued since -3600");
    let rows = [task("1", "in_progress", -HOUR), rows[1].clone(), rows[2].clone()];
    let moved = scenario.seen(MINUTE, &rows);
    assert_eq!(moved, "in_progress since -3600, paused since -60, queued since -30");
    let rows = ["1", "2", "3"].map(|id| ended(id, "completed", -HOUR, 90));
    assert_eq!(scenario.seen(2 * MINUTE, &rows), "completed last 90");
}

#[test]
fn an_open_task_is_the_oldest_for_as_long_as_it_is_counted() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    for at in [1, 2] {
        assert_eq!(scenario.seen(at * MINUTE, &[]), "queued since -3600");
    }
    assert_eq!(scenario.seen(62 * MINUTE, &[]), "", "it vanished");
    assert_eq!(scenario.seen(63 * MINUTE, &[task("1", "queued", -HOUR)]), "queued since -3600");
}

#[test]
fn the_last_end_is_of_all_that_was_ever_read() {
    let rows = [ended("1", "failed", -100 * HOUR, -99 * HOUR), ended("2", "completed", -HOUR, -60)];
    let mut scenario = Scenario::new(&rows);
    assert_eq!(instants(&scenario.ledger), "completed last -60, failed last -356400");
    assert_eq!(scenario.seen(30 * HOUR, &[]), "completed last -60, failed last -356400");
}

#[test]
fn the_last_end_never_goes_back() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR), task("2", "queued", -HOUR)]);
    assert_eq!(
        scenario.seen(MINUTE, &[ended("1", "failed", -HOUR, 50), task("2", "queued", -HOUR)]),
        "failed last 50, queued since -3600"
    );
    assert_eq!(scenario.seen(2 * MINUTE, &[ended("2", "failed", -HOUR, 20)]), "failed last 50");
    let saved = scenario.ledger.saved();
    let restored = Ledger::restored(saved, rules()).expect("it must be restored");
    assert_eq!(instants(&restored), "failed last 50");
}

#[test]
fn an_end_that_is_not_told_or_not_believed_is_when_it_was_seen() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR), task("2", "queued", -HOUR)]);
    let rows = [task("1", "failed", -HOUR), ended("2", "aborted", -HOUR, 900 * HOUR)];
    assert_eq!(scenario.seen(MINUTE, &rows), "aborted last 60, failed last 60");
}

#[test]
fn an_unknown_status_has_a_last_end_when_it_is_final() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    let skipped = [ended("1", "skipped", -HOUR, 30)];
    assert_eq!(scenario.seen(MINUTE, &skipped), "");
    assert_eq!(scenario.seen(60 * MINUTE, &skipped), "");
    assert_eq!(scenario.seen(61 * MINUTE, &skipped), "skipped last 30");
}

#[test]
fn a_vanished_task_that_comes_back_ended_has_its_own_end() {
    let mut scenario = Scenario::new(&[task("1", "queued", -HOUR)]);
    for at in [1, 2, 62] {
        scenario.poll(at * MINUTE, &[]);
    }
    assert_eq!(scenario.seen(70 * MINUTE, &[ended("1", "failed", -HOUR, 10)]), "failed last 10");
}
