//! Exact numbers: whatever the API did to the requests, after the faults stop the page equals the truth.

use std::mem::replace;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use clumio_exporter::simulator::{
    Endpoint, Exchange, Fault, Faults, Options, Order, Outcome, Requests, Task,
};
use clumio_exporter::time::{Timestamp, earlier, later, unix_seconds};
use futures::FutureExt;
use futures::future::join_all;
use jiff::SignedDuration;
use url::form_urlencoded;

use crate::harness::{ACCOUNT, Api, DEADLINE, Exporter, FAST, eventually};
use crate::page::{Page, Samples};
use crate::state::tasks_per_day;
use crate::truth::{COUNTERS, FAMILIES, GAUGES, differences, expected};

/// Longer than the history and the test: here nothing leaves the window.
const WINDOW: Duration = Duration::from_mins(30);

/// More than a late row and a lagging replica together.
const OVERLAP: Duration = Duration::from_mins(6);

/// How many rows every exporter here asks for, so that the API's own limit makes the pages. All that [`busy`] creates
/// in a test fits one such page.
const LARGEST_PAGE: u32 = 1_000;

/// How many polls after the first have to succeed while the faults last: with every fault at once a poll takes ten
/// seconds.
const POLLS_WITH_FAULTS: f64 = 2.0;

/// How many polls it takes until the numbers settle: the first that reads a new series holds it at 0.
const POLLS_TO_SETTLE: u32 = 3;

/// A way in which an API goes wrong.
struct Scenario {
    name: String,
    options: Options,
    faults: Faults,
    /// The families that must be exact.
    compared: &'static [&'static str],
}

/// An account of a task every three or four seconds, most of which run for seconds to minutes, in pages of at most so
/// many rows. It is as busy at any time of day: a fault in each third request fails nearly every poll of many pages.
fn busy(max_limit: u32, clock_offset: SignedDuration) -> Options {
    let now = Timestamp::now().saturating_add(clock_offset).expect("an offset of hours must be valid");
    Options {
        max_limit,
        clock_offset,
        tasks_per_day: tasks_per_day(now),
        history: Duration::from_mins(8),
        slow_for: Duration::from_millis(300),
        late_by: Duration::from_secs(20),
        ..Options::default()
    }
}

/// The faults that blur what the counters count before the baseline: whether a task that was created before it, and
/// that the initial sync may have read or not, counts as created is told by nobody but the API's answers.
fn without_blur(faults: &Faults) -> Faults {
    faults.clone().with(Fault::Late, 0.0).with(Fault::Stale, 0.0)
}

fn every_fault(probability: f64) -> Faults {
    Fault::ALL.into_iter().fold(Faults::none(), |faults, fault| faults.with(fault, probability))
}

/// Follows a world through its faults, and gives what is wrong with the numbers once they have stopped.
async fn follow(scenario: Scenario) -> Vec<String> {
    let Scenario { name, options, faults, compared } = scenario;
    let api = Api::start(options).await;
    let counters_too = compared == FAMILIES;
    api.simulator.set_faults(if counters_too { without_blur(&faults) } else { faults.clone() });
    let keys = format!(
        "{FAST}poll.window = \"{w}s\"\npoll.lookback = \"{w}s\"\npoll.overlap = \"{}s\"\n\
         poll.page_size = {LARGEST_PAGE}\n",
        OVERLAP.as_secs(),
        w = WINDOW.as_secs()
    );
    let exporter = Exporter::following(&api, &keys).await;

    until(&name, &exporter, "the initial sync succeeds", |page| page.successes(ACCOUNT) >= 1.0).await;
    let baselines = baselines(&api.simulator.requests());
    api.simulator.set_faults(faults);
    let counted = |page: &Page| page.families(&COUNTERS[..2]).values().sum::<f64>();
    until(&name, &exporter, "polls succeed, in which tasks are created and end", |page| {
        page.successes(ACCOUNT) > POLLS_WITH_FAULTS && counted(page) >= 5.0
    })
    .await;

    api.simulator.set_faults(Faults::none());
    api.simulator.stand_still(api.simulator.now());
    let page = succeed(&name, &exporter, POLLS_TO_SETTLE).await;
    let published = page.families(compared);
    exporter.stop().await;

    let at = api.simulator.now();
    let tasks = api.simulator.tasks(at);
    let is_in_doubt = |at: &Timestamp| baselines.iter().any(|(from, to)| from < at && at <= to);
    let instants =
        tasks.iter().flat_map(|task| [Some(task.created), task.ended]).flatten().filter(is_in_doubt);
    let baselines = baselines.iter().map(|(from, _)| *from).chain(instants);
    let best = baselines
        .map(|baseline| {
            let mut truth = expected(ACCOUNT, &tasks, baseline, at, WINDOW);
            truth
                .retain(|series, _| compared.iter().any(|family| series.starts_with(&format!("{family}{{"))));
            differences(&truth, &published)
        })
        .min_by_key(Vec::len)
        .expect("there must be a first answer");
    best.into_iter().map(|difference| format!("{name}: {difference}")).collect()
}

/// Scrapes until `is_it`, and sees that no counter ever falls.
async fn until(name: &str, exporter: &Exporter, what: &str, is_it: impl Fn(&Page) -> bool) -> Page {
    let mut before = Samples::new();
    let look = async || {
        let page = exporter.scrape().await;
        for (series, earlier) in replace(&mut before, page.families(&COUNTERS)) {
            let now = page.get(&series);
            assert!(now >= Some(earlier), "{name}: {series} fell from {earlier} to {now:?}");
        }
        Some(page).filter(|page| is_it(page))
    };
    eventually(&format!("{name}: {what}"), DEADLINE * 2, look).await
}

/// Waits until so many polls have succeeded that began after this call; see [`Exporter::polls`].
async fn succeed(name: &str, exporter: &Exporter, polls: u32) -> Page {
    let least = exporter.scrape().await.successes(ACCOUNT) + f64::from(polls) + 2.0;
    until(name, exporter, "polls succeed", |page| page.successes(ACCOUNT) >= least).await
}

/// Where the baseline can lie: the `Date` of the first answer of the initial sync. One that began and failed begins
/// again, so it is the first answer to one of the readings of open tasks that precede the first slice. Where that
/// `Date` was wrong by more than the overlap it must not be believed, and the baseline is when that answer came, to
/// a second.
fn baselines(requests: &Requests) -> Vec<(Timestamp, Timestamp)> {
    let before_slices = requests.recent.iter().take_while(|exchange| !filter(exchange).contains("$lte"));
    let firsts = before_slices.filter(|exchange| {
        let is_whole = !exchange.faults.iter().any(|fault| matches!(fault, Fault::Cut | Fault::Garbled));
        let is_first = exchange.target.contains("start=1&") || exchange.target.ends_with("start=1");
        exchange.endpoint == Endpoint::List && exchange.status == Some(200) && is_first && is_whole
    });
    let second = Duration::from_secs(1);
    firsts
        .map(|exchange| {
            let date = exchange.date.expect("every answer must have a date");
            let is_believable = date.duration_since(exchange.at).unsigned_abs() <= OVERLAP;
            if is_believable {
                (date, date)
            } else {
                (earlier(exchange.at, second * 2), later(exchange.at, second))
            }
        })
        .collect()
}

/// The filter of a request, decoded.
pub fn filter(exchange: &Exchange) -> String {
    let query = exchange.target.split_once('?').map_or("", |(_, query)| query);
    let filter = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "filter");
    filter.map(|(_, filter)| filter.into_owned()).unwrap_or_default()
}

/// Follows all scenarios at once, for they wait most of the time.
async fn follow_all(scenarios: impl IntoIterator<Item = Scenario>) {
    let running = scenarios.into_iter().map(|scenario| AssertUnwindSafe(follow(scenario)).catch_unwind());
    let mut wrong = Vec::new();
    for ended in join_all(running).await {
        match ended {
            Ok(differences) => wrong.extend(differences),
            Err(_) => wrong.push("a scenario panicked, see above".to_owned()),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_exact_with_any_single_fault_however_frequent() {
    follow_all(Fault::ALL.into_iter().zip(100..).map(|(fault, seed)| Scenario {
        name: format!("{fault}, seed {seed}"),
        options: Options { seed, ..busy(60, SignedDuration::ZERO) },
        faults: Faults::none().with(fault, 0.3),
        compared: &FAMILIES,
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_exact_with_every_fault_in_any_order_on_any_clock() {
    let orders = [Order::Newest, Order::Oldest, Order::Scattered, Order::Unstable];
    let clocks = [-2, 0, 1];
    let each = orders.into_iter().flat_map(|order| clocks.map(|hours| (order, hours)));
    follow_all(each.zip(200..).map(|((order, hours), seed)| {
        // An order that changes with every request takes many readings of several pages, each with its retries: with
        // every fault at once that takes minutes. Alone it is among the single faults, in small pages.
        let page = if order == Order::Unstable { LARGEST_PAGE } else { 180 };
        Scenario {
            name: format!("{order:?}, clock {hours} h off, seed {seed}"),
            options: Options { seed, order, ..busy(page, SignedDuration::from_hours(hours)) },
            faults: every_fault(0.05),
            compared: &FAMILIES,
        }
    }))
    .await;
}

/// Here the initial sync reads rows late as well, which only the gauges do not show.
#[tokio::test(flavor = "multi_thread")]
async fn gauges_are_exact_with_replicas_that_lag_and_rows_that_are_late_from_the_start() {
    follow_all((300..304).map(|seed| {
        let faults = Faults::none().with(Fault::Late, 0.3).with(Fault::Stale, 0.3);
        Scenario {
            name: format!("late and stale, seed {seed}"),
            options: Options { seed, faults: faults.clone(), ..busy(60, SignedDuration::ZERO) },
            faults,
            compared: &GAUGES,
        }
    }))
    .await;
}

/// The page tells when the poll ended; its window was evaluated up to that poll's duration earlier, on a `Date` that
/// is cut to the second.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_task_leaves_the_gauges_after_the_window() {
    const WINDOW: Duration = Duration::from_mins(1);
    // `Date` has seconds.
    const SECOND: Duration = Duration::from_secs(1);
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    let ended = later(earlier(now, WINDOW), Duration::from_secs(5));
    api.simulator.add(Task::new(1, earlier(now, WINDOW * 2)).ended(ended, Outcome::Failed));
    let keys = format!("{FAST}poll.window = \"1m\"\npoll.lookback = \"1h\"\npoll.overlap = \"1m\"\n");
    let exporter = Exporter::following(&api, &keys).await;
    let failed = format!(
        "clumio_tasks{{account=\"{ACCOUNT}\",category=\"backup\",status=\"failed\",type=\"aws_ebs_volume_incremental_backup\"}}"
    );
    let (least, most) = (unix_seconds(later(ended, WINDOW)), unix_seconds(later(ended, WINDOW + SECOND)));

    let polled = |page: &Page| page.of("clumio_exporter_last_success_timestamp_seconds", ACCOUNT);
    exporter.until("it is seen", |page| page.get(&failed) == Some(1.0)).await;
    exporter
        .until("it has left", |page| {
            let polled = polled(page).expect("a poll must have succeeded");
            let took = page.of("clumio_exporter_last_poll_duration_seconds", ACCOUNT).unwrap_or_default();
            let is_there = page.get(&failed) == Some(1.0);
            assert!(is_there || polled >= least, "it left {} s early", least - polled);
            assert!(!is_there || polled - took - 1.0 < most, "it is still there");
            !is_there
        })
        .await;
    exporter.stop().await;
}
