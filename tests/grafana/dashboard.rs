//! The dashboard queries metrics that exist, and follows the conventions of Grafana's linter.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::names::Known;
use crate::queries::{DASHBOARD, annotations, queries};
use crate::{all, check_expressions, read, text_of};

/// The labels of a kind: a legend of series by kind has all of them.
const KIND: [&str; 3] = ["account", "category", "type"];

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("the dashboard must be JSON")
}

/// The panels with queries.
fn panels() -> Vec<Value> {
    let dashboard = dashboard();
    let has_queries = |panel: &&Value| panel["type"] != "row" && panel["type"] != "alertlist";
    let panels: Vec<_> = all(&dashboard["panels"]).filter(has_queries).cloned().collect();
    assert!(panels.len() > 10, "the dashboard must have panels");
    panels
}

fn targets(panel: &Value) -> impl Iterator<Item = (&Value, &str)> {
    all(&panel["targets"]).map(|target| (target, text_of(&target["expr"])))
}

#[test]
fn prometheus_parses_every_expression() {
    let queries = queries("1m", "1d").into_iter().chain(annotations());
    let expressions: Vec<_> = queries.map(|query| query.expression).collect();
    check_expressions(&expressions);
}

#[test]
fn every_name_is_served_by_the_exporter() {
    let known = Known::new();
    for query in queries("1m", "1d") {
        known.check(&query.expression);
    }
}

/// A table of a range has a row for each step, and a graph of an instant has one point.
#[test]
fn only_tables_query_one_instant() {
    let panels = panels();
    let tables: Vec<_> = panels.iter().filter(|it| it["type"] == "table").map(|it| &it["title"]).collect();
    for query in queries("1m", "1d") {
        let is_table = tables.iter().any(|title| **title == query.panel);
        assert_eq!(query.is_instant, is_table, "{}", query.panel);
    }
}

#[test]
fn each_panel_has_a_title_a_description_a_unit_and_the_chosen_data_source() {
    let mut titles = BTreeSet::new();
    for panel in panels() {
        let title = text_of(&panel["title"]);
        assert!(!title.is_empty() && titles.insert(title.to_owned()), "the title {title} must be unique");
        assert!(text_of(&panel["description"]).ends_with('.'), "{title} has no description");
        assert!(!text_of(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(targets(&panel).count() > 0, "{title} has no query");
        for (target, _) in targets(&panel) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn rates_are_over_the_interval_that_grafana_chooses() {
    for panel in panels() {
        for (target, expression) in targets(&panel) {
            let ranges = expression.split('[').skip(1).filter_map(|rest| rest.split(']').next());
            for range in ranges {
                let is_whole = range == "$__range" && (target["instant"] == true || panel["type"] == "stat");
                assert!(range == "$__rate_interval" || is_whole, "{expression}");
            }
        }
    }
}

/// Otherwise a Pod that moves leaves two series, and the dashboard counts twice.
#[test]
fn no_series_depends_on_the_instance() {
    const AGGREGATED: [&str; 3] = [" by (", " without (instance, pod) (", "sum("];
    for panel in panels() {
        for (target, expression) in targets(&panel) {
            assert!(AGGREGATED.iter().any(|it| expression.contains(it)), "{expression}");
            let legend = text_of(&target["legendFormat"]);
            assert!(!legend.contains("instance") && !legend.contains("pod"), "{legend}");
        }
    }
}

/// A gauge is in both series for a while, and only their maximum or minimum is right.
#[test]
fn gauges_of_two_pods_are_not_added() {
    for panel in panels() {
        for (_, expression) in targets(&panel).filter(|(_, it)| it.contains("clumio_tasks{")) {
            assert!(expression.contains("(max without (instance, pod) (clumio_tasks{"), "{expression}");
        }
    }
}

#[test]
fn legends_name_the_kind() {
    for panel in panels() {
        for (target, expression) in
            targets(&panel).filter(|(_, it)| it.contains("by (account, category, type"))
        {
            let legend = text_of(&target["legendFormat"]);
            for label in KIND {
                assert!(legend.contains(&format!("{{{{{label}}}}}")), "{legend}: {expression}");
            }
        }
    }
}

#[test]
fn only_the_chosen_jobs_and_accounts_are_shown() {
    for panel in panels() {
        for (_, expression) in targets(&panel) {
            assert!(expression.contains("job=~\"$job\""), "{expression}");
            let of_process = ["clumio_exporter_config_", "clumio_exporter_state_", "process_"]
                .iter()
                .any(|it| expression.contains(it));
            assert!(of_process || expression.contains("account=~\"$account\""), "{expression}");
        }
    }
}

#[test]
fn panels_have_unique_ids_and_do_not_overlap() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in all(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a panel must have a place");
        let (left, top) = (at("x"), at("y"));
        assert!(left + at("w") <= 24, "{} is too wide", panel["title"]);
        for x in left..left + at("w") {
            for y in top..top + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn the_dashboard_is_independent_of_an_installation() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "clumio-exporter");
    assert_eq!(dashboard["editable"], false);
    assert_eq!(dashboard["graphTooltip"], 1);
    assert!(dashboard.get("id").is_none(), "an id is that of one installation");
    let variables = all(&dashboard["templating"]["list"]);
    let variables: Vec<_> = variables.map(|it| (text_of(&it["name"]), text_of(&it["type"]))).collect();
    assert_eq!(variables, [("datasource", "datasource"), ("job", "query"), ("account", "query")]);
    let queries = ["label_values(clumio_up, job)", "label_values(clumio_up{job=~\"$job\"}, account)"];
    for (variable, query) in all(&dashboard["templating"]["list"]).skip(1).zip(queries) {
        assert_eq!((&variable["multi"], &variable["includeAll"]), (&Value::Bool(true), &Value::Bool(true)));
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
        assert_eq!(variable["query"]["query"], query);
    }
}

#[test]
fn assets_in_tables_link_to_their_page() {
    let panels = panels();
    let tables = panels.iter().filter(|panel| panel.to_string().contains("_asset_"));
    let urls: Vec<_> =
        tables.map(|it| it["fieldConfig"]["overrides"][0]["properties"][0].to_string()).collect();
    assert_eq!(urls.len(), 3);
    for url in urls {
        assert!(url.contains("/asset?account=${__data.fields.account:percentencode}&id="), "{url}");
    }
}

#[test]
fn backups_come_first() {
    let dashboard = dashboard();
    let rows = all(&dashboard["panels"]).filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| text_of(&row["title"])).collect();
    assert_eq!(rows, ["Backups", "Outcomes", "Durations", "Queue", "The exporter"]);
}
