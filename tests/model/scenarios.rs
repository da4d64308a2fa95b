//! Named schedules that are or were handled wrongly by other designs, with the exact numbers.

use crate::account::{Account, DAY, HOUR, Lacks, Life, MINUTE, SECOND, Trouble, UNKNOWN_OUTCOME};
use crate::api::SimulatedApi;
use crate::asset_config::AssetConfig;
use crate::behaviour::Behaviour;
use crate::exporter::Exporter;
use crate::flaw::Flaw;
use crate::run;
use crate::schedule::{Change, Config, Schedule, Setup};

const COMPLETED: usize = 0;
const FAILED: usize = 1;

/// A schedule that the test drives itself.
struct Scenario {
    setup: Setup,
    config: Config,
    behaviour: Behaviour,
    lives: Vec<Life>,
}

/// What is published of one status: the gauge, and the tasks that ended and were created.
#[derive(Debug, PartialEq, Eq)]
struct Numbers {
    tasks: u64,
    ended: u64,
    created: u64,
}

impl Scenario {
    fn new(lives: Vec<Life>) -> Self {
        let setup = Setup {
            trouble: Trouble::Late,
            stale_by: 0,
            lateness: 10 * MINUTE,
            counter_hold: 0,
            folds: false,
            reloads: false,
            sets_clocks: true,
        };
        let config = Config {
            window: DAY,
            lookback: 7 * DAY,
            retention: 35 * DAY,
            overlap: 10 * MINUTE,
            page_size: 100,
            id_batch_size: 50,
            max_rows: 10_000,
            max_kinds: 200,
            assets: AssetConfig::default(),
        };
        Self { setup, config, behaviour: Behaviour::well(), lives }
    }

    fn run(self, test: impl AsyncFnOnce(&mut Exporter<'_>)) {
        let account = Account { lives: self.lives };
        let api = SimulatedApi::new(account.clone(), self.behaviour.clone(), Flaw::None);
        let Self { setup, config, behaviour, .. } = self;
        let schedule = Schedule { setup, config, account, behaviour, steps: Vec::new() };
        run(async { test(&mut Exporter::new(&schedule, &api)).await });
    }
}

/// A task that is created at an instant, runs from then on, and ends after a while.
fn task(created: i64, ends_after: Option<i64>, outcome: usize) -> Life {
    let lacks = Lacks::Nothing;
    let (asset, parent, gone) = (Some(0), 0, None);
    Life {
        kind: 0,
        created,
        listed_after: 0,
        starts_after: 0,
        ends_after,
        outcome,
        lacks,
        asset,
        parent,
        gone,
    }
}

/// So many failures, a second apart.
fn failures(count: i64, created: i64) -> Vec<Life> {
    (0..count).map(|number| task(created + number * SECOND, Some(SECOND), FAILED)).collect()
}

/// Polls once a minute until an instant, relative to the begin.
async fn poll_until(exporter: &mut Exporter<'_>, at: i64) {
    poll_every(exporter, MINUTE, at).await;
}

async fn poll_every(exporter: &mut Exporter<'_>, interval: i64, at: i64) {
    while exporter.elapsed() + interval <= at {
        exporter.api.sleep_until(exporter.api.now() + interval);
        let outcome = exporter.poll().await;
        assert!(matches!(outcome, Ok(true)), "{outcome:?}: {:#?}", exporter.log);
    }
}

async fn change(exporter: &mut Exporter<'_>, change: Change) {
    exporter.change(change).await.expect("the change must be possible");
}

fn numbers(exporter: &Exporter<'_>, status: &str) -> Numbers {
    let snapshot = exporter.committed.as_ref().expect("something must be published");
    let samples = || snapshot.kinds.iter().flat_map(|kind| &kind.statuses);
    let of_status = || samples().filter(|sample| sample.status.as_str() == status);
    Numbers {
        tasks: of_status().map(|sample| sample.tasks).sum(),
        ended: of_status().filter_map(|sample| sample.ended_total).sum(),
        created: snapshot.kinds.iter().map(|kind| kind.created_total).sum(),
    }
}

fn missed(exporter: &Exporter<'_>) -> u64 {
    exporter.committed.as_ref().expect("something must be published").missed_total
}

#[test]
fn a_capped_count_ends_no_listing() {
    let mut lives: Vec<_> =
        (0..900).map(|number| task(-HOUR + number * SECOND, Some(0), COMPLETED)).collect();
    lives.extend(failures(350, 3 * MINUTE));
    let mut scenario = Scenario::new(lives);
    scenario.behaviour.count_cap = Some(200);
    scenario.run(async |exporter| {
        poll_until(exporter, 2 * MINUTE).await;
        assert_eq!(numbers(exporter, "completed"), Numbers { tasks: 900, ended: 0, created: 0 });
        exporter.api.sleep_until(exporter.api.now() + 10 * MINUTE);
        poll_until(exporter, 14 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 350, ended: 350, created: 350 });
        poll_until(exporter, 2 * HOUR).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 350, ended: 350, created: 350 });
        assert_eq!(exporter.committed.as_ref().and_then(|it| it.drift), Some(0));
    });
}

#[test]
fn a_date_two_days_ahead_in_the_first_poll_of_a_process_hides_nothing_for_long() {
    let lives = (0..67).flat_map(|number| {
        let created = 5 * MINUTE + number * MINUTE;
        [task(created, Some(SECOND), FAILED), task(created, Some(SECOND), COMPLETED)]
    });
    Scenario::new(lives.collect()).run(async |exporter| {
        poll_until(exporter, 10 * MINUTE).await;
        change(exporter, Change::Restart { is_clean: true }).await;
        change(exporter, Change::SetDate(2 * DAY)).await;
        poll_until(exporter, 11 * MINUTE).await;
        change(exporter, Change::SetDate(0)).await;
        poll_until(exporter, 80 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 67, ended: 67, created: 134 });
        assert_eq!(numbers(exporter, "completed"), Numbers { tasks: 67, ended: 67, created: 134 });
    });
}

#[test]
fn tasks_stamped_an_hour_ahead_count_once() {
    // Their stamps are an hour later than the instant at which they are listed.
    let ahead = |life: Life| Life { created: life.created + HOUR, listed_after: -HOUR, ..life };
    let mut lives: Vec<_> = (0..14)
        .map(|number| ahead(task(2 * MINUTE + number * 20 * SECOND, Some(SECOND - HOUR), COMPLETED)))
        .map(|life| Life { ends_after: Some(SECOND), ..life })
        .collect();
    lives.extend((0..29).map(|number| task(8 * MINUTE + number * MINUTE, Some(SECOND), COMPLETED)));
    Scenario::new(lives).run(async |exporter| {
        poll_until(exporter, MINUTE).await;
        change(exporter, Change::SetDate(HOUR)).await;
        poll_until(exporter, 7 * MINUTE).await;
        change(exporter, Change::SetDate(0)).await;
        poll_unchecked(exporter, 3 * HOUR).await;
        assert_eq!(numbers(exporter, "completed").created, 43);
        assert_eq!(exporter.committed.as_ref().and_then(|it| it.drift), Some(0));
    });
}

/// Polls once a minute without the checks, which know no stamps from the future.
async fn poll_unchecked(exporter: &mut Exporter<'_>, at: i64) {
    while exporter.elapsed() < at {
        exporter.api.sleep_until(exporter.api.now() + MINUTE);
        exporter.poll_unchecked().await;
    }
}

#[test]
fn lost_rows_do_not_mask_late_ones_elsewhere() {
    let lost = (0..20).map(|number| Life {
        gone: Some((30 * MINUTE, i64::MAX)),
        ..task(-20 * HOUR + number * SECOND, Some(SECOND), COMPLETED)
    });
    let late = failures(15, HOUR).into_iter().map(|life| Life { listed_after: HOUR, ..life });
    let lives: Vec<_> =
        lost.chain(late).chain([task(90 * MINUTE, None, 0), task(3 * HOUR, None, 0)]).collect();
    Scenario::new(lives).run(async |exporter| {
        poll_until(exporter, 6 * HOUR).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 15, ended: 15, created: 17 });
        assert_eq!(missed(exporter), 15);
        assert_eq!(exporter.committed.as_ref().and_then(|it| it.drift), Some(20));
    });
}

#[test]
fn more_lost_rows_do_not_mask_late_ones_of_their_segment() {
    let lost = (0..20).map(|number| Life {
        gone: Some((90 * MINUTE, i64::MAX)),
        ..task(HOUR + number * SECOND, Some(SECOND), COMPLETED)
    });
    let late = failures(15, HOUR).into_iter().map(|life| Life { listed_after: HOUR, ..life });
    let lives: Vec<_> =
        lost.chain(late).chain([task(80 * MINUTE, None, 0), task(3 * HOUR, None, 0)]).collect();
    Scenario::new(lives).run(async |exporter| {
        poll_until(exporter, 80 * MINUTE).await;
        // No audit sees the one without the other.
        exporter.api.sleep_until(exporter.api.now() + HOUR);
        poll_until(exporter, 6 * HOUR).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 15, ended: 15, created: 37 });
        assert_eq!(missed(exporter), 15);
        assert_eq!(exporter.committed.as_ref().and_then(|it| it.drift), Some(20));
    });
}

#[test]
fn late_rows_of_the_same_seconds_are_found_though_the_count_is_capped() {
    let late = failures(5, HOUR).into_iter().map(|life| Life { listed_after: HOUR, ..life });
    let lives: Vec<_> = late
        .chain([task(HOUR, Some(SECOND), FAILED), task(90 * MINUTE, None, 0), task(3 * HOUR, None, 0)])
        .collect();
    let mut scenario = Scenario::new(lives);
    scenario.behaviour.count_cap = Some(1);
    scenario.run(async |exporter| {
        poll_until(exporter, 6 * HOUR).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 6, ended: 6, created: 8 });
        assert_eq!(missed(exporter), 5);
    });
}

#[test]
fn an_initial_sync_that_is_interrupted_while_the_date_is_ahead_loses_nothing() {
    for ahead in [15 * MINUTE, 30 * DAY, 300 * DAY] {
        let mut lives = failures(40, -2 * HOUR);
        lives.extend(failures(3, 2 * MINUTE));
        lives.push(task(-DAY, None, 0));
        Scenario::new(lives).run(async |exporter| {
            change(exporter, Change::SetDate(ahead)).await;
            exporter.api.sleep_until(exporter.api.now() + MINUTE);
            // The open tasks, and the only slice.
            exporter.api.answer_only(2);
            assert!(!exporter.poll_only().await.expect("a poll that fails says nothing wrong"));
            change(exporter, Change::Restart { is_clean: false }).await;
            change(exporter, Change::SetDate(0)).await;
            exporter.api.recover();
            poll_until(exporter, 30 * MINUTE).await;
            assert_eq!(numbers(exporter, "failed").tasks, 43, "{ahead}");
        });
    }
}

#[test]
fn a_stale_listing_reopens_no_task() {
    let mut scenario =
        Scenario::new(vec![task(MINUTE + SECOND, Some(MINUTE), FAILED), task(30 * MINUTE, None, 0)]);
    scenario.behaviour.forgetful = true;
    scenario.run(async |exporter| {
        poll_until(exporter, 3 * HOUR).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 1, ended: 1, created: 2 });
    });
}

#[test]
fn a_task_that_vanishes_for_longer_than_the_window_continues_where_it_was() {
    for (ends_after, last) in [(40 * HOUR, 50 * HOUR), (2 * HOUR, 40 * HOUR)] {
        let life = Life { gone: Some((HOUR, 38 * HOUR)), ..task(2 * MINUTE, Some(ends_after), FAILED) };
        Scenario::new(vec![life, task(30 * MINUTE, None, 0)]).run(async |exporter| {
            poll_until(exporter, 3 * HOUR).await;
            assert_eq!(numbers(exporter, "in_progress").tasks, 1, "it has vanished");
            poll_every(exporter, 10 * MINUTE, last).await;
            let tasks = u64::from(ends_after > DAY);
            assert_eq!(numbers(exporter, "failed"), Numbers { tasks, ended: 1, created: 2 });
        });
    }
}

#[test]
fn a_frozen_date_stops_no_counter_hold() {
    let lives = (0..3).map(|number| task(2 * MINUTE + number * 20 * SECOND, Some(SECOND), COMPLETED));
    let mut scenario = Scenario::new(lives.collect());
    scenario.setup.counter_hold = 3 * SECOND;
    scenario.run(async |exporter| {
        poll_until(exporter, 2 * MINUTE).await;
        change(exporter, Change::FreezeDate).await;
        poll_every(exporter, 10 * SECOND, 3 * MINUTE + 40 * SECOND).await;
        assert_eq!(numbers(exporter, "completed").ended, 3);
    });
}

#[test]
fn a_date_ahead_ends_neither_the_hour_of_a_provisional_task_nor_that_of_a_missing_one() {
    let hidden = Life { gone: Some((12 * MINUTE, 13 * MINUTE)), ..task(MINUTE, None, 0) };
    let unknown = task(2 * MINUTE, Some(MINUTE), UNKNOWN_OUTCOME);
    Scenario::new(vec![hidden, unknown]).run(async |exporter| {
        poll_until(exporter, 10 * MINUTE).await;
        change(exporter, Change::SetDate(2 * HOUR)).await;
        poll_until(exporter, 14 * MINUTE).await;
        change(exporter, Change::SetDate(0)).await;
        poll_until(exporter, 60 * MINUTE).await;
        assert_eq!(numbers(exporter, "skipped"), Numbers { tasks: 1, ended: 0, created: 1 });
        assert_eq!(numbers(exporter, "in_progress").tasks, 1);
        assert_eq!(exporter.committed.as_ref().map(|it| it.vanished_total), Some(0));
        poll_until(exporter, 70 * MINUTE).await;
        assert_eq!(numbers(exporter, "skipped").ended, 1);
    });
}

#[test]
fn tasks_from_before_the_baseline_that_become_visible_are_not_missed() {
    let hidden = (0..305).map(|number| Life {
        listed_after: HOUR + 5 * MINUTE,
        ..task(-HOUR + number * 10 * SECOND, Some(SECOND), FAILED)
    });
    let lives: Vec<_> = hidden.chain([task(MINUTE, None, 0), task(HOUR, None, 0)]).collect();
    Scenario::new(lives).run(async |exporter| {
        poll_until(exporter, 6 * HOUR).await;
        assert_eq!(numbers(exporter, "failed").tasks, 305);
        assert_eq!((numbers(exporter, "failed").ended, missed(exporter)), (0, 0));
    });
}

#[test]
fn an_end_in_the_future_is_never_published() {
    // It is shown ended five minutes before its stamp says so.
    let life = Life { listed_after: 0, ..task(2 * MINUTE, Some(MINUTE), COMPLETED) };
    Scenario::new(vec![life]).run(async |exporter| {
        poll_until(exporter, MINUTE).await;
        change(exporter, Change::SetDate(-5 * MINUTE)).await;
        poll_until(exporter, 4 * MINUTE).await;
        let snapshot = exporter.committed.as_ref().expect("something must be published");
        let ends =
            snapshot.kinds.iter().flat_map(|kind| &kind.statuses).filter_map(|sample| sample.last_ended);
        assert_eq!(ends.max(), Some(snapshot.time));
    });
}

#[test]
fn a_limit_that_is_rejected_is_halved() {
    let mut scenario = Scenario::new(failures(60, 2 * MINUTE));
    scenario.behaviour.max_accepted_limit = Some(30);
    scenario.run(async |exporter| {
        poll_until(exporter, 10 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 60, ended: 60, created: 60 });
    });
}

#[test]
fn the_first_tasks_of_an_account_are_seen_though_the_initial_sync_had_a_date_ahead() {
    for ahead in [15 * MINUTE, 3 * DAY, 30 * DAY] {
        Scenario::new(failures(3, 10 * MINUTE)).run(async |exporter| {
            change(exporter, Change::SetDate(ahead)).await;
            poll_until(exporter, 2 * MINUTE).await;
            change(exporter, Change::SetDate(0)).await;
            poll_until(exporter, 30 * MINUTE).await;
            assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 3, ended: 3, created: 3 }, "{ahead}");
        });
    }
}

#[test]
fn a_date_in_1970_during_the_initial_sync_counts_no_old_task() {
    Scenario::new(failures(40, -2 * HOUR)).run(async |exporter| {
        change(exporter, Change::SetDate(-20_000 * DAY)).await;
        poll_until(exporter, 5 * MINUTE).await;
        change(exporter, Change::SetDate(0)).await;
        poll_until(exporter, 30 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 40, ended: 0, created: 0 });
    });
}

#[test]
fn a_single_wrong_date_reads_and_counts_no_history() {
    let mut lives = failures(20, -20 * DAY);
    lives.push(task(-MINUTE, None, 0));
    Scenario::new(lives).run(async |exporter| {
        exporter.api.sleep_until(exporter.api.now() + MINUTE);
        assert!(exporter.poll_only().await.expect("the numbers must be right"));
        change(exporter, Change::SetDate(-20_000 * DAY)).await;
        exporter.api.sleep_until(exporter.api.now() + MINUTE);
        let before = exporter.api.requests();
        assert!(exporter.poll_only().await.expect("the numbers must be right"));
        assert!(exporter.api.requests() - before <= 3);
        change(exporter, Change::SetDate(0)).await;
        poll_until(exporter, 30 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed"), Numbers { tasks: 0, ended: 0, created: 0 });
    });
}

#[test]
fn a_process_that_restarts_often_still_ends_a_hold() {
    let mut scenario = Scenario::new(failures(3, MINUTE));
    scenario.setup.counter_hold = 2 * MINUTE;
    scenario.run(async |exporter| {
        for minute in (1..30).step_by(2) {
            poll_until(exporter, (minute + 2) * MINUTE).await;
            change(exporter, Change::Restart { is_clean: true }).await;
        }
        assert_eq!(numbers(exporter, "failed").ended, 3);
    });
}

#[test]
fn a_longer_window_acts_at_once() {
    let mut scenario = Scenario::new(failures(5, -3 * HOUR));
    scenario.config.window = HOUR;
    scenario.run(async |exporter| {
        poll_until(exporter, 2 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed").tasks, 0);
        let config = Config { window: DAY, ..exporter.config };
        change(exporter, Change::Reload(config)).await;
        poll_until(exporter, 3 * MINUTE).await;
        assert_eq!(numbers(exporter, "failed").tasks, 5);
    });
}
