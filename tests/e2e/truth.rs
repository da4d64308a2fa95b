//! What the numbers must be, from the life lines of the simulated tasks: the rules of the contract, written down a
//! second time.

use std::collections::BTreeSet;
use std::time::Duration;

use clumio_exporter::simulator::Truth;
use clumio_exporter::time::{Timestamp, earlier};

use crate::page::Samples;

/// The families that are compared.
pub const FAMILIES: [&str; 3] = ["clumio_tasks", "clumio_tasks_created_total", "clumio_tasks_ended_total"];

const OPEN: [&str; 3] = ["queued", "in_progress", "aborting"];
const ENDED: [&str; 3] = ["completed", "failed", "aborted"];

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
        let created = task.created > baseline;
        if created {
            add(created_series(account, task));
        }
        if task.ended.is_some_and(|ended| created || ended > baseline) {
            add(with_status("clumio_tasks_ended_total", account, task, &task.status));
        }
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
