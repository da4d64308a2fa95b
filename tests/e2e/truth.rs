//! What the numbers must be, from the life lines of the simulated tasks: the rules of the contract, written down a
//! second time. Times are exact to the microsecond.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clumio_exporter::simulator::Truth;
use clumio_exporter::time::{Timestamp, earlier, elapsed, unix_seconds};

use crate::page::Samples;

/// The gauges that are compared.
pub const GAUGES: [&str; 3] =
    ["clumio_tasks", "clumio_oldest_open_task_timestamp_seconds", "clumio_last_ended_task_timestamp_seconds"];

/// The counters that are compared, and the series of histograms, which are counters as well.
pub const COUNTERS: [&str; 8] = [
    "clumio_tasks_created_total",
    "clumio_tasks_ended_total",
    "clumio_task_run_duration_seconds_bucket",
    "clumio_task_run_duration_seconds_sum",
    "clumio_task_run_duration_seconds_count",
    "clumio_task_queue_duration_seconds_bucket",
    "clumio_task_queue_duration_seconds_sum",
    "clumio_task_queue_duration_seconds_count",
];

/// All that are compared.
pub const FAMILIES: [&str; 11] = {
    let mut families = [GAUGES[0]; 11];
    let mut at = 0;
    while at < families.len() {
        families[at] = if at < GAUGES.len() { GAUGES[at] } else { COUNTERS[at - GAUGES.len()] };
        at += 1;
    }
    families
};

const OPEN: [&str; 3] = ["queued", "in_progress", "aborting"];
const ENDED: [&str; 3] = ["completed", "failed", "aborted"];

/// The bounds of the buckets, in seconds.
const BOUNDS: [u64; 11] = [10, 60, 300, 900, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200, 604_800];

/// What is published of `tasks` at `at`, by an exporter that has counted since `baseline` and holds nothing back: a
/// world in which all tasks are listed from their creation on, or were created after the baseline.
pub fn expected(
    account: &str,
    tasks: &[Truth],
    baseline: Timestamp,
    at: Timestamp,
    window: Duration,
) -> Samples {
    let mut samples = zeroes(account, tasks);
    let mut add = |series: String| *samples.get_mut(&series).expect("every series must start at 0") += 1.0;
    for task in tasks {
        if task.ended.is_none_or(|ended| ended > earlier(at, window)) {
            add(with_status("clumio_tasks", account, task, &task.status));
        }
        if task.created > baseline {
            add(created_series(account, task));
        }
        if counts_as_ended(task, baseline) {
            add(with_status("clumio_tasks_ended_total", account, task, &task.status));
        }
    }
    samples.extend(instants(account, tasks));
    samples.extend(durations(account, tasks, baseline));
    samples
}

fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).expect("a truncated time must be valid")
}

fn counts_as_ended(task: &Truth, baseline: Timestamp) -> bool {
    task.ended.is_some_and(|ended| task.created > baseline || ended > baseline)
}

/// When the oldest open task was created, and the newest ended one ended.
fn instants(account: &str, tasks: &[Truth]) -> Samples {
    let mut samples = Samples::new();
    for task in tasks {
        let (family, instant) = match task.ended {
            None => ("clumio_oldest_open_task_timestamp_seconds", task.created),
            Some(ended) => ("clumio_last_ended_task_timestamp_seconds", ended),
        };
        let instant = unix_seconds(to_micros(instant));
        let sample = samples.entry(with_status(family, account, task, &task.status)).or_insert(instant);
        *sample = if task.ended.is_none() { sample.min(instant) } else { sample.max(instant) };
    }
    samples
}

/// The histograms of the tasks that count as ended, and that started.
fn durations(account: &str, tasks: &[Truth], baseline: Timestamp) -> Samples {
    let mut histograms: BTreeMap<(&str, String), Vec<Duration>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| counts_as_ended(task, baseline)) {
        let Truth { category, task_type, status, .. } = task;
        let (Some(started), Some(ended)) = (task.started, task.ended) else { continue };
        let kind = |status: &str| {
            format!("account=\"{account}\",category=\"{category}\",{status}type=\"{task_type}\"")
        };
        let run = ("clumio_task_run_duration_seconds", kind(&format!("status=\"{status}\",")));
        histograms.entry(run).or_default().push(elapsed(to_micros(started), to_micros(ended)));
        let queue = ("clumio_task_queue_duration_seconds", kind(""));
        histograms.entry(queue).or_default().push(elapsed(to_micros(task.created), to_micros(started)));
    }
    let mut samples = Samples::new();
    for ((family, labels), durations) in histograms {
        let at_most =
            |bound: Duration| durations.iter().filter(|duration| **duration <= bound).count() as f64;
        let bounds = BOUNDS.map(|bound| (bound.to_string(), at_most(Duration::from_secs(bound))));
        let all = durations.len() as f64;
        for (bound, count) in bounds.into_iter().chain([("+Inf".to_owned(), all)]) {
            samples.insert(format!("{family}_bucket{{{labels},le=\"{bound}\"}}"), count);
        }
        samples.insert(format!("{family}_count{{{labels}}}"), all);
        samples.insert(format!("{family}_sum{{{labels}}}"), durations.iter().sum::<Duration>().as_secs_f64());
    }
    samples
}

/// Every series of every kind that there is, at 0.
fn zeroes(account: &str, tasks: &[Truth]) -> Samples {
    let mut kinds = BTreeSet::new();
    let mut series = Vec::new();
    for task in tasks.iter().filter(|task| kinds.insert((&task.category, &task.task_type))) {
        series.push(created_series(account, task));
        series.extend(ENDED.map(|status| with_status("clumio_tasks_ended_total", account, task, status)));
        let statuses = OPEN.into_iter().chain(ENDED);
        series.extend(statuses.map(|status| with_status("clumio_tasks", account, task, status)));
    }
    series.into_iter().map(|series| (series, 0.0)).collect()
}

fn created_series(account: &str, task: &Truth) -> String {
    let Truth { category, task_type, .. } = task;
    format!(
        "clumio_tasks_created_total{{account=\"{account}\",category=\"{category}\",type=\"{task_type}\"}}"
    )
}

fn with_status(family: &str, account: &str, task: &Truth, status: &str) -> String {
    let Truth { category, task_type, .. } = task;
    format!(
        "{family}{{account=\"{account}\",category=\"{category}\",status=\"{status}\",type=\"{task_type}\"}}"
    )
}

/// Where the two differ, a line each.
pub fn differences(expected: &Samples, published: &Samples) -> Vec<String> {
    let series: BTreeSet<&String> = expected.keys().chain(published.keys()).collect();
    let differs = series.into_iter().filter(|series| expected.get(*series) != published.get(*series));
    let shown = |samples: &Samples, series: &String| {
        samples.get(series).map_or("nothing".to_owned(), ToString::to_string)
    };
    differs
        .map(|series| {
            format!("{series}: {} instead of {}", shown(published, series), shown(expected, series))
        })
        .collect()
}
