//! A family that is being filled.
//!
//! A sample in the form that the encoder takes has many times the size of its line. So samples become text a few hundred at
//! a time, and a page of many accounts is never there in that form.

use std::slice;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::encode;
use crate::store::DurationHistogram;

/// How many samples, or histograms, become text together.
const AT_ONCE: usize = 256;

/// A family that is being filled; without a sample it is not on the page.
pub(super) struct Family {
    /// With the samples that are not text yet.
    family: MetricFamily,
    text: String,
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
        Self { family, text: String::new() }
    }

    /// Puts the family on a page, if there is a sample in it.
    pub(super) fn write(mut self, page: &mut String) {
        self.encode();
        page.push_str(&self.text);
    }

    fn push(&mut self, metric: Metric) {
        self.family.mut_metric().push(metric);
        if self.family.get_metric().len() >= AT_ONCE {
            self.encode();
        }
    }

    fn encode(&mut self) {
        if self.family.get_metric().is_empty() {
            return;
        }
        let mut lines = String::new();
        encode(slice::from_ref(&self.family), &mut lines);
        let is_begun = !self.text.is_empty();
        // What a family is, is told once.
        let told = lines.split_inclusive('\n').take_while(|line| is_begun && line.starts_with('#'));
        let told = told.map(str::len).sum();
        self.text.push_str(&lines[told..]);
        self.family.mut_metric().clear();
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
        self.push(metric);
    }

    /// Adds the samples of a histogram.
    pub(super) fn observe(&mut self, labels: &[Label<'_>], durations: &DurationHistogram) {
        let buckets = durations.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.count());
        histogram.set_sample_sum(durations.sum().as_secs_f64());
        let mut metric = Metric::from_label(labels.iter().map(pair).collect());
        metric.set_histogram(histogram);
        self.push(metric);
    }
}

fn pair(&(name, value): &Label<'_>) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_once_however_many_samples_it_has() {
        let mut family = Family::gauge("clumio_up", "Whether\n# it is up.");
        let names: Vec<String> = (0..3 * AT_ONCE).map(|n| format!("{n}\n# HELP")).collect();
        for name in &names {
            family.add(&[("account", name)], 1.0);
        }
        let mut page = String::from("before\n");
        family.write(&mut page);
        Family::gauge("clumio_none", "Nothing.").write(&mut page);
        let head = "before\n# HELP clumio_up Whether\\n# it is up.\n# TYPE clumio_up gauge\n".to_owned();
        let lines = names.iter().map(|name| format!("clumio_up{{account={name:?}}} 1\n"));
        assert_eq!(page, head + &lines.collect::<String>());
    }
}
