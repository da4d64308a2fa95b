//! How readings change rows, without a database.

use super::super::merge::{Context, Counted, Phase, Reading, Row, Source};
use super::super::status::StatusId;
use super::super::{Marks, PollInstant, micros};
use super::{DAY, MINUTE, at, second};
use crate::task::Status;

const COUNTED: Counted = Counted { created: true, ended: true };
const NOTHING: Counted = Counted { created: false, ended: false };

fn context_of(source: Source, now: PollInstant) -> Context {
    let marks = Marks::begin(at(0), None, [MINUTE * 10, DAY * 7, DAY * 35]);
    Context::new(source, now, (&marks, marks.baseline), Some(second(0)), MINUTE * 10)
}

/// A poll so many seconds after the start.
fn polled(seconds: i64) -> Context {
    context_of(Source::Poll { counts_from: second(seconds.min(0) - 600) }, at(seconds))
}

fn reading(status: &str, created: i64, ended: Option<i64>) -> Reading {
    let known = StatusId::known(&Status::from_word(status));
    Reading {
        kind: 1,
        status: known.unwrap_or(StatusId(6)),
        created: Some(micros(second(created))),
        started: Some(micros(second(created))),
        ended: ended.map(|ended| micros(second(ended))),
        progress: None,
        entity: None,
        parent: None,
    }
}

#[test]
fn a_task_counts_once_however_often_it_is_read() {
    let (row, counted) = Row::first(&reading("queued", 10, None), &polled(20));
    assert_eq!((row.phase, counted), (Phase::Open, Counted { created: true, ended: false }));
    let (row, counted) = row.again(&reading("failed", 10, Some(30)), &polled(40));
    assert_eq!((row.phase, counted), (Phase::Ended, Counted { created: false, ended: true }));
    for status in ["queued", "in_progress", "failed", "completed"] {
        let ended = (status == "failed").then_some(30);
        assert_eq!(row.again(&reading(status, 10, ended), &polled(50)), (row, NOTHING), "{status}");
    }
}

#[test]
fn progress_is_stored_of_open_tasks_after_an_hour_and_never_goes_back() {
    let at = |progress, seconds| {
        (Reading { progress: Some(progress), ..reading("in_progress", 0, None) }, seconds)
    };
    let (mut row, _) = Row::first(&at(1, 0).0, &polled(60));
    for ((reading, seconds), stored) in [
        (at(2, 3_599), None),
        (at(40, 3_600), Some(40)),
        (at(30, 3_700), Some(40)),
        (at(41, 3_800), Some(41)),
    ] {
        (row, _) = row.again(&reading, &polled(seconds));
        assert_eq!(row.progress, stored, "after {seconds} s");
    }
    let unknown = reading("in_progress", 0, None);
    assert_eq!(row.again(&unknown, &polled(3_900)).0.progress, Some(41));
    let ended = Reading { progress: Some(100), ..reading("completed", 0, Some(3_950)) };
    assert_eq!(row.again(&ended, &polled(4_000)).0.progress, None);
    assert_eq!(Row::first(&at(7, 0).0, &polled(4_000)).0.progress, Some(7));
}

#[test]
fn what_ended_before_the_baseline_does_not_count() {
    let old = reading("failed", -5_000, Some(-4_000));
    for source in [Source::InitialSync, Source::History, Source::Audit] {
        assert_eq!(Row::first(&old, &context_of(source, at(60))).1, NOTHING, "{source:?}");
    }
    let (row, _) = Row::first(&reading("queued", -5_000, None), &context_of(Source::InitialSync, at(0)));
    let (_, counted) = row.again(&reading("failed", -5_000, Some(30)), &polled(60));
    assert_eq!(counted, Counted { created: false, ended: true }, "it was open after the baseline");
}

#[test]
fn what_a_poll_counts_from_may_be_earlier_than_the_baseline() {
    let late = reading("failed", -5_000, Some(-4_000));
    let from = |from| context_of(Source::Poll { counts_from: second(from) }, at(60));
    assert_eq!(Row::first(&late, &from(-5_001)).1, COUNTED);
    assert_eq!(Row::first(&late, &from(-5_000)).1, NOTHING);
}

#[test]
fn the_same_id_with_another_creation_time_is_another_task() {
    let (row, _) = Row::first(&reading("failed", 10, Some(20)), &polled(30));
    assert_eq!(row.again(&reading("failed", 11, Some(20)), &polled(40)).1, NOTHING, "a second is nothing");
    let (row, counted) = row.again(&reading("failed", 900, Some(910)), &polled(920));
    assert_eq!((row.created, counted), (micros(second(900)), COUNTED));
}

#[test]
fn a_missing_end_is_the_time_of_the_first_poll_that_saw_it_or_in_a_sync_the_start() {
    let without_end = Reading { ended: None, ..reading("failed", -5_000, None) };
    let end = |row: Row| row.ended.map(|ended| ended - micros(second(0)));
    let (row, _) = Row::first(&without_end, &polled(60));
    assert_eq!(end(row), Some(60_000_000));
    assert_eq!(end(row.again(&without_end, &polled(120)).0), Some(60_000_000), "it stays");
    let given = row.again(&reading("failed", -5_000, Some(50)), &polled(120)).0;
    assert_eq!(end(given), Some(50_000_000));
    let (row, _) = Row::first(&without_end, &context_of(Source::InitialSync, at(60)));
    assert_eq!(end(row), Some(-5_000_000_000));
}

#[test]
fn only_an_end_more_than_a_day_after_every_clock_is_discarded() {
    let end = |ended, now: PollInstant| {
        let context = context_of(Source::Poll { counts_from: second(0) }, now);
        let row = Row::first(&reading("failed", 10, Some(ended)), &context).0;
        row.ended.map(|ended| (ended - micros(second(0))) / 1_000_000)
    };
    assert_eq!(end(86_400 + 60, at(60)), Some(86_460), "as it is");
    assert_eq!(end(86_400 + 61, at(60)), Some(60), "the poll");
    assert_eq!(
        end(86_400 + 61, PollInstant { local: second(61), ..at(60) }),
        Some(86_461),
        "the local clock"
    );
}

#[test]
fn an_unknown_status_is_provisional_until_it_is_final() {
    let (row, counted) = Row::first(&reading("skipped", 10, Some(20)), &polled(30));
    assert_eq!((row.phase, counted), (Phase::Provisional, Counted { created: true, ended: false }));
    let (again, _) = row.again(&reading("skipped", 10, Some(20)), &polled(90));
    assert_eq!(again.since, row.since, "the hour continues");
    let (open, _) = row.again(&reading("in_progress", 10, None), &polled(90));
    assert_eq!((open.phase, open.ended), (Phase::Open, None));
    let (failed, counted) = row.again(&reading("failed", 10, Some(80)), &polled(90));
    assert_eq!((failed.phase, counted.ended), (Phase::Ended, true));
    let (last, counted) = row.finalized();
    assert_eq!((last.phase, counted.ended), (Phase::Ended, true));
    let (known, counted) = last.again(&reading("failed", 10, Some(80)), &polled(9_000));
    assert_eq!((known.status, counted), (StatusId(4), NOTHING), "the gauge follows, the counter does not");
}

#[test]
fn durations_are_never_negative() {
    let durations = |created, started, ended| {
        let start = Some(micros(second(started)));
        let reading = Reading { started: start, ..reading("completed", created, Some(ended)) };
        let took = Row::first(&reading, &polled(1_000)).0.durations();
        took.map(|(queue, run)| (queue.as_secs(), run.as_secs()))
    };
    assert_eq!(durations(100, 110, 150), Some((10, 40)));
    assert_eq!(durations(120, 110, 150), Some((0, 40)), "started before it was created");
    assert_eq!(durations(100, 900, 150), Some((50, 0)), "started after it ended");
}

#[test]
fn a_poll_counts_what_has_no_creation_time_whatever_t_is() {
    let undated = Reading { created: None, ..reading("queued", 0, None) };
    let counts_from = second(5_000);
    let context = context_of(Source::Poll { counts_from }, at(60));
    assert!(Row::first(&undated, &context).1.created, "T has moved back behind what is covered");
    for source in [Source::InitialSync, Source::History, Source::Audit] {
        assert!(!Row::first(&undated, &context_of(source, at(60))).1.created, "{source:?}");
    }
}

#[test]
fn a_provisional_task_that_is_open_again_counts_when_it_ends() {
    let initial = context_of(Source::InitialSync, at(0));
    let (paused, _) = Row::first(&reading("paused", -5_000, Some(-4_000)), &initial);
    assert!(!paused.counts_ended(), "it ended before the baseline");
    let (open, _) = paused.again(&reading("in_progress", -5_000, None), &polled(60));
    let (_, counted) = open.again(&reading("completed", -5_000, Some(90)), &polled(120));
    assert_eq!(counted, Counted { created: false, ended: true });
}

#[test]
fn a_final_row_with_an_unknown_status_takes_over_the_end_once_it_is_plausible() {
    let ended = 86_400 * 3;
    let (row, _) = Row::first(&reading("skipped", 10, Some(ended)), &polled(60)).0.finalized();
    assert_eq!(row.ended, Some(micros(second(60))), "an end days ahead is discarded");
    let (row, counted) = row.again(&reading("skipped", 10, Some(ended)), &polled(ended + 60));
    assert_eq!((row.phase, row.ended, counted), (Phase::Ended, Some(micros(second(ended))), NOTHING));
}

#[test]
fn a_removed_task_without_an_end_does_not_count_again_though_it_started_within_the_retention() {
    let mut marks = Marks::begin(at(0), None, [MINUTE * 10, DAY * 7, DAY * 35]);
    marks.forget();
    let day = |day: i64| micros(second(day * 86_400));
    let source = Source::Poll { counts_from: second(-40 * 86_400) };
    let context = Context::new(source, at(60), (&marks, marks.baseline), Some(second(0)), MINUTE * 10);
    let old = Reading { created: Some(day(-36)), started: Some(day(-34)), ..reading("failed", 0, None) };
    assert_eq!(Row::first(&old, &context).1, NOTHING);
    let given = Reading { ended: Some(day(-34)), ..old };
    assert_eq!(Row::first(&given, &context).1, COUNTED, "an end of the API tells that it was not removed");
}
