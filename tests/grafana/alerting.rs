//! Grafana's alert rules are generated from those for Prometheus: with `UPDATE_GRAFANA=1` in the environment the first
//! test writes them.

mod render;

use std::collections::BTreeSet;
use std::{env, fs};

use serde_json::Value;

use crate::names::Known;
use crate::queries::DASHBOARD;
use crate::{all, check_expressions, path, read, text_of, yaml};
use render::{DASHBOARD_LINK, Group, Rules, render};

const PROMETHEUS: &str = "deploy/prometheus/clumio-rules.yml";
const GRAFANA: &str = "deploy/grafana/provisioning/alerting/clumio-rules.yml";
const README: &str = "deploy/grafana/README.md";

fn alerts() -> Vec<Group> {
    yaml::<Rules>(PROMETHEUS).groups
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
fn each_alert_keeps_its_name_severity_times_and_annotations() {
    let mut rules = provisioned();
    for alert in alerts().iter().flat_map(|group| &group.rules) {
        let name = alert.alert.as_str();
        let is_it =
            |rule: &Value| rule["title"] == name && rule["labels"]["severity"] == alert.labels["severity"];
        let at = rules.iter().position(|(_, rule)| is_it(rule)).unwrap_or_else(|| panic!("no {name}"));
        let (_, rule) = rules.remove(at);
        assert_eq!(text_of(&query(&rule)["model"]["expr"]).trim(), alert.expr.trim());
        assert_eq!(text_of(&rule["for"]), alert.wait.as_deref().unwrap_or("0s"), "{name}");
        assert_eq!(rule.get("keepFiringFor").map(text_of), alert.keep_firing_for.as_deref(), "{name}");
        assert_eq!(rule["labels"], serde_json::json!(alert.labels), "{name}");
        assert_eq!(rule["annotations"], serde_json::json!(alert.grafana_annotations()), "{name}");
    }
    assert!(rules.is_empty(), "{rules:?}");
}

/// A uid must be unique in Grafana, a title in its folder.
#[test]
fn uids_and_titles_are_unique() {
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

/// Grafana reads a dollar as a variable of the environment everywhere but in annotations.
#[test]
fn only_annotations_and_the_data_source_have_a_dollar() {
    for (_, mut rule) in provisioned() {
        rule["annotations"] = Value::Null;
        rule["data"][0]["datasourceUid"] = Value::Null;
        assert!(!rule.to_string().contains('$'), "{rule}");
    }
}

#[test]
fn expressions_are_valid_and_their_names_exist() {
    let known = Known::new();
    let rules = provisioned();
    let expressions: Vec<_> =
        rules.iter().map(|(_, rule)| text_of(&query(rule)["model"]["expr"]).to_owned()).collect();
    check_expressions(&expressions);
    for expression in &expressions {
        known.check(expression);
    }
}

#[test]
fn the_readme_has_what_the_environment_must_set() {
    let readme = read(README);
    for text in ["CLUMIO_PROMETHEUS_URL", "CLUMIO_PROMETHEUS_UID"] {
        assert!(readme.contains(text), "{text}");
    }
}

#[test]
fn alerts_link_to_the_list_of_alerts_of_the_dashboard() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard must be JSON");
    let [(_, uid), (_, panel)] = DASHBOARD_LINK;
    assert_eq!(dashboard["uid"], uid);
    let mut lists = all(&dashboard["panels"]).filter(|panel| panel["type"] == "alertlist");
    let list = lists.next().expect("the dashboard must have a list of alerts");
    assert_eq!(list["id"].to_string(), panel);
}
