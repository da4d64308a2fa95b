//! Hours of an exporter in seconds, kept as series for promtool.
//!
//! The clock of the simulated API is stopped, and moved on by a minute after each poll that the real binary made; what
//! it published then is the sample of that minute. promtool's time zero is the instant at which the clock began, so
//! whatever the API dates is shifted by that. The binary dates its last success by this machine's clock: that one sample
//! is set to the simulated instant of its poll.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clumio_exporter::simulator::{Options, Task};
use clumio_exporter::time::{Timestamp, later};
use serde_json::{Value, json};

use crate::harness::{ACCOUNT, Api, Config, Exporter};
use crate::page::Page;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/clumio-rules.yml");

/// Polls as often as possible. A minute takes two polls, so the hold is about that of the defaults.
const KEYS: &str = r#"
poll.interval = "1s"
poll.counter_hold = "4s"
poll.requests_per_second = 0
state.directory = "state"
"#;

/// Where the API's clock begins.
const START: &str = "2026-03-02T12:00:00Z";

const MINUTE: Duration = Duration::from_mins(1);

/// Instants of the API's clock.
const DATED_BY_THE_API: [&str; 6] = [
    "clumio_exporter_replica_oldest_timestamp_seconds",
    "clumio_exporter_watermark_timestamp_seconds",
    "clumio_failing_asset_since_timestamp_seconds",
    "clumio_last_ended_task_timestamp_seconds",
    "clumio_late_asset_unprotected_since_timestamp_seconds",
    "clumio_oldest_open_task_timestamp_seconds",
];

const LAST_SUCCESS: &str = "clumio_exporter_last_success_timestamp_seconds";

/// What no rule here reads, and what is of this machine.
const LEFT_OUT: [&str; 4] = [
    "clumio_exporter_api_request_duration_seconds",
    "clumio_exporter_config_last_reload_success_timestamp_seconds",
    "clumio_exporter_state_last_write_timestamp_seconds",
    "process_",
];

/// An alert by its name, severity and asset, which is empty if it is about tasks or an account.
pub type Alert = (&'static str, &'static str, &'static str);

/// A scripted API, the exporter that follows it, and every sample so far.
pub struct Recording {
    pub api: Api,
    exporter: Option<Exporter>,
    instance: &'static str,
    zero: Timestamp,
    minute: usize,
    /// One word of promtool's notation for each minute.
    series: BTreeMap<String, Vec<String>>,
    /// The last success as it is on the page, and the minute in which it was first seen.
    success: (f64, usize),
    expected: Vec<(usize, Vec<Alert>)>,
}

// === impl Recording ===

impl Recording {
    /// A world of these tasks, made for the instant at which the clock begins; minute 0 shows the initial sync.
    pub async fn start(tasks: impl FnOnce(Timestamp) -> Vec<Task>) -> Self {
        Self::start_with("", tasks).await
    }

    /// The same with more keys of the configuration.
    pub async fn start_with(keys: &str, tasks: impl FnOnce(Timestamp) -> Vec<Task>) -> Self {
        let zero = START.parse().expect("the start must be an instant");
        let api = Api::start(Options::scripted()).await;
        api.simulator.set_clock(zero);
        for task in tasks(zero) {
            api.simulator.add(task);
        }
        let exporter = Exporter::following(&api, &format!("{KEYS}{keys}")).await;
        let page = exporter.until("the initial sync succeeds", |page| page.is_up(ACCOUNT)).await;
        let (series, expected) = (BTreeMap::new(), Vec::new());
        let mut recording = Self {
            api,
            exporter: Some(exporter),
            instance: "a",
            zero,
            minute: 0,
            series,
            success: (0.0, 0),
            expected,
        };
        recording.write(Some(&page));
        recording
    }

    /// The minute that was recorded last.
    pub fn minute(&self) -> usize {
        self.minute
    }

    /// The instant of the API's clock so many seconds after now.
    pub fn after(&self, seconds: u64) -> Timestamp {
        later(self.api.simulator.now(), Duration::from_secs(seconds))
    }

    /// Records so many minutes.
    pub async fn minutes(&mut self, minutes: usize) {
        for _ in 0..minutes {
            let page = self.poll().await;
            self.write(Some(&page));
        }
    }

    /// Lets so many minutes pass in which the exporter polls and every scrape fails.
    pub async fn unscraped(&mut self, minutes: usize) {
        for _ in 0..minutes {
            self.poll().await;
            self.write(None);
        }
    }

    /// Closes the API for so many minutes. Nothing moves on the page once a poll has failed, and later ones take long
    /// to fail: they are not waited for.
    pub async fn outage(&mut self, minutes: usize) {
        self.api.down().await;
        let exporter = self.exporter.as_ref().expect("the exporter must be running");
        let page = exporter.until("a poll fails", |page| !page.is_up(ACCOUNT)).await;
        for _ in 0..minutes {
            self.step();
            self.write(Some(&page));
        }
    }

    /// Kills the exporter, and lets so many minutes pass without it.
    pub fn down(&mut self, minutes: usize) -> Config {
        let config = self.exporter.take().expect("the exporter must be running").config;
        for _ in 0..minutes {
            self.step();
            self.write(None);
        }
        config
    }

    /// Starts it again, as this instance: the target of another one is gone.
    pub async fn restart(&mut self, config: Config, instance: &'static str) {
        self.instance = instance;
        self.exporter = Some(Exporter::start(config).await);
    }

    /// Exactly these alerts fire at that minute, which may be after the last that is recorded.
    pub fn expect(&mut self, minute: usize, alerts: &[Alert]) {
        self.expected.push((minute, alerts.to_vec()));
    }

    /// Goes on for so many minutes as it stands, and has promtool check what was expected.
    pub fn check(self, minutes: usize) {
        let latest = self.expected.iter().map(|(minute, _)| *minute).max();
        assert!(
            latest.is_some_and(|latest| latest <= self.minute + minutes),
            "nothing is known of {latest:?}"
        );
        let folder = tempfile::tempdir().expect("a folder must be had");
        let file = folder.path().join("recorded.json");
        // JSON is YAML.
        std::fs::write(&file, self.test(minutes).to_string()).expect("the test must be written");
        run_promtool(&file);
    }

    /// Moves the clock on, and waits for a poll that began afterwards: one may be under way.
    async fn poll(&mut self) -> Page {
        let polls = |page: &Page| page.of("clumio_exporter_polls_total", ACCOUNT).unwrap_or_default();
        let exporter = self.exporter.as_ref().expect("the exporter must be running");
        let least = polls(&exporter.scrape().await) + 2.0;
        self.step();
        let exporter = self.exporter.as_ref().expect("the exporter must be running");
        exporter.until("polls end", |page| polls(page) >= least).await
    }

    fn step(&mut self) {
        self.minute += 1;
        self.api.simulator.set_clock(self.after(MINUTE.as_secs()));
    }

    /// Adds the sample of this minute to every series: none where it is not on the page, as after a failed scrape.
    fn write(&mut self, page: Option<&Page>) {
        let up = if page.is_some() { "1" } else { "0" };
        let mut samples = BTreeMap::from([(self.labelled("up"), up.to_owned())]);
        for (series, value) in page.iter().flat_map(|page| &page.samples) {
            if !LEFT_OUT.iter().any(|left_out| series.starts_with(left_out)) {
                samples.insert(self.labelled(series), self.dated(series, *value).to_string());
            }
        }
        for series in samples.keys() {
            self.series.entry(series.clone()).or_insert_with(|| vec!["_".to_owned(); self.minute]);
        }
        for (series, words) in &mut self.series {
            let is_new_gap = words.last().is_some_and(|word| word != "_" && word != "stale");
            let gap = if is_new_gap { "stale" } else { "_" };
            words.push(samples.remove(series).unwrap_or_else(|| gap.to_owned()));
        }
    }

    /// The series with the labels that a scrape adds.
    fn labelled(&self, series: &str) -> String {
        let target = format!("instance=\"{}\",job=\"clumio\"}}", self.instance);
        match series.strip_suffix('}') {
            Some(rest) => format!("{rest},{target}"),
            None => format!("{series}{{{target}"),
        }
    }

    /// The value on promtool's clock, if it is an instant.
    fn dated(&mut self, series: &str, value: f64) -> f64 {
        if series.starts_with(LAST_SUCCESS) {
            if value > self.success.0 {
                self.success = (value, self.minute);
            }
            return seconds(self.success.1);
        }
        let is_dated = DATED_BY_THE_API.iter().any(|family| series.starts_with(family));
        if is_dated { value - self.zero.as_duration().as_secs_f64() } else { value }
    }

    fn test(&self, minutes: usize) -> Value {
        let series = self.series.iter().map(|(series, words)| {
            json!({ "series": series, "values": format!("{} {}", words.join(" "), self.rest(series, words, minutes)) })
        });
        let expected = self.expected.iter().map(|(minute, alerts)| {
            json!({
                "expr": "group by (account, alertname, severity, asset) (ALERTS{alertstate=\"firing\"})",
                "eval_time": format!("{minute}m"),
                "exp_samples": alerts.iter().map(sample).collect::<Vec<_>>(),
            })
        });
        let test = json!({
            "interval": "1m",
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": expected.collect::<Vec<_>>(),
        });
        json!({
            "rule_files": [RULES],
            "evaluation_interval": "30s",
            "tests": [test],
        })
    }

    /// The minutes after the last: everything stands still, but polls go on to succeed if they did.
    fn rest(&self, series: &str, words: &[String], minutes: usize) -> String {
        let last = words.last().map_or("_", String::as_str);
        let repeats = minutes.saturating_sub(1);
        match last {
            "_" | "stale" => format!("_x{minutes}"),
            _ if series.starts_with(LAST_SUCCESS) && self.success.1 == self.minute => {
                format!("{}+60x{repeats}", seconds(self.minute + 1))
            }
            value => format!("{value}x{repeats}"),
        }
    }
}

fn seconds(minute: usize) -> f64 {
    minute as f64 * MINUTE.as_secs_f64()
}

fn sample((name, severity, asset): &Alert) -> Value {
    let asset = if asset.is_empty() { String::new() } else { format!(",asset=\"{asset}\"") };
    let labels = format!("{{account=\"{ACCOUNT}\",alertname=\"{name}\",severity=\"{severity}\"{asset}}}");
    json!({ "labels": labels, "value": 1 })
}

fn run_promtool(file: &Path) {
    let output = Command::new("promtool").args(["test", "rules"]).arg(file).output();
    let output = output.expect("promtool must be installed: tests/run does it");
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}
