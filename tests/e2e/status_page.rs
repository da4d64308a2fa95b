//! The status page and its JSON, as the real program serves them, in a real browser.

use std::time::Duration;

use clumio_exporter::simulator::{Entity, Outcome, Subject, Task};
use serde_json::{Value, json};

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
async fn names_are_shown_only_where_they_may_be() {
    let api = api().await;
    let hidden = exporter(&api, "assets.names = false").await;
    for path in ["/", "/api/v1/status", "/metrics"] {
        assert!(!text(&hidden, path).await.contains("plain-volume"), "{path}");
    }
    let shown = exporter(&api, "web.show_entities = true").await;
    for path in ["/", "/api/v1/status", "/metrics"] {
        assert!(text(&shown, path).await.contains("plain-volume"), "{path}");
    }
    for exporter in [hidden, shown] {
        let ended = exporter.stop().await;
        assert!(!ended.stderr.contains("plain-volume"), "no log may have it");
    }
}

#[tokio::test]
async fn who_has_logged_in_is_shown_names() {
    let api = api().await;
    let hash = bcrypt::hash("password", 4).expect("it must be hashed");
    let config = Config::following(&api, &format!("{FAST}web.config_file = \"web.yml\""));
    std::fs::write(config.path().join("web.yml"), format!("basic_auth_users:\n  ops: {hash}\n"))
        .expect("the web config must be written");
    let exporter = Exporter::start(config).await;
    assert_eq!(exporter.get("/").await.status(), 401);
    assert_eq!(exporter.get("/api/v1/status").await.status(), 401);
    let page = crate::harness::eventually("the names are there", Duration::from_secs(30), async || {
        let asked = crate::harness::http().get(format!("http://{}/", exporter.address));
        let answer = asked.basic_auth("ops", Some("password")).send().await.ok()?;
        answer.text().await.ok().filter(|page| page.contains("plain-volume"))
    });
    page.await;
}

#[tokio::test]
async fn the_last_failures_are_there_after_a_restart() {
    let mut api = api().await;
    let folder = tempfile::tempdir().expect("a folder must be had");
    let keys = format!("web.show_entities = true\nstate.directory = \"{}\"", folder.path().display());
    let first = exporter(&api, &keys).await;
    let before = status(&first).await["accounts"][0]["numbers"]["last_failures"].clone();
    assert!(before.as_array().is_some_and(|it| (6..=50).contains(&it.len())), "{before}");
    assert_eq!(before[3]["entity"], json!({"type": "aws_ebs_volume", "value": "plain-volume"}));
    assert_eq!(before[4]["entity"]["value"].as_str().map(str::len), Some(256), "a long name is cut");
    first.stop().await;
    let url = api.url();
    api.down().await;
    let again =
        Exporter::start(Config::new(&format!("{FAST}{keys}")).account(ACCOUNT, &url, crate::process::TOKEN))
            .await;
    // The poll fails, but it opens the replica.
    let account = crate::harness::eventually("the failures are there", DEADLINE, async || {
        let account = status(&again).await["accounts"][0].clone();
        (!account["numbers"].is_null()).then_some(account)
    });
    let account = account.await;
    assert_eq!(account["numbers"]["last_failures"], before);
    assert_ne!(account["health"], "healthy");
}

#[tokio::test]
async fn the_page_has_its_headers_and_an_account_of_its_own() {
    let api = api().await;
    let exporter = exporter(&api, "").await;
    for path in ["/", "/api/v1/status", "/?account=prod", "/?account=nobody"] {
        let answer = exporter.get(path).await;
        assert_eq!(answer.status(), if path.ends_with("nobody") { 404 } else { 200 }, "{path}");
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
    let exporter = exporter(&api, "web.show_entities = true").await;
    let url = format!("http://{}/", exporter.address);
    let look = tokio::task::spawn_blocking(move || {
        let mut browser = Browser::start();
        for (width, colours) in [(360, "light"), (360, "dark"), (1_280, "light")] {
            browser.open(&url, width, colours);
            let overflow = browser.value("document.documentElement.scrollWidth - innerWidth");
            assert!(overflow.as_i64().is_some_and(|it| it <= 0), "{width} px: {overflow} px too wide");
            let background = browser.value("getComputedStyle(document.body).backgroundColor");
            let expected = if colours == "dark" { "rgb(18, 22, 28)" } else { "rgb(246, 247, 249)" };
            assert_eq!(background, expected, "the style must be in force");
        }
        let names = browser
            .value("[...document.querySelectorAll('td[data-label=Entity] bdi')].map(it => it.textContent)");
        for name in &HOSTILE[..2] {
            assert!(names.as_array().is_some_and(|names| names.contains(&json!(name))), "{names}");
        }
        assert_eq!(names[2], "\\u{202e}gpj.elif\\u{2066}\\u{0}\\u{7}&lt;");
        assert_eq!(browser.value("document.querySelectorAll('script, img, iframe, link').length"), 0);
        assert_eq!(browser.value("document.title"), "1 account: 1 healthy - clumio-exporter");
        assert_eq!(
            browser.value("document.querySelector('svg.chart').getBoundingClientRect().height > 50"),
            true
        );
        let unlabelled = "[...document.querySelectorAll('table')].filter(it => !it.caption).length";
        assert_eq!(browser.value(unlabelled), 0);
        assert_eq!(browser.complaints, Vec::<String>::new());
    });
    look.await.expect("the browser must show it");
}
