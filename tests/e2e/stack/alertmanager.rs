//! A real Alertmanager, alone and in a folder of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::prometheus::listening;
use super::{Labels, Pager};
use crate::harness::http;
use crate::process::Process;

/// What Debian calls it, then what others do.
const PROGRAMS: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// An Alertmanager that notifies a pager of each alert on its own, and of each end.
pub struct Alertmanager {
    pub address: SocketAddr,
    http: reqwest::Client,
    _process: Process,
    _folder: TempDir,
}

// === impl Alertmanager ===

impl Alertmanager {
    pub async fn start(pager: &Pager) -> Self {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let config = folder.path().join("alertmanager.yml");
        let text = format!(
            "route: {{receiver: pager, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}\n\
             receivers: [{{name: pager, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            pager.url
        );
        std::fs::write(&config, text).expect("the config must be written");
        let mut command = Command::new(program());
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        // No cluster: it would announce itself on the network.
        command.args(["--cluster.listen-address=", "--web.listen-address=127.0.0.1:0"]);
        let process = Process::start(command);
        let address = listening(&process).await;
        Self { address, http: http(), _process: process, _folder: folder }
    }

    /// The labels of the alerts that it holds now.
    pub async fn alerts(&self) -> BTreeSet<Labels> {
        let url = format!("http://{}/api/v2/alerts", self.address);
        let answer = self.http.get(url).send().await.expect("Alertmanager must answer");
        let text = answer.text().await.expect("the answer must be whole");
        let alerts: Vec<Value> = serde_json::from_str(&text).expect("the answer must be a list");
        let labels = alerts.into_iter().map(|alert| serde_json::from_value(alert["labels"].clone()));
        labels.map(|labels| labels.expect("an alert must have labels")).collect()
    }
}

fn program() -> &'static str {
    let is_there = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    PROGRAMS.into_iter().find(is_there).expect("Alertmanager must be installed: tests/run does it")
}
