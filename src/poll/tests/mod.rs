//! What a poll does with lists that misbehave, request by request. Lists that merely drift are for the model test.

mod heals;
mod restarts;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::*;
use crate::clumio::{Filter, Page, Reason};
use crate::state::Disk;
use crate::task::{Label, Status, Task};
use crate::time::{Moment, Timestamp};

/// When the scripted list is asked, in seconds since the Unix epoch.
const NOW: i64 = 1_800_000_000;

/// A list that answers by a function, and notes what it was asked.
struct Script<F> {
    answer: F,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The filter, page number and limit of a request.
type Asked = (Filter, u64, u32);

impl<F: Fn(&Filter, u64, u32) -> Result<Page, Error> + Send + Sync> TaskList for Script<F> {
    async fn page(&self, filter: &Filter, number: u64, limit: u32) -> Result<Page, Error> {
        self.asked.lock().expect("the lock must be whole").push((filter.clone(), number, limit));
        (self.answer)(filter, number, limit)
    }
}

/// Polls once; gives what came of it and what was asked.
fn poll(
    answer: impl Fn(&Filter, u64, u32) -> Result<Page, Error> + Send + Sync,
) -> (Result<Snapshot, Error>, Vec<Asked>) {
    let asked = Arc::default();
    let mut poller = Poller::new(Script { answer, asked: Arc::clone(&asked) }, None::<Disk>, options());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    let outcome = runtime.block_on(poller.poll()).map(|report| report.snapshot);
    let asked = asked.lock().expect("the lock must be whole").clone();
    (outcome, asked)
}

fn options() -> Options {
    Options {
        page_size: 100,
        id_batch_size: 50,
        most_rows: 5_000,
        lookback: Duration::from_hours(24),
        audit_interval: Duration::ZERO,
        rules: Rules {
            window: Duration::from_hours(24),
            overlap: Duration::from_mins(10),
            counter_hold: Duration::ZERO,
            max_categories: 20,
            max_kinds: 200,
        },
    }
}

/// A page of these tasks out of `total`, with the limit that was asked for.
fn page(tasks: Vec<Task>, total: u64, limit: u32) -> Page {
    let now = second(0);
    let received = Moment { wall: now, steady: Duration::ZERO };
    // A full last page links to an empty one.
    let has_next = tasks.len() as u64 >= u64::from(limit);
    Page {
        tasks,
        without_status: Vec::new(),
        without_id: 0,
        total,
        limit,
        has_next,
        date: Some(now),
        received,
    }
}

fn empty(limit: u32) -> Page {
    page(Vec::new(), 0, limit)
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(NOW + at).expect("the second must be in range")
}

fn task(id: u64, status: &str) -> Task {
    Task {
        id: TaskId::new(&id.to_string()).expect("the id must be valid"),
        category: Label::new("backup"),
        task_type: Label::new("ebs"),
        status: Status::from_word(status),
        created: Some(second(-100)),
        started: None,
        ended: None,
        primary: None,
        parent: None,
    }
}

#[test]
fn the_limit_that_the_api_names_is_sent_with_every_later_page() {
    let (outcome, asked) = poll(|filter, number, limit| {
        let ids = (number - 1) * 10 + 1..=(number * 10).min(25);
        let limit = limit.min(10);
        match filter {
            Filter::Ids(_) => Ok(empty(limit)),
            _ => Ok(page(ids.map(|id| task(id, "queued")).collect(), 25, limit)),
        }
    });
    assert_eq!(outcome.expect("the poll must succeed").kinds[0].statuses[5].tasks, 25);
    let later = asked.iter().filter(|(_, number, _)| *number > 1);
    assert!(later.clone().count() > 0 && later.clone().all(|(.., limit)| *limit == 10), "{asked:?}");
    assert!(asked.iter().all(|(_, number, _)| *number <= 3), "no page after the last is asked for");
}

#[test]
fn pages_that_never_turn_fail_the_poll_after_a_bounded_number_of_requests() {
    let (outcome, asked) = poll(|_, _, limit| Ok(page(vec![task(1, "queued")], 1_000, limit)));
    assert_eq!(outcome.expect_err("the poll must fail").reason(), Reason::Protocol);
    assert!(asked.len() < 500, "{} requests", asked.len());
}

#[test]
fn a_count_that_is_never_reached_fails_the_poll_after_a_bounded_number_of_requests() {
    let (outcome, asked) = poll(|filter, number, limit| match filter {
        Filter::Created { from, to }
            if number == 1 && (*from <= second(-100) && *to >= Some(second(-100))) =>
        {
            Ok(page(vec![task(1, "completed")], 2, limit))
        }
        _ => Ok(empty(limit)),
    });
    let error = outcome.expect_err("the poll must fail");
    assert_eq!(error.reason(), Reason::Protocol);
    let expected = "listing the tasks created within one second: the API counts 2 rows and gave 1 distinct ones \
                    in 20 pages";
    assert_eq!(error.to_string(), expected);
    assert!(asked.len() < 200, "{} requests", asked.len());
}

#[test]
fn a_list_that_ignores_the_filter_fails_the_poll_after_a_bounded_number_of_requests() {
    for created in [Some(second(-90_000)), None] {
        let (outcome, asked) = poll(|filter, number, limit| {
            let first = (number - 1) * 100;
            let rows = (first..first + 100).map(|id| Task { created, ..task(id, "completed") });
            match filter {
                Filter::Created { to: None, .. } => Ok(page(rows.collect(), 6_000, limit)),
                _ => Ok(empty(limit)),
            }
        });
        assert_eq!(outcome.expect_err("the poll must fail").reason(), Reason::Protocol);
        assert!(asked.len() < 10, "{} requests", asked.len());
    }
}

#[test]
fn a_page_with_more_rows_than_its_limit_fails_the_poll() {
    let (outcome, _) = poll(|_, _, _| Ok(page((0..9).map(|id| task(id, "queued")).collect(), 9, 5)));
    let error = outcome.expect_err("the poll must fail").to_string();
    assert_eq!(error, "a page has 9 rows, more than its limit of 5");
}

#[test]
fn a_row_without_an_id_does_not_stand_in_for_another() {
    let readings = AtomicU64::new(0);
    let (outcome, _) = poll(|filter, number, limit| {
        if !matches!(filter, Filter::Created { to: Some(_), .. }) {
            return Ok(empty(limit));
        }
        // Three rows in pages of two; the one without an id slips onto both pages at first.
        let slipped = readings.fetch_add(u64::from(number == 2), Ordering::Relaxed) == 0;
        let tasks = match (number, slipped) {
            (1, _) => vec![task(1, "completed")],
            (_, true) => Vec::new(),
            (_, false) => vec![task(2, "failed")],
        };
        let without_id = u64::from(number == 1 || slipped);
        Ok(Page { without_id, ..page(tasks, 3, 2) })
    });
    let snapshot = outcome.expect("the poll must succeed");
    assert_eq!(snapshot.kinds[0].statuses[3].tasks, 1, "the failed one is not missing");
}

#[test]
fn an_absurd_count_is_not_believed() {
    let (outcome, asked) = poll(|_, _, limit| Ok(page(vec![task(1, "queued")], 4_000_000_000, limit)));
    assert_eq!(outcome.expect_err("the poll must fail").reason(), Reason::Protocol);
    assert_eq!(asked.len(), 1);
}

#[test]
fn rows_without_an_id_or_a_status_are_counted_as_rows() {
    let (outcome, _) = poll(|filter, _, limit| match filter {
        Filter::Created { .. } => {
            let mut rows = page(vec![task(1, "completed")], 3, limit);
            rows.without_id = 1;
            rows.without_status = vec![task(2, "completed").id];
            Ok(rows)
        }
        _ => Ok(empty(limit)),
    });
    assert_eq!(outcome.expect("the poll must succeed").kinds.len(), 1);
}

#[test]
fn what_left_is_looked_up_in_batches_that_fit_a_page() {
    let asked = Arc::default();
    let followed = 120;
    let answer = |filter: &Filter, number: u64, limit: u32| {
        let limit = limit.min(40);
        match filter {
            // The open ones are listed at first, and then no more.
            Filter::Open if number <= 3 => {
                let first = (number - 1) * 40 + 1;
                Ok(page((first..first + 40).map(|id| task(id, "queued")).collect(), followed, limit))
            }
            Filter::Ids(ids) => {
                let rows = ids.iter().map(|id| task(id.as_str().parse().expect("a number"), "completed"));
                Ok(page(rows.collect(), ids.len() as u64, limit))
            }
            _ => Ok(empty(limit)),
        }
    };
    let open_is_listed = AtomicBool::new(true);
    let answer = |filter: &Filter, number: u64, limit: u32| match filter {
        Filter::Open if !open_is_listed.load(Ordering::Relaxed) => Ok(empty(limit.min(40))),
        _ => answer(filter, number, limit),
    };
    let mut poller = Poller::new(Script { answer, asked: Arc::clone(&asked) }, None::<Disk>, options());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    runtime.block_on(poller.poll()).expect("the first poll must succeed");
    open_is_listed.store(false, Ordering::Relaxed);
    asked.lock().expect("the lock must be whole").clear();
    let snapshot = runtime.block_on(poller.poll()).expect("the second poll must succeed").snapshot;
    assert_eq!(snapshot.kinds[0].statuses[2].tasks, followed);
    let asked = asked.lock().expect("the lock must be whole");
    let batches: Vec<usize> = asked
        .iter()
        .filter_map(|(filter, ..)| match filter {
            Filter::Ids(ids) => Some(ids.len()),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [40, 40, 40]);
    assert_eq!(asked.len(), 5);
}

#[test]
fn a_poll_that_fails_changes_nothing_and_the_next_goes_on() {
    let down = AtomicBool::new(false);
    let answer = |filter: &Filter, _: u64, limit: u32| match filter {
        _ if down.load(Ordering::Relaxed) => Err(Error::new(Reason::Server, "down")),
        Filter::Open => Ok(page(vec![task(1, "queued")], 1, limit)),
        _ => Ok(empty(limit)),
    };
    let mut poller = Poller::new(Script { answer, asked: Arc::default() }, None::<Disk>, options());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    let before = runtime.block_on(poller.poll()).expect("the first poll must succeed");
    down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let error = runtime.block_on(poller.poll()).expect_err("the poll must fail");
        assert_eq!(error.reason(), Reason::Server);
    }
    down.store(false, Ordering::Relaxed);
    assert_eq!(runtime.block_on(poller.poll()).expect("the poll must succeed"), before);
}

#[test]
fn a_first_pass_resumes_at_the_slice_that_failed() {
    let failing = AtomicBool::new(true);
    let from_of = |filter: &Filter| match filter {
        Filter::Created { from, to: Some(_) } => Some(*from),
        _ => None,
    };
    let answer = |filter: &Filter, _: u64, limit: u32| match filter {
        // The whole day has too many rows for one slice; the second half of it fails at first.
        Filter::Created { from, to: Some(to) } if to.duration_since(*from).as_hours() > 20 => {
            Ok(page(vec![task(9, "completed")], 5_001, limit))
        }
        Filter::Created { from, to: Some(_) }
            if *from > second(-13 * 3600) && failing.load(Ordering::Relaxed) =>
        {
            Err(Error::new(Reason::Timeout, "slow"))
        }
        _ => Ok(empty(limit)),
    };
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let mut poller = Poller::new(Script { answer, asked: Arc::clone(&asked) }, None::<Disk>, options());
    let progress = poller.progress();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    runtime.block_on(poller.poll()).expect_err("the first poll must fail");
    assert!(progress.get().is_some_and(|ratio| ratio > 0.3), "{:?}", progress.get());
    failing.store(false, Ordering::Relaxed);
    asked.lock().expect("the lock must be whole").clear();
    let snapshot = runtime.block_on(poller.poll()).expect("the second poll must succeed").snapshot;
    assert_eq!(snapshot.baseline, second(0));
    assert_eq!(progress.get(), None);
    let asked = asked.lock().expect("the lock must be whole");
    let first = asked.iter().find_map(|(filter, ..)| from_of(filter)).expect("a slice must be read");
    assert!(first > second(-17 * 3600), "the slices that were whole are not read again: {first}");
}

#[test]
fn a_date_that_runs_ahead_of_creations_hides_no_new_task() {
    let listed = AtomicU64::new(1);
    let answer = |filter: &Filter, _: u64, limit: u32| {
        let count = listed.load(Ordering::Relaxed);
        let rows = match filter {
            Filter::Created { from, .. } if *from <= second(-100) => {
                (1..=count).map(|id| task(id, "failed")).collect()
            }
            _ => Vec::new(),
        };
        let total = rows.len() as u64;
        Ok(Page { date: Some(second(3 * 3600)), ..page(rows, total, limit) })
    };
    let mut poller = Poller::new(Script { answer, asked: Arc::default() }, None::<Disk>, options());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    runtime.block_on(poller.poll()).expect("the first poll must succeed");
    listed.store(2, Ordering::Relaxed);
    let snapshot = runtime.block_on(poller.poll()).expect("the second poll must succeed").snapshot;
    let failed = &snapshot.kinds[0].statuses[3];
    assert_eq!((failed.tasks, failed.ended_total, snapshot.kinds[0].created_total), (2, Some(1), 1));
}

#[test]
fn an_audit_that_is_not_answered_is_asked_for_again_only_after_an_interval() {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let answer = |filter: &Filter, _: u64, limit: u32| match filter {
        Filter::Created { to: Some(_), .. } if limit == 1 => Err(Error::new(Reason::Server, "not now")),
        Filter::Created { to: Some(_), .. } => {
            Ok(page(vec![Task { created: Some(second(-7_200)), ..task(1, "queued") }], 1, limit))
        }
        _ => Ok(empty(limit)),
    };
    let options = Options { audit_interval: Duration::from_mins(15), ..options() };
    let mut poller = Poller::new(Script { answer, asked: Arc::clone(&asked) }, None::<Disk>, options);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    for _ in 0..3 {
        runtime.block_on(poller.poll()).expect("a poll must succeed without its audit");
    }
    let asked = asked.lock().expect("the lock must be whole");
    let audits = asked
        .iter()
        .filter(|(filter, _, limit)| matches!(filter, Filter::Created { to: Some(_), .. }) && *limit == 1);
    assert_eq!(audits.count(), 1, "{asked:?}");
}
