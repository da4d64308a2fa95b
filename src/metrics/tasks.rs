//! The families about tasks, of every account that has a snapshot.

use super::families::{Current, snapshots};
use super::family::{Family, Label};
use crate::store::{KindSample, StatusSample};
use crate::time::unix_seconds;

/// The families, which are filled together.
struct TaskFamilies {
    tasks: Family,
    oldest_open: Family,
    last_ended: Family,
    created: Family,
    ended: Family,
    run: Family,
    queue: Family,
}

/// The families, filled.
pub(super) fn tasks(accounts: &Current<'_>) -> [Family; 7] {
    let mut families = TaskFamilies::empty();
    for (account, snapshot) in snapshots(accounts) {
        for kind in &snapshot.kinds {
            families.add_kind(&account.name, kind);
        }
    }
    let TaskFamilies { tasks, oldest_open, last_ended, created, ended, run, queue } = families;
    [tasks, oldest_open, last_ended, created, ended, run, queue]
}

// === impl TaskFamilies ===

impl TaskFamilies {
    fn empty() -> Self {
        Self {
            tasks: Family::gauge(
                "clumio_tasks",
                "Tasks that are open, and tasks that ended within the window (clumio_exporter_poll_window_seconds), \
                 as of the last successful poll. Polled on the exporter's own timer.",
            ),
            oldest_open: Family::gauge(
                "clumio_oldest_open_task_timestamp_seconds",
                "When the oldest open task was created; absent while there is none. Polled on the exporter's own timer.",
            ),
            last_ended: Family::gauge(
                "clumio_last_ended_task_timestamp_seconds",
                "When the newest task ended of all that were read, in the window or not; absent before the first. One with \
                 a status that the exporter does not know counts when that is final, an hour later. Polled on the \
                 exporter's own timer.",
            ),
            created: Family::counter(
                "clumio_tasks_created_total",
                "Tasks created since the exporter started to count. Polled on the exporter's own timer.",
            ),
            ended: Family::counter(
                "clumio_tasks_ended_total",
                "Tasks ended since the exporter started to count. Polled on the exporter's own timer.",
            ),
            run: Family::histogram(
                "clumio_task_run_duration_seconds",
                "How long tasks ran, from start to end: those that clumio_tasks_ended_total counts and that started. \
                 Polled on the exporter's own timer.",
            ),
            queue: Family::histogram(
                "clumio_task_queue_duration_seconds",
                "How long tasks waited, from creation to start: those that clumio_tasks_ended_total counts and that \
                 started. Polled on the exporter's own timer.",
            ),
        }
    }

    fn add_kind(&mut self, account: &str, kind: &KindSample) {
        let [category, task_type] = [kind.category.as_str(), kind.task_type.as_str()];
        let labels = [("account", account), ("category", category), ("type", task_type)];
        self.created.add(&labels, kind.created_total as f64);
        if let Some(durations) = &kind.queue_durations {
            self.queue.observe(&labels, durations);
        }
        let [account, category, task_type] = labels;
        for sample in &kind.statuses {
            self.add_status(&[account, category, ("status", sample.status.as_str()), task_type], sample);
        }
    }

    fn add_status(&mut self, labels: &[Label<'_>], sample: &StatusSample) {
        self.tasks.add(labels, sample.tasks as f64);
        if let Some(created) = sample.oldest_open {
            self.oldest_open.add(labels, unix_seconds(created));
        }
        if let Some(ended) = sample.last_ended {
            self.last_ended.add(labels, unix_seconds(ended));
        }
        if let Some(total) = sample.ended_total {
            self.ended.add(labels, total as f64);
        }
        if let Some(durations) = &sample.run_durations {
            self.run.observe(labels, durations);
        }
    }
}
