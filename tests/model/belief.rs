//! What the exporter must know, going by the polls that it committed; a copy of it is what survives a crash.

use std::collections::BTreeMap;

use clumio_exporter::ledger::Snapshot;
use clumio_exporter::task::Label;

use crate::durations::Part;
use crate::schedule::Setup;
use crate::truth::{Family, Series, Trace, View, group_of, word};
use crate::world::MINUTE;

/// What the exporter must know.
#[derive(Debug, Clone)]
pub struct Belief {
    pub snapshot: Option<Snapshot>,
    /// The end of the poll that ended the first pass.
    pub first_published: Option<i64>,
    /// The latest instant that was taken as the time.
    latest: i64,
    pub traces: Vec<Trace>,
    pub holds: Holds,
}

/// For how long each counter has been published.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    of: BTreeMap<Raw, Hold>,
    /// When they were published last.
    last: i64,
}

/// A counter as it is published: its family, category, type and status.
type Raw = (Family, Label, Label, Label);

#[derive(Debug, Clone, Copy)]
struct Hold {
    so_far: i64,
    polls: u32,
}

/// Whether a counter may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freedom {
    /// It stands where it was: this process has not published it yet.
    Stands,
    /// It may, and need not.
    May,
    /// It is where it belongs.
    Free,
}

/// What the clocks of poll and test can differ by.
const SLACK: i64 = 2 * MINUTE;

// === impl Belief ===

impl Belief {
    pub fn new(lives: usize) -> Self {
        let traces = vec![Trace::default(); lives];
        Self { snapshot: None, first_published: None, latest: i64::MIN, traces, holds: Holds::default() }
    }

    /// Notes which tasks need not be in a gauge, before a poll is checked whose window was `least_window` at first. What
    /// was read before may have been taken at `latest`.
    pub fn leave(&mut self, snapshot: &Snapshot, view: &View, least_window: i64, latest: i64) {
        let (_, end) = view.instants.poll;
        self.latest = self.latest.max(latest);
        let taken_at = if self.first_published.is_none() { latest } else { view.instants.at };
        let is_longer = view.window > least_window;
        let missed = self.snapshot.as_ref().map_or(0, |before| before.missed_total);
        let is_healed = is_longer || snapshot.missed_total > missed;
        for (life, trace) in view.world.lives.iter().zip(&mut self.traces) {
            let leaves = |at, window| life.ended().is_some_and(|ended| ended <= at - window);
            trace.has_left |= leaves(taken_at, least_window);
            // A longer window is a heal's, which has read what was shown and is not older than this by its own clock.
            let read_from = end.max(self.latest) - view.lookback.max(2 * view.window);
            let was_shown = !view.is_late(life) && life.gone().is_none_or(|(from, _)| from > end);
            if is_longer && was_shown && life.created() >= read_from {
                trace.has_left = leaves(self.latest, view.window);
            }
            // A heal refuses what has fewer tasks by their number, so that one which it found can stand for one which
            // was gone while it read.
            let was_gone = life.gone().is_some_and(|(from, _)| from <= end);
            let has_ended = life.ended().is_some_and(|ended| ended <= end);
            trace.has_left |= is_healed && was_gone && has_ended;
            // No poll lists again what only a first pass reads.
            trace.is_missed |= self.first_published.is_none() && view.hides_rows && has_ended;
        }
    }

    /// Takes in a poll that was published.
    pub fn learn(&mut self, snapshot: &Snapshot, view: &View) {
        let (_, end) = view.instants.poll;
        self.first_published.get_or_insert(end);
        for (life, trace) in view.world.lives.iter().zip(&mut self.traces) {
            trace.sight = view.sight(life, *trace);
        }
        // A hold begins with the last answer.
        let last_answer = view.instants.at + (end - view.instants.poll.0);
        self.holds.publish(snapshot, last_answer.min(end.max(view.instants.at)));
        self.snapshot = Some(snapshot.clone());
    }

    /// What a process knows that begins with this.
    pub fn restored(&mut self) {
        self.holds = Holds::default();
    }
}

// === impl Holds ===

impl Holds {
    fn publish(&mut self, snapshot: &Snapshot, at: i64) {
        let passed = self.passed(at);
        self.last = at;
        for (raw, _) in counters(snapshot, true) {
            let hold = self.of.entry(raw).or_insert(Hold { so_far: 0, polls: 0 });
            hold.polls += 1;
            // The hold of what a heal has found begins with the poll after it.
            hold.so_far = if hold.polls <= 2 { 0 } else { hold.so_far + passed };
        }
    }

    /// The time since they were published last; a clock that was set back adds nothing.
    fn passed(&self, now: i64) -> i64 {
        (now - self.last).max(0)
    }

    /// Whether each counter of a snapshot may move at a poll that takes `now` as the time.
    pub fn freedoms(&self, snapshot: &Snapshot, setup: &Setup, now: i64) -> BTreeMap<Series, Freedom> {
        let mut freedoms = BTreeMap::new();
        for (raw, series) in counters(snapshot, setup.folds) {
            let freedom = self.freedom(&raw, setup, now);
            freedoms
                .entry(series)
                .and_modify(|least: &mut Freedom| *least = freedom.min(*least))
                .or_insert(freedom);
        }
        freedoms
    }

    fn freedom(&self, raw: &Raw, setup: &Setup, now: i64) -> Freedom {
        // What only a heal has found is held for one poll more.
        let polls = if setup.heals() { 2 } else { 1 };
        match self.of.get(raw) {
            None if setup.folds || setup.heals() || setup.counter_hold > 0 => Freedom::May,
            None => Freedom::Stands,
            Some(hold) if hold.polls < polls => Freedom::May,
            Some(hold)
                if setup.counter_hold > 0 && hold.so_far + self.passed(now) < setup.counter_hold + SLACK =>
            {
                Freedom::May
            }
            Some(_) => Freedom::Free,
        }
    }
}

/// The counters of a snapshot, as they are published and as they are compared.
fn counters(snapshot: &Snapshot, folds: bool) -> impl Iterator<Item = (Raw, Series)> {
    snapshot.kinds.iter().flat_map(move |kind| {
        let group = group_of(kind, folds);
        let raw = |family, status| (family, kind.category.clone(), kind.task_type.clone(), status);
        let ended = kind.statuses.iter().filter(|sample| sample.ended_total.is_some()).map(move |sample| {
            let status = Label::from(sample.status.clone());
            let series = (Family::Ended, group, word(status.as_str()));
            (raw(Family::Ended, status), series)
        });
        let histograms =
            kind.statuses.iter().filter(|sample| sample.run_durations.is_some()).map(move |sample| {
                let (family, status) = (Family::Run(Part::Count), Label::from(sample.status.clone()));
                let series = (family, group, word(status.as_str()));
                (raw(family, status), series)
            });
        let queue = kind.queue_durations.as_ref().map(|_| Family::Queue(Part::Count));
        let of_kind = [Some(Family::Created), queue].into_iter().flatten();
        let of_kind = of_kind.map(move |family| (raw(family, Label::new("")), (family, group, "")));
        of_kind.chain(ended).chain(histograms)
    })
}
