//! The exporter as it is used: a real Prometheus scrapes it, evaluates the shipped rules, and alerts through a real
//! Alertmanager, which notifies a pager of the test.
//!
//! Time is compressed by what a user may edit in the rules, and by nothing else: see [`rules::Pace`].

mod alertmanager;
mod pager;
mod prometheus;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clumio_exporter::simulator::{Entity, Options, Subject};

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, eventually};

pub use alertmanager::Alertmanager;
pub use pager::Pager;
pub use prometheus::{Prometheus, Sample};
pub use rules::Pace;

/// The labels of a series or an alert.
pub type Labels = BTreeMap<String, String>;

/// The job under which Prometheus scrapes the exporter.
pub const JOB: &str = "clumio";

/// Polls each second, keeps state, and holds a counter for longer than scrape and rules take together.
pub const COMPRESSED: &str = r#"
poll.interval = "1s"
poll.counter_hold = "5s"
poll.requests_per_second = 0
poll.request_timeout = "2s"
state.directory = "state"
"#;

/// Everything, running. What is dropped first is what the others need least.
pub struct Stack {
    pub prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    pub pager: Pager,
    exporter: Option<Exporter>,
    pub api: Api,
}

/// Labels of these names and values.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A volume as the subject of tasks, named by this.
pub fn volume(asset: &str) -> Subject {
    let entity =
        Entity { id: format!("id-of-{asset}"), entity_type: "aws_ebs_volume", value: asset.to_owned() };
    Subject { primary: Some(entity), parent: None }
}

/// The alert of a volume that began to fail less than a day ago.
pub fn backup_failing(asset: &str, category: &str, task_type: &str) -> Labels {
    labels(&[
        ("account", ACCOUNT),
        ("alertname", "ClumioBackupFailing"),
        ("asset", asset),
        ("asset_id", &format!("id-of-{asset}")),
        ("asset_type", "aws_ebs_volume"),
        ("category", category),
        ("job", JOB),
        ("severity", "warning"),
        ("type", task_type),
    ])
}

// === impl Stack ===

impl Stack {
    /// An exporter with these keys that follows `api`, and a Prometheus that has seen its first poll succeed.
    pub async fn start(api: Api, keys: &str, pace: Pace) -> Self {
        let pager = Pager::start().await;
        let alertmanager = Alertmanager::start(&pager).await;
        let mut exporter = Exporter::following(&api, keys).await;
        // A restart stays at the address that Prometheus knows.
        exporter.config.replace("127.0.0.1:0", &exporter.address.to_string());
        let prometheus = Prometheus::start(exporter.address, &alertmanager, pace).await;
        let stack = Self { prometheus, alertmanager, pager, exporter: Some(exporter), api };
        stack.until("a poll succeeds", "clumio_up == 1").await;
        stack
    }

    /// A middling account that was scraped for a while, so that every rule and every rate has something to show.
    pub async fn scraped_for(time: Duration) -> Self {
        let history = Duration::from_hours(12);
        let api = Api::start(Options { history, tasks_per_day: 20_000, ..Options::default() }).await;
        let stack = Self::start(api, COMPRESSED, Pace::FAST).await;
        tokio::time::sleep(time).await;
        stack
    }

    pub fn exporter(&self) -> &Exporter {
        self.exporter.as_ref().expect("the exporter must be running")
    }

    /// Waits until this expression gives something.
    pub async fn until(&self, what: &str, expression: &str) -> Vec<Sample> {
        eventually(what, DEADLINE, async || {
            Some(self.prometheus.query(expression).await).filter(|samples| !samples.is_empty())
        })
        .await
    }

    /// Checks that each of these alerts was notified once, and its end once, and that no other alert of these names
    /// ever was.
    pub async fn notified_once(&self, alerts: &BTreeSet<Labels>) {
        // Alertmanager forgets an alert a moment before it notifies of the end.
        let is_over = async || {
            let ends = self.pager.notifications().into_iter().filter(|it| !it.is_firing);
            let ended: BTreeSet<Labels> = ends.map(|it| it.labels).collect();
            alerts.is_subset(&ended).then_some(())
        };
        eventually("each end is notified", DEADLINE, is_over).await;
        let names: BTreeSet<&String> = alerts.iter().map(|alert| &alert["alertname"]).collect();
        let mut notified = BTreeMap::<Labels, Vec<bool>>::new();
        for it in self.pager.notifications().into_iter().filter(|it| names.contains(&it.labels["alertname"]))
        {
            notified.entry(it.labels).or_default().push(it.is_firing);
        }
        let once = alerts.iter().map(|alert| (alert.clone(), vec![true, false])).collect();
        assert_eq!(notified, once, "each must be notified once, and its end once");
    }

    /// Every alert that ever fired, of rules that can all be evaluated.
    pub async fn fired(&self) -> BTreeSet<Labels> {
        let broken = self.prometheus.broken_rules().await;
        assert!(broken.is_empty(), "{broken:?}");
        self.prometheus.fired().await
    }

    /// Kills the exporter at once, as a power cut would.
    pub fn kill(&mut self) -> Config {
        self.exporter.take().expect("the exporter must be running").config
    }

    /// Starts the exporter again, at the same address.
    pub async fn restart(&mut self, config: Config) {
        self.exporter = Some(Exporter::start(config).await);
    }
}
