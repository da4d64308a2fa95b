//! From a task that fails in the simulated world to what Alertmanager holds, with everything real between them.

use std::collections::BTreeSet;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier, later};

use crate::harness::{ACCOUNT, Api, DEADLINE, eventually};
use crate::single_failures::Failure;
use crate::stack::{COMPRESSED, JOB, Labels, Pace, Stack, labels};

const BACKUP: &str = "aws_ebs_volume_incremental_backup";

/// A world with a week of old failures, and a task of the kind that will fail.
async fn world() -> Api {
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    for id in 1..=50 {
        let created = earlier(now, Duration::from_mins(15 + id * 180));
        let ended = later(created, Duration::from_mins(10));
        let outcome = if id % 2 == 0 { Outcome::Completed } else { Outcome::Failed };
        api.simulator.add(Task::new(id, created).started(created).ended(ended, outcome));
    }
    api
}

/// A backup that runs from `now` on and fails three seconds later.
fn failing(id: u64, now: Timestamp) -> Task {
    Task::new(id, now).started(now).ended(later(now, Duration::from_secs(3)), Outcome::Failed)
}

fn backup_failed() -> Labels {
    labels(&[
        ("account", ACCOUNT),
        ("alertname", "ClumioBackupFailed"),
        ("category", "backup"),
        ("job", JOB),
        ("severity", "critical"),
        ("status", "failed"),
        ("type", BACKUP),
    ])
}

fn data_too_old() -> Labels {
    let (account, job) = (("account", ACCOUNT), ("job", JOB));
    labels(&[account, ("alertname", "ClumioDataTooOld"), job, ("severity", "critical")])
}

/// Waits until Alertmanager holds these alerts and no other.
async fn until_held(stack: &Stack, what: &str, alerts: &[Labels]) {
    let alerts: BTreeSet<Labels> = alerts.iter().cloned().collect();
    let held = async || (stack.alertmanager.alerts().await == alerts).then_some(());
    eventually(what, DEADLINE, held).await;
}

/// Checks that each of these was notified once and its end once, and that nothing else ever fired.
async fn check_all(stack: &Stack, alerts: &[Labels]) {
    let alerts: BTreeSet<Labels> = alerts.iter().cloned().collect();
    stack.notified_once(&alerts).await;
    assert_eq!(stack.fired().await, alerts, "nothing else may fire");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_alerts_and_an_outage_of_the_api_does_not_resolve_it() {
    let mut stack = Stack::start(world().await, COMPRESSED, Pace::FAST).await;
    stack.api.simulator.add(failing(900, stack.api.simulator.now()));
    until_held(&stack, "the failure alerts", &[backup_failed()]).await;

    stack.api.down().await;
    until_held(&stack, "the outage alerts", &[backup_failed(), data_too_old()]).await;
    let open = format!("count_over_time(ALERTS{{alertname=\"{}\"}}[1h])", backup_failed()["alertname"]);
    let longer = format!("{open} > {}", 2 * Pace::FAST.range);
    stack.until("the alert is older than its range", &longer).await;
    assert!(stack.alertmanager.alerts().await.contains(&backup_failed()), "an outage must not resolve it");

    stack.api.up().await;
    until_held(&stack, "both resolve", &[]).await;
    check_all(&stack, &[backup_failed(), data_too_old()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_initial_syncs_alert_nothing_and_lose_nothing() {
    let mut stack = Stack::start(world().await, COMPRESSED, Pace::FAST).await;
    let mut random = fastrand::Rng::new();
    let mut new_kind = |stack: &Stack, number| {
        let at = later(stack.api.simulator.now(), Duration::from_secs(2));
        let failure = Failure::random(&mut random, number, at);
        stack.api.simulator.add(failure.task(&mut random));
        failure.alert()
    };
    let first = new_kind(&stack, 1);
    until_held(&stack, "the first alerts", std::slice::from_ref(&first)).await;

    // Killed while it is open; another one fails meanwhile.
    let config = stack.kill();
    let second = new_kind(&stack, 2);
    stack.until("a scrape fails", "up == 0").await;
    stack.restart(config).await;
    let is_second = async || stack.alertmanager.alerts().await.contains(&second).then_some(());
    eventually("what failed meanwhile alerts", DEADLINE, is_second).await;
    until_held(&stack, "both resolve", &[]).await;

    // Without what it knew: everything that failed before is old.
    let config = stack.kill();
    std::fs::remove_dir_all(config.path().join("state")).expect("there must be a state");
    stack.until("a scrape fails", "up == 0").await;
    stack.restart(config).await;
    stack.exporter().polls(ACCOUNT, 10).await;
    let third = new_kind(&stack, 3);
    until_held(&stack, "the third alerts", std::slice::from_ref(&third)).await;
    until_held(&stack, "it resolves", &[]).await;
    check_all(&stack, &[first, second, third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_can_be_evaluated_on_a_busy_account() {
    let stack = Stack::scraped_for(Duration::from_secs(20)).await;
    let broken = stack.prometheus.broken_rules().await;
    assert!(broken.is_empty(), "{broken:?}");
    let now = Timestamp::now().as_duration().as_secs_f64();
    for recorded in
        ["clumio:tasks_ended_total", "clumio:backup_age_seconds", "clumio:oldest_open_age_seconds"]
    {
        let series = stack.prometheus.query_range(recorded, now - 10.0, now, 1.0).await;
        assert!(series.is_ok_and(|series| !series.is_empty()), "{recorded} must be recorded");
    }
}
