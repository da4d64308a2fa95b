//! Tasks for people.

use serde::Serialize;

use crate::store::{TaskEntity, TaskList, TaskRow};
use crate::task::Label;
use crate::time::Timestamp;

/// A list of tasks.
#[derive(Debug, Serialize)]
pub struct TasksReport {
    /// The tasks of this page.
    pub tasks: Vec<TaskReport>,
    /// The value of `after` for the next page; none if this is the last one.
    pub next: Option<String>,
    /// Whether the time was over before the page was full: there may be more on the next one.
    pub is_partial: bool,
}

/// One task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskReport {
    /// The account.
    pub account: String,
    /// Its id.
    pub id: String,
    /// The category.
    pub category: Label,
    /// The API's `type`.
    #[serde(rename = "type")]
    pub task_type: Label,
    /// The API's word for its status.
    pub status: String,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether the API stopped returning it before it ended.
    pub is_vanished: bool,
    /// Its creation.
    pub created: Timestamp,
    /// Its start.
    pub started: Option<Timestamp>,
    /// Its end.
    pub ended: Option<Timestamp>,
    /// Percent done, of a task that has been open for an hour.
    pub progress: Option<u8>,
    /// The API's type of the primary entity.
    pub entity_type: Option<Label>,
    /// The id of the primary entity.
    pub entity_id: Option<String>,
    /// The name of the primary entity, or its id.
    pub entity_name: Option<String>,
    /// The API's type of the parent entity.
    pub parent_type: Option<Label>,
    /// The name of the parent entity, or its id.
    pub parent_name: Option<String>,
    /// Whether the primary entity has a page as an asset.
    #[serde(skip)]
    pub is_about_asset: bool,
}

// === impl TasksReport ===

impl TasksReport {
    /// The columns of the CSV form.
    pub const COLUMNS: [&str; 16] = [
        "account",
        "id",
        "category",
        "type",
        "status",
        "is_open",
        "is_vanished",
        "created",
        "started",
        "ended",
        "progress",
        "entity_type",
        "entity_id",
        "entity_name",
        "parent_type",
        "parent_name",
    ];
}

impl From<TaskList> for TasksReport {
    fn from(list: TaskList) -> Self {
        Self {
            tasks: list.rows.into_iter().map(TaskReport::from).collect(),
            next: list.next.map(|next| next.to_string()),
            is_partial: list.is_partial,
        }
    }
}

// === impl TaskReport ===

impl From<TaskRow> for TaskReport {
    fn from(row: TaskRow) -> Self {
        let parts = |entity: Option<TaskEntity>| {
            entity.map_or((None, None, None), |it| (it.entity_type, Some(it.id), Some(it.name)))
        };
        let is_about_asset = row.entity.as_ref().is_some_and(|entity| entity.is_asset);
        let (entity_type, entity_id, entity_name) = parts(row.entity);
        let (parent_type, _, parent_name) = parts(row.parent);
        Self {
            account: row.account,
            id: row.id.to_string(),
            category: row.category,
            task_type: row.task_type,
            status: row.status.as_str().to_owned(),
            is_open: row.is_open,
            is_vanished: row.is_vanished,
            created: row.created,
            started: row.started,
            ended: row.ended,
            progress: row.progress,
            entity_type,
            entity_id,
            entity_name,
            parent_type,
            parent_name,
            is_about_asset,
        }
    }
}
