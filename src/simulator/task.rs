//! A task's life line: every instant of its life is fixed when the task is made, so that its state is a pure
//! function of time, and two readers of one world can never disagree about what was true when.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::time::{Timestamp, elapsed};

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Completed,
    /// Badly.
    Failed,
    /// Because somebody aborted it.
    Aborted,
    /// With a status that the documentation does not list.
    Other(&'static str),
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting to begin.
    Queued,
    /// Running.
    InProgress,
    /// Being aborted.
    Aborting,
    /// Over.
    Ended(Outcome),
}

/// What sort of work a task does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The API's `category`.
    pub category: Cow<'static, str>,
    /// The API's `type`.
    pub task_type: Cow<'static, str>,
}

/// A thing that a task is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// A UUID.
    pub id: String,
    /// The API's word for the sort of thing, such as `aws_ebs_volume`.
    pub entity_type: &'static str,
    /// Its name.
    pub value: String,
}

/// What a task is about, and where that belongs. Administrative tasks may have neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The thing itself.
    pub primary: Option<Entity>,
    /// What it is a part of. It is shared, for a few of them hold all the assets there are.
    pub parent: Option<Arc<Entity>>,
}

/// A task from before its creation to after its end.
///
/// Made by [`Task::new`] and the methods that follow it, each of which sets one point of the life line. The
/// points are taken as they are given: a script may well want an end before the start.
#[derive(Debug, Clone)]
pub struct Task {
    pub(super) id: u64,
    pub(super) kind: Arc<Kind>,
    pub(super) subject: Arc<Subject>,
    pub(super) created: Timestamp,
    pub(super) visible_from: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) aborting: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) outcome: Outcome,
    pub(super) fields: Option<Box<Map<String, Value>>>,
}

/// What is true of a listed task at an instant: what a client's numbers are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Its id, as the API writes it.
    pub id: String,
    /// Its category.
    pub category: String,
    /// Its type.
    pub task_type: String,
    /// The API's word for its status.
    pub status: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it started, if it has.
    pub started: Option<Timestamp>,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
}

// === impl State ===

impl State {
    /// The words of the states that a task leaves again.
    pub(super) const OPEN_WORDS: [&'static str; 3] = ["queued", "in_progress", "aborting"];

    /// The API's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Aborting => "aborting",
            Self::Ended(Outcome::Completed) => "completed",
            Self::Ended(Outcome::Failed) => "failed",
            Self::Ended(Outcome::Aborted) => "aborted",
            Self::Ended(Outcome::Other(word)) => word,
        }
    }

    /// Whether the task goes on.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Ended(_))
    }
}

// === impl Kind ===

impl Kind {
    /// A kind of these two words.
    pub fn new(category: impl Into<Cow<'static, str>>, task_type: impl Into<Cow<'static, str>>) -> Self {
        Self { category: category.into(), task_type: task_type.into() }
    }

    /// The API's `genre`, which the documentation derives from the category.
    #[must_use]
    pub fn genre(&self) -> &'static str {
        match &*self.category {
            "backup" | "restore" | "snapshot" | "snapshot_restore" => "operational",
            _ => "administrative",
        }
    }

    /// Whether tasks of this kind can be aborted while they are open.
    #[must_use]
    pub fn can_be_aborted(&self) -> bool {
        !self.task_type.ends_with("_indexing") && self.task_type != "microsoft365_inventory_sync"
    }
}

// === impl Task ===

impl Task {
    /// A task that is listed from its creation on and stays queued for ever: an incremental backup of a
    /// volume, until [`kind`](Self::kind) says otherwise.
    ///
    /// Generated ids begin at 40,000,000; smaller ones are free for scripts.
    #[must_use]
    pub fn new(id: u64, created: Timestamp) -> Self {
        Self {
            id,
            kind: Arc::new(Kind::new("backup", "aws_ebs_volume_incremental_backup")),
            subject: Arc::default(),
            created,
            visible_from: created,
            started: None,
            aborting: None,
            ended: None,
            outcome: Outcome::Completed,
            fields: None,
        }
    }

    /// Of this kind.
    #[must_use]
    pub fn kind(
        mut self,
        category: impl Into<Cow<'static, str>>,
        task_type: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.kind = Arc::new(Kind::new(category, task_type));
        self
    }

    /// About this.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Arc::new(subject);
        self
    }

    /// Listed only from `at` on, by which the list is late.
    #[must_use]
    pub fn visible_from(mut self, at: Timestamp) -> Self {
        self.visible_from = at;
        self
    }

    /// Starts at `at`.
    #[must_use]
    pub fn started(mut self, at: Timestamp) -> Self {
        self.started = Some(at);
        self
    }

    /// Is being aborted from `at` on.
    #[must_use]
    pub fn aborting(mut self, at: Timestamp) -> Self {
        self.aborting = Some(at);
        self
    }

    /// Ends at `at`, in this way.
    #[must_use]
    pub fn ended(mut self, at: Timestamp, outcome: Outcome) -> Self {
        self.ended = Some(at);
        self.outcome = outcome;
        self
    }

    /// Has this value in this field of its row, whatever its life line says: for rows that are broken, or
    /// newer than the documentation. Filters and [`Truth`] go by the life line all the same, but for a
    /// `status` that is a text: an open task can be in a state that no document names.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    /// What the task is doing at `at`.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> State {
        let reached = |point: Option<Timestamp>| point.is_some_and(|point| point <= at);
        if reached(self.ended) {
            State::Ended(self.outcome)
        } else if reached(self.aborting) {
            State::Aborting
        } else if reached(self.started) {
            State::InProgress
        } else {
            State::Queued
        }
    }

    /// The API's word for its status in `state`.
    pub(super) fn word(&self, state: State) -> &str {
        let scripted = self.fields.as_ref().and_then(|fields| fields.get("status"));
        scripted.and_then(Value::as_str).unwrap_or(state.word())
    }

    /// When it started, if it has by `at`.
    pub(super) fn started_by(&self, at: Timestamp) -> Option<Timestamp> {
        self.started.filter(|started| *started <= at)
    }

    /// When it ended, if it has by `at`.
    pub(super) fn ended_by(&self, at: Timestamp) -> Option<Timestamp> {
        self.ended.filter(|ended| *ended <= at)
    }

    /// How much of it is done, in percent. A task whose end is not known is halfway for ever.
    pub(super) fn progress(&self, at: Timestamp) -> u8 {
        if self.state(at) == State::Ended(Outcome::Completed) {
            return 100;
        }
        let Some(started) = self.started_by(at) else { return 0 };
        let Some(ended) = self.ended else { return 50 };
        let done = elapsed(started, at.min(ended)).as_millis() * 100;
        let whole = elapsed(started, ended).as_millis().max(1);
        u8::try_from((done / whole).min(99)).expect("a percentage must fit a byte")
    }

    /// What is true of it at `at`.
    pub(super) fn truth(&self, at: Timestamp) -> Truth {
        Truth {
            id: self.id.to_string(),
            category: self.kind.category.to_string(),
            task_type: self.kind.task_type.to_string(),
            status: self.word(self.state(at)).to_owned(),
            created: self.created,
            started: self.started_by(at),
            ended: self.ended_by(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("the instant must be valid")
    }

    #[test]
    fn a_task_has_one_state_at_each_instant_of_its_life() {
        let task = Task::new(1, at(0)).started(at(10)).ended(at(110), Outcome::Completed);
        assert_eq!(task.state(at(9)).word(), "queued");
        assert_eq!(task.state(at(10)).word(), "in_progress");
        assert_eq!(task.state(at(109)).word(), "in_progress");
        assert_eq!(task.state(at(110)).word(), "completed");
        assert_eq!([0, 10, 60, 109, 110].map(|second| task.progress(at(second))), [0, 0, 50, 99, 100]);
        assert_eq!(task.truth(at(109)).ended, None);
        assert_eq!(task.truth(at(110)).ended, Some(at(110)));
    }

    #[test]
    fn an_abort_passes_through_aborting() {
        let task = Task::new(1, at(0)).started(at(10)).aborting(at(20)).ended(at(30), Outcome::Aborted);
        let words = [5, 15, 25, 35].map(|second| task.state(at(second)).word());
        assert_eq!(words, ["queued", "in_progress", "aborting", "aborted"]);
        assert!(task.progress(at(35)) < 100);
    }

    #[test]
    fn a_task_can_be_aborted_before_it_starts() {
        let task = Task::new(1, at(0)).aborting(at(20)).ended(at(30), Outcome::Aborted);
        let words = [5, 25, 35].map(|second| task.state(at(second)).word());
        assert_eq!(words, ["queued", "aborting", "aborted"]);
        assert_eq!(task.truth(at(35)).started, None);
    }

    #[test]
    fn the_genre_follows_the_category() {
        assert_eq!(Kind::new("snapshot", "x").genre(), "operational");
        assert_eq!(Kind::new("management", "policy_update").genre(), "administrative");
        assert!(!Kind::new("system", "aws_ebs_volume_backup_indexing").can_be_aborted());
    }
}
