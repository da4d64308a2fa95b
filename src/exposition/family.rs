//! A family that is being filled.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::ledger::Observations;

/// A family that is being filled; without a sample it is not on the page.
pub(super) struct Family {
    family: MetricFamily,
}

/// A label's name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

// === impl Family ===

impl Family {
    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    pub(super) fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::HISTOGRAM)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self { family }
    }

    /// The family, if there is a sample in it.
    pub(super) fn filled(self) -> Option<MetricFamily> {
        (!self.family.get_metric().is_empty()).then_some(self.family)
    }

    /// Adds a sample of a gauge or a counter; the labels are printed in this order, which is to be that of their names.
    pub(super) fn add(&mut self, labels: &[Label<'_>], value: f64) {
        let mut metric = Metric::from_label(labels.iter().map(pair).collect());
        if self.family.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
    }

    /// Adds the samples of a histogram.
    pub(super) fn observe(&mut self, labels: &[Label<'_>], observations: &Observations) {
        let buckets = observations.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(observations.count());
        histogram.set_sample_sum(observations.sum().as_secs_f64());
        let mut metric = Metric::from_label(labels.iter().map(pair).collect());
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
    }
}

fn pair(&(name, value): &Label<'_>) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
