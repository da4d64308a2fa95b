//! Grafana's alert rules are those for Prometheus, written in Grafana's way.
//!
//! They are made from those: with `UPDATE_GRAFANA=1` in the environment the first test writes them anew.

mod render;

use std::collections::BTreeSet;
use std::{env, fs};

use serde_json::Value;

use crate::names::Known;
use crate::{all, check_expressions, path, read, text_of, yaml};
use render::{Group, Rule, Rules, render};

const PROMETHEUS: &str = "deploy/prometheus/clumio-rules.yml";
const GRAFANA: &str = "deploy/grafana/provisioning/alerting/clumio-rules.yml";
const README: &str = "deploy/grafana/README.md";

/// One more, which Prometheus does not need: there, alerts and recording rules are in one file.
const NOT_RECORDED: &str = r"
alert: ClumioRulesNotLoaded
expr: |
  max without (instance, pod, container, endpoint) (clumio_up)
    unless on () clumio:account_seen_timestamp
for: 10m
labels:
  severity: critical
annotations:
  summary: The recording rules for Clumio are not loaded
  description: >-
    Prometheus scrapes the exporter and does not record what the alerts are made of, so none of them can fire.
  runbook_url: deploy/grafana/README.md#clumiorulesnotloaded
";

/// The groups of alerts: those for Prometheus, and the one for Grafana alone.
fn alerts() -> Vec<Group> {
    let rules: Rules = yaml(PROMETHEUS);
    let one = serde_saphyr::from_str(NOT_RECORDED).expect("the rule must be one");
    let own = Group { name: "clumio-grafana-alerts".to_owned(), interval: "1m".to_owned(), rules: vec![one] };
    let groups = rules.groups.into_iter().chain([own]).map(|group| {
        let rules: Vec<Rule> = group.rules.into_iter().filter(|rule| rule.alert.is_some()).collect();
        Group { rules, ..group }
    });
    groups.filter(|group| !group.rules.is_empty()).collect()
}

/// The rules that Grafana would read, each with the folder that it is in.
fn provisioned() -> Vec<(String, Value)> {
    let file: Value = yaml(GRAFANA);
    let groups = all(&file["groups"]);
    let rules = groups.flat_map(|group| {
        let folder = text_of(&group["folder"]);
        all(&group["rules"]).map(|rule| (folder.to_owned(), rule.clone()))
    });
    rules.collect()
}

fn query(rule: &Value) -> &Value {
    &rule["data"][0]
}

#[test]
fn the_file_is_made_from_the_rules_for_prometheus() {
    let text = render(&alerts());
    if env::var_os("UPDATE_GRAFANA").is_some() {
        fs::write(path(GRAFANA), &text).expect("the file must be written");
    }
    assert!(read(GRAFANA) == text, "run `UPDATE_GRAFANA=1 cargo test --test grafana`, and commit {GRAFANA}");
}

#[test]
fn each_alert_is_there_under_its_name_with_its_severity_and_its_words() {
    let mut rules = provisioned();
    for alert in alerts().iter().flat_map(|group| &group.rules) {
        let name = alert.alert.as_deref().unwrap_or_default();
        let is_it =
            |rule: &Value| rule["title"] == name && rule["labels"]["severity"] == alert.labels["severity"];
        let at = rules.iter().position(|(_, rule)| is_it(rule)).unwrap_or_else(|| panic!("no {name}"));
        let (_, rule) = rules.remove(at);
        assert_eq!(text_of(&query(&rule)["model"]["expr"]).trim(), alert.expr.trim());
        assert_eq!(text_of(&rule["for"]), alert.wait.as_deref().unwrap_or("0s"), "{name}");
        assert_eq!(rule["labels"], serde_json::json!(alert.labels), "{name}");
        let annotations = rule["annotations"].as_object().expect("there must be annotations");
        assert_eq!(annotations.len(), alert.annotations.len(), "{name}");
        for (key, text) in annotations {
            assert_eq!(text_of(text).replace("$values.A.Value", "$value"), alert.annotations[key], "{name}");
        }
    }
    assert!(rules.is_empty(), "{rules:?}");
}

/// Grafana asks for both: a uid for the whole of it, a title for each folder.
#[test]
fn no_two_rules_are_in_each_others_way() {
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (folder, rule) in provisioned() {
        let (uid, title) = (text_of(&rule["uid"]).to_owned(), text_of(&rule["title"]).to_owned());
        assert!(uid.len() <= 40, "{uid} is too long");
        assert!(uids.insert(uid), "{title}");
        assert!(titles.insert((folder, title.clone())), "{title}");
    }
}

#[test]
fn a_failed_query_is_not_silent_and_no_series_is_no_alert() {
    for (_, rule) in provisioned() {
        assert_eq!(
            (text_of(&rule["noDataState"]), text_of(&rule["execErrState"])),
            ("OK", "Error"),
            "{rule}"
        );
        assert_eq!(rule["isPaused"], false);
        assert_eq!(text_of(&query(&rule)["datasourceUid"]), "${CLUMIO_PROMETHEUS_UID}");
        assert_eq!((&rule["condition"], &rule["data"][1]["refId"]), (&Value::from("B"), &Value::from("B")));
    }
}

/// Grafana takes a dollar for a variable of the environment everywhere but in annotations.
#[test]
fn only_annotations_and_the_data_source_have_a_dollar() {
    for (_, mut rule) in provisioned() {
        rule["annotations"] = Value::Null;
        rule["data"][0]["datasourceUid"] = Value::Null;
        assert!(!rule.to_string().contains('$'), "{rule}");
    }
}

#[test]
fn every_expression_is_parsed_and_names_what_is_there() {
    let known = Known::new();
    let rules = provisioned();
    let expressions: Vec<_> =
        rules.iter().map(|(_, rule)| text_of(&query(rule)["model"]["expr"]).to_owned()).collect();
    check_expressions(&expressions);
    for expression in &expressions {
        known.check(expression, true);
    }
}

#[test]
fn the_readme_has_what_the_environment_must_set_and_what_to_do_for_the_one_alert_more() {
    let readme = read(README);
    for text in ["CLUMIO_PROMETHEUS_URL", "CLUMIO_PROMETHEUS_UID", "\n### ClumioRulesNotLoaded\n"] {
        assert!(readme.contains(text), "{text}");
    }
}
