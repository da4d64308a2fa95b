//! What the client did, request by request: the families that move while a poll runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, exponential_buckets};

use crate::clumio::{Observer, Reason};
use crate::task::Defect;

/// The families about requests, for all accounts.
#[derive(Debug)]
pub(super) struct RequestFamilies {
    requests: IntCounterVec,
    durations: HistogramVec,
    retries: IntCounterVec,
    rows: IntCounterVec,
    defects: IntCounterVec,
}

/// The series of one account.
#[derive(Debug)]
pub struct RequestMetrics {
    account: String,
    families: Arc<RequestFamilies>,
}

// === impl RequestFamilies ===

impl RequestFamilies {
    pub(super) fn new() -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("the family must be well-formed")
        };
        // From 10 ms, an answer from a near region, to 40 s, past the default request timeout.
        let buckets = exponential_buckets(0.01, 2.0, 13).expect("the buckets must be well-formed");
        let durations = HistogramOpts::new(
            "clumio_exporter_api_request_duration_seconds",
            "How long requests to the API took, whether they were answered or not.",
        );
        Self {
            requests: counter(
                "clumio_exporter_api_requests_total",
                "Requests to the API, retries included, by HTTP status, or `error` where no answer came.",
                &["account", "code"],
            ),
            durations: HistogramVec::new(durations.buckets(buckets), &["account"])
                .expect("the family must be well-formed"),
            retries: counter(
                "clumio_exporter_api_retries_total",
                "Requests that were tried again, by the reason why the one before failed.",
                &["account", "reason"],
            ),
            rows: counter("clumio_exporter_tasks_read_total", "Rows of the task list read.", &["account"]),
            defects: counter(
                "clumio_exporter_tasks_invalid_total",
                "Tasks that were skipped (no_id, no_status) or corrected (bad_timestamp, treated as null), each counted once.",
                &["account", "reason"],
            ),
        }
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.durations.clone()))?;
        registry.register(Box::new(self.retries.clone()))?;
        registry.register(Box::new(self.rows.clone()))?;
        registry.register(Box::new(self.defects.clone()))
    }

    /// Puts the series of `account` at 0 wherever the values of a label are known, so that no first increase is
    /// lost.
    pub(super) fn begin(&self, account: &str) {
        for reason in Reason::ALL {
            self.retries.with_label_values(&[account, reason.as_str()]);
        }
        for defect in Defect::ALL {
            self.defects.with_label_values(&[account, defect.as_str()]);
        }
        self.requests.with_label_values(&[account, "200"]);
        self.durations.with_label_values(&[account]);
        self.rows.with_label_values(&[account]);
    }

    /// Removes the series of `account`.
    pub(super) fn forget(&self, account: &str) {
        remove(&self.requests, account);
        remove(&self.durations, account);
        remove(&self.retries, account);
        remove(&self.rows, account);
        remove(&self.defects, account);
    }
}

/// Removes the series of an account, whatever their other labels are: the statuses of answers are the API's own.
fn remove<T: MetricVecBuilder>(family: &MetricVec<T>, account: &str) {
    for metrics in family.collect() {
        for metric in metrics.get_metric() {
            let labels = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
            let labels: HashMap<_, _> = labels.collect();
            if labels.get("account") == Some(&account) {
                // It fails only if the series is gone already.
                let _ = family.remove(&labels);
            }
        }
    }
}

// === impl RequestMetrics ===

impl RequestMetrics {
    pub(super) fn new(account: &str, families: Arc<RequestFamilies>) -> Self {
        Self { account: account.to_owned(), families }
    }
}

impl Observer for RequestMetrics {
    fn request(&self, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.families.requests.with_label_values(&[self.account.as_str(), &code]).inc();
        self.families.durations.with_label_values(&[self.account.as_str()]).observe(took.as_secs_f64());
    }

    fn retry(&self, reason: Reason) {
        self.families.retries.with_label_values(&[self.account.as_str(), reason.as_str()]).inc();
    }

    fn rows(&self, rows: u64) {
        self.families.rows.with_label_values(&[self.account.as_str()]).inc_by(rows);
    }

    fn defect(&self, defect: Defect) {
        self.families.defects.with_label_values(&[self.account.as_str(), defect.as_str()]).inc();
    }
}
