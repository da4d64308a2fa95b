//! The last tasks that did not end well, for whoever is told that there are some.
//!
//! The list has the newest of all that were ever read, in the window or not, each once: a task enters it when it is
//! counted as ended, which happens once, and of one whose status may still change the latest counts. What a failed task
//! was about is in the row that shows its end, so that nothing of it is kept for tasks that are open.
//!
//! A status that is not known is in the list as well, for it may mean a failure. It may as well mean nothing, on every
//! task of an account: so where the list is full, such tasks leave before any that is known to have failed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::task::{Entity, Label, Status, Task, TaskId};
use crate::time::Timestamp;

/// How many tasks are in the list. Someone reads them; who wants more asks the vendor's portal.
const MOST: usize = 50;

/// A task that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTask {
    /// Its identifier.
    pub id: TaskId,
    /// Its category, in the API's word.
    pub category: Label,
    /// The API's `type`.
    #[serde(rename = "type")]
    pub task_type: Label,
    /// How it ended.
    pub status: Status,
    /// When it was created, or first seen where the API does not tell.
    pub created: Timestamp,
    /// When it ended, or was first seen so where the API does not tell.
    pub ended: Timestamp,
    /// What it was about, as far as the API says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<Subject>>,
}

/// What a task was about, and what that is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The thing itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// What it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Entity>,
}

/// The last of them, newest first. Cheap to clone: it changes only when a task fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<FailedTask>")]
pub(super) struct Failures(Arc<Vec<FailedTask>>);

// === impl Subject ===

impl Subject {
    fn of(task: &Task) -> Option<Box<Self>> {
        let (entity, parent) = (task.primary.as_deref().cloned(), task.parent.as_deref().cloned());
        (entity.is_some() || parent.is_some()).then(|| Box::new(Self { entity, parent }))
    }
}

// === impl Failures ===

impl Failures {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn shared(&self) -> Arc<Vec<FailedTask>> {
        Arc::clone(&self.0)
    }

    /// Notes that a task ended, if it did not end well.
    pub(super) fn note(&mut self, task: &Task, created: Timestamp, ended: Timestamp) {
        if task.has_gone_wrong() {
            self.add(FailedTask {
                id: task.id.clone(),
                category: task.category.clone(),
                task_type: task.task_type.clone(),
                status: task.status.clone(),
                created,
                ended,
                subject: Subject::of(task),
            });
        }
    }

    /// Takes out a task whose status was not final.
    pub(super) fn take_back(&mut self, id: &TaskId) {
        if self.0.iter().any(|failed| failed.id == *id) {
            Arc::make_mut(&mut self.0).retain(|failed| failed.id != *id);
        }
    }

    /// Takes in those that another ledger has read and this one has not.
    pub(super) fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|failed| self.add(failed.clone()));
    }

    fn add(&mut self, failed: FailedTask) {
        if self.0.iter().any(|other| other.id == failed.id) {
            return;
        }
        let newer = |other: &FailedTask| (other.ended, &other.id) > (failed.ended, &failed.id);
        let place = self.0.partition_point(newer);
        let list = Arc::make_mut(&mut self.0);
        list.insert(place, failed);
        if list.len() > MOST {
            let leaves = list.iter().rposition(|failed| !failed.status.is_final());
            list.remove(leaves.unwrap_or(MOST));
        }
    }
}

/// What was kept is input: it may be too long, out of order, or have a task twice.
impl From<Vec<FailedTask>> for Failures {
    fn from(list: Vec<FailedTask>) -> Self {
        let mut failures = Self::default();
        for failed in list {
            failures.add(failed);
        }
        failures
    }
}

// === impl Ledger ===

impl Ledger {
    /// The last tasks that did not end well, newest first.
    #[must_use]
    pub fn failures(&self) -> &[FailedTask] {
        &self.failures.0
    }
}
