//! From a backup that fails in the simulated account to what Alertmanager holds, with everything real between them.

use std::collections::BTreeSet;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier, later};

use crate::harness::{ACCOUNT, Api, DEADLINE, eventually};
use crate::stack::{COMPRESSED, JOB, Labels, Pace, Stack, backup_failing, labels, volume};

const BACKUP: &str = "aws_ebs_volume_incremental_backup";

/// An account with a week of failures of an asset that has recovered.
async fn account() -> Api {
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    for id in 1..=50 {
        let created = earlier(now, Duration::from_mins(15 + id * 180));
        let ended = later(created, Duration::from_mins(10));
        let outcome = if id % 2 == 1 { Outcome::Completed } else { Outcome::Failed };
        api.simulator
            .add(Task::new(id, created).subject(volume("old")).started(created).ended(ended, outcome));
    }
    api
}

/// A backup of an asset that starts `now` and ends three seconds later.
fn backup(id: u64, asset: &str, now: Timestamp, outcome: Outcome) -> Task {
    Task::new(id, now).subject(volume(asset)).started(now).ended(later(now, Duration::from_secs(3)), outcome)
}

fn failing(asset: &str) -> Labels {
    backup_failing(asset, "backup", BACKUP)
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
async fn a_failed_backup_alerts_through_an_outage_of_clumio_until_the_next_success() {
    let keys = format!("{COMPRESSED}web.external_url = \"https://monitoring.example.com/clumio\"\n");
    let mut stack = Stack::start(account().await, &keys, Pace::FAST).await;
    stack.api.simulator.add(backup(900, "db", stack.api.simulator.now(), Outcome::Failed));
    until_held(&stack, "the failure alerts", &[failing("db")]).await;

    stack.api.down().await;
    until_held(&stack, "the outage alerts", &[failing("db"), data_too_old()]).await;
    let outage = format!("count_over_time(ALERTS{{alertname=\"{}\"}}[1h])", data_too_old()["alertname"]);
    stack
        .until("the outage outlasts the hold", &format!("{outage} > {}", Pace::FAST.hold + Pace::FAST.age))
        .await;
    assert!(stack.alertmanager.alerts().await.contains(&failing("db")), "an outage must not resolve it");

    stack.api.up().await;
    until_held(&stack, "the outage resolves", &[failing("db")]).await;
    stack.api.simulator.add(backup(901, "db", stack.api.simulator.now(), Outcome::Completed));
    until_held(&stack, "the failure resolves", &[]).await;
    check_all(&stack, &[failing("db"), data_too_old()]).await;
    let notified = stack.pager.notifications();
    let of_asset: Vec<_> = notified.iter().filter(|it| it.labels == failing("db")).collect();
    let link = "https://monitoring.example.com/clumio/asset?account=prod&id=id-of-db";
    assert!(of_asset.iter().all(|it| it.link == link), "{of_asset:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_with_and_without_state_change_no_alert() {
    let mut stack = Stack::start(account().await, COMPRESSED, Pace::FAST).await;
    stack.api.simulator.add(backup(900, "first", stack.api.simulator.now(), Outcome::Failed));
    until_held(&stack, "the first alerts", &[failing("first")]).await;

    let config = stack.kill();
    stack.api.simulator.add(backup(901, "second", stack.api.simulator.now(), Outcome::Failed));
    stack.until("a scrape fails", "up == 0").await;
    stack.restart(config).await;
    let both = [failing("first"), failing("second")];
    until_held(&stack, "what failed meanwhile alerts", &both).await;

    let config = stack.kill();
    std::fs::remove_dir_all(config.path().join("state")).expect("there must be a state");
    stack.until("a scrape fails", "up == 0").await;
    stack.restart(config).await;
    stack.exporter().polls(ACCOUNT, 10).await;
    until_held(&stack, "both still alert", &both).await;

    for (id, asset) in [(902, "first"), (903, "second")] {
        stack.api.simulator.add(backup(id, asset, stack.api.simulator.now(), Outcome::Completed));
    }
    until_held(&stack, "both resolve", &[]).await;
    check_all(&stack, &both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_can_be_evaluated_on_a_busy_account() {
    let stack = Stack::scraped_for(Duration::from_secs(20)).await;
    let broken = stack.prometheus.broken_rules().await;
    assert!(broken.is_empty(), "{broken:?}");
}
