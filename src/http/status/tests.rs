//! The page as text: whole, with hostile words in it, and for many accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::report::{
    Account, Entity, FailedTask, Health, Kind, MOST_WHOLE, Numbers, Period, Picture, Problem, Severity,
};
use crate::task::Label;

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + at).expect("the second must be in range")
}

fn numbers(word: &str, most: usize) -> Numbers {
    let entity = || Some(Entity { entity_type: Some(word.to_owned()), name: Some(word.to_owned()) });
    let kind = Kind {
        category: Label::new("backup"),
        task_type: Label::new(word),
        open: 1,
        oldest_open_created: Some(second(-7_200)),
        tasks: BTreeMap::from([("failed".to_owned(), 1), ("queued".to_owned(), 1), (word.to_owned(), 2)]),
        last_completed: None,
    };
    let failed = FailedTask {
        id: word.to_owned(),
        category: Label::new("backup"),
        task_type: Label::new(word),
        status: word.to_owned(),
        created: second(-7_200),
        ended: second(-60),
        entity: entity(),
        parent: entity(),
    };
    let period = |n: i64| Period { from: second(n * 3_600), completed: 2, failed: 1, aborted: 0, other: 0 };
    Numbers {
        at: second(0),
        window: Duration::from_hours(24),
        kinds: vec![kind; most],
        ended: Picture { length: Duration::from_hours(1), periods: (-1..=0).map(period).collect() },
        last_failures: vec![failed; most],
    }
}

fn account(name: &str, numbers: Option<Numbers>) -> Account {
    let problem = Problem {
        id: "auth",
        severity: Severity::Critical,
        message: "The token was refused.".to_owned(),
        remedy: "Make another one.",
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
        numbers,
    }
}

fn page_of(accounts: Vec<Account>) -> String {
    let report = Report {
        version: "1.2.3",
        generated: second(0),
        entities_shown: true,
        problems: vec![],
        state_bytes: Some(5 << 20),
        state_last_write: Some(second(-60)),
        state_recovered: None,
        accounts_total: accounts.len(),
        accounts,
    };
    page::render(&report, "/metrics").expect("it must be rendered")
}

/// The text of a page, without what it looks like: a line for each that has any.
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
fn the_page_of_an_account_in_trouble_says_all_of_it() {
    let page = page_of(vec![account("prod", Some(numbers("ebs", 1)))]);
    insta::assert_snapshot!(words(&page), @r"
    clumio-exporter
    1 account: 1 failing
    As of | 2027-01-15 08:00:00 UTC | . The page does not reload itself. Replica: 5.0 MiB, written 1 min ago.
    prod | failing
    The last poll failed.
    The token was refused. | Make another one.
    Last poll | 5 s ago
    Data from | 5 min ago
    Polled | every 1 min
    Audit | -3 tasks
    Replica | 234 tasks, complete since 2027-01-14 08:00:00 UTC
    Token expires | in 1 h
    How tasks ended in the last 24 h
    from 2027-01-15 07:00:00 UTC: 2 completed, 1 failed
    from 2027-01-15 08:00:00 UTC: 2 completed, 1 failed
    2027-01-15 07:00:00 UTC | 2027-01-15 08:00:00 UTC | 2027-01-15 09:00:00 UTC
    4 completed | 0 aborted | 2 failed | in periods of 1 h
    The same as a table
    Tasks that ended in each period
    From | Completed | Other | Aborted | Failed
    2027-01-15 07:00:00 UTC | 2 | 0 | 0 | 1
    2027-01-15 08:00:00 UTC | 2 | 0 | 0 | 1
    Last failures
    Tasks that failed, were aborted, or ended in a way that this version does not know, newest first
    Ended | Task | How | Entity | Parent | Created | Task id
    2027-01-15 07:59:00 UTC | 1 min ago | ebs | backup | ebs | ebs | ebs | ebs | ebs | 2027-01-15 06:00:00 UTC | ebs
    Tasks by kind
    Open tasks, however old, and tasks that ended in the last 24 h; kinds with failures or open tasks first
    Kind | Open | Oldest open | Failed | Aborted | Completed | Last completed
    ebs | backup | 2 ebs | 1 | 2 h ago | 1 | 0 | 0 | none
    Metrics | Status as JSON | Health | Readiness
    clumio-exporter 1.2.3: backup and restore tasks of Clumio, as metrics for Prometheus
    ");
    let label = "aria-label=\"How tasks ended: 4 completed, 2 failed. Most failed in the period from 2027-01-15 08:00:00 \
                 UTC: 1.\"";
    assert!(page.contains(label), "{page}");
    assert!(
        page.contains("<time datetime=\"2027-01-15T07:59:00Z\">2027-01-15 07:59:00 UTC</time>"),
        "{page}"
    );
}

#[test]
fn no_word_of_the_api_becomes_a_part_of_the_page() {
    let word = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\0";
    let page = page_of(vec![account("prod", Some(numbers(word, 3)))]);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\"'>"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\0'), "{page}");
    assert_eq!(page.matches("<style>").count(), page.matches("</style>").count());
}

#[test]
fn a_thousand_accounts_make_no_page_of_megabytes() {
    let whole = |n: usize| (n < MOST_WHOLE).then(|| numbers(&"w".repeat(128), 200));
    let page = page_of((0..1_000).map(|n| account(&format!("account-{n}"), whole(n))).collect());
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("185 more kinds") && page.contains("/?account=account-999"));
    assert!(page.contains("1\u{202f}000 accounts: 1\u{202f}000 failing"));
}

#[test]
fn the_policy_allows_the_style_that_is_in_the_page_and_nothing_else() {
    let page = page_of(Vec::new());
    let style =
        page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).map(|(style, _)| style);
    let digest = BASE64_STANDARD.encode(digest(&SHA256, style.expect("there must be a style").as_bytes()));
    assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{}", *POLICY);
    assert!(!page.contains(" style=") && !page.contains("http"), "{page}");
}
