//! The heal: the gauges of a ledger that has read everything anew, with the counters of the one that counted all along.
//!
//! While a first pass runs beside the polls, on a ledger of its own, the old one goes on. When it has read everything,
//! one poll is committed to both, so that they speak of the same instant, and the old one takes over the gauges. It does
//! so upward only, task by task:
//!
//! - A task that both know stays as it is: both read it in this poll.
//! - A task that only the fresh one knows was missed. It is followed from now on, and in no counter for its past.
//! - A task that only the old one knows is out of a fresh pass' reach: it was created before everything that the pass
//!   read, or the API hid it meanwhile. It stays, if it is open; if it has ended and is still in the window, it is
//!   *pinned* ([`Pinned`]).
//!
//! That the fresh one does not know a task must say that it does not count it. So it forgets no id that the old one
//! could still move or has pinned ([`Ledger::fresh`]), and of a pinned task that it may have read and forgotten all the
//! same, nothing is assumed.
//!
//! Where the two disagree in any other way (an answer from a replica that lags is in one of them, or the API shows
//! fewer tasks, or does not show any more what only the fresh one takes for open), nothing is taken over, and a later
//! poll tries again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audit::Heals;
use super::kinds::{Cell, Cells};
use super::known::{Known, State};
use super::window::Granule;
use super::{Ledger, Rules, counter};
use crate::task::TaskId;
use crate::time::{Timestamp, earlier};

/// An ended task in the window that a fresh pass would not find where it is counted: it ran so long that it
/// was created before everything that the pass reads, or nobody but this ledger knows when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) cell: Cell,
    pub(super) mark: Mark,
}

/// Where a pinned task is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) created: Timestamp,
    pub(super) granule: Granule,
    /// Whether the API does not say when it ended.
    pub(super) has_no_end: bool,
}

// === impl Ledger ===

impl Ledger {
    /// How far back in creation a heal reads with such a window: whatever ended in the window and ran for less than
    /// another one is found again.
    pub(super) fn reach(&self, window: Duration) -> Duration {
        self.lookback.max(window * 2)
    }

    /// An empty ledger for a first pass beside this one, with the same places for kinds. It reads what was created from
    /// [`Ledger::read_from`] on, and remembers all of that which this one follows or has pinned.
    #[must_use]
    pub fn fresh(&mut self, rules: &Rules, baseline: Timestamp) -> Self {
        let read_from = earlier(baseline, self.reach(rules.window));
        let kinds = self.kinds.emptied(rules.window);
        let watched = Some(self.followed().chain(self.pinned.keys()).cloned().collect());
        // A baseline that is taken while the clock is ahead says nothing of what its polls may leave out.
        let watermark = Some(self.watermark().min(baseline));
        let mut fresh = Self { watermark, kinds, watched, ..Self::new(rules.clone(), baseline, read_from) };
        fresh.creations.compare_with(&mut self.creations);
        fresh
    }

    /// Pins a task that ended, if a heal would not find it where it is counted.
    pub(super) fn pin(&mut self, id: &TaskId, cell: Cell, mark: Mark) {
        let found_within = self.reach(self.window()).saturating_sub(self.window());
        if mark.has_no_end || mark.created < earlier(mark.granule.end(), found_within) {
            self.pin_anyway(id, cell, mark);
        }
    }

    /// Pins a task whose end is not believed. A heal may believe it, when the clock has been set right, and then counts
    /// the task where it ended: such a task is not marked as one that has no end.
    pub(super) fn pin_anyway(&mut self, id: &TaskId, cell: Cell, mark: Mark) {
        self.pinned.insert(id.clone(), Pinned { cell, mark });
    }

    /// Takes over the gauges of a ledger that has read everything anew and has just committed the same poll. Gives
    /// whether it did: if not, the next poll may try again.
    pub fn heal(&mut self, fresh: &Self) -> bool {
        let healed = self.healed_by(fresh);
        let is_healed = healed.is_some();
        if let Some(healed) = healed {
            *self = healed;
        }
        is_healed
    }

    fn healed_by(&self, fresh: &Self) -> Option<Self> {
        let polled = self.polled?;
        let mut healed = self.clone();
        let cells = healed.kinds.take_gauges(&fresh.kinds)?;
        for (id, known) in &self.tasks {
            if !fresh.tasks.contains_key(id) {
                healed.keep_gauge(known, polled.first_answer);
            }
        }
        for (id, known) in &fresh.tasks {
            let found = Known { cell: cells.of(known.cell), ..known.clone() };
            let agreed = match self.tasks.get(id) {
                Some(before) => healed.agree(before, &found)?,
                // The next poll lists it, and counts it.
                None if found.created >= self.listed_from() => return None,
                // It may have ended, been counted and forgotten here, and then been deleted.
                None if found.is_missing() => return None,
                None => found.in_no_counter(),
            };
            healed.tasks.insert(id.clone(), agreed);
        }
        let moved = healed.keep_pinned(fresh, &cells, polled.first_answer)?;
        let mut before = self.kinds.clone();
        for Pinned { cell, mark } in moved {
            before.remove_ended(cell, mark.granule);
        }
        if !healed.kinds.has_no_fewer_than(&before, polled.first_answer) {
            return None;
        }
        healed.suspects.extend(fresh.suspects.iter().cloned());
        healed.suspects.retain(|id| !healed.tasks.contains_key(id));
        healed.creations = fresh.creations.clone();
        for (_, known) in
            self.tasks.iter().filter(|(id, known)| !fresh.tasks.contains_key(id) && known.is_there())
        {
            healed.creations.add(known.created);
        }
        healed.missed = counter::add(self.missed, fresh.creations.found_more_than(&self.creations));
        healed.lookback = self.lookback.max(fresh.lookback);
        healed.failures.join(&fresh.failures);
        healed.audit = None;
        healed.heals = Some(Heals::again(self.heals, polled.last_answer));
        Some(healed)
    }

    /// Counts a task that only this ledger knows on top of what the fresh one counts.
    fn keep_gauge(&mut self, known: &Known, at: Timestamp) {
        match known.state {
            State::Open { .. } => self.kinds.add_open(known.cell),
            State::Provisional { granule, .. } => self.kinds.restore_ended(known.cell, granule, at),
            State::Vanished { .. } | State::Ended { .. } => {}
        }
    }

    /// What is remembered of a task that both ledgers know, whose gauge is the fresh one's so far; none if they do not
    /// agree on it.
    fn agree(&mut self, before: &Known, found: &Known) -> Option<Known> {
        match (before.state, found.state) {
            // It was dropped here, and is about to be there.
            (State::Vanished { .. }, State::Open { missing: Some(_) }) => {
                self.kinds.remove_open(found.cell);
                Some(before.clone())
            }
            (State::Open { .. }, State::Open { .. }) if before.cell == found.cell => Some(before.clone()),
            (State::Ended { .. }, State::Ended { .. }) => Some(before.clone()),
            (
                State::Provisional { since, counts, .. },
                State::Provisional { granule, started, ended, .. },
            ) if before.cell == found.cell => {
                let state = State::Provisional { since, granule, counts, started, ended };
                Some(Known { state, ..before.clone() })
            }
            _ => None,
        }
    }

    /// Counts the pinned tasks where they were, and no other way; gives those that the fresh ledger found where they ended,
    /// and that need no pin any more. None if it cannot be known of one whether the fresh ledger counts it.
    fn keep_pinned(&mut self, fresh: &Self, cells: &Cells, at: Timestamp) -> Option<Vec<Pinned>> {
        let mut moved = Vec::new();
        for (id, pinned @ Pinned { cell, mark }) in std::mem::take(&mut self.pinned) {
            if let Some(found) = fresh.pinned.get(&id) {
                self.kinds.remove_ended(cells.of(found.cell), found.mark.granule);
            } else if let Some(known) = fresh.tasks.get(&id) {
                // An answer from a replica that lags.
                if let State::Open { .. } = known.state {
                    return None;
                }
                // The pass has read it, and counts it where it ended, as the API says by now.
                moved.push(pinned);
                continue;
            } else if !fresh.has_not_read(&id, mark) {
                return None;
            }
            self.kinds.restore_ended(cell, mark.granule, at);
            self.pinned.insert(id, pinned);
        }
        for (id, found) in &fresh.pinned {
            let cell = cells.of(found.cell);
            self.pinned.entry(id.clone()).or_insert(Pinned { cell, mark: found.mark });
        }
        Some(moved)
    }

    /// Whether a fresh ledger that does not remember this pinned task never read it.
    fn has_not_read(&self, id: &TaskId, mark: Mark) -> bool {
        let is_watched = self.watched.as_ref().is_some_and(|watched| watched.contains(id));
        is_watched || mark.created < self.read_from()
    }

    /// Forgets the pinned tasks that have left the window. A fresh ledger keeps those without an end: where it counts
    /// them says nothing, and the one that it is to heal has to be told that it has read them.
    pub(super) fn unpin(&mut self, at: Timestamp) {
        let (kinds, is_fresh) = (&self.kinds, self.watched.is_some());
        self.pinned.retain(|_, Pinned { mark, .. }| {
            kinds.is_in_window(mark.granule, at) || (is_fresh && mark.has_no_end)
        });
    }
}

// === impl Known ===

impl Known {
    /// Whether the API lists it, as far as is known, and it can still change.
    fn is_there(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Provisional { .. })
    }

    /// Whether it is taken for open, and the last poll did not show it.
    fn is_missing(&self) -> bool {
        matches!(self.state, State::Open { missing: Some(_) })
    }

    /// The same, but in no counter when it ends for good: a heal counts what was missed elsewhere.
    fn in_no_counter(self) -> Self {
        match self.state {
            State::Provisional { since, granule, started, ended, .. } => {
                let state = State::Provisional { since, granule, counts: false, started, ended };
                Self { state, ..self }
            }
            _ => self,
        }
    }
}
