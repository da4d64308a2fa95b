//! The rules for Prometheus are taken, do what their own tests say, and tell whoever they wake up what to do.
//!
//! `tests/rules` has the cases, in the form that promtool runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

const RULES: &str = "deploy/prometheus/clumio-rules.yml";
const EXPECTED: &str = "deploy/prometheus/clumio-expected.yml";
const RUNBOOK: &str = "deploy/prometheus/RUNBOOK.md";

/// A case of one alert: the name of the alert, and the alerts of that name that fire.
struct Case {
    alert: String,
    firing: Vec<Value>,
}

#[test]
fn promtool_takes_the_rules_and_the_example_configuration() {
    for (what, file) in
        [("rules", RULES), ("rules", EXPECTED), ("config", "deploy/prometheus/prometheus.yml")]
    {
        succeeds(&run("promtool", &["check", what, file]));
    }
    succeeds(&run("amtool", &["check-config", "deploy/prometheus/alertmanager.yml"]));
}

#[test]
fn the_examples_of_what_is_expected_are_rules_once_their_marks_are_taken_away() {
    let text = read(EXPECTED);
    let (head, examples) = text.split_once("    rules:\n").expect("the file must have rules");
    let examples = examples.lines().filter_map(|line| line.trim_start().strip_prefix("# "));
    let examples = examples.filter(|line| line.starts_with("- ") || line.starts_with("  "));
    let examples: Vec<_> = examples.map(|line| format!("      {line}")).collect();
    let folder = tempfile::tempdir().expect("a folder must be made");
    let file = folder.path().join("expected.yml");
    fs::write(&file, format!("{head}    rules:\n{}\n", examples.join("\n")))
        .expect("the examples must be written");
    succeeds(&run("promtool", &["check", "rules", &file.display().to_string()]));

    let example: Value = yaml(&fs::read_to_string(&file).expect("the examples must be readable"));
    let rules = all(&example["groups"]).flat_map(|group| all(&group["rules"]));
    let names: BTreeSet<_> = rules.map(|rule| text_of(&rule["record"])).collect();
    assert_eq!(names, BTreeSet::from(["clumio:backup_expected_seconds", "clumio:open_task_limit_seconds"]));
}

#[test]
fn the_rules_do_what_their_tests_say() {
    let runs = test_files().into_iter().map(|file| {
        let file = file.display().to_string();
        thread::spawn(move || run("promtool", &["test", "rules", &file]))
    });
    let runs: Vec<_> = runs.collect();
    for run in runs {
        succeeds(&run.join().expect("promtool must run"));
    }
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let cases = cases();
    for alert in alerts() {
        let name = text_of(&alert["alert"]);
        let of_alert = || cases.iter().filter(|case| case.alert == name);
        assert!(of_alert().any(|case| !case.firing.is_empty()), "{name} never fires in tests/rules");
        assert!(of_alert().any(|case| case.firing.is_empty()), "{name} is never silent in tests/rules");
    }
}

/// Else promtool would evaluate them in another order each time, and what a test sees would be half a minute off.
#[test]
fn the_tests_evaluate_the_groups_in_the_order_of_the_file() {
    let rules: Value = yaml(&read(RULES));
    let groups: Vec<_> = all(&rules["groups"]).map(|group| &group["name"]).collect();
    for file in test_files() {
        let test: Value = yaml(&fs::read_to_string(&file).expect("the test must be readable"));
        let order: Vec<_> = all(&test["group_eval_order"]).collect();
        assert_eq!(order, groups, "{}", file.display());
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_it_is_about() {
    for alert in alerts() {
        let severity = text_of(&alert["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&severity), "{alert}");
        assert!(!text_of(&alert["annotations"]["summary"]).is_empty(), "{alert}");
    }
    for case in cases() {
        for firing in &case.firing {
            let description = text_of(&firing["exp_annotations"]["description"]);
            assert!(!description.is_empty(), "{}", case.alert);
            for label in ["account", "category", "type"] {
                let value = firing["exp_labels"][label].as_str().unwrap_or_default();
                assert!(description.contains(value), "{} does not say of which {label}", case.alert);
            }
        }
    }
}

#[test]
fn each_alert_leads_to_its_section_of_the_runbook() {
    let mut leading = BTreeSet::new();
    for alert in alerts() {
        let name = text_of(&alert["alert"]).to_owned();
        let anchor = name.to_lowercase();
        assert_eq!(text_of(&alert["annotations"]["runbook_url"]), format!("{RUNBOOK}#{anchor}"));
        leading.insert(name);
    }
    let runbook = read(RUNBOOK);
    let sections = runbook.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    let sections: BTreeMap<_, _> = sections.filter(|(title, _)| title.starts_with("Clumio")).collect();
    let titles: BTreeSet<_> = sections.keys().map(|title| (*title).to_owned()).collect();
    assert_eq!(titles, leading);
    for (title, text) in sections {
        assert!(text.contains("esolves"), "the runbook does not say when {title} resolves");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("the file must be readable")
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("the file must be YAML")
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn alerts() -> Vec<Value> {
    let rules: Value = yaml(&read(RULES));
    let rules = all(&rules["groups"]).flat_map(|group| all(&group["rules"]));
    let alerts: Vec<_> = rules.filter(|rule| rule.get("alert").is_some()).cloned().collect();
    assert!(!alerts.is_empty(), "the rules have no alerts");
    alerts
}

fn test_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/rules")).expect("the folder of tests must be readable");
    let files = entries.map(|entry| entry.expect("the folder of tests must be readable").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yml")).collect()
}

/// What the tests say of single alerts.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in test_files() {
        let test: Value = yaml(&fs::read_to_string(file).expect("the test must be readable"));
        for case in all(&test["tests"]).flat_map(|group| all(&group["alert_rule_test"])) {
            let alert = text_of(&case["alertname"]).to_owned();
            cases.push(Case { alert, firing: all(&case["exp_alerts"]).cloned().collect() });
        }
    }
    cases
}

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).current_dir(root()).output();
    output.expect("the program must be installed, as tests/run does")
}

fn succeeds(output: &Output) {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
}
