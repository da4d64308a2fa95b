//! A real Prometheus in a folder of its own, which scrapes one exporter, and its query API.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{Alertmanager, JOB, Labels, Pace};
use crate::harness::{DEADLINE, eventually, http};
use crate::process::Process;

/// A Prometheus with the shipped rules.
pub struct Prometheus {
    pub address: SocketAddr,
    http: reqwest::Client,
    _process: Process,
    _folder: TempDir,
}

/// What a query gives for one series: its values with their instants in seconds, the only one of an instant query.
#[derive(Debug, Clone)]
pub struct Sample {
    pub labels: Labels,
    pub values: Vec<(f64, f64)>,
}

/// Where a program of the Prometheus project listens, as it says in its log: asked for port 0, it has a free one.
pub(super) async fn listening(process: &Process) -> SocketAddr {
    let address = |log: &str| {
        let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
        line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
    };
    process.says("it listens", address).await
}

// === impl Prometheus ===

impl Prometheus {
    pub async fn start(exporter: SocketAddr, alertmanager: &Alertmanager, pace: Pace) -> Self {
        let folder = tempfile::tempdir().expect("a folder must be had");
        pace.copy_rules(folder.path());
        let config = folder.path().join("prometheus.yml");
        let text = config_text(exporter, alertmanager.address, pace);
        std::fs::write(&config, text).expect("the config must be written");
        let process = Process::start(command(folder.path(), &config));
        let address = listening(&process).await;
        let prometheus = Self { address, http: http(), _process: process, _folder: folder };
        eventually("Prometheus is ready", DEADLINE, async || prometheus.is_ready().await.then_some(())).await;
        prometheus
    }

    /// It listens before it can answer queries.
    async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("http://{}/-/ready", self.address)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What an instant query gives now.
    pub async fn query(&self, expression: &str) -> Vec<Sample> {
        self.ask("query", &[("query", expression)])
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// What a range query gives, or why it cannot be answered.
    pub async fn query_range(
        &self,
        expression: &str,
        start: f64,
        end: f64,
        step: f64,
    ) -> Result<Vec<Sample>, String> {
        let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
        self.ask("query_range", &[("query", expression), ("start", &start), ("end", &end), ("step", &step)])
            .await
    }

    /// Every alert that ever fired, by its labels.
    pub async fn fired(&self) -> BTreeSet<Labels> {
        let samples = self.query("max_over_time(ALERTS{alertstate=\"firing\"}[1d])").await;
        samples.into_iter().map(|sample| alert(sample.labels)).collect()
    }

    /// Every instant at which an alert was seen to fire, by its labels.
    pub async fn firing(&self) -> Vec<(Labels, Vec<f64>)> {
        let samples = self.query("ALERTS{alertstate=\"firing\"}[1d]").await;
        let instants = |sample: Sample| sample.values.into_iter().map(|(at, _)| at).collect();
        samples.into_iter().map(|sample| (alert(sample.labels.clone()), instants(sample))).collect()
    }

    /// The rules that could not be evaluated lately, and why: nothing else tells of a join that matches twice.
    pub async fn broken_rules(&self) -> Vec<String> {
        let body = self.get("rules", &[]).await.expect("Prometheus must tell its rules");
        let groups = body["data"]["groups"].as_array().expect("there must be groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let broken = rules.filter(|rule| rule["health"] == "err");
        broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect()
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Sample>, String> {
        let body = self.get(path, parameters).await?;
        let result = body["data"]["result"].as_array().ok_or(body["error"].to_string())?;
        Ok(result.iter().map(Sample::of).collect())
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let answer = self.http.get(url).query(parameters).send().await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }
}

/// The labels of an alert, without those by which Prometheus keeps it.
fn alert(mut labels: Labels) -> Labels {
    labels.remove("__name__");
    labels.remove("alertstate");
    labels
}

fn command(folder: &Path, config: &Path) -> Command {
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--rules.alert.resend-delay=5s"]);
    command
}

fn config_text(exporter: SocketAddr, alertmanager: SocketAddr, pace: Pace) -> String {
    let interval = pace.interval;
    format!(
        "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}\n\
         rule_files: [clumio-rules.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n\
         scrape_configs: [{{job_name: {JOB}, static_configs: [{{targets: ['{exporter}']}}]}}]\n"
    )
}

// === impl Sample ===

impl Sample {
    fn of(result: &Value) -> Self {
        let labels = serde_json::from_value(result["metric"].clone()).expect("a series must have labels");
        let values = match result["values"].as_array() {
            Some(values) => values.iter().map(pair).collect(),
            None => vec![pair(&result["value"])],
        };
        Self { labels, values }
    }
}

/// An instant and a value, which is a text: JSON has no number for some.
fn pair(value: &Value) -> (f64, f64) {
    let text = value[1].as_str().expect("a value must be a text");
    (value[0].as_f64().expect("an instant must be a number"), text.parse().expect("a value must be a number"))
}
