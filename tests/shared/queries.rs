//! The queries of the dashboard.

use serde_json::Value;

/// The path of the dashboard.
pub const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/dashboards/clumio.json");

/// A query of a panel or an annotation.
pub struct Query {
    /// The title of the panel, or the name of the annotation.
    pub panel: String,
    pub expression: String,
    /// Whether it is for one instant; otherwise for each step of a time.
    pub is_instant: bool,
}

/// Every query of a panel, with its variables replaced as Grafana does.
pub fn queries(rate_interval: &str, range: &str) -> Vec<Query> {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"]);
    let targets = panels.flat_map(|panel| list(&panel["targets"]).map(move |target| (panel, target)));
    let queries: Vec<_> = targets
        .map(|(panel, target)| Query {
            panel: text(&panel["title"]).to_owned(),
            expression: replace_variables(text(&target["expr"]), rate_interval, range),
            is_instant: target["instant"] == true,
        })
        .collect();
    assert!(!queries.is_empty(), "the dashboard must have queries");
    queries
}

/// Every query of an annotation, likewise.
pub fn annotations() -> Vec<Query> {
    let dashboard = dashboard();
    let annotations: Vec<_> = list(&dashboard["annotations"]["list"])
        .map(|annotation| Query {
            panel: text(&annotation["name"]).to_owned(),
            expression: replace_variables(text(&annotation["expr"]), "1m", "1d"),
            is_instant: false,
        })
        .collect();
    assert!(!annotations.is_empty(), "the dashboard must have annotations");
    annotations
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(DASHBOARD).expect("the dashboard must be readable");
    serde_json::from_str(&text).expect("the dashboard must be JSON")
}

fn replace_variables(expression: &str, rate_interval: &str, range: &str) -> String {
    let expression = expression.replace("$account", ".+").replace("$job", ".+");
    let expression = expression.replace("$__rate_interval", rate_interval).replace("$__range", range);
    assert!(!expression.contains('$'), "unknown variable: {expression}");
    expression
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the value must be text")
}
