//! How one row moves the numbers: a new task is admitted, a known one moves, an ended one stays.

use super::heal::Mark;
use super::kinds::Cell;
use super::known::{Known, State};
use super::observations::Durations;
use super::{Ledger, PollTime};
use crate::task::{Label, Task};
use crate::time::{Timestamp, later};

/// What is being applied: the first pass, or a poll after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Baseline,
    Following,
}

/// How a task ended.
#[derive(Debug, Clone, Copy)]
struct End {
    created: Timestamp,
    at: Timestamp,
    seen: Timestamp,
    counts: bool,
    provisional_since: Option<Timestamp>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn apply(&mut self, task: &Task, time: PollTime, phase: Phase) {
        if task.created.is_none() {
            self.audit_after(time.last_answer);
        }
        let known = match self.tasks.get(&task.id).cloned() {
            Some(known) => self.moved(known, task, time),
            None => self.admitted(task, time, phase),
        };
        self.tasks.insert(task.id.clone(), known);
    }

    /// Takes in a task that was never seen.
    fn admitted(&mut self, task: &Task, time: PollTime, phase: Phase) -> Known {
        let created = task.created.unwrap_or(match phase {
            Phase::Baseline => self.baseline,
            Phase::Following => time.last_answer,
        });
        if phase == Phase::Following {
            self.creations.add(created);
        }
        let cell = self.kinds.cell(&task.category, &task.task_type, &task.status);
        let counts_as_created =
            created > self.baseline || (phase == Phase::Following && created >= self.listed_from());
        if counts_as_created {
            self.kinds.count_created(cell);
        }
        let state = if task.has_ended() {
            let counts = counts_as_created
                || (self.is_believable(task, time) && task.ended.is_some_and(|ended| ended > self.baseline));
            // A heal reads a nonsensical end again, long after its task has left the window.
            let has_end = task.ended.is_some() && (self.watched.is_none() || self.is_believable(task, time));
            let at = match (has_end, phase) {
                // When it was first seen ended says nothing about what ended long before the exporter started.
                (false, Phase::Baseline) => task.started.unwrap_or(created).min(time.last_answer),
                _ => self.end_of(task, time),
            };
            let seen = match phase {
                Phase::Baseline => at.min(time.last_answer),
                Phase::Following => time.last_answer,
            };
            self.end(cell, task, time, End { created, at, seen, counts, provisional_since: None })
        } else {
            self.kinds.add_open(cell);
            State::listed()
        };
        Known { cell, created, state }
    }

    /// Moves a known task to where a later row puts it.
    fn moved(&mut self, known: Known, task: &Task, time: PollTime) -> Known {
        let (counts, provisional_since) = match known.state {
            State::Ended { .. } if task.created.is_none() => {
                // Nothing tells how long the API goes on to list it, so its id is kept for as long as it does.
                let seen = time.last_answer;
                return Known { created: seen, state: State::Ended { seen }, ..known };
            }
            State::Ended { .. } => return known,
            State::Open { .. } => {
                self.kinds.remove_open(known.cell);
                (true, None)
            }
            State::Vanished { .. } => {
                self.creations.add(known.created);
                (true, None)
            }
            State::Provisional { granule, counts, since, .. } => {
                self.kinds.remove_ended(known.cell, granule);
                self.failures.take_back(&task.id);
                (counts, Some(since))
            }
        };
        let cell = if task.category == Label::unknown() || task.task_type == Label::unknown() {
            self.kinds.with_status(known.cell, &task.status)
        } else {
            self.kinds.cell(&task.category, &task.task_type, &task.status)
        };
        let state = if task.has_ended() {
            let (at, seen, created) = (self.end_of(task, time), time.last_answer, known.created);
            self.end(cell, task, time, End { created, at, seen, counts, provisional_since })
        } else {
            self.kinds.add_open(cell);
            State::listed()
        };
        Known { cell, state, ..known }
    }

    /// When a task ended that is seen ended by this poll: when the API says, or now where it does not, or where that
    /// is nonsense.
    fn end_of(&self, task: &Task, time: PollTime) -> Timestamp {
        task.ended.filter(|_| self.is_believable(task, time)).unwrap_or(time.last_answer)
    }

    /// Whether the end is not too far in the future to be true: the window would hold such a task for ever, and in the
    /// baseline it would raise an alert.
    fn is_believable(&self, task: &Task, time: PollTime) -> bool {
        task.ended.is_none_or(|ended| ended <= later(time.latest, self.rules.overlap))
    }

    /// Counts a task as ended; one with an unknown status enters the counters only when it is final.
    fn end(&mut self, cell: Cell, task: &Task, time: PollTime, end: End) -> State {
        let granule = self.kinds.add_ended(cell, end.at, time.first_answer);
        self.failures.note(task, end.created, end.at);
        if !task.status.is_final() {
            let since = end.provisional_since.unwrap_or(time.last_answer);
            let End { counts, at: ended, .. } = end;
            return State::Provisional { since, granule, counts, started: task.started, ended };
        }
        if end.counts {
            self.kinds.count_ended(cell, Durations::of(end.created, task.started, end.at));
        }
        let mark = Mark { created: end.created, granule, has_no_end: task.ended.is_none() };
        let is_believable = self.is_believable(task, time);
        // One that a heal reads may have ended long before it: only what the API says is better than what was noted.
        if self.watched.is_none() || (is_believable && !mark.has_no_end) {
            self.kinds.note_end(cell, end.at);
        }
        if is_believable {
            self.pin(&task.id, cell, mark);
        } else {
            self.pin_anyway(&task.id, cell, mark);
        }
        State::Ended { seen: end.seen }
    }
}
