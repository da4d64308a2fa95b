//! The families that come from polls, built anew from the current snapshots.
//!
//! No vector of metrics lives on between scrapes: a series is on the page if and only if it is in a snapshot.

use std::iter;
use std::time::Duration;

use super::account::{Account, Failure, Published};
use super::assets::assets;
use super::family::Family;
use super::tasks::tasks;
use crate::store::{Snapshot, StoreStatus};
use crate::time::unix_seconds;

/// The accounts with what is current of each.
pub(crate) type Current<'a> = [(&'a Account, &'a Published)];

/// Puts all families that come from polls on a page.
pub(super) fn write(accounts: &Current<'_>, page: &mut String) {
    tasks(accounts)
        .into_iter()
        .chain(assets(accounts))
        .chain(polls(accounts))
        .for_each(|family| family.write(page));
}

/// Writes how far the syncs are; it changes while a poll runs.
pub(super) fn write_progress(accounts: &Current<'_>, page: &mut String) {
    let initial = Family::gauge(
        "clumio_exporter_initial_sync_progress_ratio",
        "How much of its initial sync an account has read, from 0 to 1; absent while none runs.",
    );
    let history = Family::gauge(
        "clumio_exporter_history_sync_progress_ratio",
        "How much of its history an account has read, from 0 to 1; absent while no history sync runs.",
    );
    of_each(initial, accounts, &|published| published.syncs.progress().initial).write(page);
    of_each(history, accounts, &|published| published.syncs.progress().history).write(page);
}

/// Writes the URL of the pages, for the links of alerts.
pub(super) fn write_web_info(external_url: &str, page: &mut String) {
    let mut family = Family::gauge(
        "clumio_exporter_web_info",
        "The URL under which people reach the exporter (web.external_url); always 1, absent if none is configured.",
    );
    family.add(&[("external_url", external_url)], 1.0);
    family.write(page);
}

/// Writes how the database is; nothing if it is in memory.
pub(super) fn write_store(status: StoreStatus, page: &mut String) {
    let families = [
        (
            "clumio_exporter_state_bytes",
            "The size of the database in the state directory.",
            status.bytes.map(|bytes| bytes as f64),
        ),
        (
            "clumio_exporter_state_last_write_timestamp_seconds",
            "When the database was last written. A poll that changes nothing writes nothing.",
            status.bytes.and(status.last_write).map(unix_seconds),
        ),
        (
            "clumio_exporter_state_recovered_timestamp_seconds",
            "When a database that could not be used was replaced by an empty one; absent if none was.",
            status.recovered.map(unix_seconds),
        ),
    ];
    for (name, help, value) in families {
        let mut family = Family::gauge(name, help);
        if let Some(value) = value {
            family.add(&[], value);
            family.write(page);
        }
    }
}

/// The families about polls.
fn polls<'a>(accounts: &'a Current<'_>) -> impl Iterator<Item = Family> + 'a {
    let gauges =
        POLL_GAUGES.iter().map(|(name, help, value)| of_each(Family::gauge(name, help), accounts, value));
    let counters =
        POLL_COUNTERS.iter().map(|(name, help, value)| of_each(Family::counter(name, help), accounts, value));
    iter::once_with(|| poll_failures(accounts)).chain(gauges).chain(counters)
}

fn poll_failures(accounts: &Current<'_>) -> Family {
    let mut failures =
        Family::counter("clumio_exporter_poll_failures_total", "Polls that failed, by reason.");
    for (account, published) in accounts {
        for (failure, count) in Failure::ALL.iter().zip(published.failures) {
            failures.add(&[("account", &account.name), ("reason", failure.as_str())], count as f64);
        }
    }
    failures
}

/// The family with one sample for each account that has a value.
fn of_each(mut family: Family, accounts: &Current<'_>, value: &dyn Fn(&Published) -> Option<f64>) -> Family {
    for (account, published) in accounts {
        if let Some(value) = value(published) {
            family.add(&[("account", &account.name)], value);
        }
    }
    family
}

pub(super) fn snapshots<'a>(accounts: &Current<'a>) -> impl Iterator<Item = (&'a Account, &'a Snapshot)> {
    accounts.iter().filter_map(|(account, published)| Some((*account, published.snapshot.as_deref()?)))
}

/// A family with one sample an account: its name, its help, and its value where there is one.
type PerAccount = (&'static str, &'static str, &'static (dyn Fn(&Published) -> Option<f64> + Sync));

const POLL_GAUGES: [PerAccount; 10] = [
    (
        "clumio_up",
        "1 if the last poll of the account succeeded, 0 if it failed or none has ended yet.",
        &|published| Some(f64::from(published.up)),
    ),
    (
        "clumio_token_expiry_timestamp_seconds",
        "When the API token of the account says that it expires (its exp claim, not verified); absent where it says \
         nothing. Read on the exporter's own timer.",
        &|published| published.token_expiry.map(unix_seconds),
    ),
    (
        "clumio_exporter_last_poll_duration_seconds",
        "How long the last poll took, successful or not.",
        &|published| published.last_duration.as_ref().map(Duration::as_secs_f64),
    ),
    (
        "clumio_exporter_poll_interval_seconds",
        "How often the account is polled, as configured.",
        &|published| Some(published.interval.as_secs_f64()),
    ),
    (
        "clumio_exporter_poll_window_seconds",
        "How long ended tasks stay in clumio_tasks, as configured.",
        &|published| Some(published.window.as_secs_f64()),
    ),
    (
        "clumio_exporter_last_success_timestamp_seconds",
        "When the last successful poll ended: how old the numbers are.",
        &|published| published.last_success.map(unix_seconds),
    ),
    (
        "clumio_exporter_watermark_timestamp_seconds",
        "The newest creation of a task read so far, on the API's clock. It does not advance on a quiet account.",
        &|published| published.snapshot.as_ref()?.watermark.map(unix_seconds),
    ),
    (
        "clumio_exporter_audit_drift_tasks",
        "Tasks in the replica minus tasks in the API, as of the last audit: above 0, the API no longer shows tasks that it \
         has shown.",
        &|published| published.snapshot.as_ref()?.drift.map(|drift| drift as f64),
    ),
    ("clumio_exporter_replica_tasks", "Tasks in the replica.", &|published| {
        published.snapshot.as_ref().map(|snapshot| snapshot.rows as f64)
    }),
    (
        "clumio_exporter_replica_oldest_timestamp_seconds",
        "The creation time from which the replica is complete.",
        &|published| published.snapshot.as_ref().map(|snapshot| unix_seconds(snapshot.covered_from)),
    ),
];

const POLL_COUNTERS: [PerAccount; 5] = [
    (
        "clumio_exporter_audit_failures_total",
        "Audits that could not be finished. Polls are not affected.",
        &|published| Some(published.audit_failures as f64),
    ),
    (
        "clumio_exporter_history_sync_failures_total",
        "Slices of the history that could not be read. Polls are not affected, and they are read again.",
        &|published| Some(published.history_sync_failures as f64),
    ),
    ("clumio_exporter_polls_total", "Polls that ended, successful or not.", &|published| {
        Some(published.polls as f64)
    }),
    (
        "clumio_exporter_tasks_missed_total",
        "Tasks that the API listed later than poll.overlap, so that only an audit has found them. They are in all other numbers.",
        &|published| {
            let snapshot = published.snapshot.as_ref();
            Some(snapshot.map_or(0.0, |snapshot| snapshot.missed_total as f64))
        },
    ),
    (
        "clumio_exporter_tasks_vanished_total",
        "Open tasks that the API stopped returning, so that their end is not known.",
        &|published| {
            let snapshot = published.snapshot.as_ref();
            Some(snapshot.map_or(0.0, |snapshot| snapshot.vanished_total as f64))
        },
    ),
];
