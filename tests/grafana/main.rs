//! The dashboard and the alert rules for Grafana match the metrics of the exporter, the rules for Prometheus and Grafana's
//! own types.

mod alerting;
mod dashboard;
mod names;
#[path = "../shared/page.rs"]
mod page;
mod provisioning;
#[path = "../shared/queries.rs"]
mod queries;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path(file: &str) -> PathBuf {
    root().join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml<T: DeserializeOwned>(file: &str) -> T {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} must be a text"))
}

/// Has Prometheus itself parse these expressions.
fn check_expressions(expressions: &[String]) {
    assert!(!expressions.is_empty(), "there must be expressions");
    let rules = expressions.iter().enumerate().map(|(number, expression)| {
        let text = serde_json::to_string(expression).expect("a text must be JSON");
        format!("  - record: expression:{number}\n    expr: {text}\n")
    });
    let folder = tempfile::tempdir().expect("a folder must be made");
    let file = folder.path().join("expressions.yml");
    let rules: String = rules.collect();
    fs::write(&file, format!("groups:\n- name: expressions\n  rules:\n{rules}"))
        .expect("the rules must be written");
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    let output = output.expect("promtool must be installed, as tests/run does");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
