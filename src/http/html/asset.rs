//! One asset as a page, with a section for each category.

use std::time::Duration;

use askama::Template;

use super::assets::AssetView;
use super::tasks::TaskView;
use super::text::{Moment, ago, visible};
use super::{Layout, links};
use crate::config::{MaxAge, Objective};
use crate::report::{AssetReport, TaskReport, words_of};
use crate::store::{AgeBasis, AssetDetail};
use crate::time::Timestamp;

#[derive(Template)]
#[template(path = "asset.html", config = "src/http/askama.toml")]
struct AssetPage<'a> {
    layout: Layout<'a>,
    name: String,
    id: String,
    account: &'a str,
    sections: Vec<SectionView>,
    api: String,
}

/// One category of an asset: its state, and its newest tasks.
pub(in super::super) struct AssetSection {
    /// The asset.
    pub(in super::super) detail: AssetDetail,
    /// Its tasks of the category, newest first.
    pub(in super::super) tasks: Vec<TaskReport>,
    /// Whether there are more.
    pub(in super::super) has_more: bool,
}

struct SectionView {
    asset: AssetView,
    verdict: String,
    class: &'static str,
    usual_interval: String,
    objective: String,
    completions: Vec<(String, Moment)>,
    /// The timeline, oldest first.
    timeline: Vec<(&'static str, String)>,
    tasks: Vec<TaskView>,
    more: Option<String>,
}

/// The page of an asset of an account.
pub(in super::super) fn asset_page(
    account: &str,
    sections: Vec<AssetSection>,
    (telemetry_path, now): (&str, Timestamp),
) -> Option<String> {
    let first = &sections.first()?.detail.row;
    let (name, id) = (visible(&first.name).into_owned(), visible(&first.id).into_owned());
    let page = AssetPage {
        layout: Layout::new(format!("{name} - clumio-exporter"), telemetry_path),
        api: links::link("api/v1/assets", [("account", account), ("q", &first.id)]),
        name,
        id,
        account,
        sections: sections.into_iter().map(|section| SectionView::new(section, now)).collect(),
    };
    page.render().ok()
}

// === impl SectionView ===

impl SectionView {
    fn new(AssetSection { detail, tasks, has_more }: AssetSection, now: Timestamp) -> Self {
        let report = AssetReport::from(detail.row.clone());
        let (class, verdict) = verdict(&report, now);
        let completions = detail.completions.iter();
        let completions =
            completions.map(|(task_type, at)| (visible(task_type.as_str()).into_owned(), ago(*at, now)));
        let category = report.category.to_string();
        let more = has_more.then(|| {
            let parameters =
                [("account", &*report.account), ("category", &*category), ("asset", &*report.id)];
            links::link("tasks", parameters)
        });
        let tasks: Vec<_> = tasks.iter().map(|task| TaskView::new(task, now)).collect();
        let point = |task: &TaskView| {
            (task.class, format!("{}: {} {}", task.created_at().text, task.task_type, task.status))
        };
        Self {
            asset: AssetView::new(&report, now),
            verdict,
            class,
            usual_interval: detail
                .usual_interval
                .map_or_else(|| "unknown: fewer than three completed tasks".to_owned(), words_of),
            objective: objective(&detail, report.max_age_seconds),
            completions: completions.collect(),
            timeline: tasks.iter().rev().map(point).collect(),
            tasks,
            more,
        }
    }
}

/// The state in words.
fn verdict(asset: &AssetReport, now: Timestamp) -> (&'static str, String) {
    let for_how_long = |at: Timestamp| words_of(crate::time::elapsed(at, now));
    let unprotected = for_how_long(asset.unprotected_since);
    match (asset.failing_since, asset.state) {
        (Some(since), state) => {
            let late = if asset.is_late() {
                format!(", and {state}: unprotected for {unprotected}")
            } else {
                String::new()
            };
            ("critical", format!("Failing for {}{late}", for_how_long(since)))
        }
        (None, "overdue") => ("critical", format!("Overdue: unprotected for {unprotected}")),
        (None, "silent") => {
            ("warning", format!("Silent: unprotected for {unprotected}, and nothing was attempted since"))
        }
        (None, "ok") => ("good", "Protected".to_owned()),
        (None, "ignored") => ("waiting", "Ignored, as its objective says".to_owned()),
        (None, _) => ("waiting", "Not judged yet: too little is known".to_owned()),
    }
}

/// How old the last completion may be, and why.
fn objective(detail: &AssetDetail, max_age: Option<u64>) -> String {
    let origin = match &detail.objective {
        None => "assets.max_age".to_owned(),
        Some(objective) => format!("the entry of assets.objectives for {}", selection(objective)),
    };
    let age = max_age.map_or_else(String::new, |seconds| words_of(Duration::from_secs(seconds)));
    match detail.basis {
        AgeBasis::Ignored => format!("none, by {origin}"),
        AgeBasis::Configured => format!("{age}, by {origin}"),
        AgeBasis::UsualInterval => {
            format!("{age}: 1.25 times the usual interval and 1 h (auto, by {origin})")
        }
        AgeBasis::FewCompletions => {
            format!("{age}, because fewer than three tasks have completed (auto, by {origin})")
        }
        AgeBasis::FirstIsOpen => format!("{age}, because the first backup is running (auto, by {origin})"),
        AgeBasis::NeverCompleted => format!("{age}, because no task has completed (auto, by {origin})"),
    }
}

fn selection(objective: &Objective) -> String {
    let Objective { account, asset_type, parent, name, max_age } = objective;
    let keys = [("account", account), ("asset_type", asset_type), ("parent", parent), ("name", name)];
    let mut parts: Vec<_> =
        keys.into_iter().filter_map(|(key, value)| Some(format!("{key} = {:?}", value.as_ref()?))).collect();
    if parts.is_empty() {
        parts.push("every asset".to_owned());
    }
    let age = match max_age {
        MaxAge::Auto => "auto".to_owned(),
        MaxAge::Fixed(age) => words_of(*age),
    };
    format!("{} (max_age {age})", parts.join(", "))
}
