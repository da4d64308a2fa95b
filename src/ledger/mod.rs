//! The numbers of one account: applies what polls read, each task exactly once.
//!
//! The ledger does no I/O and has no clock. A poll gives it rows and two instants, and gets a [`Snapshot`].
//!
//! # Why each task counts once
//!
//! A task enters the numbers when its id is first applied, and later rows of that id only move it. So a task
//! could count twice only if its id were forgotten and a later row let it in again. A row of an unknown id is let
//! in if it was created at or after [`Ledger::listed_from`], the earliest creation that polls still list; ids
//! of tasks created since then are never forgotten. An older row is let in only if it is open, and only when two
//! polls in a row show it: ids of open tasks are never forgotten either, so such a row is a task that was never
//! seen, or an answer from a replica that lags; for one overlap after a task was seen to end its id is kept
//! against the latter. (Of what ended before the first pass, only the ids of those that ended within the overlap: no
//! replica shows the others as open any more.)
//!
//! A task that has ended with a known status never moves again, whatever is read later.
//!
//! # What counts
//!
//! The gauges hold every open task, and ended ones for the window. The counters start at an instant, the
//! baseline: a task counts as created if it was created after it, or if it is first read by a poll after the first
//! pass, which lists nothing that the pass had not read; it counts as ended if it was seen open, or ended
//! after the baseline, or counted as created.
//!
//! # What it costs
//!
//! Memory is proportional to open tasks, to ids of the last overlap, and to kinds × granules of the window: never
//! to the number of rows read. The ledger is cheap to clone, and a poll commits to a clone: a failure halfway
//! leaves what is published untouched.

mod apply;
mod audit;
mod counter;
mod creations;
mod failures;
mod heal;
mod held;
mod kind;
mod kinds;
mod known;
mod observations;
mod periods;
mod places;
mod runs;
mod saved;
mod snapshot;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use apply::Phase;
use audit::{Audit, Heals};
use creations::Creations;
use failures::Failures;
use heal::{Mark, Pinned};
use kinds::{Cell, Kinds};
use known::{Known, Missing, State};
use observations::Durations;

pub use creations::Counted;
pub use failures::FailedTask;
pub use observations::Observations;
pub use periods::{Period, Periods};
pub use saved::{Contradiction, SavedLedger};
pub use snapshot::{KindSample, Snapshot, StatusSample};

use crate::task::{Task, TaskId};
use crate::time::{Timestamp, earlier, elapsed};

/// The least number of tasks of a first pass that are applied before what needs no more remembering is forgotten.
const PART: usize = 256;

/// The settings that the numbers depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long an ended task stays in the gauges.
    pub window: Duration,
    /// How late a task may appear in the list after its creation.
    pub overlap: Duration,
    /// How long a new counter stays at 0.
    pub counter_hold: Duration,
    /// How many categories have series of their own.
    pub max_categories: usize,
    /// How many pairs of category and type have series of their own.
    pub max_kinds: usize,
}

/// When a poll took place, in the API's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollTime {
    /// When its first answer was given. Everything listed later in the poll is at least as new.
    pub first_answer: Timestamp,
    /// When its last answer was: from then on the numbers are published.
    pub last_answer: Timestamp,
    /// The latest that any of its answers said it was: the clock may have jumped, and not be believed yet.
    pub latest: Timestamp,
}

/// The numbers of one account, and the tasks that can still change them.
#[derive(Debug, Clone)]
pub struct Ledger {
    rules: Rules,
    baseline: Timestamp,
    /// When the last poll took place; none before the first that followed the first pass.
    polled: Option<PollTime>,
    /// The newest creation read, but never past the poll that read it; none as long as the first pass has read
    /// nothing.
    watermark: Option<Timestamp>,
    /// Ids of all tasks created since this instant are remembered. With a longer overlap it stays where it is, so
    /// that the overlap grows in instead of letting forgotten tasks in again.
    remembered_from: Timestamp,
    tasks: HashMap<TaskId, Known>,
    /// Open tasks created before [`Ledger::listed_from`] that the last poll showed for the first time.
    suspects: HashSet<TaskId>,
    kinds: Kinds,
    vanished: u64,
    /// How far back in creation the first pass read.
    lookback: Duration,
    creations: Creations,
    audit: Option<Audit>,
    heals: Option<Heals>,
    pinned: HashMap<TaskId, Pinned>,
    missed: u64,
    failures: Failures,
    /// In one that reads everything anew beside another one, to heal it: what that one followed or had pinned when it
    /// began. None of these is forgotten once it was read, so that the heal can tell whether it was.
    watched: Option<HashSet<TaskId>>,
}

// === impl Ledger ===

impl Ledger {
    /// An empty ledger whose counters start at `baseline`, and whose first pass reads what was created from
    /// `read_from` on.
    #[must_use]
    pub fn new(rules: Rules, baseline: Timestamp, read_from: Timestamp) -> Self {
        let kinds = Kinds::new(rules.window, &rules);
        Self {
            rules,
            baseline,
            polled: None,
            watermark: None,
            remembered_from: read_from,
            tasks: HashMap::new(),
            suspects: HashSet::new(),
            kinds,
            vanished: 0,
            lookback: elapsed(read_from, baseline),
            creations: Creations::new(read_from),
            audit: None,
            heals: None,
            pinned: HashMap::new(),
            missed: 0,
            failures: Failures::default(),
            watched: None,
        }
    }

    /// Other rules from now on. A shorter window acts at once, a longer one when a heal has filled it.
    pub fn set_rules(&mut self, rules: Rules) {
        if rules.window > self.window() {
            self.heals = None;
        }
        self.kinds.set_rules(&rules);
        self.rules = rules;
    }

    /// The instant at which the counters start.
    #[must_use]
    pub fn baseline(&self) -> Timestamp {
        self.baseline
    }

    /// The latest instant that the ledger knows of: the end of the last poll, or the baseline.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.polled.map_or(self.baseline, |polled| polled.last_answer)
    }

    /// The latest that an answer of the last poll said it was, believed or not; or the baseline.
    #[must_use]
    pub fn latest_said(&self) -> Timestamp {
        self.polled.map_or(self.baseline, |polled| polled.latest)
    }

    /// How long ended tasks stay in the gauges: the configured window, unless that is longer than what was read.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.kinds.window()
    }

    /// The earliest creation that the next poll must list: an overlap before the watermark, but not before ids are
    /// remembered.
    #[must_use]
    pub fn listed_from(&self) -> Timestamp {
        earlier(self.watermark(), self.rules.overlap).max(self.remembered_from)
    }

    /// The tasks that can still change, and those that the next poll must show to be taken in: each must be read
    /// by every poll, in a listing or by its id.
    pub fn followed(&self) -> impl Iterator<Item = &TaskId> {
        let known = self.tasks.iter().filter(|(_, known)| known.is_followed()).map(|(id, _)| id);
        known.chain(&self.suspects)
    }

    /// The earliest creation that the first pass reads.
    #[must_use]
    pub fn read_from(&self) -> Timestamp {
        earlier(self.baseline, self.lookback)
    }

    /// What was created until `until` cannot be counted by creation: rows among it are no tasks, or were not read.
    pub fn audit_after(&mut self, until: Timestamp) {
        self.creations.begin_after(until);
        // What was found before says nothing of what can be audited from now on.
        self.audit = None;
    }

    /// Takes in a slice of the first pass, all that was created before `to` and not in the slices before: as
    /// [`take_baseline`](Self::take_baseline). It was read by the last answer.
    pub fn take_slice(&mut self, tasks: Vec<Task>, to: Timestamp, time: PollTime) {
        // What was created later may still appear; the polls that follow count it, as long as it is remembered. The
        // overlap can change from slice to slice.
        let settled = earlier(self.baseline, self.rules.overlap).max(self.remembered_from).min(to);
        let read: HashSet<&TaskId> = tasks.iter().map(|task| &task.id).collect();
        let before = self.tasks.iter().filter(|(id, _)| !read.contains(id)).map(|(_, known)| known.created);
        let creations = tasks.iter().filter_map(|task| task.created).chain(before).collect();
        self.creations.count(creations, settled, self.lookback);
        self.take_read(tasks, time);
    }

    /// Takes in what the first pass read: each task once, as it stood at some instant since the baseline.
    pub fn take_baseline(&mut self, tasks: Vec<Task>, at: Timestamp) {
        self.take_read(tasks, PollTime { first_answer: at, last_answer: at, latest: at });
    }

    fn take_read(&mut self, mut tasks: Vec<Task>, time: PollTime) {
        let at = time.last_answer;
        let time = PollTime { first_answer: at, ..time };
        sort_by_creation(&mut tasks);
        // Each part is a slice as well. So what is remembered stays about as large as it has to be.
        for part in tasks.chunks(PART.max(self.tasks.len())) {
            for task in part {
                self.apply(task, time, Phase::Baseline);
            }
            // What was created after the baseline is for whole polls to list: they must begin no later.
            self.move_watermark(part, self.baseline);
            self.forget(at);
        }
    }

    /// Applies a whole poll: its rows, each task once, with every followed task that the API returned.
    pub fn commit(&mut self, mut tasks: Vec<Task>, time: PollTime) -> Snapshot {
        let at = time.first_answer;
        sort_by_creation(&mut tasks);
        let suspects = std::mem::take(&mut self.suspects);
        let mut returned = HashSet::with_capacity(self.tasks.len().min(tasks.len()));
        for task in &tasks {
            if self.is_admitted(task, &suspects) {
                self.apply(task, time, Phase::Following);
                returned.insert(&task.id);
            }
        }
        self.settle(&returned, time.last_answer);
        self.watermark = Some(self.watermark());
        self.move_watermark(&tasks, at);
        self.count_creations(time.last_answer);
        self.forget(time.last_answer);
        self.kinds.expire(at);
        self.kinds.publish(self.rules.counter_hold, time.last_answer);
        self.polled = Some(time);
        self.snapshot_at(at)
    }

    /// The numbers as the last poll left them; none before it.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.polled.map(|polled| self.snapshot_at(polled.first_answer))
    }

    /// Whether a row may enter or move the numbers; an old open one that was never seen is noted instead, and
    /// enters when the next poll shows it too.
    fn is_admitted(&mut self, task: &Task, suspects: &HashSet<TaskId>) -> bool {
        let listed = task.created.is_none_or(|created| created >= self.listed_from());
        if listed || self.tasks.contains_key(&task.id) {
            return true;
        }
        if task.has_ended() {
            return false;
        }
        let again = suspects.contains(&task.id);
        if !again {
            self.suspects.insert(task.id.clone());
        }
        again
    }

    /// Passes time over the tasks that can still change: those that the API did not return are missing, and
    /// unknown statuses become final.
    fn settle(&mut self, returned: &HashSet<&TaskId>, at: Timestamp) {
        let mut settled = Vec::new();
        for (id, known) in &mut self.tasks {
            match known.state {
                State::Open { missing } if !returned.contains(id) => {
                    let missing = Missing::again(missing, at);
                    known.state = State::Open { missing: Some(missing) };
                    if missing.is_gone(at) {
                        known.state = State::Vanished { at };
                        self.kinds.remove_open(known.cell);
                        self.creations.remove(known.created);
                        self.vanished = counter::add(self.vanished, 1);
                    }
                }
                State::Provisional { since, counts, granule, started, ended }
                    if known::is_settled(since, at) =>
                {
                    known.state = State::Ended { seen: at };
                    self.kinds.note_end(known.cell, ended);
                    if counts {
                        let durations = Durations::of(known.created, started, ended);
                        self.kinds.count_ended(known.cell, durations);
                    }
                    let mark = Mark { created: known.created, granule, has_no_end: false };
                    settled.push((id.clone(), known.cell, mark));
                }
                _ => {}
            }
        }
        for (id, cell, mark) in settled {
            self.pin(&id, cell, mark);
        }
    }

    /// Before anything was read, the baseline stands in: everything that was listed then is older.
    fn watermark(&self) -> Timestamp {
        self.watermark.unwrap_or(self.baseline)
    }

    fn move_watermark(&mut self, tasks: &[Task], at: Timestamp) {
        let newest = tasks.iter().filter_map(|task| task.created).max();
        self.watermark = self.watermark.max(newest.map(|newest| newest.min(at)));
    }

    /// Counts the tasks that leave the overlap by their creation, before they are forgotten.
    fn count_creations(&mut self, at: Timestamp) {
        let listed = self.tasks.values().filter(|known| !matches!(known.state, State::Vanished { .. }));
        let creations = listed.map(|known| known.created).collect();
        self.creations.count(creations, self.listed_from(), self.lookback);
        self.creations.forget(at, self.lookback);
    }

    fn forget(&mut self, at: Timestamp) {
        if self.watermark.is_none() {
            return;
        }
        let listed_from = self.listed_from();
        self.unpin(at);
        let is_watched = |id: &TaskId| self.watched.as_ref().is_some_and(|watched| watched.contains(id));
        self.tasks
            .retain(|id, known| is_watched(id) || !known.can_be_forgotten(&self.rules, listed_from, at));
        // Every poll copies it with all of its room.
        self.tasks.shrink_to(2 * self.tasks.len());
        self.remembered_from = listed_from;
    }

    /// When the oldest open task of each cell was created that has one.
    fn oldest_open(&self) -> HashMap<Cell, Timestamp> {
        let mut oldest = HashMap::new();
        for known in self.tasks.values().filter(|known| matches!(known.state, State::Open { .. })) {
            let created: &mut Timestamp = oldest.entry(known.cell).or_insert(known.created);
            *created = known.created.min(*created);
        }
        oldest
    }

    fn snapshot_at(&self, at: Timestamp) -> Snapshot {
        Snapshot {
            at,
            window: self.window(),
            baseline: self.baseline,
            watermark: self.watermark(),
            vanished_total: self.vanished,
            missed_total: self.missed,
            drift: self.drift(),
            kinds: self.kinds.samples(&self.oldest_open()),
            periods: Periods::of(self.window(), at, self.kinds.ended()),
            failures: self.failures.shared(),
        }
    }
}

/// Oldest first, so that which kind finds the caps full depends on the tasks, not on the order of the list.
fn sort_by_creation(tasks: &mut [Task]) {
    tasks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
}
