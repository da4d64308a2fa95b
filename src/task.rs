//! What a task is: the fields that the numbers are made of, and what *open* and *ended* mean.
//!
//! The API's words are open sets. A status, category or type that nobody has heard of is carried as text
//! and never fails anything; see "Words" in the API notes of the vendor's `GET /tasks` page.

mod entity;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use entity::{Entity, NAME_BYTES, Name};

use crate::time::Timestamp;

/// For how long after its creation the API lists a task, at least: its documentation says six months, and not what it
/// answers beyond.
pub const LISTED_FOR: Duration = Duration::from_hours(180 * 24);

/// The longest label value, in bytes. Longer words of the API are cut, on a character boundary.
pub const LABEL_BYTES: usize = 128;

/// The longest task id that is accepted, in bytes. Ids are decimal digits so far; the bound keeps look-ups
/// by id within what any server takes as a URL.
pub const ID_BYTES: usize = 256;

/// The API's identifier of a task: text, with no promise about its form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Cow<str>")]
pub struct TaskId(Arc<str>);

/// A word of the API that becomes a label value: at most [`LABEL_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Cow<str>")]
pub struct Label(Arc<str>);

/// The state that the API says a task is in. It is written as the API's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Cow<str>", into = "Label")]
pub enum Status {
    /// Waiting to begin.
    Queued,
    /// Running.
    InProgress,
    /// Being aborted, not yet aborted.
    Aborting,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended because somebody aborted it.
    Aborted,
    /// A word that this version does not know.
    Other(Label),
}

/// One row of the task list, as far as the numbers need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its identifier.
    pub id: TaskId,
    /// `backup`, `restore` and so on; `unknown` where the API has none.
    pub category: Label,
    /// The API's `type`; `unknown` where the API has none.
    pub task_type: Label,
    /// Its status.
    pub status: Status,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// When it started to run; none while it is queued.
    pub started: Option<Timestamp>,
    /// When it ended; none while it is open.
    pub ended: Option<Timestamp>,
    /// How much of it is done, in percent; none where the API has none.
    pub progress: Option<u8>,
    /// What it is about, the API's `primary_entity`; administrative tasks may have none.
    pub primary: Option<Box<Entity>>,
    /// What that is part of, the API's `parent_entity`.
    pub parent: Option<Box<Entity>>,
}

/// What can be wrong with a row. A row without an id or a status is skipped; a bad timestamp is taken as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// No id, or one that is not text or is longer than [`ID_BYTES`].
    NoId,
    /// No status.
    NoStatus,
    /// A timestamp that is not RFC 3339.
    BadTimestamp,
}

// === impl TaskId ===

impl TaskId {
    /// The id, if it is one: not empty and at most [`ID_BYTES`] long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= ID_BYTES).then(|| Self(text.into()))
    }

    /// The id as the API writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Cow<'_, str>> for TaskId {
    type Error = &'static str;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("an id is empty or too long")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Label ===

impl Label {
    /// The word, cut to [`LABEL_BYTES`] on a character boundary.
    #[must_use]
    pub fn new(word: &str) -> Self {
        Self(word[..word.floor_char_boundary(LABEL_BYTES)].into())
    }

    /// What a category or type is called where the API has none.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new("unknown")
    }

    /// What stands for words beyond a cap.
    #[must_use]
    pub fn other() -> Self {
        Self::new("other")
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Cow<'_, str>> for Label {
    fn from(word: Cow<'_, str>) -> Self {
        Self::new(&word)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Status ===

impl Status {
    /// The statuses of open tasks, in the order of a task's life.
    pub const OPEN: [Self; 3] = [Self::Queued, Self::InProgress, Self::Aborting];
    /// The statuses of ended tasks.
    pub const ENDED: [Self; 3] = [Self::Completed, Self::Failed, Self::Aborted];

    /// The status that the API's word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "queued" => Self::Queued,
            "in_progress" => Self::InProgress,
            "aborting" => Self::Aborting,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "aborted" => Self::Aborted,
            other => Self::Other(Label::new(other)),
        }
    }

    /// The API's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Aborting => "aborting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Other(word) => word.as_str(),
        }
    }

    /// Whether this version knows the word.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// Whether the status is one of the known open ones.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Queued | Self::InProgress | Self::Aborting)
    }

    /// Whether the status is known to be final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Aborted)
    }
}

impl From<Cow<'_, str>> for Status {
    fn from(word: Cow<'_, str>) -> Self {
        Self::from_word(&word)
    }
}

impl From<Status> for Label {
    fn from(status: Status) -> Self {
        match status {
            Status::Other(word) => word,
            known => Self::new(known.as_str()),
        }
    }
}

// === impl Task ===

impl Task {
    /// Whether the task has ended. A status that is not known counts as ended if the task has an end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match &self.status {
            Status::Other(_) => self.ended.is_some(),
            known => !known.is_open(),
        }
    }

    /// Whether the task has ended, and nobody can say that it ended well: a status that is not known may mean anything,
    /// and whoever is on call has to see for themselves.
    #[must_use]
    pub fn has_gone_wrong(&self) -> bool {
        self.has_ended() && self.status != Status::Completed
    }
}

// === impl Defect ===

impl Defect {
    /// Every defect, in the order in which they are published.
    pub const ALL: [Self; 3] = [Self::BadTimestamp, Self::NoId, Self::NoStatus];

    /// The value of the label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoId => "no_id",
            Self::NoStatus => "no_status",
            Self::BadTimestamp => "bad_timestamp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_on_a_character_boundary() {
        let word = format!("{}é", "a".repeat(LABEL_BYTES - 1));
        assert_eq!(Label::new(&word).as_str(), "a".repeat(LABEL_BYTES - 1));
        assert_eq!(Label::new("backup").as_str(), "backup");
    }

    #[test]
    fn an_id_is_neither_empty_nor_endless() {
        assert!(TaskId::new("").is_none());
        assert!(TaskId::new(&"9".repeat(ID_BYTES)).is_some());
        assert!(TaskId::new(&"9".repeat(ID_BYTES + 1)).is_none());
    }

    #[test]
    fn every_known_status_is_read_back_from_its_word() {
        for status in Status::OPEN.into_iter().chain(Status::ENDED) {
            assert_eq!(Status::from_word(status.as_str()), status);
            assert_ne!(status.is_open(), status.is_final(), "{status:?}");
        }
        let unknown = Status::from_word("paused");
        assert!(!unknown.is_open() && !unknown.is_final());
        assert_eq!(unknown, Status::Other(Label::new("paused")));
    }

    #[test]
    fn an_unknown_status_has_ended_once_there_is_an_end() {
        let mut task = Task {
            id: TaskId::new("1").expect("the id must be valid"),
            category: Label::new("backup"),
            task_type: Label::unknown(),
            status: Status::from_word("skipped"),
            created: None,
            started: None,
            ended: None,
            progress: None,
            primary: None,
            parent: None,
        };
        assert!(!task.has_ended());
        task.ended = Some(Timestamp::UNIX_EPOCH);
        assert!(task.has_ended());
    }
}
