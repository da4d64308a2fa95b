//! Rules for Prometheus, written as a file from which Grafana provisions its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

const HEAD: &str = "\
# The alerts of deploy/prometheus/clumio-rules.yml as Grafana's own rules. Made from that file: do not edit it here, see
# README.md. Use either the alerts there or these: with both, everything is notified twice.
#
# Grafana has no `query` in annotations, so these link to the dashboard instead of the exporter's pages.
#
# A rule fires for each series that its query gives, whatever the value, as in Prometheus. No series is no alert:
# where absence is the fault, the query itself gives a series. A query that fails alerts as DatasourceError.
#
# A title can be only once in a folder, and one alert has two severities: hence a folder for each severity.

apiVersion: 1
groups:
";

/// The length of a folded line without its indentation.
const WIDTH: usize = 100;

/// The annotation that only Prometheus can expand.
const LINK: &str = "link";

/// The annotations in its place: the dashboard and its list of alerts.
pub const DASHBOARD_LINK: [(&str, &str); 2] = [("__dashboardUid__", "clumio-exporter"), ("__panelId__", "2")];

/// A file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub groups: Vec<Group>,
}

/// A group, as Prometheus evaluates it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    pub interval: String,
    pub rules: Vec<Rule>,
}

/// An alert. Unknown keys are rejected, because they would be missing in Grafana.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub alert: String,
    pub expr: String,
    #[serde(rename = "for")]
    pub wait: Option<String>,
    pub keep_firing_for: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

// === impl Rule ===

impl Rule {
    /// The annotations as Grafana has them. There, `$value` is a text about all queries.
    pub fn grafana_annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.annotations.clone();
        for text in annotations.values_mut() {
            *text = text.replace("$value", "$values.A.Value");
        }
        if annotations.remove(LINK).is_some() {
            annotations.extend(DASHBOARD_LINK.map(|(key, text)| (key.to_owned(), text.to_owned())));
        }
        annotations
    }
}

/// The file for Grafana.
pub fn render(groups: &[Group]) -> String {
    let mut text = HEAD.to_owned();
    for group in groups {
        let severities: BTreeSet<_> = group.rules.iter().map(severity).collect();
        for folder in severities {
            let name = &group.name;
            let interval = &group.interval;
            write!(
                text,
                "  - orgId: 1\n    name: {name}\n    folder: Clumio {folder}\n    interval: {interval}\n"
            )
            .expect("a text must take more");
            text.push_str("    rules:\n");
            for rule in group.rules.iter().filter(|rule| severity(rule) == folder) {
                text.push_str(&render_rule(rule));
            }
        }
    }
    text
}

fn severity(rule: &Rule) -> &str {
    rule.labels.get("severity").expect("an alert must have a severity")
}

fn render_rule(rule: &Rule) -> String {
    let title = &rule.alert;
    let uid = format!("{}-{}", title.to_lowercase(), severity(rule));
    let wait = rule.wait.as_deref().unwrap_or("0s");
    let keep_firing_for = rule
        .keep_firing_for
        .as_ref()
        .map_or_else(String::new, |time| format!("        keepFiringFor: {time}\n"));
    let expression = indented(16, rule.expr.trim_end().lines().map(str::to_owned));
    let annotations = rule.grafana_annotations();
    let annotations = indented(10, annotations.iter().flat_map(|(key, text)| folded(key, text)));
    let labels = indented(10, rule.labels.iter().map(|(key, text)| format!("{key}: {}", quoted(text))));
    format!(
        "      - uid: {uid}
        title: {title}
        condition: B
        for: {wait}
{keep_firing_for}        noDataState: OK
        execErrState: Error
        isPaused: false
        labels:
{labels}        annotations:
{annotations}        data:
          - refId: A
            datasourceUid: ${{CLUMIO_PROMETHEUS_UID}}
            relativeTimeRange: {{from: 600, to: 0}}
            model:
              refId: A
              instant: true
              range: false
              expr: |-
{expression}          - refId: B
            datasourceUid: __expr__
            relativeTimeRange: {{from: 0, to: 0}}
            model:
              refId: B
              type: threshold
              expression: A
              conditions:
                - evaluator: {{type: within_range, params: [-1.0e+300, 1.0e+300]}}
"
    )
}

/// A key with a folded text, which YAML reads as one line.
fn folded(key: &str, text: &str) -> Vec<String> {
    let mut lines = vec![format!("{key}: >-")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.starts_with(' ') && line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}

/// A text in double quotes, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text must be JSON")
}

fn indented(width: usize, lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [" ".repeat(width), line, "\n".to_owned()]).collect()
}
