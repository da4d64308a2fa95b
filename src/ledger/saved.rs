//! The ledger as it is kept over restarts.
//!
//! What follows from the rest is not kept (how many tasks are open, which place a kind has), so that what is kept
//! can contradict itself in few ways, and each of them is found when it is read: a file is input.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audit::{Audit, Heals};
use super::counter::{Counter, MOST};
use super::creations::Creations;
use super::failures::Failures;
use super::heal::{Mark, Pinned};
use super::kinds::Kinds;
use super::known::{Known, State};
use super::observations::Histogram;
use super::runs::Runs;
use super::{Ledger, PollTime, Rules};
use crate::task::{Label, Status, TaskId};
use crate::time::Timestamp;

/// A ledger, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLedger {
    pub(super) baseline: Timestamp,
    pub(super) polled: Option<PollTime>,
    pub(super) watermark: Option<Timestamp>,
    pub(super) remembered_from: Timestamp,
    pub(super) window: Duration,
    /// See [`Kinds::slack`].
    #[serde(default)]
    pub(super) slack: i64,
    pub(super) vanished_total: u64,
    pub(super) kinds: Vec<SavedKind>,
    pub(super) tasks: Vec<SavedTask>,
    pub(super) suspects: Vec<TaskId>,
    pub(super) lookback: Duration,
    pub(super) creations: Creations,
    pub(super) audit: Option<Audit>,
    pub(super) heals: Option<Heals>,
    pub(super) pinned: Vec<SavedPinned>,
    pub(super) missed_total: u64,
    #[serde(default, skip_serializing_if = "Failures::is_empty")]
    pub(super) failures: Failures,
}

/// The numbers of one kind, in the order in which kinds were first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedKind {
    pub(super) category: Label,
    #[serde(rename = "type")]
    pub(super) task_type: Label,
    pub(super) created: Counter,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<Box<Histogram>>,
    pub(super) statuses: Vec<SavedStatus>,
}

/// The numbers of one status of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedStatus {
    pub(super) status: Status,
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) ended: Runs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended_total: Option<Counter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_ended: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<Box<Histogram>>,
}

/// A remembered task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedTask {
    id: TaskId,
    /// The position of its kind in the list of kinds.
    kind: u32,
    status: Status,
    created: Timestamp,
    /// Nearly all tasks that are kept by the thousand are open, and there.
    #[serde(default = "State::listed", skip_serializing_if = "State::is_listed")]
    state: State,
}

/// A pinned task: see [`super::heal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPinned {
    id: TaskId,
    kind: u32,
    status: Status,
    mark: Mark,
}

/// What is wrong with a kept ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// A kind or status is there twice, or there are too many.
    #[error("its kinds are not distinct")]
    Kinds,
    /// A counter or a histogram is below what was published of it, a histogram has more than its counter, or counts are
    /// absurd.
    #[error("its counts are impossible")]
    Counts,
    /// A task is there twice, or is of a kind that is not there.
    #[error("its tasks do not fit its kinds")]
    Tasks,
}

// === impl Ledger ===

impl Ledger {
    /// The ledger, ready to be written.
    #[must_use]
    pub fn saved(&self) -> SavedLedger {
        let mut tasks: Vec<_> = self.tasks.iter().map(|(id, known)| self.saved_task(id, known)).collect();
        tasks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let mut suspects: Vec<_> = self.suspects.iter().cloned().collect();
        suspects.sort();
        let mut pinned: Vec<_> =
            self.pinned.iter().map(|(id, pinned)| self.saved_pinned(id, *pinned)).collect();
        pinned.sort_by(|a, b| a.id.cmp(&b.id));
        SavedLedger {
            baseline: self.baseline,
            polled: self.polled,
            watermark: self.watermark,
            remembered_from: self.remembered_from,
            window: self.window(),
            slack: self.kinds.slack(),
            vanished_total: self.vanished,
            kinds: self.kinds.saved(),
            tasks,
            suspects,
            lookback: self.lookback,
            creations: self.creations.saved(),
            audit: self.audit,
            heals: self.heals,
            pinned,
            missed_total: self.missed,
            failures: self.failures.clone(),
        }
    }

    fn saved_task(&self, id: &TaskId, known: &Known) -> SavedTask {
        let (kind, status) = self.kinds.place_of(known.cell);
        SavedTask { id: id.clone(), kind, status, created: known.created, state: known.state }
    }

    fn saved_pinned(&self, id: &TaskId, Pinned { cell, mark }: Pinned) -> SavedPinned {
        let (kind, status) = self.kinds.place_of(cell);
        SavedPinned { id: id.clone(), kind, status, mark }
    }

    /// The ledger that was kept, under rules that may have changed. Its counters are held where they were; a longer
    /// window than it was kept with has to be filled first, and until then the old one stays.
    ///
    /// # Errors
    /// When what was kept contradicts itself.
    pub fn restored(saved: SavedLedger, rules: Rules) -> Result<Self, Contradiction> {
        let is_possible = saved.vanished_total.max(saved.missed_total) <= MOST
            && saved.creations.is_possible()
            && saved.audit.is_none_or(Audit::is_possible);
        if !is_possible {
            return Err(Contradiction::Counts);
        }
        let mut kinds = Kinds::restored(saved.kinds, saved.window, saved.slack, &rules)?;
        let mut tasks = HashMap::with_capacity(saved.tasks.len());
        for task in saved.tasks {
            let cell = kinds.restored_cell(task.kind, &task.status).ok_or(Contradiction::Tasks)?;
            if let State::Open { .. } = task.state {
                kinds.add_open(cell);
            }
            let known = Known { cell, created: task.created, state: task.state };
            if tasks.insert(task.id, known).is_some() {
                return Err(Contradiction::Tasks);
            }
        }
        let pinned = saved.pinned.into_iter().map(|SavedPinned { id, kind, status, mark }| {
            let cell = kinds.restored_cell(kind, &status).ok_or(Contradiction::Tasks)?;
            Ok((id, Pinned { cell, mark }))
        });
        let pinned = pinned.collect::<Result<_, _>>()?;
        // A longer window has to be filled now, however lately another heal was.
        let heals = saved.heals.filter(|_| rules.window <= saved.window);
        Ok(Self {
            rules,
            baseline: saved.baseline,
            polled: saved.polled,
            watermark: saved.watermark,
            remembered_from: saved.remembered_from,
            tasks,
            suspects: HashSet::from_iter(saved.suspects),
            kinds,
            vanished: saved.vanished_total,
            lookback: saved.lookback,
            creations: saved.creations,
            audit: saved.audit,
            heals,
            pinned,
            missed: saved.missed_total,
            failures: saved.failures,
            watched: None,
        })
    }
}
