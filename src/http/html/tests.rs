//! Pages as text: complete, with hostile words, and for many accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::report::{
    Account, AssetCounts, AssetReport, AssetsReport, Concerns, EndedByPeriod, Health, Kind, Level,
    MAX_COMPLETE, MAX_DETAILS, Numbers, Period, Problem, Report, Severity, TaskReport, TasksReport, Verdict,
};
use crate::store::{AgeBasis, AssetDetail, AssetRow, AssetState};
use crate::task::Label;
use crate::time::Timestamp;

/// Text that would do harm in a page that does not escape it.
const HOSTILE: &str = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\0";

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + at).expect("the second must be in range")
}

fn numbers(word: &str, kinds: usize) -> Numbers {
    let kind = Kind {
        category: Label::new("backup"),
        task_type: Label::new(word),
        open: 1,
        oldest_open_created: Some(second(-7_200)),
        tasks: BTreeMap::from([("failed".to_owned(), 1), ("queued".to_owned(), 1), (word.to_owned(), 2)]),
        last_completed: None,
    };
    let period = |n: i64| Period { from: second(n * 3_600), completed: 2, failed: 1, aborted: 0, other: 0 };
    Numbers {
        at: second(0),
        window: Duration::from_hours(24),
        kinds: vec![kind; kinds],
        ended: EndedByPeriod { length: Duration::from_hours(1), periods: (-1..=0).map(period).collect() },
    }
}

fn account(name: &str, numbers: Option<Numbers>) -> Account {
    let problem = Problem {
        id: "auth",
        severity: Severity::Critical,
        message: "The token was refused.".to_owned(),
        remedy: "Create another one.",
    };
    Account {
        name: name.to_owned(),
        health: Health::Failing,
        summary: "The last poll failed.".to_owned(),
        problems: vec![problem],
        last_poll: Some(second(-5)),
        last_success: Some(second(-300)),
        interval: Duration::from_mins(1),
        initial_sync_progress_ratio: Some(0.25),
        history_sync_progress_ratio: None,
        audit_drift_tasks: Some(-3),
        replica_tasks: Some(234),
        replica_oldest: Some(second(-86_400)),
        token_expiry: Some(second(3_600)),
        assets: None,
        numbers,
    }
}

fn asset(word: &str) -> AssetReport {
    AssetReport {
        account: "prod".to_owned(),
        category: Label::new("backup"),
        asset_type: Label::new(word),
        id: format!("id-{word}"),
        name: word.to_owned(),
        parent: Some(word.to_owned()),
        state: "overdue",
        failing_since: Some(second(-600)),
        failing_types: vec![Label::new(word)],
        last_completed: Some(second(-100_000)),
        unprotected_since: second(-100_000),
        late_from: Some(second(-3_600)),
        max_age_seconds: Some(96_400),
    }
}

fn task(word: &str) -> TaskReport {
    TaskReport {
        account: "prod".to_owned(),
        id: word.to_owned(),
        category: Label::new("backup"),
        task_type: Label::new(word),
        status: word.to_owned(),
        is_open: false,
        is_vanished: false,
        created: second(-7_200),
        started: Some(second(-7_000)),
        ended: Some(second(-60)),
        progress: None,
        entity_type: Some(Label::new(word)),
        entity_id: Some(word.to_owned()),
        entity_name: Some(word.to_owned()),
        parent_type: None,
        parent_name: Some(word.to_owned()),
        is_about_asset: true,
    }
}

fn report(accounts: Vec<Account>, word: &str, rows: usize) -> Report {
    Report {
        version: "1.2.3",
        generated: second(0),
        verdict: Verdict { level: Level::Critical, text: "1 of 1,208 assets failing".to_owned() },
        problems: vec![],
        state_bytes: Some(5 << 20),
        state_last_write: Some(second(-60)),
        state_recovered: None,
        assets: AssetCounts { total: 1_208, failing: 1_000, overdue: rows as u64, ..AssetCounts::default() },
        concerns: Concerns::default(),
        failing_assets: vec![asset(word); rows],
        overdue_assets: vec![asset(word); rows],
        silent_assets: vec![],
        tasks_open_too_long: vec![task(word); rows],
        unsuccessful_tasks: vec![task(word); rows],
        accounts_total: accounts.len(),
        accounts,
    }
}

fn status(accounts: Vec<Account>, word: &str, rows: usize) -> String {
    status_page(&report(accounts, word, rows), "/metrics").expect("it must be rendered")
}

fn assets_of(word: &str) -> String {
    let view = AssetsView {
        parameters: vec![("account", word.to_owned()), ("q", word.to_owned()), ("sort", "name".to_owned())],
        accounts: vec!["a".to_owned(), "prod".to_owned()],
        categories: vec![word.to_owned()],
        asset_types: vec![word.to_owned()],
        page: 2,
        page_size: 1,
        telemetry_path: "/metrics",
        now: second(0),
    };
    assets_page(&AssetsReport { total: 3, assets: vec![asset(word)] }, &view).expect("it must be rendered")
}

fn tasks_of(word: &str) -> String {
    let view = TasksView {
        parameters: vec![("status", word.to_owned()), ("asset", word.to_owned())],
        after: Some(format!("0~prod~{word}")),
        accounts: vec!["prod".to_owned()],
        categories: vec![word.to_owned()],
        types: vec![word.to_owned()],
        statuses: vec![word.to_owned()],
        telemetry_path: "/metrics",
        now: second(0),
    };
    let running = TaskReport { is_open: true, ended: None, progress: Some(45), ..task(word) };
    let tasks = vec![task(word), running];
    let list = TasksReport { tasks, next: Some(format!("1~prod~{word}")), is_partial: true };
    tasks_page(&list, &view).expect("it must be rendered")
}

fn asset_of(word: &str, state: AssetState) -> String {
    let row = AssetRow {
        account: "prod".to_owned(),
        category: Label::new("backup"),
        asset_type: Label::new(word),
        id: word.to_owned(),
        name: word.to_owned(),
        parent: Some(word.to_owned()),
        state,
        failing: vec![(Label::new(word), second(-600))],
        completed: None,
        unprotected_since: second(-100_000),
        late_from: Some(second(-3_600)),
    };
    let objective = crate::config::Objective {
        account: None,
        asset_type: None,
        parent: None,
        name: Some(word.to_owned()),
        max_age: crate::config::MaxAge::Auto,
    };
    let detail = AssetDetail {
        row,
        usual_interval: Some(Duration::from_hours(24)),
        objective: Some(objective),
        basis: AgeBasis::UsualInterval,
        completions: vec![(Label::new(word), second(-100_000))],
    };
    let section = AssetSection { detail, tasks: vec![task(word)], has_more: true };
    asset_page("prod", vec![section], ("/metrics", second(0))).expect("it must be rendered")
}

/// The text of a page without markup: a line for each that has any.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").map_or(page, |(_, body)| body);
    let words = |line: &str| {
        let pieces =
            line.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim().to_owned());
        pieces.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" | ")
    };
    body.lines().map(words).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_status_page_leads_with_what_is_unprotected() {
    let page = status(vec![account("prod", Some(numbers("ebs", 1)))], "vol-1", 1);
    insta::assert_snapshot!(words(&page));
    let label = "aria-label=\"How tasks ended: 4 completed, 2 failed. Most failed in the period from 2027-01-15 08:00:00 \
                 UTC: 1.\"";
    assert!(page.contains(label), "{page}");
    for link in [
        "href=\"asset?account=prod&#38;id=id-vol-1\"",
        "href=\"assets?state=failing\"",
        "href=\"tasks?status=open\"",
    ] {
        assert!(page.contains(link), "{link}: {page}");
    }
}

#[test]
fn the_other_pages_are_as_written_down() {
    insta::assert_snapshot!("asset_page", words(&asset_of("vol-1", AssetState::Overdue)));
    insta::assert_snapshot!("assets_page", words(&assets_of("vol-1")));
    insta::assert_snapshot!("tasks_page", words(&tasks_of("vol-1")));
}

#[test]
fn no_word_of_the_api_becomes_a_part_of_a_page() {
    let status = status(vec![account("prod", Some(numbers(HOSTILE, 3)))], HOSTILE, 3);
    let asset = asset_of(HOSTILE, AssetState::Silent);
    for page in [status, asset, assets_of(HOSTILE), tasks_of(HOSTILE)] {
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\"'>"), "{page}");
        assert_eq!(page.matches("<style>").count(), page.matches("</style>").count());
        // What was typed into the form comes back as it is, escaped.
        let shown = page.split("<input").map(|part| part.split_once('>').map_or(part, |(_, rest)| rest));
        let shown = shown.collect::<String>();
        let shown = shown.split("<option").map(|part| part.split_once('>').map_or(part, |(_, rest)| rest));
        let shown = shown.collect::<String>();
        assert!(!shown.contains('\u{202e}') && !shown.contains('\0'), "{shown}");
    }
}

#[test]
fn a_thousand_accounts_make_no_page_of_megabytes() {
    let complete = |n: usize| (n < MAX_COMPLETE).then(|| numbers(&"w".repeat(128), 200));
    let accounts = (0..1_000).map(|n| account(&format!("account-{n}"), complete(n))).collect();
    let page = status(accounts, &"w".repeat(256), MAX_DETAILS);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("3990 more kinds") && page.contains("./?account=account-999"));
}

#[test]
fn links_are_relative_and_the_policy_allows_the_style_alone() {
    let pages = [
        status(vec![account("prod", Some(numbers("ebs", 1)))], "vol-1", 1),
        asset_of("vol-1", AssetState::Ok),
        assets_of("vol-1"),
        tasks_of("vol-1"),
    ];
    for page in pages {
        let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
        let style = style.map(|(style, _)| style).expect("there must be a style");
        let digest = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{}", *POLICY);
        assert!(!page.contains(" style=") && !page.contains("http"), "{page}");
        for attribute in ["href=\"", "action=\""] {
            for target in page.split(attribute).skip(1) {
                assert!(!target.starts_with('/') && !target.starts_with('"'), "{attribute}{target:.40}");
            }
        }
    }
}
