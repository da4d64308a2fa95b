//! What must be published: bounds from the contract's promise, task by task.
//!
//! Each task is taken at some instant of the poll. So a task counts for certain where it stood throughout the
//! poll, and possibly where it stood at some instant of it. When nothing changed meanwhile the bounds meet.

use std::collections::{BTreeMap, BTreeSet};

use clumio_exporter::ledger::Snapshot;
use clumio_exporter::tasks::Status;

use crate::world::{DAY_ZERO, KINDS, Life, World};

/// How a run is set up; times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub window: i64,
    pub lookback: i64,
    pub overlap: i64,
    /// How far replicas lag behind.
    pub stale_by: i64,
    /// Beyond so many rows a listing is read in slices.
    pub most_rows: u64,
}

/// When things happened, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    /// The baseline of the counters.
    pub baseline: i64,
    /// The end of the poll that ended the first pass.
    pub first_published: i64,
    /// The poll, from its start to its last answer.
    pub poll: (i64, i64),
}

/// The least and the most that a number can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    least: u64,
    most: u64,
}

/// The bounds of every number, by family, kind and status.
pub type Numbers = BTreeMap<(&'static str, usize, String), Bounds>;

const SECOND: i64 = 1_000;

pub fn truth(world: &World, setup: Setup, instants: Instants) -> Numbers {
    let mut numbers = Numbers::new();
    for life in &world.lives {
        let (certain, possible) = tasks(life, setup, instants);
        for status in possible {
            let bounds = numbers.entry(("tasks", life.kind, status.clone())).or_default();
            bounds.most += 1;
            bounds.least += u64::from(certain.contains(&status));
        }
        let created = bound_created(life, setup, instants);
        numbers.entry(("created", life.kind, String::new())).or_default().add(created);
        let status = Status::ENDED[life.outcome].as_str().to_owned();
        numbers.entry(("ended", life.kind, status)).or_default().add(bound_ended(life, setup, instants));
    }
    numbers
}

/// The statuses under which the task is published for certain, and possibly.
fn tasks(life: &Life, setup: Setup, instants: Instants) -> (BTreeSet<String>, BTreeSet<String>) {
    let (start, end) = instants.poll;
    let mut at: Vec<i64> = life.changes().into_iter().filter(|at| (start..=end).contains(at)).collect();
    at.extend([start, end]);
    let listed = |at: &&i64| life.listed() <= **at;
    let mut possible: BTreeSet<String> =
        at.iter().filter(listed).map(|&at| life.status(at).as_str().to_owned()).collect();
    let always_listed = life.listed() <= start;
    let mut certain = if possible.len() == 1 && always_listed && is_known(life, setup, instants) {
        possible.clone()
    } else {
        BTreeSet::new()
    };
    if let Some(ended) = life.ended().filter(|&ended| ended <= end) {
        let status = life.status(ended).as_str().to_owned();
        // The window is evaluated at a whole second of the poll, and tasks leave up to a granule late.
        let granule = (setup.window / 1440 / SECOND).max(1) * SECOND;
        if ended <= end - setup.window {
            certain.remove(&status);
        }
        if ended <= start - SECOND - setup.window - granule {
            possible.remove(&status);
        }
    }
    (certain, possible)
}

/// Whether the exporter has to know the task: one that was created before the lookback and ended before it was
/// seen open cannot be known.
fn is_known(life: &Life, setup: Setup, instants: Instants) -> bool {
    life.created() >= instants.baseline + SECOND - setup.lookback
        || life.ended().is_none_or(|ended| ended > instants.first_published)
}

fn bound_created(life: &Life, setup: Setup, instants: Instants) -> Bounds {
    let (start, end) = instants.poll;
    let recent = life.created() >= instants.baseline - setup.overlap;
    // One that was created just before the baseline counts if the first pass had not read it yet.
    let certainly =
        life.created() > instants.baseline || (recent && life.listed() > instants.first_published);
    let possibly = certainly || (recent && life.listed() + setup.stale_by >= DAY_ZERO);
    Bounds {
        least: u64::from(certainly && life.listed() <= start),
        most: u64::from(possibly && life.listed() <= end),
    }
}

fn bound_ended(life: &Life, setup: Setup, instants: Instants) -> Bounds {
    let Some(ended) = life.ended() else { return Bounds::default() };
    let (start, end) = instants.poll;
    let created = bound_created(life, setup, instants);
    let after_baseline = ended > instants.baseline;
    let certainly = created.least == 1 || (after_baseline && is_known(life, setup, instants));
    // A replica that lags may have shown it open after the baseline.
    let possibly = created.most == 1 || ended > instants.baseline - setup.stale_by;
    Bounds {
        least: u64::from(certainly && ended <= start && life.listed() <= start),
        most: u64::from(possibly && ended <= end && life.listed() <= end),
    }
}

/// What a snapshot says, in the same form.
pub fn published(snapshot: &Snapshot) -> BTreeMap<(&'static str, usize, String), u64> {
    let mut numbers = BTreeMap::new();
    for sample in &snapshot.kinds {
        let kind =
            KINDS.iter().position(|kind| *kind == (sample.category.as_str(), sample.task_type.as_str()));
        let kind = kind.expect("only the world's kinds must be published");
        numbers.insert(("created", kind, String::new()), sample.created_total);
        for status in &sample.statuses {
            let word = status.status.as_str().to_owned();
            numbers.insert(("tasks", kind, word.clone()), status.tasks);
            if let Some(ended) = status.ended_total {
                numbers.insert(("ended", kind, word), ended);
            }
        }
    }
    numbers
}

// === impl Bounds ===

impl Bounds {
    fn add(&mut self, other: Self) {
        self.least += other.least;
        self.most += other.most;
    }

    pub fn contain(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}
