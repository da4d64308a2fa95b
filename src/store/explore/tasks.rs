//! Tasks for pages: the filter, the rows, and the merge of several accounts.

use std::collections::HashMap;
use std::time::Instant;

use rusqlite::Connection;

use super::super::entities::StoredEntity;
use super::super::scope::Scope;
use super::super::status::KNOWN;
use super::super::{Result, labels, timestamp};
use super::TaskPosition;
use super::search::Search;
use crate::task::{Label, Status, TaskId};
use crate::time::Timestamp;

/// `phase` of an open and of a vanished task (merge.rs).
const PHASE_OPEN: i64 = 0;
const PHASE_VANISHED: i64 = 3;

/// Which tasks are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// The account; none: all.
    pub account: Option<String>,
    /// The status.
    pub status: Option<TaskStatus>,
    /// The category.
    pub category: Option<String>,
    /// The API's `type`.
    pub task_type: Option<String>,
    /// The id of the primary entity, as it is published.
    pub asset: Option<String>,
    /// The earliest creation.
    pub from: Option<Timestamp>,
    /// The creation before which tasks are listed.
    pub to: Option<Timestamp>,
    /// Tasks after this position alone.
    pub after: Option<TaskPosition>,
    /// Rows to return at most.
    pub limit: usize,
}

/// The status that a filter selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// Any status of open tasks. Vanished tasks are not open.
    Open,
    /// Any status of tasks that ended, but `completed`.
    Unsuccessful,
    /// This one.
    Is(Status),
}

/// Tasks in the order of their creation, newest first. If the filter selects those that failed or were aborted alone, and
/// no asset, they are in the order of their end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskList {
    /// The rows.
    pub rows: Vec<TaskRow>,
    /// Where the next page begins; none if this is the last one.
    pub next: Option<TaskPosition>,
    /// Whether the time was over before the page was full.
    pub is_partial: bool,
}

/// One task, as of the last poll of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// The account.
    pub account: String,
    /// The id.
    pub id: TaskId,
    /// The category.
    pub category: Label,
    /// The API's `type`.
    pub task_type: Label,
    /// The status.
    pub status: Status,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether the API stopped returning it.
    pub is_vanished: bool,
    /// Its creation.
    pub created: Timestamp,
    /// Its start.
    pub started: Option<Timestamp>,
    /// Its end.
    pub ended: Option<Timestamp>,
    /// Percent done, of a task that has been open for an hour.
    pub progress: Option<u8>,
    /// The primary entity.
    pub entity: Option<TaskEntity>,
    /// The parent entity.
    pub parent: Option<TaskEntity>,
}

/// An entity of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntity {
    /// The API's type.
    pub entity_type: Option<Label>,
    /// Its id.
    pub id: String,
    /// Its name, or its id if it has none or names are not published.
    pub name: String,
    /// Whether it is an asset.
    pub is_asset: bool,
}

/// A row before its names are looked up.
pub(super) struct Found {
    pub(super) position: TaskPosition,
    pub(super) scope: usize,
    pub(super) id: TaskId,
    pub(super) kind: i64,
    pub(super) status: i64,
    pub(super) phase: i64,
    pub(super) times: [Option<i64>; 3],
    pub(super) entity: Option<i64>,
    pub(super) parent: Option<i64>,
    pub(super) progress: Option<u8>,
}

/// The words of one account.
pub(super) struct Words {
    pub(super) kinds: HashMap<i64, (Label, Label)>,
    pub(super) statuses: HashMap<i64, Status>,
}

/// The tasks that the filter selects, looked for until `end`.
pub(super) fn list(
    db: &Connection,
    scopes: &[Scope<'_>],
    filter: &TaskFilter,
    end: Instant,
) -> Result<TaskList> {
    let words = scopes.iter().map(|scope| Words::load(db, scope.account)).collect::<Result<Vec<_>>>()?;
    let (mut found, mut stopped) = (Vec::new(), None);
    for (position, scope) in scopes.iter().enumerate() {
        let left = u32::try_from(scopes.len() - position).unwrap_or(u32::MAX);
        let now = Instant::now();
        let end = now + end.saturating_duration_since(now) / left;
        let mut search = Search {
            filter,
            scope: (position, scope),
            words: &words[position],
            end,
            found: Vec::new(),
            stopped: None,
        };
        search.run(db)?;
        found.append(&mut search.found);
        stopped = stopped.into_iter().chain(search.stopped).min();
    }
    found.sort_by(|a, b| a.position.cmp(&b.position));
    if let Some(stopped) = &stopped {
        found.retain(|row| row.position <= *stopped);
    }
    let is_full = found.len() > filter.limit;
    found.truncate(filter.limit);
    let next = if is_full { found.last().map(|row| row.position.clone()) } else { stopped };
    let rows = found.iter().map(|row| row.task(db, &scopes[row.scope], &words[row.scope]));
    Ok(TaskList { rows: rows.collect::<Result<_>>()?, is_partial: !is_full && next.is_some(), next })
}

// === impl TaskFilter ===

impl TaskFilter {
    /// Whether the listing is in the order of ends.
    pub(super) fn is_by_end(&self) -> bool {
        let is_unsuccessful = matches!(
            &self.status,
            Some(TaskStatus::Unsuccessful | TaskStatus::Is(Status::Failed | Status::Aborted))
        );
        is_unsuccessful && self.asset.is_none()
    }

    pub(super) fn has_status(&self, phase: i64, status: Option<&Status>) -> bool {
        match &self.status {
            None => true,
            Some(TaskStatus::Open) => phase == PHASE_OPEN,
            Some(TaskStatus::Unsuccessful) => {
                phase != PHASE_OPEN && phase != PHASE_VANISHED && status != Some(&Status::Completed)
            }
            Some(TaskStatus::Is(asked)) => status == Some(asked),
        }
    }

    pub(super) fn has_kind(&self, kind: Option<&(Label, Label)>) -> bool {
        let is = |asked: &Option<String>, word: &Label| asked.as_ref().is_none_or(|it| it == word.as_str());
        kind.is_some_and(|(category, task_type)| {
            is(&self.category, category) && is(&self.task_type, task_type)
        })
    }
}

// === impl Words ===

impl Words {
    fn load(db: &Connection, account: i64) -> Result<Self> {
        let kinds = labels::kinds(db, account)?.into_iter();
        let known = (0..).zip(KNOWN);
        let unknown = labels::unknown_statuses(db, account)?.into_iter();
        let unknown = unknown.map(|(id, word)| (id.0, Status::Other(word)));
        Ok(Self {
            kinds: kinds.map(|(id, category, task_type)| (id, (category, task_type))).collect(),
            statuses: known.chain(unknown).collect(),
        })
    }
}

// === impl Found ===

impl Found {
    fn task(&self, db: &Connection, scope: &Scope<'_>, words: &Words) -> Result<TaskRow> {
        let time = scope.state.marks.time;
        let unknown = || (Label::unknown(), Label::unknown());
        let (category, task_type) = words.kinds.get(&self.kind).cloned().unwrap_or_else(unknown);
        let status = words.statuses.get(&self.status).cloned();
        let [created, started, ended] = self.times.map(|at| at.map(|at| timestamp(at).min(time)));
        let is_asset = scope.rules.assets.categories.contains(&category);
        let entity = |id: Option<i64>, is_asset| -> Result<Option<TaskEntity>> {
            let entity = id.map(|id| StoredEntity::find(db, id)).transpose()?;
            Ok(entity.map(|entity| TaskEntity::new(&entity, scope.rules.assets.names, is_asset)))
        };
        Ok(TaskRow {
            account: scope.name.to_owned(),
            id: self.id.clone(),
            category,
            task_type,
            status: status.unwrap_or_else(|| Status::Other(Label::other())),
            is_open: self.phase == PHASE_OPEN,
            is_vanished: self.phase == PHASE_VANISHED,
            created: created.unwrap_or(time),
            started,
            ended,
            progress: self.progress,
            entity: entity(self.entity, is_asset)?,
            parent: entity(self.parent, false)?,
        })
    }
}

// === impl TaskEntity ===

impl TaskEntity {
    fn new(entity: &StoredEntity, names: bool, is_asset: bool) -> Self {
        Self {
            entity_type: entity.entity_type.as_deref().map(Label::new),
            id: entity.id(names),
            name: entity.label(names),
            is_asset,
        }
    }
}
