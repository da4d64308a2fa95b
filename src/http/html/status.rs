//! The status page: protection first, then how tasks ended, then the exporter.

use std::borrow::Cow;
use std::time::Duration;

use askama::Template;

use super::assets::AssetView;
use super::chart::{self, Chart};
use super::tasks::TaskView;
use super::text::{Instant, Moment, ago, visible};
use super::{Layout, links};
use crate::report::{Account, AssetReport, Kind, MAX_DETAILS, Problem, Report, count, words_of};
use crate::time::{Timestamp, elapsed};

/// Accounts of which a page about several has the facts.
const MAX_ACCOUNTS: usize = 5;

/// Kinds of tasks of a page about several accounts.
const MAX_KINDS: usize = 10;

#[derive(Template)]
#[template(path = "status.html", config = "src/http/askama.toml")]
struct StatusPage<'a> {
    layout: Layout<'a>,
    generated: Instant,
    verdict: &'a str,
    level: &'static str,
    problems: &'a [Problem],
    state: String,
    scope: Option<&'a str>,
    is_one_of_many: bool,
    has_accounts: bool,
    assets: Vec<AssetTable>,
    open: Vec<TaskView>,
    unsuccessful: Vec<TaskView>,
    has_more_unsuccessful: bool,
    open_link: String,
    unsuccessful_link: String,
    chart: Option<ChartView>,
    kinds: Vec<KindRow<'a>>,
    more_kinds: usize,
    accounts: Vec<AccountView<'a>>,
    others: Vec<&'a Account>,
    api: String,
}

/// Assets in one condition.
struct AssetTable {
    id: &'static str,
    heading: String,
    explanation: &'static str,
    since: &'static str,
    rows: Vec<(AssetView, Moment)>,
    /// The link to all of them, and its text.
    more: Option<(String, String)>,
}

struct ChartView {
    window: String,
    period: String,
    chart: Chart,
}

/// One account with all that is known of it.
struct AccountView<'a> {
    account: &'a Account,
    facts: Vec<Fact>,
}

/// A line of what is known of an account.
struct Fact {
    name: &'static str,
    at: Option<Instant>,
    text: String,
}

struct KindRow<'a> {
    account: &'a str,
    task_type: Cow<'a, str>,
    category: Cow<'a, str>,
    href: String,
    open: String,
    oldest: Option<Moment>,
    completed: String,
    failed: String,
    aborted: String,
    others: String,
    has_failed: bool,
    last: Option<Moment>,
}

/// The page of a report.
pub(in super::super) fn status_page(report: &Report, telemetry_path: &str) -> Option<String> {
    let now = report.generated;
    let scope =
        if report.accounts.len() == 1 { report.accounts.first().map(|it| it.name.as_str()) } else { None };
    let asked = scope.filter(|_| report.accounts_total > 1);
    let with_facts = if scope.is_some() { 1 } else { MAX_ACCOUNTS.min(report.accounts.len()) };
    let (accounts, others) = report.accounts.split_at(with_facts);
    let (kinds, more_kinds) = kinds(report, scope.is_some());
    let tasks = |tasks: &[_]| tasks.iter().map(|task| TaskView::new(task, now)).collect();
    let listed = |status| links::link("tasks", [("account", asked.unwrap_or_default()), ("status", status)]);
    let page = StatusPage {
        layout: Layout::new(format!("{} - clumio-exporter", report.verdict.text), telemetry_path),
        generated: now.into(),
        verdict: &report.verdict.text,
        level: report.verdict.level.as_str(),
        problems: &report.problems,
        state: state(report),
        scope,
        is_one_of_many: asked.is_some(),
        has_accounts: scope.is_none(),
        assets: asset_tables(report, asked),
        open: tasks(&report.tasks_open_too_long),
        unsuccessful: tasks(&report.unsuccessful_tasks),
        has_more_unsuccessful: report.unsuccessful_tasks.len() >= MAX_DETAILS,
        open_link: listed("open"),
        unsuccessful_link: listed("unsuccessful"),
        chart: chart_view(report),
        kinds,
        more_kinds,
        accounts: accounts.iter().map(|account| AccountView::new(account, now)).collect(),
        others: others.iter().collect(),
        api: links::link("api/v1/status", [("account", asked.unwrap_or_default())]),
    };
    page.render().ok()
}

/// The tables of unprotected assets that have any.
fn asset_tables(report: &Report, account: Option<&str>) -> Vec<AssetTable> {
    let now = report.generated;
    let table = |id, total: u64, assets: &[AssetReport], (explanation, since): (_, &'static str)| {
        let moment = |asset: &AssetReport| match asset.failing_since {
            Some(at) if id == "failing" => ago(at, now),
            _ => ago(asset.unprotected_since, now),
        };
        let shown = assets.len() as u64;
        let link = links::link("assets", [("account", account.unwrap_or_default()), ("state", id)]);
        AssetTable {
            id,
            heading: format!("{} {id}", count(total)),
            explanation,
            since,
            rows: assets.iter().map(|asset| (AssetView::new(asset, now), moment(asset))).collect(),
            more: (total > shown).then(|| (link, format!("All {} {id} assets", count(total)))),
        }
    };
    let (counts, short) = (&report.assets, "Unprotected since");
    let tables = [
        table(
            "failing",
            counts.failing,
            &report.failing_assets,
            ("Tasks fail, and none has completed since; the newest first.", "Failing since"),
        ),
        table(
            "overdue",
            counts.overdue,
            &report.overdue_assets,
            (
                "The last completed task is older than the objective, although it was tried since; the newest first.",
                short,
            ),
        ),
        table(
            "silent",
            counts.silent,
            &report.silent_assets,
            (
                "The last completed task is older than the objective, and nothing was tried since: the asset was deleted, is no longer protected, or is not scheduled.",
                short,
            ),
        ),
    ];
    tables.into_iter().filter(|table| table.more.is_some() || !table.rows.is_empty()).collect()
}

fn chart_view(report: &Report) -> Option<ChartView> {
    let numbers: Vec<_> = report.accounts.iter().filter_map(|account| account.numbers.as_ref()).collect();
    let sum = chart::sum(numbers.iter().map(|numbers| &numbers.ended))?;
    let window = window(numbers.first()?.window);
    Some(ChartView { window, period: words_of(sum.length), chart: Chart::new(&sum) })
}

/// Kinds of tasks, those with failures or open tasks first, and how many are left out.
fn kinds(report: &Report, is_complete: bool) -> (Vec<KindRow<'_>>, usize) {
    let accounts = report.accounts.iter().filter_map(|account| Some((account, account.numbers.as_ref()?)));
    let mut kinds: Vec<_> = accounts
        .flat_map(|(account, numbers)| numbers.kinds.iter().map(move |kind| (account, kind)))
        .collect();
    kinds.sort_by_key(|(_, kind)| (kind.count("failed") == 0, kind.open == 0));
    let shown = if is_complete { kinds.len() } else { kinds.len().min(MAX_KINDS) };
    let rows =
        kinds[..shown].iter().map(|(account, kind)| KindRow::new(&account.name, kind, report.generated));
    (rows.collect(), kinds.len() - shown)
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

/// The window, in hours up to two days.
fn window(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds.is_multiple_of(3_600) && seconds <= 48 * 3_600 {
        format!("{} h", seconds / 3_600)
    } else {
        words_of(length)
    }
}

// === impl AccountView ===

impl<'a> AccountView<'a> {
    fn new(account: &'a Account, now: Timestamp) -> Self {
        let moment = |name, at: Option<Timestamp>, none: &str| Fact {
            name,
            text: at.map_or(none.to_owned(), |at| ago(at, now).text),
            at: at.map(Instant::from),
        };
        let mut facts = vec![
            moment("Last poll", account.last_poll, "none since the start"),
            moment("Data from", account.last_success, "no poll has succeeded"),
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
            facts.push(moment("Token expires", Some(expiry), ""));
        }
        Self { account, facts }
    }
}

// === impl KindRow ===

impl<'a> KindRow<'a> {
    fn new(account: &'a str, kind: &'a Kind, now: Timestamp) -> Self {
        const KNOWN: [&str; 6] = ["queued", "in_progress", "aborting", "completed", "failed", "aborted"];
        let others = kind.tasks.iter().filter(|(status, _)| !KNOWN.contains(&status.as_str()));
        let others: Vec<_> = others.map(|(status, n)| format!("{} {}", count(*n), visible(status))).collect();
        let (category, task_type) = (kind.category.as_str(), kind.task_type.as_str());
        let parameters = [("account", account), ("category", category), ("type", task_type)];
        Self {
            account,
            task_type: visible(task_type),
            category: visible(category),
            href: links::link("tasks", parameters),
            open: count(kind.open),
            oldest: kind.oldest_open_created.map(|at| ago(at, now)),
            completed: count(kind.count("completed")),
            failed: count(kind.count("failed")),
            aborted: count(kind.count("aborted")),
            others: others.join(", "),
            has_failed: kind.count("failed") > 0,
            last: kind.last_completed.map(|at| ago(at, now)),
        }
    }
}
