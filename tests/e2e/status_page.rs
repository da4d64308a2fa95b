//! The pages and their data, as the real program serves them, in a real browser.

use std::time::Duration;

use clumio_exporter::simulator::{Entity, Outcome, Subject, Task};
use serde_json::Value;

use crate::browser::Browser;
use crate::harness::{ACCOUNT, Api, Config, DEADLINE, Exporter, FAST};

/// Names that would do harm in a page that does not escape them.
const HOSTILE: [&str; 4] = [
    "<script>document.title='taken'</script>",
    "\"><img src=x onerror=\"document.title='taken'\">",
    "\u{202e}gpj.elif\u{2066}\u{0}\u{7}&lt;",
    "plain-volume",
];

/// An account in which a task failed for each of these names, and one with a very long one.
async fn api() -> Api {
    let api = Api::resting().await;
    let now = api.simulator.now();
    let long = "W".repeat(5_000);
    for (id, name) in (1..).zip(HOSTILE.into_iter().chain([long.as_str()])) {
        let entity = Entity { id: id.to_string(), entity_type: "aws_ebs_volume", value: name.to_owned() };
        let parent = Entity { value: format!("parent-{name}"), ..entity.clone() };
        let subject = Subject { primary: Some(entity), parent: Some(parent.into()) };
        let task = Task::new(id, now - Duration::from_mins(5)).started(now - Duration::from_mins(4));
        let failed = task.ended(now - Duration::from_secs(id), Outcome::Failed).subject(subject);
        api.simulator.add(failed);
    }
    api
}

async fn exporter(api: &Api, keys: &str) -> Exporter {
    let exporter = Exporter::following(api, &format!("{FAST}{keys}")).await;
    exporter.until("a poll succeeds", |page| page.is_up(ACCOUNT)).await;
    exporter
}

async fn text(exporter: &Exporter, path: &str) -> String {
    exporter.get(path).await.text().await.expect("the answer must be whole")
}

async fn status(exporter: &Exporter) -> Value {
    serde_json::from_str(&text(exporter, "/api/v1/status").await).expect("it must be JSON")
}

#[tokio::test]
async fn ids_replace_names_where_names_are_turned_off() {
    let api = api().await;
    let paths = ["/", "/assets", "/tasks", "/asset?account=prod&id=4", "/metrics"];
    let data = ["/api/v1/status", "/api/v1/assets", "/api/v1/tasks"];
    let hidden = exporter(&api, "assets.names = false").await;
    for path in paths.into_iter().chain(data) {
        assert!(!text(&hidden, path).await.contains("plain-volume"), "{path}");
    }
    assert!(
        text(&hidden, "/api/v1/assets?q=plain-vol").await.contains("\"total\":0"),
        "text finds ids alone"
    );
    let shown = exporter(&api, "").await;
    for path in paths.into_iter().chain(data) {
        assert!(text(&shown, path).await.contains("plain-volume"), "{path}");
    }
    for exporter in [hidden, shown] {
        let ended = exporter.stop().await;
        assert!(!ended.stderr.contains("plain-volume"), "no log may have it");
    }
}

#[tokio::test]
async fn a_reload_that_turns_names_off_hides_them_without_a_poll() {
    let mut api = api().await;
    let mut exporter = exporter(&api, "assets.names = true").await;
    api.down().await;
    exporter.until("polls fail", |page| !page.is_up(ACCOUNT)).await;
    assert!(text(&exporter, "/metrics").await.contains("plain-volume"));
    exporter.config.replace("assets.names = true", "assets.names = false");
    assert!(exporter.reload().await);
    // The page of metrics is up to a second old.
    exporter.until("names are gone", |page| !page.text.contains("plain-volume")).await;
    for path in ["/metrics", "/", "/api/v1/assets"] {
        let text = text(&exporter, path).await;
        assert!(!text.contains("plain-volume") && !text.is_empty(), "{path}");
    }
    assert!(text(&exporter, "/api/v1/assets").await.contains("\"total\":"), "the replica can be read");
    exporter.stop().await;
}

#[tokio::test]
async fn every_page_takes_a_login_where_there_is_one() {
    let api = api().await;
    let hash = bcrypt::hash("password", 4).expect("it must be hashed");
    let config = Config::following(&api, &format!("{FAST}web.config_file = \"web.yml\""));
    std::fs::write(config.path().join("web.yml"), format!("basic_auth_users:\n  ops: {hash}\n"))
        .expect("the web config must be written");
    let exporter = Exporter::start(config).await;
    let pages = ["/", "/assets", "/asset?account=prod&id=4", "/tasks"];
    for path in pages.into_iter().chain(["/api/v1/status", "/api/v1/assets", "/api/v1/tasks"]) {
        assert_eq!(exporter.get(path).await.status(), 401, "{path}");
        let page = crate::harness::eventually("the names are there", Duration::from_secs(30), async || {
            let asked = crate::harness::http().get(format!("http://{}{path}", exporter.address));
            let answer = asked.basic_auth("ops", Some("password")).send().await.ok()?;
            answer.text().await.ok().filter(|page| page.contains("plain-volume"))
        });
        page.await;
    }
}

#[tokio::test]
async fn assets_and_failures_are_there_after_a_restart_without_the_api() {
    let mut api = api().await;
    let folder = tempfile::tempdir().expect("a folder must be had");
    let keys = format!("state.directory = \"{}\"", folder.path().display());
    let first = exporter(&api, &keys).await;
    let before = status(&first).await;
    let failed = before["unsuccessful_tasks"].clone();
    assert!(failed.as_array().is_some_and(|it| (6..=10).contains(&it.len())), "{failed}");
    assert_eq!(failed[3]["entity_name"], "plain-volume");
    assert_eq!(failed[4]["entity_name"].as_str().map(str::len), Some(256), "a long name is cut");
    let failing = before["failing_assets"].as_array().map_or(0, Vec::len);
    assert!(failing >= 5, "{before}");
    first.stop().await;
    let url = api.url();
    api.down().await;
    let config = Config::new(&format!("{FAST}{keys}")).account(ACCOUNT, &url, crate::process::TOKEN);
    let again = Exporter::start(config).await;
    let after = crate::harness::eventually("the failures are there", DEADLINE, async || {
        let status = status(&again).await;
        (!status["accounts"][0]["numbers"].is_null()).then_some(status)
    });
    let after = after.await;
    assert_eq!(
        (&after["unsuccessful_tasks"], &after["failing_assets"]),
        (&failed, &before["failing_assets"])
    );
    assert_ne!(after["accounts"][0]["health"], "healthy");
    assert_ne!(after["verdict"]["level"], "good");
}

#[tokio::test]
async fn pages_have_their_headers_and_say_what_is_missing() {
    let api = api().await;
    let exporter = exporter(&api, "").await;
    for (path, expected) in [
        ("/", 200),
        ("/?account=prod", 200),
        ("/?account=unknown", 404),
        ("/api/v1/status", 200),
        ("/assets", 200),
        ("/assets?state=bad", 400),
        ("/api/v1/assets?limit=5000", 400),
        ("/asset?account=prod&id=4", 200),
        ("/asset?account=prod&id=5000", 404),
        ("/tasks", 200),
        ("/tasks?from=soon", 400),
        ("/api/v1/tasks", 200),
    ] {
        let answer = exporter.get(path).await;
        assert_eq!(answer.status(), expected, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().expect("it must be text").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_hostile_names_as_text_on_a_phone_and_in_the_dark() {
    let api = api().await;
    let exporter = exporter(&api, "").await;
    let site = format!("http://{}", exporter.address);
    let look = tokio::task::spawn_blocking(move || {
        let mut browser = Browser::start();
        for path in ["/", "/assets", "/tasks", "/asset?account=prod&id=1", "/asset?account=prod&id=3"] {
            for (width, colours) in [(360, "light"), (360, "dark"), (1_280, "light")] {
                browser.open(&format!("{site}{path}"), width, colours);
                let overflow = browser.value("document.documentElement.scrollWidth - innerWidth");
                assert!(
                    overflow.as_i64().is_some_and(|it| it <= 0),
                    "{path}, {width} px: {overflow} px too wide"
                );
                let background = browser.value("getComputedStyle(document.body).backgroundColor");
                let expected = if colours == "dark" { "rgb(18, 22, 28)" } else { "rgb(246, 247, 249)" };
                assert_eq!(background, expected, "the style must be in force");
            }
            let names = "[...document.querySelectorAll('bdi.name')].map(it => it.textContent)";
            let names = browser.value(names).to_string();
            assert!(!path.ends_with("=1") || names.contains("document.title='taken'"), "{path}: {names}");
            assert!(!path.ends_with("=3") || names.contains("u{202e}gpj.elif"), "{path}: {names}");
            assert_eq!(browser.value("document.querySelectorAll('script, img, iframe, link').length"), 0);
            assert_eq!(browser.value("document.title == 'taken'"), false);
            let unlabelled = "[...document.querySelectorAll('table')].filter(it => !it.caption).length";
            assert_eq!(browser.value(unlabelled), 0);
        }
        browser.open(&site, 1_280, "light");
        let chart = "document.querySelector('svg.chart').getBoundingClientRect().height > 50";
        assert_eq!(browser.value(chart), true);
        assert_eq!(browser.complaints, Vec::<String>::new());
    });
    look.await.expect("the browser must show it");
}
