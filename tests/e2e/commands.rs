//! The commands besides the daemon: what they print, and how they exit.

use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::earlier;

use crate::harness::{ACCOUNT, Api, Config, DEADLINE, FAST, eventually, http, serving, unreachable};
use crate::page::Page;
use crate::process::{Process, TOKEN, binary};
use crate::truth::{FAMILIES, differences, expected};

/// The window that is the default.
const WINDOW: Duration = Duration::from_hours(24);

/// A generated week that stands still, none of whose tasks ended about a window ago.
async fn resting() -> Api {
    let api = Api::start(Options { history: WINDOW / 2, tasks_per_day: 3_000, ..Options::default() }).await;
    api.simulator.stand_still(api.simulator.now());
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn once_prints_the_numbers() {
    let api = resting().await;
    let ended = Config::following(&api, FAST).run("once").await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let page = Page::read(ended.stdout);
    assert!(page.is_up(ACCOUNT));
    let now = api.simulator.now();
    // Counters are new, so each is published as 0, whatever came after the baseline.
    let truth = expected(ACCOUNT, &api.simulator.tasks(now), now, now, WINDOW);
    assert_eq!(differences(&truth, &page.families(&FAMILIES)), [""; 0]);
    assert!(truth.values().sum::<f64>() > 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_prints_what_it_has_and_fails_if_an_account_does() {
    let api = resting().await;
    let nowhere = format!("http://{}", unreachable().await);
    let ended = Config::following(&api, FAST).account("gone", &nowhere, TOKEN).run("once").await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let page = Page::read(ended.stdout);
    assert!(page.is_up(ACCOUNT) && !page.is_up("gone"));
    assert!(!page.families(&FAMILIES).is_empty());
    assert!(ended.stderr.contains("check base_url"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_it_found() {
    let api = Api::start(Options::scripted()).await;
    let created = earlier(api.simulator.now(), WINDOW);
    api.simulator.add(Task::new(7, created).kind("restore", "odd").ended(created, Outcome::Failed));
    let ended = Config::following(&api, FAST).run("check").await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let says = [
        "every key is right",
        &format!("account \"prod\": {}/ answers", api.url()),
        "prod.token",
        "1 tasks created since",
        "one of them: \"7\" \"restore\" \"odd\", \"failed\"",
    ];
    for words in says {
        assert!(ended.stdout.contains(words), "{words:?} is not in:\n{}", ended.stdout);
    }
    assert_eq!(ended.stdout.lines().last(), Some("verdict: ok: 1 account can be read"));
    assert_eq!(api.simulator.requests().total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_of_a_token_that_sees_nothing() {
    let api = Api::start(Options::scripted()).await;
    let ended = Config::following(&api, FAST).run("check").await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let verdict = ended.stdout.lines().last().unwrap_or_default();
    assert!(
        verdict.starts_with("verdict: warning: the token of account \"prod\" sees no tasks"),
        "{verdict}"
    );
    assert!(verdict.contains("organizational_unit"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_remedy_for_each_account_that_fails() {
    let api = resting().await;
    let config = Config::following(&api, FAST).with_accounts_that_fail(&api).await;
    let ended = config.run("check").await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let says = [
        "account \"prod\": http",
        "account \"refused\": ",
        "401",
        "check that the token file",
        "account \"unreachable\": ",
        "check base_url",
    ];
    for words in says {
        assert!(ended.stdout.contains(words), "{words:?} is not in:\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("another-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_told_before_a_request_is_sent() {
    let api = resting().await;
    for (keys, words) in [
        ("poll.intervall = \"1s\"", "poll.intervall"),
        ("poll.interval = \"soon\"", "poll.interval"),
        ("poll.window = \"30d\"", "lookback"),
        ("[[accounts]]\nname = \"PROD\"\nbase_url = \"https://x\"\ntoken_file = \"t\"", "PROD"),
        ("[[accounts]]\nname = \"plain\"\nbase_url = \"http://x\"\ntoken_file = \"t\"", "allow_http"),
        ("= nonsense", "clumio-exporter.toml"),
    ] {
        for command in [None, Some("once"), Some("check")] {
            let file = Config::following(&api, keys);
            let path = file.file();
            let path = path.to_str().expect("the path must be text");
            let args = command.into_iter().chain(["--config.file", path]);
            let process = Process::start(binary(&args.collect::<Vec<_>>()));
            let ended = process.ended(DEADLINE).await;
            assert_eq!(ended.status.code(), Some(1), "{keys}: {ended:?}");
            assert_eq!(ended.stdout, "", "{keys}");
            let message = &ended.stderr;
            assert!(message.contains(words) && message.contains("clumio-exporter.toml"), "{keys}: {message}");
        }
    }
    assert_eq!(api.simulator.requests().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_configuration_is_told_with_the_ways_to_one() {
    let ended = Process::start(binary(&[])).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(1));
    for words in ["--config.file", "CLUMIO_API_TOKEN", "clumio-exporter demo"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in:\n{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_the_vendor_make_an_account() {
    let api = resting().await;
    let mut command = binary(&["once"]);
    command.env("CLUMIO_API_TOKEN", TOKEN).env("CLUMIO_API_BASE_URL", api.url());
    let ended = Process::start(command).ended(DEADLINE).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(Page::read(ended.stdout).is_up("default"));
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_answers_with_its_token_only_and_stops_on_a_signal() {
    let args = ["simulate", "--listen-address", "127.0.0.1:0", "--token", "spoken", "--history-days", "1"];
    let process = Process::start(binary(&args));
    let url = |log: &str| Some(log.split_once("API: ")?.1.split_once(',')?.0.to_owned());
    let url = process.says("it listens", url).await;
    let ask = async |token: &str| {
        let answer = http().get(&url).bearer_auth(token).send().await;
        answer.expect("it must answer")
    };
    assert_eq!(ask("wrong").await.status(), 401);
    let answer = ask("spoken").await;
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.expect("the answer must be whole");
    let page: serde_json::Value = serde_json::from_str(&page).expect("the answer must be JSON");
    assert!(page["total_count"].as_u64() > Some(100), "{page}");
    let rows = page["_embedded"]["items"].as_array().map(|items| items.len() as u64);
    assert_eq!(rows, page["limit"].as_u64());
    process.signal("TERM");
    assert_eq!(process.ended(DEADLINE).await.status.code(), Some(0));
}

/// Five seconds are promised, for a release build on a machine with nothing else to do: here, that the first poll brings
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_serves_numbers_soon() {
    let process = Process::start(binary(&["demo", "--web.listen-address", "127.0.0.1:0"]));
    let address = serving(&process).await;
    let http = http();
    let page = eventually("there are numbers", DEADLINE, async || {
        let answer = http.get(format!("http://{address}/metrics")).send().await.expect("it must answer");
        let page = Page::read(answer.text().await.expect("the page must be whole"));
        Some(page).filter(|page| page.is_up("demo"))
    })
    .await;
    let tasks: f64 = page.families(&["clumio_tasks"]).values().sum();
    assert!(tasks > 1_000.0, "{tasks} tasks");
    let guide = process.stderr();
    assert!(guide.contains("/metrics") && guide.contains("Ctrl-C"), "{guide}");
    assert!(!guide.contains("poll failed"), "{guide}");
    process.signal("INT");
    assert_eq!(process.ended(DEADLINE).await.status.code(), Some(0));
}
