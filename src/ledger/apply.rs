//! How one row moves the numbers: a new task is admitted, a known one moves, an ended one stays.

use super::kinds::Cell;
use super::known::{Known, State};
use super::{Ledger, PollTime};
use crate::tasks::{Status, Task};
use crate::time::{Timestamp, earlier, later};

/// What is being applied: the first pass, or a poll after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Baseline,
    Following,
}

/// How a task ended.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Timestamp,
    seen: PollTime,
    counts: bool,
    provisional_since: Option<Timestamp>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn apply(&mut self, task: &Task, time: PollTime, phase: Phase) {
        match self.tasks.get(&task.id) {
            Some(known) => {
                let moved = self.moved(known.clone(), task, time);
                self.tasks.insert(task.id.clone(), moved);
            }
            None => self.admit(task, time, phase),
        }
    }

    /// Takes in a task that was never seen.
    fn admit(&mut self, task: &Task, time: PollTime, phase: Phase) {
        let created = task.created.unwrap_or(match phase {
            Phase::Baseline => self.baseline,
            Phase::Following => time.last_answer,
        });
        let cell = self.kinds.cell(&task.category, &task.task_type, &task.status);
        let counts_as_created =
            created > self.baseline || (phase == Phase::Following && created >= self.listed_from());
        if counts_as_created {
            self.kinds.count_created(cell);
        }
        let mut ended_lately = false;
        let state = if task.has_ended() {
            let ended = self.believable_end(task, time);
            ended_lately = ended.is_some_and(|ended| ended > earlier(time.last_answer, self.rules.overlap));
            let counts = counts_as_created || ended.is_some_and(|ended| ended > self.baseline);
            let ended = ended.unwrap_or(match phase {
                // When it was first seen ended says nothing about what ended long before the exporter started.
                Phase::Baseline => task.started.unwrap_or(created),
                Phase::Following => time.last_answer,
            });
            self.end(cell, &task.status, End { at: ended, seen: time, counts, provisional_since: None })
        } else {
            self.kinds.add_open(cell);
            State::Open { missing: None }
        };
        let known = Known { cell, created, state };
        if known.is_followed() || ended_lately || created >= self.remembered_from {
            self.tasks.insert(task.id.clone(), known);
        }
    }

    /// Moves a known task to where a later row puts it.
    fn moved(&mut self, known: Known, task: &Task, time: PollTime) -> Known {
        let (counts, provisional_since) = match known.state {
            State::Ended { .. } => return known,
            State::Open { .. } => {
                self.kinds.remove_open(known.cell);
                (true, None)
            }
            State::Vanished { .. } => (true, None),
            State::Provisional { ended, counts, since } => {
                self.kinds.remove_ended(known.cell, ended);
                (counts, Some(since))
            }
        };
        let cell = self.kinds.with_status(known.cell, &task.status);
        let state = if task.has_ended() {
            let at = self.believable_end(task, time).unwrap_or(time.last_answer);
            self.end(cell, &task.status, End { at, seen: time, counts, provisional_since })
        } else {
            self.kinds.add_open(cell);
            State::Open { missing: None }
        };
        Known { cell, state, ..known }
    }

    /// When the API says that the task ended, unless that is too far in the future to be true: the window would
    /// hold such a task for ever, and in the baseline it would raise an alert.
    fn believable_end(&self, task: &Task, time: PollTime) -> Option<Timestamp> {
        task.ended.filter(|ended| *ended <= later(time.last_answer, self.rules.overlap))
    }

    /// Counts a task as ended; one with an unknown status enters the counters only when it is final.
    fn end(&mut self, cell: Cell, status: &Status, end: End) -> State {
        self.kinds.add_ended(cell, end.at, end.seen.first_answer);
        let seen = end.seen.last_answer;
        if !status.is_final() {
            let since = end.provisional_since.unwrap_or(seen);
            return State::Provisional { since, ended: end.at, counts: end.counts };
        }
        if end.counts {
            self.kinds.count_ended(cell);
        }
        State::Ended { seen }
    }
}
