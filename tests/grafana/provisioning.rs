//! The files that make Grafana load the dashboard and have the data source.

use serde_json::Value;

use crate::{all, read, text_of, yaml};

const DATA_SOURCE: &str = "deploy/grafana/provisioning/datasources/prometheus.yml";
const PROVIDER: &str = "deploy/grafana/provisioning/dashboards/clumio.yml";
const README: &str = "deploy/grafana/README.md";

#[test]
fn the_data_source_is_set_by_the_environment() {
    let file: Value = yaml(DATA_SOURCE);
    let source = &file["datasources"][0];
    assert_eq!((&file["apiVersion"], text_of(&source["type"])), (&Value::from(1), "prometheus"));
    assert_eq!(text_of(&source["url"]), "${CLUMIO_PROMETHEUS_URL}");
    assert_eq!(text_of(&source["uid"]), "${CLUMIO_PROMETHEUS_UID}");
}

#[test]
fn the_provider_has_a_path_and_keeps_the_dashboard_as_it_is() {
    let file: Value = yaml(PROVIDER);
    let provider = all(&file["providers"]).next().expect("there must be a provider");
    assert_eq!((&file["apiVersion"], text_of(&provider["type"])), (&Value::from(1), "file"));
    assert_eq!(provider["allowUiUpdates"], false);
    let path = text_of(&provider["options"]["path"]);
    assert!(read(README).contains(path), "the README must say that the dashboard goes to {path}");
}
