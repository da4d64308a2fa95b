//! What the shipped rules make of what the real binary publishes, minute by minute over hours.

use std::time::Duration;

use clumio_exporter::simulator::{Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier, later};

use crate::recording::{Alert, Recording};

const FAILED: Alert = ("ClumioBackupFailed", "backup", "rds");
const FAILED_LATER: Alert = ("ClumioBackupFailed", "snapshot", "dynamodb");
const TOO_OLD: Alert = ("ClumioDataTooOld", "", "");

/// Minutes from the end of a task of a new kind until its failure has alerted for sure: its poll, the hold and the
/// poll after it, and an evaluation of each of two groups.
const LATENCY: usize = 5;

/// Backups of one kind, which complete every ten minutes for two days before and two hours after `now`.
fn usual(now: Timestamp) -> Vec<Task> {
    let first = earlier(now, Duration::from_hours(48));
    let created = |number: u64| later(first, Duration::from_secs(600 * number));
    let complete = |number| {
        let created = created(number);
        Task::new(number, created)
            .started(created)
            .ended(later(created, Duration::from_mins(4)), Outcome::Completed)
    };
    (1..300).map(complete).collect()
}

/// Has a task of a new kind fail within the next minute.
fn fail(recording: &Recording, (_, category, task_type): Alert) {
    let id = 1_000 + recording.minute() as u64;
    let task = Task::new(id, recording.after(5)).kind(category, task_type);
    recording
        .api
        .simulator
        .add(task.started(recording.after(10)).ended(recording.after(50), Outcome::Failed));
}

/// Expects that a failure in the minute after `minute` alerts an hour, with these other alerts.
fn expect_an_hour(recording: &mut Recording, minute: usize, others: &[Alert], alert: Alert) {
    let mut alerts = others.to_vec();
    alerts.push(alert);
    recording.expect(minute, others);
    recording.expect(minute + LATENCY + 1, &alerts);
    recording.expect(minute + 60, &alerts);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_very_first_failure_of_a_kind_never_seen_before_alerts_for_an_hour() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(5).await;
    fail(&recording, FAILED);
    expect_an_hour(&mut recording, 5, &[], FAILED);
    recording.expect(5 + LATENCY + 62, &[]);
    recording.minutes(12).await;
    recording.check(90);
}

/// One failure is open when the process is killed, another one happens before it starts again.
async fn restart_with_state_as(instance: &'static str) {
    let mut recording = Recording::start(usual).await;
    recording.minutes(4).await;
    fail(&recording, FAILED);
    recording.minutes(7).await;
    recording.expect(11, &[FAILED]);
    fail(&recording, FAILED_LATER);
    let config = recording.down(2);
    recording.restart(config, instance).await;
    recording.minutes(10).await;
    recording.expect(13, &[FAILED]);
    recording.expect(13 + LATENCY + 1, &[FAILED, FAILED_LATER]);
    recording.expect(4 + 60, &[FAILED, FAILED_LATER]);
    recording.expect(4 + LATENCY + 62, &[FAILED_LATER]);
    recording.expect(13 + LATENCY + 62, &[]);
    recording.check(80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_state_keeps_what_alerts_and_counts_what_failed_meanwhile() {
    restart_with_state_as("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_state_on_another_instance_is_one_on_the_same() {
    restart_with_state_as("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_state_neither_resolves_nor_repeats_what_alerts() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(4).await;
    fail(&recording, FAILED);
    recording.minutes(7).await;
    let config = recording.down(1);
    std::fs::remove_dir_all(config.path().join("state")).expect("there must be a state");
    recording.restart(config, "b").await;
    recording.minutes(8).await;
    expect_an_hour(&mut recording, 4, &[], FAILED);
    recording.expect(recording.minute(), &[FAILED]);
    recording.expect(4 + LATENCY + 62, &[]);
    recording.check(80);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_sync_over_a_week_of_old_failures_alerts_nothing() {
    let old = |now: Timestamp| {
        let failed = (1..160).map(|hours| {
            let created = earlier(now, Duration::from_hours(hours));
            let kind = format!("kind_{}", hours % 7);
            let ended = later(created, Duration::from_mins(59));
            Task::new(5_000 + hours, created)
                .kind("backup", kind)
                .started(created)
                .ended(ended, Outcome::Failed)
        });
        usual(now).into_iter().chain(failed).collect()
    };
    let mut recording = Recording::start(old).await;
    recording.minutes(10).await;
    for minute in [0, 2, 5, 10, 30, 70] {
        recording.expect(minute, &[]);
    }
    recording.check(70);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_resolves_no_alert_however_long_it_is() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(3).await;
    fail(&recording, FAILED);
    recording.minutes(7).await;
    recording.expect(10, &[FAILED]);
    recording.outage(8).await;
    recording.expect(10 + 8, &[FAILED, TOO_OLD]);
    recording.expect(10 + 60, &[FAILED, TOO_OLD]);
    recording.expect(10 + 180, &[FAILED, TOO_OLD]);
    recording.check(180);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_open_too_long_alerts_until_it_ends_and_a_seeding_one_does_not() {
    let open = |now: Timestamp| {
        let created = earlier(now, Duration::from_hours(24));
        let long =
            Task::new(2_000, created).kind("backup", "rds").started(later(now, Duration::from_mins(2)));
        let long = long.ended(later(now, Duration::from_mins(16)), Outcome::Completed);
        let seeding = Task::new(2_001, created).kind("backup", "ebs_seeding_backup").started(created);
        usual(now).into_iter().chain([long, seeding]).collect()
    };
    let mut recording = Recording::start(open).await;
    recording.minutes(22).await;
    let alert = ("ClumioTaskOpenTooLong", "backup", "rds");
    recording.expect(4, &[]);
    recording.expect(12, &[alert]);
    recording.expect(15, &[alert]);
    recording.expect(20, &[]);
    recording.expect(60, &[]);
    recording.check(60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_a_new_kind_in_a_gap_of_scrapes_alerts() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(5).await;
    fail(&recording, FAILED);
    // Where its counter started is on no page that is scraped.
    recording.unscraped(5).await;
    recording.expect(10, &[]);
    recording.minutes(5).await;
    recording.expect(13, &[FAILED]);
    recording.expect(10 + 59, &[FAILED]);
    recording.expect(10 + 64, &[]);
    recording.check(70);
}
