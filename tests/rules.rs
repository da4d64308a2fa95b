//! The alerts are valid, do what their tests in `tests/rules` say, and lead to the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

const RULES: &str = "deploy/prometheus/clumio-rules.yml";
const RUNBOOK: &str = "deploy/prometheus/RUNBOOK.md";
const MAX_LINES: usize = 250;

/// The default of `assets.max_named`.
const MAX_NAMED: usize = 100;

/// A test of one alert at one time, with the alerts of that name that fire.
struct Case {
    alert: String,
    firing: Vec<Value>,
}

#[test]
fn promtool_and_amtool_accept_what_is_shipped() {
    for (what, file) in [("rules", RULES), ("config", "deploy/prometheus/prometheus.yml")] {
        assert_succeeds(&run("promtool", &["check", what, file]));
    }
    assert_succeeds(&run("amtool", &["check-config", "deploy/prometheus/alertmanager.yml"]));
}

#[test]
fn the_alerts_pass_their_tests() {
    let runs = test_files().into_iter().map(|file| {
        let file = file.display().to_string();
        thread::spawn(move || run("promtool", &["test", "rules", &file]))
    });
    let runs: Vec<_> = runs.collect();
    for run in runs {
        assert_succeeds(&run.join().expect("promtool must run"));
    }
}

#[test]
fn a_region_in_which_3000_assets_fail_has_one_alert_for_each_named_asset_and_one_sum() {
    let series = named_failing_assets(10).chain([unnamed_failing_assets("0x9 2900x20")]);
    check_firing(series, &[(9, 0, 0), (10, MAX_NAMED, 1), (20, MAX_NAMED, 1)]);
}

#[test]
fn one_more_failing_asset_beside_100_named_ones_has_a_sum_and_disturbs_no_other_alert() {
    let series = named_failing_assets(0).chain([unnamed_failing_assets("0x9 1x20")]);
    check_firing(series, &[(9, MAX_NAMED, 0), (10, MAX_NAMED, 1), (20, MAX_NAMED, 1)]);
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let cases = cases();
    for alert in alerts() {
        let name = text_of(&alert["alert"]);
        let of_alert = || cases.iter().filter(|case| case.alert == name);
        assert!(of_alert().any(|case| !case.firing.is_empty()), "{name} never fires in tests/rules");
        assert!(of_alert().any(|case| case.firing.is_empty()), "{name} is never silent in tests/rules");
    }
}

#[test]
fn the_rules_are_short_and_are_alerts_only() {
    let text = read(RULES);
    assert!(text.lines().count() <= MAX_LINES, "{RULES} must have at most {MAX_LINES} lines");
    assert!(!text.contains("record:"), "a recording rule needs a measurement that shows why");
}

#[test]
fn every_alert_has_a_severity_and_one_line_that_names_the_account() {
    for alert in alerts() {
        let severity = text_of(&alert["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&severity), "{alert}");
        let summary = text_of(&alert["annotations"]["summary"]);
        assert!(!summary.is_empty() && !summary.contains('\n'), "{alert}");
        let of_process = ["ClumioStateRecovered", "ClumioReloadFailed"].contains(&text_of(&alert["alert"]));
        assert!(of_process || summary.contains("$labels.account"), "{summary}");
    }
}

#[test]
fn alerts_about_assets_name_them_last_through_a_restart_and_link_to_their_page() {
    let mut seen = 0;
    for alert in alerts().iter().filter(|alert| text_of(&alert["expr"]).contains("_asset_")) {
        let annotations = &alert["annotations"];
        for label in ["asset", "asset_type", "account"] {
            assert!(text_of(&annotations["summary"]).contains(&format!("$labels.{label} }}")), "{alert}");
        }
        assert!(text_of(&annotations["summary"]).contains("$value | humanizeTimestamp"), "{alert}");
        assert!(text_of(&annotations["link"]).contains("/asset?account="), "{alert}");
        assert_eq!(alert["keep_firing_for"], "15m", "{alert}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// A Pod that moves must not change an alert, and a new link must not either.
#[test]
fn expressions_aggregate_the_instance_away_and_leave_the_link_to_annotations() {
    for alert in alerts() {
        let expression = text_of(&alert["expr"]);
        let aggregations = expression.matches(" without (instance, pod").count();
        let metrics = expression.matches("clumio_").count() + expression.matches("(up{").count();
        let absent = expression.matches("absent(clumio_up)").count();
        assert_eq!(aggregations + absent, metrics, "{expression}");
        assert!(!expression.contains("clumio_exporter_web_info"), "{expression}");
    }
}

#[test]
fn every_alert_links_to_its_section_of_the_runbook() {
    let base = format!("{}/blob/main/{RUNBOOK}", repository());
    let mut linked = BTreeSet::new();
    for alert in alerts() {
        let name = text_of(&alert["alert"]).to_owned();
        let anchor = name.to_lowercase();
        assert_eq!(text_of(&alert["annotations"]["runbook_url"]), format!("{base}#{anchor}"));
        linked.insert(name);
    }
    let values: Value = yaml(&read("deploy/helm/clumio-exporter/values.yaml"));
    assert_eq!(values["prometheusRule"]["runbookBaseUrl"], base);
    let runbook = read(RUNBOOK);
    let sections: Vec<_> = runbook
        .split("\n## ")
        .filter_map(|section| section.split_once('\n'))
        .filter(|(title, _)| title.starts_with("Clumio"))
        .collect();
    let titles: BTreeSet<_> = sections.iter().map(|(title, _)| (*title).to_owned()).collect();
    assert_eq!(titles, linked);
    assert_eq!(titles.len(), sections.len(), "a section is there twice");
    for (title, text) in sections {
        assert!(text.contains("Resolves"), "the runbook does not say when {title} resolves");
    }
}

/// As many failing assets as have names, from that minute on.
fn named_failing_assets(minute: usize) -> impl Iterator<Item = Value> {
    let values = if minute == 0 { "60x30".to_owned() } else { format!("_x{minute} 60x30") };
    (0..MAX_NAMED).map(move |number| {
        let labels = format!("account=\"prod\",asset_id=\"{number}\",instance=\"a\",type=\"ebs\"");
        json!({
            "series": format!("clumio_failing_asset_since_timestamp_seconds{{{labels}}}"),
            "values": values,
        })
    })
}

fn unnamed_failing_assets(values: &str) -> Value {
    let series = "clumio_assets_unnamed{account=\"prod\",state=\"failing\",instance=\"a\"}";
    json!({ "series": series, "values": values })
}

/// Checks how many alerts of failing assets and how many sums fire at each of these minutes.
fn check_firing(series: impl Iterator<Item = Value>, expected: &[(usize, usize, usize)]) {
    let account = [
        json!({ "series": "clumio_up{account=\"prod\",instance=\"a\"}", "values": "1x30" }),
        json!({
            "series": "clumio_exporter_last_success_timestamp_seconds{account=\"prod\",instance=\"a\"}",
            "values": "0+60x30",
        }),
    ];
    let expected = expected.iter().map(|(minute, failing, sums)| {
        let counts = [("ClumioBackupFailing", failing), ("ClumioUnnamedAssets", sums)];
        let samples = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(alert, count)| json!({ "labels": format!("{{alertname=\"{alert}\"}}"), "value": count }));
        json!({
            "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})",
            "eval_time": format!("{minute}m"),
            "exp_samples": samples.collect::<Vec<_>>(),
        })
    });
    let test = json!({
        "rule_files": [root().join(RULES)],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": series.chain(account).collect::<Vec<_>>(),
            "promql_expr_test": expected.collect::<Vec<_>>(),
        }],
    });
    let folder = tempfile::tempdir().expect("a folder must be created");
    let file = folder.path().join("test.json");
    // JSON is YAML.
    fs::write(&file, test.to_string()).expect("the test must be written");
    assert_succeeds(&run("promtool", &["test", "rules", &file.display().to_string()]));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn repository() -> &'static str {
    env!("CARGO_PKG_REPOSITORY")
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

fn assert_succeeds(output: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
}
