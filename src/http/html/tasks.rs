//! The list of tasks as a page.

use askama::Template;

use super::text::{Instant, Moment, ago, visible};
use super::{Choice, Layout, links};
use crate::report::{TaskReport, TasksReport, words_of};
use crate::time::{Timestamp, elapsed};

#[derive(Template)]
#[template(path = "tasks.html", config = "src/http/askama.toml")]
struct TasksPage<'a> {
    layout: Layout<'a>,
    order: &'static str,
    accounts: Vec<Choice>,
    statuses: Vec<Choice>,
    categories: Vec<Choice>,
    types: Vec<Choice>,
    asset: &'a str,
    from: &'a str,
    to: &'a str,
    rows: Vec<TaskView>,
    has_accounts: bool,
    is_partial: bool,
    first: Option<String>,
    next: Option<String>,
    api: String,
}

/// What the page is about, besides the tasks.
pub(in super::super) struct TasksView<'a> {
    /// The parameters of the request that select, in the order of the form.
    pub(in super::super) parameters: Vec<(&'static str, String)>,
    /// After which task the page begins; none: it is the first one.
    pub(in super::super) after: Option<String>,
    /// The accounts that there are.
    pub(in super::super) accounts: Vec<String>,
    /// The categories that there are.
    pub(in super::super) categories: Vec<String>,
    /// The types of tasks that there are.
    pub(in super::super) types: Vec<String>,
    /// The statuses that there are.
    pub(in super::super) statuses: Vec<String>,
    /// Where the metrics are.
    pub(in super::super) telemetry_path: &'a str,
    /// The time on this machine's clock.
    pub(in super::super) now: Timestamp,
}

/// One task of a table.
pub(super) struct TaskView {
    pub(super) account: String,
    pub(super) id: String,
    pub(super) task_type: String,
    pub(super) category: String,
    pub(super) status: String,
    pub(super) class: &'static str,
    pub(super) created: Moment,
    pub(super) ended: Option<Moment>,
    /// From start to end, or until now.
    pub(super) took: String,
    pub(super) entity: String,
    pub(super) entity_type: String,
    /// The page of the asset.
    pub(super) href: Option<String>,
    pub(super) parent: String,
}

/// Values of `status` besides the statuses themselves.
const CONDITIONS: [&str; 2] = ["open", "unsuccessful"];

/// The page of a list of tasks.
pub(in super::super) fn tasks_page(list: &TasksReport, view: &TasksView<'_>) -> Option<String> {
    let asked = |name: &str| view.asked(name);
    let statuses = CONDITIONS.into_iter().chain(view.statuses.iter().map(String::as_str));
    let is_by_end = matches!(asked("status"), Some("unsuccessful" | "failed" | "aborted"));
    let parameters = || view.parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let page = TasksPage {
        layout: Layout::new("Tasks - clumio-exporter".to_owned(), view.telemetry_path),
        order: if is_by_end && asked("asset").is_none() {
            "By end, newest first"
        } else {
            "By creation, newest first"
        },
        accounts: Choice::list("all", view.accounts.iter().map(String::as_str), asked("account")),
        statuses: Choice::list("all", statuses, asked("status")),
        categories: Choice::list("all", view.categories.iter().map(String::as_str), asked("category")),
        types: Choice::list("all", view.types.iter().map(String::as_str), asked("type")),
        asset: asked("asset").unwrap_or_default(),
        from: asked("from").unwrap_or_default(),
        to: asked("to").unwrap_or_default(),
        rows: list.tasks.iter().map(|task| TaskView::new(task, view.now)).collect(),
        has_accounts: view.accounts.len() > 1,
        is_partial: list.is_partial,
        first: view.after.is_some().then(|| links::link("tasks", parameters())),
        next: list.next.as_deref().map(|next| links::link("tasks", parameters().chain([("after", next)]))),
        api: links::link(
            "api/v1/tasks",
            parameters().chain(view.after.as_deref().map(|after| ("after", after))),
        ),
    };
    page.render().ok()
}

/// The status of a task, with what else is known of an open one.
fn status(task: &TaskReport) -> String {
    let status = visible(&task.status);
    match task.progress {
        _ if task.is_vanished => format!("{status} (vanished)"),
        Some(progress) => format!("{status}, {progress} % done"),
        None => status.into_owned(),
    }
}

// === impl TasksView ===

impl TasksView<'_> {
    fn asked(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(parameter, _)| *parameter == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

// === impl TaskView ===

impl TaskView {
    pub(super) fn new(task: &TaskReport, now: Timestamp) -> Self {
        let words = |text: &str| visible(text).into_owned();
        let class = match task.status.as_str() {
            "completed" => "completed",
            "failed" => "failed",
            "aborted" | "aborting" => "aborted",
            "queued" | "in_progress" => "open",
            _ => "other",
        };
        let end = task.ended.or(task.is_open.then_some(now));
        let took =
            task.started.zip(end).map_or_else(String::new, |(start, end)| words_of(elapsed(start, end)));
        let href = task.entity_id.as_ref().filter(|_| task.is_about_asset);
        Self {
            account: task.account.clone(),
            id: words(&task.id),
            task_type: words(task.task_type.as_str()),
            category: words(task.category.as_str()),
            status: status(task),
            class,
            created: ago(task.created, now),
            ended: task.ended.map(|at| ago(at, now)),
            took,
            entity: words(task.entity_name.as_deref().unwrap_or_default()),
            entity_type: task.entity_type.as_ref().map_or_else(String::new, |it| words(it.as_str())),
            href: href.map(|id| links::asset(&task.account, id)),
            parent: words(task.parent_name.as_deref().unwrap_or_default()),
        }
    }

    /// The instant of creation, written out.
    pub(super) fn created_at(&self) -> &Instant {
        &self.created.at
    }
}
