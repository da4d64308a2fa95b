//! What is told of an account in each state that it can be in.

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clumio::Reason;
use crate::metrics::{self, Failure, SyncObserver, SyncProgress};
use crate::store::{AssetSamples, KindSample, Periods, Snapshot, StatusSample, StoreStatus};
use crate::task::{Label, Status};

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + at).expect("the second must be in range")
}

/// The numbers of an account with one task that failed and one that is open.
fn snapshot() -> Snapshot {
    let status = |status, open, oldest_open: Option<i64>, last_ended: Option<i64>| StatusSample {
        status,
        tasks: 1,
        open,
        oldest_open: oldest_open.map(second),
        ended_total: last_ended.map(|_| 1),
        last_ended: last_ended.map(second),
        run_durations: None,
    };
    let kind = KindSample {
        category: Label::new("backup"),
        task_type: Label::new("ebs"),
        created_total: 2,
        queue_durations: None,
        statuses: vec![
            status(Status::Failed, 0, None, Some(-60)),
            status(Status::Queued, 1, Some(-120), None),
        ],
    };
    Snapshot {
        time: second(0),
        window: Duration::from_hours(24),
        baseline: second(-600),
        watermark: Some(second(-120)),
        covered_from: second(-86_400),
        rows: 2,
        vanished_total: 0,
        missed_total: 0,
        drift: None,
        kinds: vec![kind],
        assets: AssetSamples::default(),
    }
}

/// How its tasks ended: one failed.
fn periods() -> Periods {
    let period = Period { from: second(-3_600), completed: 0, failed: 1, aborted: 0, other: 0 };
    Periods { length: Duration::from_hours(1), list: vec![period] }
}

/// An account that is polled each minute.
fn account(exposition: &Exposition, name: &str) -> Arc<metrics::Account> {
    let (minute, day) = (Duration::from_mins(1), Duration::from_hours(24));
    exposition.add_account(name, minute, day, &SyncObserver::default())
}

fn report_on(exposition: &Exposition, scope: &Scope, at: i64) -> Report {
    let periods = exposition.accounts().into_iter().map(|name| (name, periods())).collect();
    Report::new(exposition, Details { periods, ..Details::default() }, scope, second(at))
}

fn report(exposition: &Exposition, at: i64) -> Report {
    report_on(exposition, &Scope::default(), at)
}

/// The health, the summary and the problems of the first account.
fn told(exposition: &Exposition, at: i64) -> String {
    let report = report(exposition, at);
    let account = &report.accounts[0];
    let problems = account.problems.iter().map(|problem| format!(" [{}] {}", problem.id, problem.message));
    format!("{}: {}{}", account.health.as_str(), account.summary, problems.collect::<String>())
}

#[test]
fn an_account_is_told_in_a_sentence_in_every_state() {
    let (exposition, took) = (Exposition::new(), Duration::from_secs(1));
    let account = account(&exposition, "prod");
    let first = "starting: No poll has ended yet. [initial_sync] The first poll has not begun yet.";
    assert_eq!(told(&exposition, 0), first);
    account.failed(Failure::Api(Reason::Auth), Some(took), second(0));
    let refused = "failing: No poll has succeeded yet: there are no numbers. [auth] The last poll failed 5 s ago: the API \
                   refused the token, or there is none. [initial_sync] The initial sync has not read anything yet.";
    assert_eq!(told(&exposition, 5), refused);
    account.succeeded(snapshot(), took, second(60));
    assert_eq!(told(&exposition, 90), "healthy: The last poll succeeded 30 s ago.");
    let late = "healthy: The last poll succeeded 2 min ago, and the next one has not ended yet.";
    assert_eq!(told(&exposition, 191), late);
    let overdue = "failing: The last poll that succeeded ended 10 min ago: as old are the numbers. [overdue] The last poll \
                   ended 10 min ago, and none since.";
    assert_eq!(told(&exposition, 660), overdue);
    account.failed(Failure::Panic, None, second(300));
    assert!(told(&exposition, 360).starts_with("failing: The last poll that succeeded ended 5 min ago"));
    account.succeeded(Snapshot { drift: Some(-3), ..snapshot() }, took, second(420));
    let drift = "degraded: The last poll succeeded 0 s ago, but there is something to look at. [drift] The audit found 3 \
                 more tasks in the API than in the replica.";
    assert_eq!(told(&exposition, 420), drift);
    account.succeeded(Snapshot { drift: Some(2), ..snapshot() }, took, second(450));
    assert!(
        told(&exposition, 450).ends_with("The audit found 2 fewer tasks in the API than in the replica.")
    );
    account.not_committed(snapshot(), took, second(480));
    assert!(told(&exposition, 480).contains("[state] The last poll failed 0 s ago"));
    account.succeeded(snapshot(), took, second(540));
    account.token_expires(Some(second(540 + 7_200)));
    assert!(told(&exposition, 540).ends_with("[token_expires] The token expires in 2 h."));
    assert!(
        told(&exposition, 540 + 7_260).contains("[token_expired] The token says that it expired 1 min ago.")
    );
}

#[test]
fn a_configuration_that_was_refused_is_told_until_one_is_in_use() {
    let exposition = Exposition::new();
    let told = || report(&exposition, 0).problems.into_iter().map(|problem| problem.id).collect::<Vec<_>>();
    exposition.config_read(Some(second(0)));
    assert_eq!(told(), [""; 0]);
    exposition.config_read(None);
    assert_eq!(told(), ["config_refused"]);
    exposition.config_read(Some(second(60)));
    exposition.web_config_read(false);
    assert_eq!(told(), ["config_refused"]);
    exposition.web_config_read(true);
    assert_eq!(told(), [""; 0]);
}

#[test]
fn a_database_that_was_replaced_is_reported_as_a_warning() {
    let exposition = Exposition::new();
    let status = StoreStatus { bytes: Some(4_096), last_write: Some(second(10)), recovered: None };
    exposition.store_is(status);
    assert_eq!(report(&exposition, 60).problems, []);
    exposition.store_is(StoreStatus { recovered: Some(second(0)), ..status });
    let report = report(&exposition, 60);
    let problem = &report.problems[0];
    assert_eq!((problem.id, problem.severity), ("state_recovered", Severity::Warning));
    assert!(problem.message.contains("replaced 1 min ago"), "{}", problem.message);
    let json = serde_json::to_value(&report).expect("it must be written");
    assert_eq!(json["state_recovered"], "2027-01-15T08:00:00Z");
    assert_eq!(json["state_last_write"], "2027-01-15T08:00:10Z");
    assert_eq!(json["state_bytes"], 4_096);
}

#[test]
fn the_progress_of_the_history_sync_is_reported() {
    let exposition = Exposition::new();
    let syncs = SyncObserver::new(|| SyncProgress { initial: None, history: Some(0.429) });
    let account = exposition.add_account("prod", Duration::from_mins(1), Duration::from_hours(24), &syncs);
    account.succeeded(snapshot(), Duration::from_secs(1), second(0));
    let problem = "[history_sync] The history is read back to state.retention: 42 % are done.";
    let expected = format!("healthy: The last poll succeeded 0 s ago. {problem}");
    assert_eq!(told(&exposition, 0), expected);
    let json = serde_json::to_value(report(&exposition, 0)).expect("it must be written");
    assert_eq!(json["accounts"][0]["history_sync_progress_ratio"], 0.429);
}

#[test]
fn every_reason_has_words_and_a_remedy_of_its_own() {
    let exposition = Exposition::new();
    let account = account(&exposition, "prod");
    let mut remedies = std::collections::BTreeSet::new();
    for failure in Failure::ALL {
        account.failed(failure, None, second(0));
        let problem = report(&exposition, 0).accounts.remove(0).problems.remove(0);
        assert_eq!((problem.id, problem.severity), (failure.as_str(), Severity::Critical));
        assert_eq!(problem.message.contains("a fault of the exporter"), failure == Failure::Panic);
        remedies.insert(problem.remedy);
    }
    assert_eq!(remedies.len(), Failure::ALL.len());
}

#[test]
fn the_report_as_json_has_these_fields() {
    let exposition = Exposition::new();
    account(&exposition, "prod").succeeded(snapshot(), Duration::from_secs(1), second(0));
    let json = serde_json::to_value(report(&exposition, 60)).expect("it must be written");
    let account = &json["accounts"][0];
    assert_eq!(account["last_success"], "2027-01-15T08:00:00Z");
    assert_eq!(account["numbers"]["kinds"][0]["tasks"], serde_json::json!({"failed": 1, "queued": 1}));
    assert_eq!(
        (&account["replica_tasks"], &account["audit_drift_tasks"]),
        (&2.into(), &serde_json::Value::Null)
    );
    assert_eq!(account["numbers"]["ended"]["periods"][0]["failed"], 1);
    assert_eq!(
        json["verdict"],
        serde_json::json!({"level": "waiting", "text": "No asset is known: no task has a category of assets.categories and names an asset"})
    );
}

#[test]
fn those_in_trouble_come_first_and_only_the_first_are_complete() {
    let exposition = Exposition::new();
    for n in 0..30 {
        let account = account(&exposition, &format!("a{n:02}"));
        account.succeeded(snapshot(), Duration::from_secs(1), second(0));
        if n == 29 {
            account.failed(Failure::Api(Reason::Server), None, second(0));
        }
    }
    let all = report(&exposition, 1);
    assert_eq!((all.accounts[0].name.as_str(), all.accounts_total), ("a29", 30));
    assert_eq!(all.accounts.iter().filter(|account| account.numbers.is_some()).count(), MAX_COMPLETE);
    let one = report_on(&exposition, &Scope { account: Some("a28".to_owned()) }, 1);
    assert!(one.accounts.len() == 1 && one.accounts[0].numbers.is_some());
}
