//! Reload: the configuration is read again while the daemon runs, and takes effect whole or not at all.

use std::fs;
use std::time::Duration;

use clumio_exporter::simulator::{Fault, Faults, Options, Outcome, Task};
use clumio_exporter::time::earlier;
use futures::future::join_all;

use crate::certificates::Authority;
use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST, eventually, http, serving};
use crate::page::Page;
use crate::process::{Process, TOKEN, binary};

const SUCCESSFUL: &str = "clumio_exporter_config_last_reload_successful";
const SUCCEEDED_AT: &str = "clumio_exporter_config_last_reload_success_timestamp_seconds";
const POLLS: &str = "clumio_exporter_polls_total";
const EXPIRY: &str = "clumio_token_expiry_timestamp_seconds";
const CREATED: &str = r#"clumio_tasks_created_total{account="prod",category="backup",type="aws_ebs_volume_incremental_backup"}"#;

/// A world with one open task.
async fn world() -> Api {
    let api = Api::start(Options::scripted()).await;
    api.simulator.add(Task::new(1, earlier(api.simulator.now(), Duration::from_mins(5))));
    api
}

/// Adds a task that was created just now.
fn add(api: &Api, id: u64) {
    api.simulator.add(Task::new(id, api.simulator.now()));
}

fn has(page: &Page, account: &str) -> bool {
    page.text.contains(&format!("account=\"{account}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_come_and_go_and_the_others_are_not_disturbed() {
    let (api, api_of_new) = (world().await, world().await);
    let slow = "[[accounts]]\ninterval = \"1h\"\n";
    let mut config = Config::new(FAST).account("resting", &api.url(), TOKEN);
    config.replace("[[accounts]]\n", slow);
    let config = config.account("busy", &api.url(), TOKEN).account("going", &api.url(), TOKEN);
    let mut exporter = Exporter::start(config).await;
    exporter.polls("busy", 1).await;
    let before = exporter
        .until("all are up", |page| ["resting", "busy", "going"].iter().all(|name| page.is_up(name)))
        .await;
    assert_eq!(before.of(POLLS, "resting"), Some(1.0));
    assert_eq!(before.get(SUCCESSFUL), Some(1.0));

    exporter.config.remove_account("going");
    exporter.config.add_account("new", &api_of_new.url(), TOKEN);
    assert!(exporter.reload().await);
    let after = exporter.until("the new one is up", |page| page.is_up("new")).await;
    assert!(!has(&after, "going"), "{}", after.text);
    assert_eq!(after.get(SUCCESSFUL), Some(1.0));
    assert!(after.get(SUCCEEDED_AT) > before.get(SUCCEEDED_AT));
    let page = exporter.polls("busy", 2).await;
    assert!(page.of(POLLS, "busy") > before.of(POLLS, "busy"));
    assert_eq!(page.of(POLLS, "resting"), Some(1.0), "its timer goes on");
    assert!(!has(&page, "going"));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_polled_in_another_way_keeps_what_it_knows() {
    let api = world().await;
    let mut exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    (2..5).for_each(|id| add(&api, id));
    let before = exporter.until("they are counted", |page| page.get(CREATED) == Some(3.0)).await;
    let _ = api.simulator.take_requests();

    exporter.config.replace("interval = \"1s\"", "interval = \"2s\"\npoll.window = \"12h\"");
    assert!(exporter.reload().await);
    let after = exporter
        .until("it is polled in the new way", |page| {
            page.of("clumio_exporter_poll_interval_seconds", ACCOUNT) == Some(2.0)
                && page.of("clumio_exporter_poll_window_seconds", ACCOUNT) == Some(12.0 * 3600.0)
        })
        .await;
    assert_eq!(after.get(CREATED), Some(3.0));
    assert!(after.of(POLLS, ACCOUNT) >= before.of(POLLS, ACCOUNT));
    let after = exporter.polls(ACCOUNT, 1).await;
    assert_eq!(after.get(CREATED), Some(3.0), "nothing is counted twice");
    add(&api, 9);
    exporter.until("it is counted", |page| page.get(CREATED) == Some(4.0)).await;
    let again = api.simulator.requests().recent.iter().filter(|it| it.target.contains("%24lte")).count();
    assert_eq!(again, 0, "no range with an end is read: there was no other initial sync");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_moves_to_another_address_begins_anew() {
    let (api, other) = (world().await, Api::start(Options::scripted()).await);
    let failed = Task::new(7, earlier(other.simulator.now(), Duration::from_mins(9)));
    other.simulator.add(failed.kind("restore", "odd").ended(other.simulator.now(), Outcome::Failed));
    other.simulator.set_faults(Faults::none().with(Fault::Stall, 1.0));
    let mut exporter = Exporter::following(&api, FAST).await;
    exporter.until("it is up", |page| page.is_up(ACCOUNT)).await;

    exporter.config.replace(&api.url(), &other.url());
    assert!(exporter.reload().await);
    let page = exporter.until("the numbers leave", |page| page.families(&["clumio_tasks"]).is_empty()).await;
    assert!(!page.is_up(ACCOUNT));
    other.simulator.set_faults(Faults::none());
    let page = exporter.until("the others come", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(
        page.counted("clumio_tasks"),
        r#"clumio_tasks{account="prod",category="restore",status="failed",type="odd"} 1"#
    );
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_is_refused_whole_until_it_is_mended() {
    let api = world().await;
    let mut exporter = Exporter::following(&api, FAST).await;
    let before = exporter.polls(ACCOUNT, 1).await;
    exporter.config.add_account("new", &api.url(), TOKEN);
    let (interval, address) = ("poll.interval = \"1s\"", "web.listen_address = \"127.0.0.1:0\"");
    for (right, wrong, told) in [
        (interval, "poll.intervall = \"2s\"", "poll.intervall: no such key; did you mean interval?"),
        (interval, "poll.interval = \"2s\"\nlimits.max_kinds = 0", "limits.max_kinds: 0 is out of range"),
        (interval, "log.format = \"json\"", "log.format: \\\"logfmt\\\" cannot become \\\"json\\\""),
        (address, "web.listen_address = \"127.0.0.1:1\"", "cannot become \\\"127.0.0.1:1\\\" while"),
    ] {
        exporter.config.replace(right, wrong);
        assert!(!exporter.reload().await, "{wrong}");
        exporter.until("it is told", |page| page.get(SUCCESSFUL) == Some(0.0)).await;
        let log = exporter.process.stderr();
        let line = log.lines().rev().find(|line| line.contains("was refused")).unwrap_or_default();
        assert!(line.contains("level=error") && line.contains(told), "{told}: {line}");
        exporter.config.replace(wrong, right);
    }
    let page = exporter.polls(ACCOUNT, 1).await;
    assert!(page.is_up(ACCOUNT) && !has(&page, "new"), "{}", page.text);
    assert_eq!(page.get(SUCCEEDED_AT), before.get(SUCCEEDED_AT));

    assert!(exporter.reload().await);
    let page = exporter.until("it is mended", |page| page.is_up("new")).await;
    assert_eq!(page.get(SUCCESSFUL), Some(1.0));
    assert!(page.get(SUCCEEDED_AT) > before.get(SUCCEEDED_AT));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_be_made_changes_nothing() {
    let api = world().await;
    let mut exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    exporter.config.replace("poll.interval = \"1s\"", "poll.interval = \"3s\"");
    exporter.config.add_account("new", &api.url(), TOKEN);
    let own = format!("name = \"new\"\nbase_url = \"{}\"\n", api.url());
    exporter.config.replace(&own, &format!("{own}ca_file = \"/nowhere/ca.pem\"\n"));
    assert!(!exporter.reload().await);
    let page = exporter.polls(ACCOUNT, 2).await;
    assert_eq!(page.of("clumio_exporter_poll_interval_seconds", ACCOUNT), Some(1.0));
    assert!(!has(&page, "new"), "{}", page.text);
    let log = exporter.stop().await.stderr;
    assert!(log.contains(r#"account \"new\": ca_file /nowhere/ca.pem: no such file"#), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_file_with_other_content_is_read_again() {
    let api = world().await;
    let mut config = Config::following(&api, FAST);
    let file = config.path().join("ca.pem");
    let write = |text: &str| fs::write(&file, text).expect("the CA file must be written");
    write(&Authority::new().pem);
    let own = format!("base_url = \"{}\"\n", api.url());
    config.replace(&own, &format!("{own}ca_file = \"ca.pem\"\n"));
    let exporter = Exporter::start(config).await;
    let changed = || {
        let lines = exporter.process.stderr();
        let count = |n| lines.matches(&format!("changed={n}")).count();
        (count(0), count(1))
    };
    assert!(exporter.reload().await);
    assert_eq!(changed(), (1, 0), "the same is not read again");
    write(&Authority::new().pem);
    assert!(exporter.reload().await);
    assert_eq!(changed(), (1, 1));
    write("no certificate");
    assert!(!exporter.reload().await);
    exporter.polls(ACCOUNT, 1).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_over_http_is_for_those_who_were_allowed_it() {
    let api = world().await;
    let mut exporter = Exporter::following(&api, FAST).await;
    let off = (403, "lifecycle is not enabled; set web.enable_lifecycle\n".to_owned());
    assert_eq!(exporter.post_reload(&[]).await, off);
    assert_eq!(exporter.get("/-/reload").await.status(), 405);

    exporter.config.replace("log.level", "web.enable_lifecycle = true\nlog.level");
    assert!(exporter.reload().await, "what [web] says acts at once");
    assert_eq!(exporter.post_reload(&[]).await, (200, "reloaded\n".to_owned()));
    assert_eq!(exporter.get("/-/reload").await.status(), 405);
    let own = format!("http://{}", exporter.address);
    assert_eq!(exporter.post_reload(&[("origin", &own)]).await.0, 200);
    for foreign in ["http://evil.example", "null", "http://127.0.0.1"] {
        assert_eq!(exporter.post_reload(&[("origin", foreign)]).await.0, 403, "{foreign}");
    }
    // Its line comes after those of all that were done before it.
    assert_eq!(exporter.post_reload(&[]).await.0, 200);
    let reloads = |log: &str| log.matches("was read again").count();
    exporter.process.says("the last one is told", |log| (reloads(log) >= 4).then_some(())).await;
    assert_eq!(reloads(&exporter.process.stderr()), 4);
    let together = join_all((0..8).map(|_| exporter.post_reload(&[]))).await;
    assert!(together.iter().all(|(status, _)| *status == 200), "{together:?}");

    exporter.config.replace("poll.interval = \"1s\"", "poll.interval = \"soon\"");
    exporter.config.file();
    let (status, problems) = exporter.post_reload(&[]).await;
    assert_eq!(status, 500);
    assert!(problems.contains("poll.interval: \"soon\"") && problems.ends_with('\n'), "{problems}");
    exporter.config.replace("poll.interval = \"soon\"", "poll.interval = \"1s\"");
    exporter.config.replace("enable_lifecycle = true", "enable_lifecycle = false");
    exporter.config.file();
    assert_eq!(exporter.post_reload(&[]).await.0, 200);
    assert_eq!(exporter.post_reload(&[]).await, off);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_and_the_level_of_the_log_change_at_once() {
    let api = world().await;
    let mut exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    exporter
        .config
        .replace("log.level = \"trace\"", "log.level = \"error\"\nweb.telemetry_path = \"/numbers\"");
    exporter.config.file();
    exporter.process.signal("HUP");
    let moved = async || (exporter.get("/numbers").await.status() == 200).then_some(());
    eventually("the page moves", DEADLINE, moved).await;
    assert_eq!(exporter.get("/metrics").await.status(), 404);
    let polls = api.simulator.requests().total;
    let log = exporter.process.stderr().len();
    let polled = async || (api.simulator.requests().total > polls + 6).then_some(());
    eventually("it is polled on", DEADLINE, polled).await;
    let said = exporter.process.stderr()[log..].to_owned();
    assert!(!said.contains("poll succeeded"), "{said}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_reloads_and_stays_the_demo() {
    let process = Process::start(binary(&["demo", "--web.listen-address", "127.0.0.1:0"]));
    let address = serving(&process).await;
    let scrape = async || {
        let answer = http().get(format!("http://{address}/metrics")).send().await.expect("it must answer");
        Page::read(answer.text().await.expect("the page must be whole"))
    };
    let up = async || Some(scrape().await).filter(|page| page.is_up("demo"));
    let before = eventually("it is up", DEADLINE, up).await;
    process.signal("HUP");
    process.says("it reloads", |log| log.contains("was read again and is in use").then_some(())).await;
    let line = process.stderr();
    assert!(line.contains("added=0 removed=0 changed=0"), "{line}");
    let after = scrape().await;
    assert!(after.is_up("demo") && after.of(POLLS, "demo") >= before.of(POLLS, "demo"));
    process.signal("INT");
    assert_eq!(process.ended(DEADLINE).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expiry_of_the_token_is_on_the_page_and_changes_with_the_file() {
    // {"exp":1893456000} and {"exp":1924992000}, signed by nobody.
    const FIRST: &str = "e30.eyJleHAiOjE4OTM0NTYwMDB9.c2ln";
    const SECOND: &str = "e30.eyJleHAiOjE5MjQ5OTIwMDB9.c2ln";
    let api = world().await;
    let config = Config::new(FAST).account(ACCOUNT, &api.url(), FIRST);
    let mut exporter = Exporter::start(config).await;
    exporter.until("it is published", |page| page.of(EXPIRY, ACCOUNT) == Some(1_893_456_000.0)).await;
    exporter.config.write_token(ACCOUNT, SECOND);
    exporter.until("it changes", |page| page.of(EXPIRY, ACCOUNT) == Some(1_924_992_000.0)).await;
    exporter.config.write_token(ACCOUNT, TOKEN);
    let page = exporter.until("another token says nothing", |page| page.is_up(ACCOUNT)).await;
    assert_eq!(page.of(EXPIRY, ACCOUNT), None);
    exporter.config.replace("poll.interval = \"1s\"", "poll.interval = \"2s\"");
    assert!(exporter.reload().await);
    let log = exporter.stop().await.stderr;
    assert!(!log.contains("eyJ"), "{log}");
}
