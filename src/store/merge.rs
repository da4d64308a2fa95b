//! How one reading of a task changes its row: the rules of the replica, without SQL.
//!
//! Ended with a known status is final, so a stale API server cannot reopen a task. Of open tasks the latest reading
//! counts. Times are stored as the API gives them and clamped to T only by queries, so that a wrong clock stores
//! nothing wrong; the exception is an end more than a day later than every clock, which is treated as missing.
//!
//! Whether a task counts is decided when its row is first read and stored with it. The counters increase in the
//! transaction that makes the row final; a final row is never counted again, however often and in whatever order it is
//! read.

use std::time::Duration;

use super::marks::{Marks, PollInstant};
use super::micros;
use super::status::StatusId;
use crate::time::{Timestamp, earlier};

/// How far an end may lie after both clocks.
const MAX_END_AHEAD: i64 = 86_400_000_000;

/// How long a task must be open until its progress is stored. Most tasks end sooner, and storing the progress of each would
/// write a row for every open task in every poll.
const PROGRESS_STORED_AFTER: i64 = 3_600_000_000;

/// How much two creation times of one task may differ.
const SAME_CREATION: i64 = 1_000_000;

/// The creation time is the API's own.
pub(super) const CREATION_GIVEN: i64 = 1;
/// The end time is the API's own.
const END_GIVEN: i64 = 2;
/// The task counts as ended when its row becomes final.
pub(super) const COUNTS_ENDED: i64 = 4;

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open = 0,
    /// Ended with an unknown status, which may still change.
    Provisional = 1,
    Ended = 2,
    /// Open, and no longer returned by the API.
    Vanished = 3,
}

/// A row of the table `task` without its key. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) kind: i64,
    pub(super) status: StatusId,
    pub(super) phase: Phase,
    pub(super) created: i64,
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    /// The end, or the T that first saw it if that is earlier. Ends of an asset are ordered by it: one that is stamped in
    /// the future must not hide what ends before that time comes.
    pub(super) ended_by: Option<i64>,
    /// Percent done of a task that has been open for an hour; none of others.
    pub(super) progress: Option<u8>,
    pub(super) entity: Option<i64>,
    pub(super) parent: Option<i64>,
    pub(super) flags: i64,
    /// Elapsed time since which the row is missing, provisional or vanished.
    pub(super) since: Option<i64>,
    /// Polls in which it was missing.
    pub(super) missing: Option<i64>,
}

/// What the API says of a task, with its labels and entities replaced by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) kind: i64,
    pub(super) status: StatusId,
    pub(super) created: Option<i64>,
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) progress: Option<u8>,
    pub(super) entity: Option<i64>,
    pub(super) parent: Option<i64>,
}

/// What a task was read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The initial sync, with the poll that ends it.
    InitialSync,
    /// A poll.
    Poll {
        /// The creation time from which it counts what it reads first as created.
        counts_from: Timestamp,
    },
    /// The history sync.
    History,
    /// A repair of what an audit has found.
    Audit,
}

/// When and for what rows are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    source: Source,
    time: i64,
    local: i64,
    elapsed: i64,
    baseline: i64,
    forgotten_before: i64,
    removed_before: i64,
    /// Tasks created from here on count as created.
    counts_from: i64,
}

/// What a change of a row adds to the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) created: bool,
    pub(super) ended: bool,
}

// === impl Context ===

impl Context {
    /// `watermark` is that before the rows are stored, and `baseline` that after which an end counts.
    pub(super) fn new(
        source: Source,
        now: PollInstant,
        (marks, baseline): (&Marks, Timestamp),
        watermark: Option<Timestamp>,
        overlap: Duration,
    ) -> Self {
        let after_baseline = micros(marks.baseline).saturating_add(1);
        let since = watermark.map_or(marks.baseline, |watermark| watermark.min(marks.baseline));
        let after_overlap = micros(earlier(since, overlap)).saturating_add(1);
        let counts_from = match source {
            Source::InitialSync => after_baseline,
            Source::Poll { counts_from } => micros(counts_from).saturating_add(1),
            Source::History | Source::Audit => after_overlap,
        };
        Self {
            source,
            time: micros(now.time),
            local: micros(now.local),
            elapsed: i64::try_from(now.elapsed.as_micros()).unwrap_or(i64::MAX),
            baseline: micros(baseline),
            forgotten_before: micros(marks.forgotten_before),
            removed_before: micros(marks.forgotten_before.min(marks.horizon)),
            counts_from,
        }
    }

    pub(super) fn time(&self) -> i64 {
        self.time
    }

    fn plausible_end(&self, reading: &Reading) -> Option<i64> {
        let latest = self.time.max(self.local).saturating_add(MAX_END_AHEAD);
        reading.ended.filter(|ended| *ended <= latest)
    }

    /// The end of a task that the API calls ended, and whether the API says so itself.
    fn end(&self, reading: &Reading, is_first: bool) -> (i64, bool) {
        if let Some(ended) = self.plausible_end(reading) {
            return (ended, true);
        }
        // A row from before the horizon may be one that was removed: its end is not news.
        let is_removed = reading.created.is_some_and(|created| created < self.forgotten_before);
        let is_old = is_first && (is_removed || matches!(self.source, Source::InitialSync | Source::History));
        let guess = if is_old { reading.started.or(reading.created) } else { None };
        (guess.unwrap_or(self.time), false)
    }
}

// === impl Reading ===

impl Reading {
    fn phase(&self) -> Phase {
        if self.status.is_final() {
            Phase::Ended
        } else if self.status.is_open() || self.ended.is_none() {
            Phase::Open
        } else {
            Phase::Provisional
        }
    }
}

// === impl Row ===

impl Row {
    /// The row of a task that is read for the first time.
    pub(super) fn first(reading: &Reading, context: &Context) -> (Self, Counted) {
        let created = reading.created.unwrap_or(context.time);
        let mut row = Self {
            kind: reading.kind,
            status: reading.status,
            phase: Phase::Open,
            created,
            started: reading.started,
            ended: None,
            ended_by: None,
            progress: None,
            entity: reading.entity,
            parent: reading.parent,
            flags: if reading.created.is_some() { CREATION_GIVEN } else { 0 },
            since: None,
            missing: None,
        };
        let phase = reading.phase();
        if phase == Phase::Open {
            row.note_progress(reading, context);
        } else {
            row.set_end(context.end(reading, true), context.time);
        }
        let last_change = row.ended.map(|ended| {
            let created = reading.created.unwrap_or(ended);
            // An end that is guessed may be later than the one with which the row was removed.
            if row.flags & END_GIVEN == 0 { created } else { created.max(ended) }
        });
        let is_forgotten = last_change.is_some_and(|at| at < context.forgotten_before);
        let is_new = match reading.created {
            Some(created) => created >= context.counts_from,
            // Only a poll tells that it is news.
            None => matches!(context.source, Source::Poll { .. }),
        };
        let counts_created = is_new && !is_forgotten;
        // What is still open has not ended before the baseline.
        let is_after_baseline = row.ended.is_none_or(|ended| ended > context.baseline);
        if (counts_created || is_after_baseline) && !is_forgotten {
            row.flags |= COUNTS_ENDED;
        }
        let ended = row.enter(phase, context);
        (row, Counted { created: counts_created, ended })
    }

    /// The row after the task was read again. Another creation time means another task with the same id.
    pub(super) fn again(self, reading: &Reading, context: &Context) -> (Self, Counted) {
        if self.is_another(reading) {
            return Self::first(reading, context);
        }
        let mut row = self;
        let is_same_end = self.phase == Phase::Ended
            && reading.phase() == Phase::Provisional
            && self.status == reading.status;
        let phase = if is_same_end { Phase::Ended } else { reading.phase() };
        let is_outdated = self.phase == Phase::Ended && (phase != Phase::Ended || self.differs(reading));
        if is_outdated {
            return (row, Counted::default());
        }
        row.kind = reading.kind;
        row.status = reading.status;
        row.started = reading.started.or(self.started);
        row.entity = reading.entity.or(self.entity);
        row.parent = reading.parent.or(self.parent);
        if let Some(created) = reading.created {
            let is_given = self.flags & CREATION_GIVEN != 0;
            row.created = if is_given { created.min(self.created) } else { created };
            row.flags |= CREATION_GIVEN;
        }
        if phase == Phase::Open {
            row.clear_end();
            row.note_progress(reading, context);
            row.flags |= COUNTS_ENDED;
        } else if context.plausible_end(reading).is_some() || self.ended.is_none() {
            row.set_end(context.end(reading, false), context.time);
        }
        let ended = row.enter(phase, context);
        (row, Counted { created: false, ended })
    }

    /// The final row of a provisional one whose hour is over.
    pub(super) fn finalized(self) -> (Self, Counted) {
        let row = Self { phase: Phase::Ended, since: None, missing: None, ..self };
        (row, Counted { created: false, ended: self.counts_ended() })
    }

    /// Whether a row that is read for the first time has left the replica and would be provisional for another hour, in
    /// which every poll looks it up: it is not stored again.
    pub(super) fn is_removed(&self, context: &Context) -> bool {
        self.phase == Phase::Provisional && self.last_change().is_some_and(|at| at < context.removed_before)
    }

    /// Whether the row counts as ended once it is final.
    pub(super) fn counts_ended(&self) -> bool {
        self.flags & COUNTS_ENDED != 0
    }

    /// Whether nothing but the progress tells it from another row.
    pub(super) fn differs_in_progress_alone(&self, other: &Self) -> bool {
        *self == Self { progress: self.progress, ..*other }
    }

    /// The latest of creation and end; none while the task is open.
    pub(super) fn last_change(&self) -> Option<i64> {
        self.ended.map(|ended| ended.max(self.created))
    }

    /// Queue and run duration of an ended task that has started. Negative durations are zero.
    pub(super) fn durations(&self) -> Option<(Duration, Duration)> {
        let ended = self.ended?;
        // Nothing starts after its end: the wait would be as wrong as the start.
        let started = self.started?.min(ended);
        let between = |from: i64, to: i64| Duration::from_micros(u64::try_from(to - from).unwrap_or(0));
        Some((between(self.created, started), between(started, ended)))
    }

    /// Moves to a phase in which the task was read; gives whether it counts as ended now.
    fn enter(&mut self, phase: Phase, context: &Context) -> bool {
        let is_still_provisional = self.phase == phase && phase == Phase::Provisional;
        if !is_still_provisional {
            self.since = (phase == Phase::Provisional).then_some(context.elapsed);
        }
        self.missing = None;
        if phase != Phase::Open {
            self.progress = None;
        }
        let becomes_final = phase == Phase::Ended && self.phase != Phase::Ended;
        self.phase = phase;
        becomes_final && self.counts_ended()
    }

    /// Progress never goes back, so a stale API server changes nothing.
    fn note_progress(&mut self, reading: &Reading, context: &Context) {
        if context.time.saturating_sub(self.created) >= PROGRESS_STORED_AFTER {
            self.progress = self.progress.max(reading.progress);
        }
    }

    fn set_end(&mut self, (ended, is_given): (i64, bool), time: i64) {
        if self.ended != Some(ended) {
            self.ended_by = Some(ended.min(time));
        }
        self.ended = Some(ended);
        self.flags = (self.flags & !END_GIVEN) | if is_given { END_GIVEN } else { 0 };
    }

    fn clear_end(&mut self) {
        (self.ended, self.ended_by) = (None, None);
        self.flags &= !END_GIVEN;
    }

    fn is_another(&self, reading: &Reading) -> bool {
        let is_given = self.flags & CREATION_GIVEN != 0;
        let differs = |created: i64| created.abs_diff(self.created) > SAME_CREATION.unsigned_abs();
        is_given && reading.created.is_some_and(differs)
    }

    /// Whether a final row contradicts a reading that is final as well. A known status replaces an unknown one.
    fn differs(&self, reading: &Reading) -> bool {
        self.status.is_final() && self.status != reading.status
    }
}
