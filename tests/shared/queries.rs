//! The queries of the dashboard.

use serde_json::Value;

/// Where the dashboard is.
pub const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/dashboards/clumio.json");

/// A query of a panel.
pub struct Query {
    pub panel: String,
    pub expression: String,
    /// For one moment; else for each step of a time.
    pub is_instant: bool,
}

/// Every query, with its variables replaced as Grafana does.
pub fn queries(rate_interval: &str, range: &str) -> Vec<Query> {
    let text = std::fs::read_to_string(DASHBOARD).expect("the dashboard must be readable");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard must be JSON");
    let panels = dashboard["panels"].as_array().expect("the dashboard must have panels");
    let queries: Vec<_> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten().map(move |it| (panel, it)))
        .map(|(panel, target)| {
            let expression = target["expr"].as_str().expect("a query must have an expression");
            let expression = expression.replace("$account", ".+").replace("$job", ".+");
            let expression = expression.replace("$__rate_interval", rate_interval);
            let expression = expression.replace("$__range", range);
            assert!(!expression.contains('$'), "a variable is not known: {expression}");
            let panel = panel["title"].as_str().expect("a panel must have a title").to_owned();
            Query { panel, expression, is_instant: target["instant"] == true }
        })
        .collect();
    assert!(!queries.is_empty(), "the dashboard must ask for something");
    queries
}
