//! What the shipped rules make of what the real binary publishes, minute by minute over hours.

use std::time::Duration;

use clumio_exporter::simulator::{Outcome, Task, View};
use clumio_exporter::time::{Timestamp, earlier, later};

use crate::recording::{Alert, Recording};
use crate::stack::volume;

const FAILING: Alert = ("ClumioBackupFailing", "warning", "db");
const FAILING_LATER: Alert = ("ClumioBackupFailing", "warning", "disk");
const FAILING_FOR_A_DAY: Alert = ("ClumioBackupFailing", "critical", "db");
const TOO_OLD: Alert = ("ClumioDataTooOld", "critical", "");
const SILENT: Alert = ("ClumioAssetSilent", "warning", "deleted");
const DRIFT: Alert = ("ClumioAuditDrift", "warning", "");
const OPEN_TOO_LONG: Alert = ("ClumioTaskOpenTooLong", "warning", "");

/// Minutes from the minute in which a task ends until its poll is recorded.
const LATENCY: usize = 2;

/// `keep_firing_for`, in minutes.
const HOLD: usize = 15;

/// Backups of one asset, which complete every ten minutes for two days before and two hours after `now`.
fn usual(now: Timestamp) -> Vec<Task> {
    let first = earlier(now, Duration::from_hours(48));
    let created = |number: u64| later(first, Duration::from_secs(600 * number));
    let complete = |number| {
        let created = created(number);
        Task::new(number, created)
            .subject(volume("usual"))
            .started(created)
            .ended(later(created, Duration::from_mins(4)), Outcome::Completed)
    };
    (1..300).map(complete).collect()
}

/// A backup of the alert's asset that was created `hours` ago and took a minute.
fn past(id: u64, (_, _, asset): Alert, now: Timestamp, hours: u64, outcome: Outcome) -> Task {
    let created = earlier(now, Duration::from_hours(hours));
    Task::new(id, created)
        .subject(volume(asset))
        .started(created)
        .ended(later(created, Duration::from_mins(1)), outcome)
}

/// Has a backup of the alert's asset end so within the next minute.
fn back_up(recording: &Recording, (_, _, asset): Alert, outcome: Outcome) {
    let id = 1_000 + recording.minute() as u64;
    let task = Task::new(id, recording.after(5)).subject(volume(asset));
    recording.api.simulator.add(task.started(recording.after(10)).ended(recording.after(50), outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_alerts_until_a_retry_completes() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(5).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(5).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(10).await;
    back_up(&recording, FAILING, Outcome::Completed);
    recording.minutes(5).await;
    recording.expect(5, &[]);
    recording.expect(5 + LATENCY, &[FAILING]);
    recording.expect(20 + HOLD, &[FAILING]);
    recording.expect(20 + LATENCY + HOLD + 1, &[]);
    recording.check(60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_critical_after_a_day() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(5).await;
    back_up(&recording, FAILING, Outcome::Failed);
    // No task is open in the last minute, which is repeated for a day.
    recording.minutes(3).await;
    recording.expect(24 * 60, &[FAILING]);
    // A recorded minute takes a little longer on a loaded machine.
    recording.expect(24 * 60 + 6 + HOLD - 5, &[FAILING]);
    recording.expect(24 * 60 + 6 + HOLD + 5, &[FAILING_FOR_A_DAY]);
    recording.check(25 * 60);
}

/// One asset is failing when the process is killed, another one fails before it starts again.
async fn restart_with_state_as(instance: &'static str) {
    let mut recording = Recording::start(usual).await;
    recording.minutes(4).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(7).await;
    back_up(&recording, FAILING_LATER, Outcome::Failed);
    let config = recording.down(2);
    recording.restart(config, instance).await;
    recording.minutes(10).await;
    recording.expect(11, &[FAILING]);
    recording.expect(13, &[FAILING]);
    recording.expect(13 + LATENCY, &[FAILING, FAILING_LATER]);
    recording.expect(13 + 70, &[FAILING, FAILING_LATER]);
    recording.check(80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_state_keeps_alerts_and_finds_what_failed_meanwhile() {
    restart_with_state_as("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_state_on_another_instance_is_one_on_the_same() {
    restart_with_state_as("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_state_keeps_alerts() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(4).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(7).await;
    let config = recording.down(1);
    std::fs::remove_dir_all(config.path().join("state")).expect("there must be a state");
    recording.restart(config, "b").await;
    recording.minutes(8).await;
    for minute in [4 + LATENCY, 11, 12, 13, 20, 80] {
        recording.expect(minute, &[FAILING]);
    }
    recording.check(80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_alerts_what_is_failing_and_nothing_that_recovered() {
    let old = |now: Timestamp| {
        let mut tasks = usual(now);
        tasks.push(past(5_000, FAILING, now, 72, Outcome::Failed));
        tasks.push(past(5_001, FAILING_LATER, now, 72, Outcome::Failed));
        tasks.push(past(5_002, FAILING_LATER, now, 48, Outcome::Completed));
        tasks
    };
    let mut recording = Recording::start(old).await;
    recording.minutes(10).await;
    // The critical alert waits for as long as the warning would hold.
    recording.expect(HOLD + 1, &[FAILING_FOR_A_DAY, ("ClumioAssetOverdue", "critical", "db")]);
    recording.check(70);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_clumio_resolves_no_alert_however_long_it_is() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(3).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(7).await;
    recording.expect(10, &[FAILING]);
    recording.outage(8).await;
    recording.expect(10 + 8, &[FAILING, TOO_OLD]);
    recording.expect(10 + 180, &[FAILING, TOO_OLD]);
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
    recording.expect(0, &[]);
    recording.expect(4, &[OPEN_TOO_LONG]);
    recording.expect(16 + HOLD - 1, &[OPEN_TOO_LONG]);
    recording.expect(16 + LATENCY + HOLD + 1, &[]);
    recording.check(60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_a_gap_of_scrapes_alerts() {
    let mut recording = Recording::start(usual).await;
    recording.minutes(5).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.unscraped(5).await;
    recording.minutes(5).await;
    recording.expect(10, &[]);
    recording.expect(11, &[FAILING]);
    recording.check(30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_asset_is_silent_once_it_is_older_than_its_objective() {
    let deleted = |now: Timestamp| {
        let mut tasks = usual(now);
        // Its last backup took a minute: it is 26 hours old in minute 4.
        let created = earlier(now, Duration::from_mins(26 * 60 - 3));
        let last = Task::new(5_000, created).subject(volume("deleted")).started(created);
        tasks.push(last.ended(later(created, Duration::from_mins(1)), Outcome::Completed));
        tasks
    };
    let mut recording = Recording::start_with("assets.max_age = \"26h\"\n", deleted).await;
    recording.minutes(9).await;
    recording.expect(3, &[]);
    recording.expect(4 + LATENCY, &[SILENT]);
    recording.expect(60, &[SILENT]);
    recording.check(60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_loses_permissions_resolves_no_alert_and_alerts_after_an_hour() {
    let mut recording = Recording::start_with("poll.audit_interval = \"1s\"\n", usual).await;
    recording.minutes(3).await;
    back_up(&recording, FAILING, Outcome::Failed);
    recording.minutes(4).await;
    recording.api.simulator.set_view(View::everything().without_category("backup"));
    recording.minutes(12).await;
    recording.expect(7, &[FAILING]);
    recording.expect(60, &[FAILING]);
    recording.expect(90, &[FAILING, DRIFT]);
    recording.check(80);
}
