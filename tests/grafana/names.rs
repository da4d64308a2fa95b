//! The names of metrics and labels in an expression, and whether there are such.

use std::collections::{BTreeMap, BTreeSet};

use crate::page::{families, page};

/// Words that stand where a metric could: operators, and aggregations that have `by` or `without` behind them.
const WORDS: [&str; 10] = ["and", "or", "unless", "bool", "offset", "sum", "max", "min", "count", "avg"];

/// What Prometheus itself records of each scrape.
const OF_PROMETHEUS: &str = "up";

/// Behind these are labels in parentheses.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Labels that Prometheus adds when it scrapes, and that of buckets.
const ADDED: [&str; 6] = ["job", "instance", "pod", "container", "endpoint", "le"];

/// The families of the exposition with their labels.
pub struct Known {
    served: BTreeMap<String, BTreeSet<String>>,
}

/// The names in an expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub metrics: BTreeSet<String>,
    /// Labels that a selector of a metric names.
    selected: BTreeSet<(String, String)>,
    /// Labels by which series are grouped and joined.
    grouped: BTreeSet<String>,
}

// === impl Known ===

impl Known {
    pub fn new() -> Self {
        let served = families(&page()).into_iter().map(|(name, family)| (name, family.labels)).collect();
        Self { served }
    }

    /// Checks every name in an expression.
    pub fn check(&self, expression: &str) {
        let names = Names::of(expression);
        for metric in &names.metrics {
            let is_known = metric == OF_PROMETHEUS || self.labels(metric).is_some();
            assert!(is_known, "there is no {metric}: {expression}");
        }
        for (metric, label) in &names.selected {
            let is_label = match self.labels(metric) {
                Some(labels) => labels.contains(label),
                None => self.is_label(label),
            };
            assert!(is_label || ADDED.contains(&label.as_str()), "{metric} has no {label}: {expression}");
        }
        for label in &names.grouped {
            assert!(self.is_label(label) || ADDED.contains(&label.as_str()), "no {label}: {expression}");
        }
    }

    /// The labels of a family, which a histogram serves under three names.
    fn labels(&self, metric: &str) -> Option<&BTreeSet<String>> {
        let of_histogram = || ["_bucket", "_sum", "_count"].iter().find_map(|it| metric.strip_suffix(it));
        self.served.get(metric).or_else(|| self.served.get(of_histogram()?))
    }

    fn is_label(&self, label: &str) -> bool {
        self.served.values().any(|labels| labels.contains(label))
    }
}

// === impl Names ===

impl Names {
    /// A reading by word: promtool has parsed it, so that what is neither a function nor a label is a metric.
    pub fn of(expression: &str) -> Self {
        let mut names = Self::default();
        let text = without_values(expression);
        let (mut metric, mut in_braces, mut in_list) = (String::new(), false, false);
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(length.max(first.len_utf8()));
            let is_name = first.is_ascii_alphabetic() || first == '_' || first == ':';
            match word {
                "{" => in_braces = true,
                "}" => in_braces = false,
                ")" => in_list = false,
                _ if !is_name => {}
                _ if LISTS.contains(&word) => in_list = true,
                _ if in_braces => _ = names.selected.insert((metric.clone(), word.to_owned())),
                _ if in_list => _ = names.grouped.insert(word.to_owned()),
                _ if WORDS.contains(&word) || behind.trim_start().starts_with('(') => {}
                _ => {
                    word.clone_into(&mut metric);
                    names.metrics.insert(metric.clone());
                }
            }
            rest = behind;
        }
        names
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The expression without the values of labels and without ranges, in which words are no names.
fn without_values(expression: &str) -> String {
    let outside = expression.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    outside.split('[').map(|part| part.split_once(']').map_or(part, |(_, behind)| behind)).collect()
}

#[test]
fn names_are_distinguished_from_functions_and_values() {
    let expression =
        r#"rate(a_total{x="b{c", y!~"d"}[5m]) / on (k, l) group_left (m) max by (n) (o offset 10m) > 1e3"#;
    let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
    let selected = ["x", "y"].map(|label| ("a_total".to_owned(), label.to_owned()));
    let expected = Names {
        metrics: owned(&["a_total", "o"]),
        selected: selected.into(),
        grouped: owned(&["k", "l", "m", "n"]),
    };
    assert_eq!(Names::of(expression), expected);
}

#[test]
#[should_panic(expected = "there is no clumio_task")]
fn a_metric_that_is_not_served_is_found() {
    Known::new().check("sum(clumio_task)");
}

#[test]
#[should_panic(expected = "clumio_tasks has no reason")]
fn a_label_of_another_metric_is_found() {
    Known::new().check(r#"clumio_tasks{reason="auth"}"#);
}
