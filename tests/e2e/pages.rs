//! What links to the pages and what reads their data: the links of alerts, filters, JSON and CSV, and accessibility.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clumio_exporter::simulator::{Entity, Options, Outcome, Subject, Task};
use serde_json::Value;

use crate::browser::Browser;
use crate::harness::{ACCOUNT, Api, Exporter, FAST};

/// The checker, as its lock file has it.
const CHECKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/accessibility");

/// The rules of WCAG 2.2 at the level AA.
const RULES: &str = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})\
                     .then(it => JSON.stringify(it.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | '))))";

/// An account at rest, with one failing asset whose name is a formula, and one with a dollar and spaces in its id.
async fn api() -> Api {
    let api = Api::resting().await;
    let now = api.simulator.now();
    for (id, entity_id, name) in [(1, "vol 1/&=$", "plain"), (2, "vol-2", "=HYPERLINK(\"http://x\",\"y\")")] {
        let entity =
            Entity { id: entity_id.to_owned(), entity_type: "aws_ebs_volume", value: name.to_owned() };
        let task = Task::new(id, now - Duration::from_mins(5)).started(now - Duration::from_mins(4));
        let failed = task.ended(now - Duration::from_secs(id), Outcome::Failed);
        api.simulator.add(failed.subject(Subject { primary: Some(entity), parent: None }));
    }
    api
}

async fn exporter(api: &Api) -> Exporter {
    let exporter = Exporter::following(api, FAST).await;
    exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    exporter
}

async fn text(exporter: &Exporter, path: &str) -> String {
    exporter.get(path).await.text().await.expect("the answer must be whole")
}

async fn json(exporter: &Exporter, path: &str) -> Value {
    serde_json::from_str(&text(exporter, path).await).expect("it must be JSON")
}

async fn csv(exporter: &Exporter, path: &str) -> String {
    let asked = crate::harness::http().get(format!("http://{}{path}", exporter.address));
    let answer = asked.header("accept", "text/csv").send().await.expect("it must be answered");
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8; header=present", "{path}");
    answer.text().await.expect("the answer must be whole")
}

/// Follows the links to the next page of CSV; gives how many pages and rows there were.
async fn follow_links(exporter: &Exporter, path: &str) -> (usize, usize) {
    let mut url = url::Url::parse(&format!("http://{}{path}", exporter.address)).expect("it must be a URL");
    let (mut pages, mut rows) = (0, 0);
    loop {
        let asked = crate::harness::http().get(url.clone()).header("accept", "text/csv");
        let answer = asked.send().await.expect("it must be answered");
        let link =
            answer.headers().get("link").map(|link| link.to_str().expect("it must be text").to_owned());
        rows += answer.text().await.expect("the answer must be whole").lines().count() - 1;
        pages += 1;
        let Some(link) = link else { return (pages, rows) };
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        url = url.join(next.expect("it must be a link")).expect("it must be a URL");
    }
}

#[tokio::test]
async fn the_links_of_alerts_lead_to_what_they_are_about() {
    let api = api().await;
    let exporter = exporter(&api).await;
    // As `urlquery` of Prometheus writes them.
    let asset = text(&exporter, "/asset?account=prod&id=vol+1%2F%26%3D%24").await;
    assert!(asset.contains("plain") && asset.contains("Failing for"), "{asset}");
    let failing = json(&exporter, "/api/v1/assets?account=prod&state=failing&limit=1000").await;
    let metrics = exporter.scrape().await;
    let expected: f64 = metrics.families(&["clumio_assets_failing"]).values().sum();
    assert_eq!(failing["total"].as_f64(), Some(expected));
    let page = text(&exporter, "/assets?account=prod&state=failing").await;
    assert!(page.contains("<option value=\"failing\" selected>") && page.contains("plain"), "{page}");
    let kind = "account=prod&category=backup&type=aws_ebs_volume_incremental_backup&status=failed";
    let tasks = json(&exporter, &format!("/api/v1/tasks?{kind}")).await;
    assert_eq!((&tasks["tasks"][0]["id"], &tasks["tasks"][0]["status"]), (&"1".into(), &"failed".into()));
    assert!(text(&exporter, &format!("/tasks?{kind}")).await.contains("<code>1</code>"));
    for state in ["overdue", "silent", "failing"] {
        assert_eq!(exporter.get(&format!("/assets?account=prod&state={state}")).await.status(), 200);
    }
}

#[tokio::test]
async fn pages_of_a_list_join() {
    let api = api().await;
    let exporter = exporter(&api).await;
    let all = json(&exporter, "/api/v1/tasks?limit=1000").await;
    let expected: Vec<_> =
        all["tasks"].as_array().expect("it must be a list").iter().take(120).cloned().collect();
    let (mut read, mut after) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = json(&exporter, &format!("/api/v1/tasks?limit=40{after}")).await;
        read.extend(page["tasks"].as_array().expect("it must be a list").clone());
        after = format!("&after={}", page["next"].as_str().expect("there must be more"));
    }
    assert_eq!(read, expected);
    let second = json(&exporter, "/api/v1/assets?sort=name&limit=2&page=2").await;
    let first = json(&exporter, "/api/v1/assets?sort=name&limit=4").await;
    assert_eq!(second["assets"][0], first["assets"][2]);
    assert_eq!(second["total"], first["total"]);
}

#[tokio::test]
async fn csv_has_the_same_rows_and_no_formulas() {
    let api = api().await;
    let exporter = exporter(&api).await;
    let assets = csv(&exporter, "/api/v1/assets?state=failing").await;
    assert!(assets.starts_with("account,category,asset_type,id,name,"), "{assets}");
    assert!(assets.contains("\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""), "{assets}");
    let total =
        json(&exporter, "/api/v1/assets?state=failing&limit=50").await["assets"].as_array().map(Vec::len);
    assert_eq!(Some(assets.lines().count() - 1), total);
    let tasks = csv(&exporter, "/api/v1/tasks?status=failed&limit=2").await;
    assert_eq!(tasks.lines().count(), 3);
    for path in ["/api/v1/assets?limit=100", "/api/v1/tasks?status=failed&limit=20"] {
        let (list, _) = path.rsplit_once("limit=").expect("it must have a limit");
        let all = json(&exporter, &format!("{list}limit=1000")).await;
        let (pages, rows) = follow_links(&exporter, path).await;
        let listed = all["assets"].as_array().or(all["tasks"].as_array()).map(Vec::len);
        assert!(pages > 1 && Some(rows) == listed, "{path}: {rows} rows on {pages} pages of {all}");
    }
    assert!(
        csv(&exporter, "/api/v1/status")
            .await
            .lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("prod,healthy,"))
    );
}

#[tokio::test]
async fn a_token_that_sees_nothing_is_reported() {
    let api = Api::start(Options { tasks_per_day: 0, ..Options::default() }).await;
    let exporter = exporter(&api).await;
    let status = json(&exporter, "/api/v1/status").await;
    assert_eq!(status["verdict"]["level"], "warning");
    assert_eq!(status["accounts"][0]["problems"][0]["id"], "nothing_visible");
    assert!(text(&exporter, "/").await.contains("The token sees no tasks at all."));
}

/// The words in the first column of a table of the README.
fn documented(heading: &str) -> BTreeSet<String> {
    let readme = include_str!("../../README.md");
    let table = readme.split_once(&format!("| {heading} |")).expect("the table must be there").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

#[tokio::test]
async fn the_documented_fields_are_those_of_the_answers() {
    let api = api().await;
    let exporter = exporter(&api).await;
    let status = json(&exporter, "/api/v1/status").await;
    assert_eq!(documented("field of the status"), keys(&status));
    assert_eq!(documented("field of an account"), keys(&status["accounts"][0]));
    let assets = json(&exporter, "/api/v1/assets").await;
    assert_eq!(documented("field of an asset"), keys(&assets["assets"][0]));
    let tasks = json(&exporter, "/api/v1/tasks").await;
    assert_eq!(documented("field of a task"), keys(&tasks["tasks"][0]));
    for (path, heading) in [("/api/v1/assets", "field of an asset"), ("/api/v1/tasks", "field of a task")] {
        let csv = csv(&exporter, path).await;
        let columns = csv.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect();
        assert_eq!(documented(heading), columns, "{path}");
    }
    let readme = include_str!("../../README.md");
    let [asset, account] = ["assets", "accounts"].map(|key| status[key].clone());
    let numbers = &account[0]["numbers"];
    let nested = [
        &asset,
        &status["concerns"],
        &status["verdict"],
        &account[0]["assets"],
        numbers,
        &numbers["kinds"][0],
    ];
    for field in nested.into_iter().chain([&numbers["ended"], &numbers["ended"]["periods"][0]]).flat_map(keys)
    {
        assert!(readme.contains(&format!("`{field}`")), "{field}");
    }
}

#[tokio::test]
async fn the_documented_parameters_are_taken() {
    let api = api().await;
    let exporter = exporter(&api).await;
    let everything = json(&exporter, "/api/v1/assets").await["total"].clone();
    for parameter in documented("parameter of assets") {
        let value = match parameter.as_str() {
            "state" => "ignored",
            "failing" => "yes",
            "sort" => "-name",
            "page" => "2",
            _ => "nothing-has-this",
        };
        let list = json(&exporter, &format!("/api/v1/assets?{parameter}={value}")).await;
        assert_eq!(list["total"] == everything, ["sort", "page"].contains(&&*parameter), "{parameter}");
    }
    for parameter in documented("parameter of tasks") {
        let value = match parameter.as_str() {
            "from" => "2100-01-01",
            "to" => "2000-01-01",
            "after" => "0~a~1",
            _ => "nothing-has-this",
        };
        let list = json(&exporter, &format!("/api/v1/tasks?{parameter}={value}")).await;
        assert_eq!(list["tasks"].as_array().map(Vec::len), Some(0), "{parameter}");
    }
}

/// The source of the checker, installed once for all runs.
fn checker() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accessibility");
    std::fs::create_dir_all(&folder).expect("a folder must be made");
    let source = folder.join("node_modules/axe-core/axe.min.js");
    if !source.exists() {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(Path::new(CHECKER).join(file), folder.join(file)).expect("the file must be copied");
        }
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        let installed = installed.expect("npm must be installed, as tests/run does");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    }
    std::fs::read_to_string(source).expect("the checker must be readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_accessible_and_their_height_is_bounded() {
    let api = api().await;
    let exporter = exporter(&api).await;
    let site = format!("http://{}", exporter.address);
    let look = tokio::task::spawn_blocking(move || {
        let (checker, mut browser) = (checker(), Browser::start());
        let pages = [
            "/",
            "/?account=prod",
            "/assets",
            "/assets?state=ignored",
            "/asset?account=prod&id=vol-2",
            "/tasks",
        ];
        for path in pages {
            for (width, colours) in [(1_280, "light"), (1_280, "dark"), (390, "light")] {
                browser.open(&format!("{site}{path}"), width, colours);
                browser.value(&format!("{checker}; null"));
                let violations = browser.awaited(RULES);
                assert_eq!(violations, "[]", "{path}, {width} px, {colours}");
            }
            browser.value("document.documentElement.removeAttribute('lang')");
            let violations = browser.awaited(RULES).to_string();
            assert!(
                violations.contains("html-has-lang"),
                "the checker must find what is wrong: {violations}"
            );
            let height = browser.value("document.documentElement.scrollHeight").as_i64().unwrap_or(i64::MAX);
            let most = if path.starts_with("/?") || path == "/" { 8_000 } else { 12_000 };
            assert!(height < most, "{path} is {height} px high on a phone");
        }
    });
    look.await.expect("the browser must show it");
}
