//! The list of the last tasks that did not end well, and the picture of the window.

use super::heals::time;
use super::*;

impl Scenario {
    /// The ids in the list, with how each ended.
    fn failures(&self) -> String {
        let failures = self.ledger.failures().iter();
        failures
            .map(|failed| format!("{}:{}", failed.id, failed.status.as_str()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn kept(&self) -> Self {
        let saved = serde_json::to_vec(&self.ledger.saved()).expect("it must be written");
        let saved = serde_json::from_slice(&saved).expect("it must be read");
        Self { ledger: Ledger::restored(saved, rules()).expect("it must be restored") }
    }
}

fn about(task: Task, name: &str) -> Task {
    let name = crate::task::Name::new(name);
    let entity = crate::task::Entity { entity_type: Some(Label::new("volume")), id: None, name: Some(name) };
    Task { primary: Some(Box::new(entity)), ..task }
}

#[test]
fn a_failure_is_in_the_list_once_and_after_a_restart_too() {
    let baseline = [ended("old", "failed", -HOUR, -MINUTE), ended("good", "completed", -HOUR, -MINUTE)];
    let mut scenario = Scenario::new(&baseline);
    scenario.poll(MINUTE, &[task("new", "in_progress", 30)]);
    assert_eq!(scenario.failures(), "old:failed");
    let row = about(ended("new", "aborted", 30, 90), "vol-1");
    for poll in 2..4 {
        scenario.poll(poll * MINUTE, std::slice::from_ref(&row));
        assert_eq!(scenario.failures(), "new:aborted old:failed");
    }
    let mut again = scenario.kept();
    assert_eq!(again.ledger.failures(), scenario.ledger.failures());
    again.poll(5 * MINUTE, &[row]);
    assert_eq!(again.failures(), "new:aborted old:failed");
    let subject = again.ledger.failures()[0].subject.as_ref().expect("it must be kept");
    let entity = subject.entity.as_ref().expect("it must be kept");
    assert_eq!(entity.name.as_ref().map(crate::task::Name::as_str), Some("vol-1"));
}

#[test]
fn a_status_that_may_still_change_is_in_the_list_as_it_is() {
    let mut scenario = Scenario::new(&[]);
    scenario.poll(MINUTE, &[ended("1", "skipped", 10, 20), ended("2", "skipped", 10, 21)]);
    assert_eq!(scenario.failures(), "2:skipped 1:skipped");
    scenario.poll(2 * MINUTE, &[ended("1", "failed", 10, 20), ended("2", "completed", 10, 21)]);
    assert_eq!(scenario.failures(), "1:failed");
}

#[test]
fn the_newest_stay_and_those_known_to_have_failed_longest() {
    let mut scenario = Scenario::new(&[]);
    let failed = |n: i64| ended(&format!("{n:03}"), "failed", 10, 1_000 + n);
    let rows: Vec<_> = (0..60).map(failed).collect();
    scenario.poll(1_100, &rows);
    let last = || (10..60).rev().map(|n| format!("{n:03}:failed")).collect::<Vec<_>>().join(" ");
    assert_eq!(scenario.failures(), last());
    let unknown: Vec<_> = (0..60).map(|n| ended(&format!("u{n}"), "skipped", 1_150, 1_160 + n)).collect();
    scenario.poll(1_300, &unknown);
    assert_eq!(scenario.failures(), last());
}

#[test]
fn a_heal_adds_what_was_missed() {
    let mut scenario = Scenario::new(&[ended("known", "failed", -HOUR, -MINUTE)]);
    let mut fresh = scenario.ledger.fresh(&rules(), second(HOUR));
    let history =
        [ended("known", "failed", -HOUR, -MINUTE), ended("missed", "failed", -3 * HOUR, -2 * MINUTE)];
    fresh.take_slice(history.to_vec(), second(HOUR), time(HOUR));
    fresh.commit(Vec::new(), time(HOUR));
    scenario.poll(HOUR, &[]);
    assert!(scenario.ledger.heal(&fresh));
    assert_eq!(scenario.failures(), "known:failed missed:failed");
}

#[test]
fn a_list_that_was_kept_is_cut_and_put_in_order() {
    let mut scenario = Scenario::new(&[]);
    scenario.poll(MINUTE, &[ended("1", "failed", 10, 20), ended("2", "failed", 10, 30)]);
    let mut saved = serde_json::to_value(scenario.ledger.saved()).expect("it must be written");
    let list = saved["failures"].as_array_mut().expect("there must be failures");
    list.reverse();
    for n in 0..100 {
        let mut more = list[n % 2].clone();
        more["id"] = format!("{}", n / 2).into();
        list.push(more);
    }
    let saved = serde_json::from_value(saved).expect("it must be read");
    let ledger = Ledger::restored(saved, rules()).expect("it must be restored");
    let ends: Vec<_> = ledger.failures().iter().map(|failed| failed.ended).collect();
    assert_eq!(ends.len(), 50);
    assert!(ends.is_sorted_by(|a, b| a >= b), "{ends:?}");
}

#[test]
fn the_periods_add_up_to_the_gauges_of_ended_tasks() {
    let rows: Vec<_> = (0..50)
        .map(|n: i64| {
            let status =
                ["completed", "failed", "aborted", "skipped"][usize::try_from(n % 4).expect("it fits")];
            ended(&format!("{n}"), status, -30 * HOUR, -n * 31 * MINUTE)
        })
        .collect();
    let mut scenario = Scenario::new(&rows);
    scenario.poll(MINUTE, &[ended("ahead", "failed", 30, 8 * MINUTE)]);
    let snapshot = scenario.ledger.snapshot().expect("a poll must have been committed");
    let statuses = snapshot.kinds.iter().flat_map(|kind| &kind.statuses);
    let gauges: u64 = statuses.map(|sample| sample.tasks - sample.open).sum();
    let periods = &snapshot.periods.list;
    assert_eq!((snapshot.periods.length, periods.len()), (Duration::from_hours(1), 25));
    assert_eq!(periods.iter().map(Period::sum).sum::<u64>(), gauges);
    assert!(periods.windows(2).all(|two| elapsed(two[0].from, two[1].from) == Duration::from_hours(1)));
    let last = periods.last().expect("there must be periods");
    assert_eq!((last.completed, last.failed), (1, 1), "{last:?}");
}
