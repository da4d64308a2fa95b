//! The page: what of a report is shown, and how it is put.
//!
//! The template escapes all that is put into it. A page about all accounts shows of each the first kinds and failures
//! only, and of those beyond [`MOST_WHOLE`] a line: a thousand accounts are some hundred kilobytes.

use std::borrow::Cow;
use std::time::Duration;

use askama::Template;

use super::STYLE;
use super::chart::Chart;
use super::text::{Instant, count, visible};
use crate::report::{Account, FailedTask, Health, Kind, MOST_WHOLE, Numbers, Problem, Report, words_of};
use crate::time::{Timestamp, elapsed};

/// How many kinds and failures of each account are on a page about several.
const MOST_KINDS: usize = 15;
const MOST_FAILURES: usize = 10;

#[derive(Template)]
#[template(path = "page.html", config = "src/http/askama.toml")]
struct Page<'a> {
    style: &'static str,
    version: &'static str,
    telemetry_path: &'a str,
    generated: Instant,
    entities_shown: bool,
    verdict: String,
    worst: &'static str,
    problems: &'a [Problem],
    state: String,
    is_one_of_many: bool,
    whole: Vec<View<'a>>,
    brief: Vec<&'a Account>,
}

/// One account, whole.
struct View<'a> {
    account: &'a Account,
    problems: &'a [Problem],
    facts: Vec<Fact>,
    numbers: Option<NumbersView<'a>>,
}

/// A line of what is known of an account.
struct Fact {
    name: &'static str,
    at: Option<Instant>,
    text: String,
}

struct NumbersView<'a> {
    window: String,
    period: String,
    is_whole: bool,
    chart: Chart,
    kinds: Vec<KindRow<'a>>,
    more_kinds: usize,
    failures: Vec<FailureRow<'a>>,
    more_failures: usize,
}

struct KindRow<'a> {
    task_type: Cow<'a, str>,
    category: Cow<'a, str>,
    open: String,
    oldest: Option<(Instant, String)>,
    completed: String,
    failed: String,
    aborted: String,
    others: String,
    has_failed: bool,
    last: Option<(Instant, String)>,
}

struct FailureRow<'a> {
    task_type: Cow<'a, str>,
    category: Cow<'a, str>,
    status: String,
    class: &'static str,
    created: Instant,
    ended: Instant,
    ago: String,
    id: String,
    entity: Option<Thing>,
    parent: Option<Thing>,
}

/// An entity, as it can be shown.
struct Thing {
    sort: String,
    name: String,
}

/// The page of a report.
pub(super) fn render(report: &Report, telemetry_path: &str) -> Option<String> {
    let is_one = report.accounts.len() == 1;
    let (whole, brief) = report.accounts.split_at(report.accounts.len().min(MOST_WHOLE));
    let page = Page {
        style: STYLE,
        version: report.version,
        telemetry_path,
        generated: report.generated.into(),
        entities_shown: report.entities_shown,
        verdict: verdict(&report.accounts),
        worst: report.accounts.iter().map(|it| it.health).max().unwrap_or(Health::Starting).as_str(),
        problems: &report.problems,
        state: state(report),
        is_one_of_many: is_one && report.accounts_total > 1,
        whole: whole.iter().map(|account| View::new(account, is_one, report.generated)).collect(),
        brief: brief.iter().collect(),
    };
    page.render().ok()
}

/// Where the replica is stored.
fn state(report: &Report) -> String {
    let Some(bytes) = report.state_bytes else { return "in memory".to_owned() };
    let size = format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match report.state_last_write {
        Some(at) => format!("{size}, written {} ago", words_of(elapsed(at, report.generated))),
        None => format!("{size}, not written since the start"),
    }
}

/// How the accounts stand as a whole.
fn verdict(accounts: &[Account]) -> String {
    let (all, with) = (accounts.len(), |health| accounts.iter().filter(|it| it.health == health).count());
    if all == 0 {
        return "No account is polled".to_owned();
    }
    let parts =
        [Health::Failing, Health::Degraded, Health::Starting, Health::Healthy].map(|it| (with(it), it));
    let said =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, it)| format!("{} {}", count(*n as u64), it.as_str()));
    let accounts = if all == 1 { "account" } else { "accounts" };
    format!("{} {accounts}: {}", count(all as u64), said.collect::<Vec<_>>().join(", "))
}

/// The window, in hours up to two days.
fn window(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds.is_multiple_of(3_600) && seconds <= 48 * 3_600 {
        format!("{} h", seconds / 3_600)
    } else {
        words_of(length)
    }
}

// === impl View ===

impl<'a> View<'a> {
    fn new(account: &'a Account, is_whole: bool, now: Timestamp) -> Self {
        let ago = |at: Timestamp| format!("{} ago", words_of(elapsed(at, now)));
        let fact = |name, at: Option<Timestamp>, none: &str| Fact {
            name,
            text: at.map_or(none.to_owned(), ago),
            at: at.map(Instant::from),
        };
        let mut facts = vec![
            fact("Last poll", account.last_poll, "none since the start"),
            fact("Data from", account.last_success, "no poll has succeeded"),
            Fact { name: "Polled", at: None, text: format!("every {}", words_of(account.interval)) },
            Fact {
                name: "Audit",
                at: None,
                text: account.audit_drift_tasks.map_or("none yet".to_owned(), |drift| match drift {
                    0 => "agrees with the API".to_owned(),
                    _ => format!("{drift:+} tasks"),
                }),
            },
        ];
        if let Some((tasks, oldest)) = account.replica_tasks.zip(account.replica_oldest) {
            let text = format!("{} tasks, complete since {}", count(tasks), Instant::from(oldest).text);
            facts.push(Fact { name: "Replica", at: None, text });
        }
        if let Some(expiry) = account.token_expiry {
            let left = elapsed(now, expiry);
            let text = if left.is_zero() { ago(expiry) } else { format!("in {}", words_of(left)) };
            facts.push(Fact { name: "Token expires", at: Some(expiry.into()), text });
        }
        let numbers = account.numbers.as_ref().map(|numbers| NumbersView::new(numbers, is_whole, now));
        Self { account, problems: &account.problems, facts, numbers }
    }
}

// === impl NumbersView ===

impl<'a> NumbersView<'a> {
    fn new(numbers: &'a Numbers, is_whole: bool, now: Timestamp) -> Self {
        let shown = |all: usize, most: usize| if is_whole { all } else { all.min(most) };
        let kinds = shown(numbers.kinds.len(), MOST_KINDS);
        let failures = shown(numbers.last_failures.len(), MOST_FAILURES);
        Self {
            window: window(numbers.window),
            period: words_of(numbers.ended.length),
            is_whole,
            chart: Chart::new(&numbers.ended),
            kinds: numbers.kinds[..kinds].iter().map(|kind| KindRow::new(kind, now)).collect(),
            more_kinds: numbers.kinds.len() - kinds,
            failures: numbers.last_failures[..failures].iter().map(|it| FailureRow::new(it, now)).collect(),
            more_failures: numbers.last_failures.len() - failures,
        }
    }
}

// === impl KindRow ===

impl<'a> KindRow<'a> {
    fn new(kind: &'a Kind, now: Timestamp) -> Self {
        const KNOWN: [&str; 6] = ["queued", "in_progress", "aborting", "completed", "failed", "aborted"];
        let instant = |at: Timestamp| (Instant::from(at), format!("{} ago", words_of(elapsed(at, now))));
        let others = kind.tasks.iter().filter(|(status, _)| !KNOWN.contains(&status.as_str()));
        let others: Vec<_> = others.map(|(status, n)| format!("{} {}", count(*n), visible(status))).collect();
        Self {
            task_type: visible(kind.task_type.as_str()),
            category: visible(kind.category.as_str()),
            open: count(kind.open),
            oldest: kind.oldest_open_created.map(instant),
            completed: count(kind.count("completed")),
            failed: count(kind.count("failed")),
            aborted: count(kind.count("aborted")),
            others: others.join(", "),
            has_failed: kind.count("failed") > 0,
            last: kind.last_completed.map(instant),
        }
    }
}

// === impl FailureRow ===

impl<'a> FailureRow<'a> {
    fn new(failed: &'a FailedTask, now: Timestamp) -> Self {
        let thing = |it: &crate::report::Entity| Thing {
            sort: visible(it.entity_type.as_deref().unwrap_or_default()).into_owned(),
            name: visible(it.name.as_deref().unwrap_or_default()).into_owned(),
        };
        let class = match failed.status.as_str() {
            "failed" => "failed",
            "aborted" => "aborted",
            _ => "other",
        };
        Self {
            task_type: visible(failed.task_type.as_str()),
            category: visible(failed.category.as_str()),
            status: visible(&failed.status).into_owned(),
            class,
            created: failed.created.into(),
            ended: failed.ended.into(),
            ago: format!("{} ago", words_of(elapsed(failed.ended, now))),
            id: visible(&failed.id).into_owned(),
            entity: failed.entity.as_ref().map(thing),
            parent: failed.parent.as_ref().map(thing),
        }
    }
}
