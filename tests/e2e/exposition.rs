//! The text of the page: every family, hostile words, compression, and what promtool says of it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::{Timestamp, earlier, later};
use flate2::bufread::GzDecoder;
use serde_json::{Value, json};

use crate::harness::{ACCOUNT, Api, Exporter, FAST};

/// Families whose values are of the machine or the moment.
const VOLATILE: [&str; 14] = [
    "clumio_exporter_api_request_duration_seconds",
    "clumio_exporter_api_requests_total",
    "clumio_exporter_build_info",
    "clumio_exporter_config_last_reload_success_timestamp_seconds",
    "clumio_exporter_last_poll_duration_seconds",
    "clumio_exporter_last_success_timestamp_seconds",
    "clumio_exporter_polls_total",
    "clumio_exporter_replica_oldest_timestamp_seconds",
    "clumio_exporter_tasks_read_total",
    "clumio_exporter_watermark_timestamp_seconds",
    "clumio_failing_asset_since_timestamp_seconds",
    "clumio_last_ended_task_timestamp_seconds",
    "clumio_late_asset_unprotected_since_timestamp_seconds",
    "clumio_oldest_open_task_timestamp_seconds",
];

/// A few tasks of two kinds, in every state; and when it began. Of two assets with tasks, one fails.
async fn small_world() -> (Api, Timestamp) {
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    let ago = |minutes: u64| earlier(now, Duration::from_mins(minutes));
    let of = |task: Task, asset: &str| {
        let parent = json!({"type": "aws_environment", "id": "env-1", "value": "123456789012/us-west-2"});
        let volume = json!({"type": "aws_ebs_volume", "id": asset, "value": format!("data \"{asset}\"")});
        task.field("primary_entity", volume).field("parent_entity", parent)
    };
    let restore = |id| Task::new(id, ago(50)).kind("restore", "aws_ebs_volume_restore").started(ago(49));
    for task in [
        of(Task::new(1, ago(90)).started(ago(89)).ended(ago(80), Outcome::Completed), "vol-1"),
        of(Task::new(2, ago(70)).started(ago(69)).ended(ago(60), Outcome::Completed), "vol-1"),
        of(Task::new(3, ago(65)).started(ago(64)).ended(ago(55), Outcome::Failed), "vol-2"),
        Task::new(4, ago(60)).started(ago(59)),
        Task::new(5, ago(55)),
        restore(6).ended(ago(40), Outcome::Aborted),
        restore(7).aborting(ago(30)),
    ] {
        api.simulator.add(task);
    }
    (api, now)
}

/// The page with a placeholder for every value that no test can know.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let is_volatile = VOLATILE.contains(&family) || name.starts_with("process_");
        let shown = match line.rsplit_once(' ') {
            _ if line.starts_with('#') || !is_volatile => line.to_owned(),
            Some((_, value)) if name == "clumio_exporter_build_info" => {
                format!("{name}{{revision=\"…\",rustc=\"…\",version=\"…\"}} {value}")
            }
            Some((series, _)) => format!("{series} …"),
            None => line.to_owned(),
        };
        writeln!(steady, "{shown}").expect("writing to memory must not fail");
    }
    steady
}

/// What `promtool check metrics` says of a page: nothing, if all is well.
fn promtool(page: &str) -> String {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool =
        promtool.unwrap_or_else(|error| panic!("promtool: {error}; run tests/run, which installs it"));
    promtool.stdin.take().expect("it must be piped").write_all(page.as_bytes()).expect("it must be read");
    let output = promtool.wait_with_output().expect("promtool must end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_page_is_as_written_down() {
    let (api, began) = small_world().await;
    let exporter = Exporter::following(&api, &format!("{FAST}assets.max_age = \"30m\"\n")).await;
    exporter.polls(ACCOUNT, 2).await;
    let created = earlier(began, Duration::from_hours(1));
    let after = |minutes: u64| later(created, Duration::from_mins(minutes));
    api.simulator.add(Task::new(4, created).started(after(1)).ended(after(30), Outcome::Completed));
    let series = r#"clumio_task_queue_duration_seconds_count{account="prod",category="backup",type="aws_ebs_volume_incremental_backup"}"#;
    let page = exporter.until("its end is counted", |page| page.get(series) == Some(1.0)).await;
    insta::assert_snapshot!(steady(&page.text));
    assert_eq!(promtool(&page.text), "");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_sorted_and_promtool_is_content_before_the_first_poll_too() {
    let (mut api, _) = small_world().await;
    api.down().await;
    let exporter = Exporter::following(&api, FAST).await;
    let page = exporter.scrape().await;
    assert_eq!(promtool(&page.text), "");
    assert_eq!(page.of("clumio_up", ACCOUNT), Some(0.0));
    api.up().await;
    let page = exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    for series in page.samples.keys().filter(|series| !series.contains("_bucket{")) {
        let Some((_, labels)) = series.trim_end_matches('}').split_once('{') else { continue };
        let names: Vec<_> = labels.split("\",").filter_map(|label| label.split('=').next()).collect();
        assert!(names.is_sorted(), "{series}");
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_are_escaped_cut_and_counted() {
    let api = Api::start(Options::scripted()).await;
    let created = earlier(api.simulator.now(), Duration::from_mins(5));
    let words = [
        r#"quo"te"#.to_owned(),
        r"back\slash\n".to_owned(),
        "new\nline".to_owned(),
        "emoji 🦀".to_owned(),
        "x".repeat(200),
        format!("{}🦀", "y".repeat(126)),
        "{a=\"b\"} 7".to_owned(),
        String::new(),
    ];
    for (id, word) in (1..).zip(&words) {
        api.simulator
            .add(Task::new(id, created).field("category", word.as_str()).field("type", word.as_str()));
    }
    api.simulator.add(Task::new(98, created).field("category", Value::Null).field("type", Value::Null));
    api.simulator.add(Task::new(99, created).field("status", "pa\"used"));
    let exporter = Exporter::following(&api, FAST).await;
    let page = exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    insta::assert_snapshot!(page.counted("clumio_tasks"));
    assert_eq!(promtool(&page.text), "");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_beyond_the_caps_fold_into_other() {
    let api = Api::start(Options::scripted()).await;
    let start = earlier(api.simulator.now(), Duration::from_mins(5));
    let kinds = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "1"), ("d", "5"), ("a", "1")];
    for (id, (category, task_type)) in (1..).zip(kinds) {
        let created = start + Duration::from_secs(id);
        api.simulator.add(Task::new(id, created).kind(category, task_type));
    }
    let keys = format!("{FAST}limits.max_categories = 2\nlimits.max_kinds = 2\n");
    let exporter = Exporter::following(&api, &keys).await;
    let page = exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    insta::assert_snapshot!(page.counted("clumio_tasks"));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_its_type_compresses_to_one_member_and_answers_head() {
    let (mut api, _) = small_world().await;
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    api.down().await;

    let plain = exporter.get("/metrics").await;
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.text().await.expect("the page must be whole");

    let gzip = exporter.get_gzip("/metrics").await;
    assert_eq!(gzip.headers()["content-encoding"], "gzip");
    assert_eq!(gzip.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let gzip = gzip.bytes().await.expect("the page must be whole");
    let mut member = GzDecoder::new(&gzip[..]);
    let mut text = String::new();
    member.read_to_string(&mut text).expect("the page must be gzip");
    assert!(member.into_inner().is_empty(), "one member only");
    assert_eq!(steady(&text), steady(&plain));

    let head = exporter.head("/metrics").await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(head.bytes().await.expect("the answer must be whole").is_empty());
    exporter.stop().await;
}
