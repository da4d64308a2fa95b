//! The tasks that did not end well, as they may be told.

use serde::Serialize;

use crate::store;
use crate::task::{self, Label};
use crate::time::Timestamp;

/// A task that did not end well.
#[derive(Debug, Clone, Serialize)]
pub struct FailedTask {
    /// Its identifier.
    pub id: String,
    /// Its category.
    pub category: Label,
    /// The API's `type`.
    #[serde(rename = "type")]
    pub task_type: Label,
    /// How it ended, in the API's word.
    pub status: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it was about, where that may be told and the API said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// What that is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Entity>,
}

/// A thing that a task was about.
#[derive(Debug, Clone, Serialize)]
pub struct Entity {
    /// The API's word for the sort of thing.
    #[serde(rename = "type")]
    pub entity_type: Option<String>,
    /// Its name.
    #[serde(rename = "value")]
    pub name: Option<String>,
}

// === impl FailedTask ===

impl FailedTask {
    pub(super) fn new(failed: &store::FailedTask, entities: bool) -> Self {
        Self {
            id: failed.id.to_string(),
            category: failed.category.clone(),
            task_type: failed.task_type.clone(),
            status: failed.status.as_str().to_owned(),
            created: failed.created,
            ended: failed.ended,
            entity: failed.primary.as_ref().filter(|_| entities).map(Entity::new),
            parent: failed.parent.as_ref().filter(|_| entities).map(Entity::new),
        }
    }
}

// === impl Entity ===

impl Entity {
    fn new(entity: &task::Entity) -> Self {
        Self {
            entity_type: entity.entity_type.as_ref().map(Label::to_string),
            name: entity.name.as_ref().map(|name| name.as_str().to_owned()),
        }
    }
}
