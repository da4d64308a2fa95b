//! A world of tasks with fixed lives, so that what is true at any instant is known.
//!
//! Instants are milliseconds since an arbitrary day; the first pass begins at [`DAY_ZERO`].

use clumio_exporter::tasks::{Label, Status, Task, TaskId};
use clumio_exporter::time::Timestamp;
use proptest::prelude::*;

/// The instant at which schedules begin, in milliseconds since the Unix epoch.
pub const DAY_ZERO: i64 = 1_800_000_000_000;

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// The kinds of tasks in the world.
pub const KINDS: [(&str, &str); 3] = [("backup", "ebs"), ("backup", "rds"), ("restore", "ebs")];

/// The life of one task, in milliseconds: created at an instant, the rest after the step before it.
#[derive(Debug, Clone)]
pub struct Life {
    pub kind: usize,
    /// Relative to [`DAY_ZERO`].
    pub created: i64,
    pub listed_after: i64,
    pub starts_after: i64,
    /// None: it never ends.
    pub ends_after: Option<i64>,
    /// Index into [`Status::ENDED`].
    pub outcome: usize,
}

/// All tasks that ever are.
#[derive(Debug, Clone)]
pub struct World {
    pub lives: Vec<Life>,
}

// === impl Life ===

impl Life {
    pub fn created(&self) -> i64 {
        DAY_ZERO + self.created
    }

    pub fn listed(&self) -> i64 {
        self.created() + self.listed_after
    }

    pub fn started(&self) -> i64 {
        self.created() + self.starts_after
    }

    pub fn ended(&self) -> Option<i64> {
        self.ends_after.map(|after| self.started() + after)
    }

    /// The status at `at`, whether or not it is listed yet.
    pub fn status(&self, at: i64) -> Status {
        match self.ended() {
            Some(ended) if ended <= at => Status::ENDED[self.outcome].clone(),
            _ if self.started() <= at => Status::InProgress,
            _ => Status::Queued,
        }
    }

    /// The instants at which it changes, as seen in a listing.
    pub fn changes(&self) -> Vec<i64> {
        [Some(self.listed()), Some(self.started()), self.ended()].into_iter().flatten().collect()
    }

    fn row(&self, index: usize, at: i64) -> Task {
        let seen = |instant: i64| (instant <= at).then(|| timestamp(instant));
        Task {
            id: TaskId::new(&index.to_string()).expect("the id must be valid"),
            category: Label::new(KINDS[self.kind].0),
            task_type: Label::new(KINDS[self.kind].1),
            status: self.status(at),
            created: Some(timestamp(self.created())),
            started: seen(self.started()),
            ended: self.ended().and_then(seen),
        }
    }
}

// === impl World ===

impl World {
    /// The tasks of a full listing at `at`, in order of creation, each by its place in the world.
    pub fn listing(&self, at: i64) -> Vec<usize> {
        let mut listed: Vec<usize> =
            (0..self.lives.len()).filter(|&index| self.lives[index].listed() <= at).collect();
        listed.sort_by_key(|&index| self.lives[index].created());
        listed
    }

    /// The row of a task, as a listing at `at` has it.
    pub fn row(&self, index: usize, at: i64) -> Task {
        self.lives[index].row(index, at)
    }

    /// When the last task is listed and the last has ended.
    pub fn stands_still_from(&self) -> i64 {
        self.lives.iter().flat_map(Life::changes).max().unwrap_or(DAY_ZERO)
    }
}

pub fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).expect("the instant must be in range")
}

/// Worlds whose tasks are listed at most `overlap` after they were created.
pub fn worlds(overlap: i64) -> impl Strategy<Value = World> {
    // Many tasks of one second, some spread over days before, some while the exporter runs.
    let created = prop_oneof![
        4 => -(3 * HOUR)..(2 * HOUR),
        2 => -(5 * MINUTE)..(30 * MINUTE),
        1 => -(80 * HOUR)..0,
        3 => (-(36 * 60)..10_i64).prop_map(|minute| minute * MINUTE),
        2 => Just(17 * MINUTE),
        1 => (0..SECOND).prop_map(|ms| -(7 * MINUTE) + ms),
    ];
    let listed_after = prop_oneof![5 => Just(0), 2 => 0..=overlap, 1 => Just(overlap)];
    let starts_after = prop_oneof![1 => Just(0), 2 => 0..(10 * MINUTE), 1 => 0..(10 * HOUR)];
    let ends_after = prop_oneof![
        1 => Just(None),
        2 => (0..MINUTE).prop_map(Some),
        3 => (0..HOUR).prop_map(Some),
        1 => (0..(30 * HOUR)).prop_map(Some),
    ];
    let life = (0..KINDS.len(), created, listed_after, starts_after, ends_after, 0..Status::ENDED.len());
    let life = life.prop_map(|(kind, created, listed_after, starts_after, ends_after, outcome)| Life {
        kind,
        created,
        listed_after,
        starts_after,
        ends_after,
        outcome,
    });
    proptest::collection::vec(life, 0..60).prop_map(|lives| World { lives })
}
