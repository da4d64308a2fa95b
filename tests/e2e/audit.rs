//! The audit: what the API lists too late is found, and an API that shows less resolves no alert.

use std::cell::Cell;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task, View};
use clumio_exporter::time::{Timestamp, earlier, later};
use serde_json::Value;
use tokio::time::sleep;

use crate::exact::filter;
use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually};
use crate::page::Page;
use crate::state::{busy, check_exact, instant, kill};
use crate::truth::{FAMILIES, differences, expected};

const DRIFT: &str = "clumio_exporter_audit_drift_tasks";
const MISSED: &str = "clumio_exporter_tasks_missed_total";

/// The default one.
const WINDOW: Duration = Duration::from_hours(24);

/// Audits as often as it polls, with the shortest overlap.
fn keys() -> String {
    format!("{FAST}poll.audit_interval = \"1s\"\npoll.overlap = \"1m\"\n")
}

/// A world whose tasks, open and ended ones of two kinds, are all older than the overlap. So there is a range to audit
/// from the first poll on.
async fn world() -> Api {
    let api = Api::start(Options::scripted()).await;
    let restore = |id| Task::new(id, ago(&api, 16)).kind("restore", "aws_ebs_volume_restore");
    for task in [
        Task::new(1, ago(&api, 20)).ended(ago(&api, 18), Outcome::Completed),
        Task::new(2, ago(&api, 19)),
        restore(3).ended(ago(&api, 15), Outcome::Failed),
        restore(4).started(ago(&api, 14)),
        Task::new(5, ago(&api, 5)).ended(ago(&api, 4), Outcome::Failed),
    ] {
        api.simulator.add(task);
    }
    api
}

fn ago(api: &Api, minutes: u64) -> Timestamp {
    earlier(api.simulator.now(), Duration::from_mins(minutes))
}

/// A task that was created and failed long ago, and is listed only from `from` on.
fn hidden(api: &Api, id: u64, from: Timestamp) -> Task {
    Task::new(id, ago(api, 12)).ended(ago(api, 11), Outcome::Failed).visible_from(from)
}

fn drift(page: &Page) -> Option<f64> {
    page.of(DRIFT, ACCOUNT)
}

fn missed(page: &Page) -> Option<f64> {
    page.of(MISSED, ACCOUNT)
}

/// The latest creation that an audit has asked for so far. Of all requests for a range, those of audits alone ask for
/// one row.
fn audited_to(api: &Api) -> Option<Timestamp> {
    let requests = api.simulator.requests().recent;
    let audits = requests.iter().filter(|exchange| exchange.target.contains("limit=1&"));
    let filters = audits.filter_map(|exchange| serde_json::from_str(&filter(exchange)).ok());
    filters.filter_map(|filter: Value| instant(&filter["created_timestamp"]["$lte"])).max()
}

/// Checks every number against the world, by an exporter that counts since `baseline`.
fn check(api: &Api, page: &Page, baseline: Timestamp) {
    let at = api.simulator.now();
    let truth = expected(ACCOUNT, &api.simulator.tasks(at), baseline, at, WINDOW);
    let differences = differences(&truth, &page.families(&FAMILIES));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_tasks_come_and_go_there_is_no_drift() {
    let api = world().await;
    let exporter = Exporter::following(&api, &keys()).await;
    let page = exporter.until("it is audited", |page| drift(page).is_some()).await;
    assert_eq!(drift(&page), Some(0.0));

    // Late, but not later than the overlap: soon they are old enough to be audited.
    let now = api.simulator.now();
    let late = earlier(now, Duration::from_secs(50));
    let soon = later(now, Duration::from_secs(3));
    api.simulator.add(Task::new(10, late));
    api.simulator.add(Task::new(11, late).ended(soon, Outcome::Failed));
    let ids = Cell::new(100);
    eventually("an audit reaches them", DEADLINE, async || {
        let (id, now) = (ids.get(), api.simulator.now());
        ids.set(id + 1);
        api.simulator.add(Task::new(id, now).ended(later(now, Duration::from_secs(2)), Outcome::Completed));
        assert_eq!(drift(&exporter.scrape().await), Some(0.0));
        audited_to(&api).filter(|to| *to > late)
    })
    .await;
    let page = exporter.polls(ACCOUNT, 4).await;
    assert_eq!((drift(&page), missed(&page)), (Some(0.0), Some(0.0)));
    // The two that were late are in no initial sync, so they count as if they were created after it.
    check(&api, &page, earlier(late, Duration::from_secs(1)));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_too_late_is_read_and_counted_by_the_rules_of_a_poll() {
    let api = world().await;
    let baseline = api.simulator.now();
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.until("it is audited", |page| drift(page) == Some(0.0)).await;
    let now = api.simulator.now();
    api.simulator.add(Task::new(6, now).ended(later(now, Duration::from_millis(1)), Outcome::Failed));
    check(&api, &exporter.polls(ACCOUNT, 3).await, baseline);

    // Created and ended before the baseline: in the gauges, and in no counter.
    let from = later(api.simulator.now(), Duration::from_secs(1));
    let completed = Task::new(12, ago(&api, 17)).ended(ago(&api, 13), Outcome::Completed);
    api.simulator.add(hidden(&api, 10, from));
    api.simulator.add(hidden(&api, 11, from).kind("snapshot", "never_seen_before"));
    api.simulator.add(completed.visible_from(from));
    let never_seen = |page: &Page| page.counted("clumio_tasks").contains("never_seen_before");
    exporter.until("the audit finds them", never_seen).await;
    let page = exporter.polls(ACCOUNT, 3).await;
    check(&api, &page, baseline);
    assert_eq!((drift(&page), missed(&page)), (Some(0.0), Some(0.0)));

    // Ended after the baseline: it counts, and was missed.
    let now = api.simulator.now();
    let task = Task::new(13, ago(&api, 12)).ended(now, Outcome::Failed);
    api.simulator.add(task.visible_from(later(now, Duration::from_secs(1))));
    exporter.until("the audit finds it", |page| missed(page) == Some(1.0)).await;
    let page = exporter.polls(ACCOUNT, 3).await;
    check(&api, &page, baseline);
    assert_eq!((drift(&page), missed(&page)), (Some(0.0), Some(1.0)));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_loses_permissions_is_reported_and_resolves_no_alert() {
    let api = world().await;
    let baseline = api.simulator.now();
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.until("it is audited", |page| drift(page) == Some(0.0)).await;
    let before = exporter.polls(ACCOUNT, 3).await;
    check(&api, &before, baseline);

    api.simulator.set_view(View::everything().without_category("restore"));
    exporter.until("the drift is published", |page| drift(page) == Some(2.0)).await;
    let page = exporter.polls(ACCOUNT, 4).await;
    assert_eq!(drift(&page), Some(2.0));
    assert_eq!(page.families(&FAMILIES), before.families(&FAMILIES));

    api.simulator.set_view(View::everything());
    let page = exporter.until("it sees all again", |page| drift(page) == Some(0.0)).await;
    assert_eq!(page.families(&FAMILIES), before.families(&FAMILIES));
    let now = api.simulator.now();
    api.simulator.add(Task::new(6, now).kind("restore", "aws_ebs_volume_restore"));
    let page = exporter.polls(ACCOUNT, 3).await;
    check(&api, &page, baseline);
    assert_eq!(missed(&page), Some(0.0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_api_stops_showing_do_not_mask_late_ones_elsewhere() {
    let api = world().await;
    let baseline = api.simulator.now();
    // Two hours before the others, so in another segment.
    for id in 30..34 {
        let task = Task::new(id, ago(&api, 140 + id)).kind("snapshot", "volume_snapshot");
        api.simulator.add(task.ended(ago(&api, 130 + id), Outcome::Completed));
    }
    let exporter = Exporter::following(&api, &keys()).await;
    exporter.until("it is audited", |page| drift(page) == Some(0.0)).await;
    let before = exporter.polls(ACCOUNT, 3).await;
    api.simulator.set_view(View::everything().without_category("snapshot"));
    exporter.until("the drift is published", |page| drift(page) == Some(4.0)).await;
    let from = later(api.simulator.now(), Duration::from_secs(1));
    (20..23).for_each(|id| api.simulator.add(hidden(&api, id, from)));
    let failed = r#"clumio_tasks{account="prod",category="backup",status="failed",type="aws_ebs_volume_incremental_backup"}"#;
    let expected = before.get(failed).map(|failed| failed + 3.0);
    let page = exporter.until("the audit finds them", |page| page.get(failed) == expected).await;
    check(&api, &page, baseline);
    assert_eq!(drift(&exporter.polls(ACCOUNT, 3).await), Some(4.0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_account_is_exact_after_a_repair_that_was_killed() {
    const WINDOW: Duration = Duration::from_hours(3);
    const HIDDEN: u64 = 20;
    let api = Api::start(Options { history: Duration::from_mins(100), ..busy(501) }).await;
    let window = WINDOW.as_secs();
    // The rate makes a repair last for seconds.
    let keys = keys().replace("poll.requests_per_second = 0\n", "poll.requests_per_second = 15\n");
    let keys = format!(
        "{keys}poll.window = \"{window}s\"\npoll.lookback = \"{window}s\"\nstate.directory = \"state\"\n"
    );
    let exporter = Exporter::start(Config::following(&api, &keys)).await;
    exporter.until("it is audited", |page| drift(page) == Some(0.0)).await;

    let from = later(api.simulator.now(), Duration::from_secs(1));
    for id in 1..=HIDDEN {
        let created = ago(&api, 90 - id);
        let task = Task::new(id, created).visible_from(from).started(created);
        let outcome = if id % 2 == 0 { Outcome::Failed } else { Outcome::Completed };
        api.simulator.add(task.ended(later(created, Duration::from_mins(2)), outcome));
    }
    let rows = |page: &Page| page.of("clumio_exporter_replica_tasks", ACCOUNT);
    let all = |page: &Page| {
        let tasks = api.simulator.tasks(api.simulator.now()).len();
        rows(page).is_some_and(|rows| rows >= tasks as f64)
    };
    sleep(Duration::from_millis(2_500)).await;
    let exporter = Exporter::start(kill(exporter)).await;
    api.simulator.stand_still(api.simulator.now());
    exporter.until("an audit has found all", all).await;
    check_exact(&api, &exporter, WINDOW).await;
    let page = exporter.scrape().await;
    assert_eq!((drift(&page), missed(&page)), (Some(0.0), Some(0.0)), "they do not count");
    exporter.stop().await;
}
