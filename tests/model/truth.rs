//! What must be published: bounds from the contract's promise, task by task.
//!
//! Each task is taken at some instant of the poll. So a task counts for certain where it was in one state throughout the
//! poll, and possibly where it was at some instant of it. When nothing changed meanwhile the bounds meet.
//!
//! What is certain of a task that was listed too late, or was gone, depends on what was read of it ([`Trace`]).

use std::collections::BTreeMap;

use clumio_exporter::store::{KindSample, Snapshot};

use crate::account::{Account, DAY, ENDED, HOUR, KINDS, Lacks, Life, MINUTE, UNKNOWN_OUTCOME};
use crate::durations::{self, Part};

/// The families whose numbers are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Tasks,
    Created,
    Ended,
    Run(Part),
    Queue(Part),
}

/// A number: its family, its group of kinds, and its status.
pub type Series = (Family, usize, &'static str);

/// What the exporter has read of a task.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts, not a state")]
pub struct Trace {
    /// As far as polls that were committed go.
    pub sight: Sight,
    /// Whether it may have been read at all, in whatever state.
    pub is_shown: bool,
    /// Whether it may have been read while it was open, and not after its end was committed.
    pub was_shown_open: bool,
    /// How often it counts as created; settled once a poll that read it is committed.
    pub created: Bounds,
    /// Which ends its row may have.
    pub ends: Option<(i64, i64)>,
    /// Whether its row may ever have had another end than its own.
    pub has_guessed_end: bool,
    /// Monotonic time since which it is certainly known in this process that it ended, and may be known in any.
    pub ended_since: Option<i64>,
    pub maybe_ended_since: Option<i64>,
    /// Whether it may have been missed by a listing that later polls do not repeat.
    pub is_missed: bool,
    /// Whether a poll that was committed saw it open: then its end counts.
    pub was_seen_open: bool,
    /// Whether it had been created and had ended before what may have been removed when it was first read.
    pub may_be_forgotten: bool,
}

/// How a task was seen last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    #[default]
    Never,
    Open,
    Ended,
}

/// The least and the most that a number can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    pub least: u64,
    pub most: u64,
}

/// Everything that the bounds of one poll depend on; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub account: &'a Account,
    pub traces: &'a [Trace],
    /// Whether kinds are told apart by their category alone.
    pub folds: bool,
    /// The poll, from the oldest that its first response can be to its last, in true time.
    pub poll: (i64, i64),
    /// T.
    pub time: i64,
    /// The exporter's time of day.
    pub local: i64,
    pub window: i64,
    pub covered_from: i64,
    /// What was created and ended before it may have been removed.
    pub forgotten_before: i64,
    /// A row that is listed later than this is late.
    pub lateness: i64,
    /// The shortest retention so far.
    pub shortest_retention: i64,
    /// Whether this poll ends the initial sync; then when that began.
    pub sync_began: Option<i64>,
    /// When the poll ended that ended the initial sync, if one before this did.
    pub synced: Option<i64>,
    /// The least and the most that the baseline has been.
    pub baseline: (i64, i64),
    /// What was created before it counts neither in this poll nor between it and the last one.
    pub counts_from: i64,
    /// A row that was never seen may have been missed by the listings of this poll.
    pub hides_rows: bool,
    /// Monotonic time, of the process and of all processes.
    pub steady: (i64, i64),
    /// What is listed later than this is news for certain: the replica has rows, or the clocks are right.
    pub tells_news_since: i64,
    /// Whether all that is late or has returned must have been found.
    pub is_at_rest: bool,
}

/// The words of statuses.
const WORDS: [&str; 7] = ["aborted", "aborting", "completed", "failed", "in_progress", "queued", "skipped"];

// === impl Family ===

impl Family {
    /// The family of the sample with which it is held.
    pub fn held_with(self) -> Self {
        match self {
            Self::Run(_) => Self::Run(Part::Count),
            Self::Queue(_) => Self::Queue(Part::Count),
            Self::Tasks | Self::Created | Self::Ended => self,
        }
    }
}

// === impl View ===

impl View<'_> {
    /// The bounds of every number.
    pub fn bounds(&self) -> BTreeMap<Series, Bounds> {
        let mut numbers: BTreeMap<Series, Bounds> = BTreeMap::new();
        for (life, trace) in self.account.lives.iter().zip(self.traces) {
            let group = group(life.kind, self.folds);
            let (certain, possible) = self.tasks(life, trace);
            for status in possible {
                let number = numbers.entry((Family::Tasks, group, status)).or_default();
                number.add(Bounds { least: u64::from(certain == Some(status)), most: 1 });
            }
            numbers.entry((Family::Created, group, "")).or_default().add(self.created(life, trace));
            let ended = self.ended(life, trace);
            numbers.entry((Family::Ended, group, ENDED[life.outcome])).or_default().add(ended);
            let is_given = !trace.has_guessed_end && (trace.sight == Sight::Ended || self.is_end_given(life));
            durations::add(&mut numbers, group, life, ended, is_given);
        }
        numbers
    }

    /// Whether the rows of a task keep to what the API promises.
    pub fn is_untroubled(&self, life: &Life) -> bool {
        life.listed_after <= self.lateness && life.gone().is_none_or(|(from, _)| from > self.poll.1)
    }

    /// Whether the replica must have a row of the task.
    pub fn is_known(&self, life: &Life, trace: &Trace) -> bool {
        if trace.sight != Sight::Never {
            return true;
        }
        if life.created() < self.covered_from
            || self.hides_rows
            || trace.is_missed
            || !life.is_shown_throughout(self.poll)
        {
            return false;
        }
        let is_audited = self.is_at_rest && life.created() > self.time - self.window && !self.is_masked(life);
        self.is_untroubled(life) || (is_audited && life.lacks == Lacks::Nothing)
    }

    /// Whether rows that are gone may be in the same segment of audits: as many late ones go unnoticed then.
    fn is_masked(&self, life: &Life) -> bool {
        let segment = 2 * (self.window / 8).max(30 * MINUTE);
        let is_near = |other: &Life| other.gone.is_some() && (other.created - life.created).abs() <= segment;
        self.account.lives.iter().any(is_near)
    }

    /// The status under which the task is published for certain, and those under which it may be.
    pub fn tasks(&self, life: &Life, trace: &Trace) -> (Option<&'static str>, Vec<&'static str>) {
        let (start, end) = self.poll;
        if life.listed() > end {
            return (None, Vec::new());
        }
        let is_gone = life.is_gone_between(start, end) || life.gone().is_some_and(|(from, _)| from <= end);
        // A replica of the API that lags behind may reopen it as long as it is provisional.
        let is_provisional =
            life.outcome == UNKNOWN_OUTCOME && !lasts_an_hour(trace.ended_since, self.steady.0);
        let is_settled = trace.sight == Sight::Ended && !is_provisional;
        let from = if is_settled {
            end.max(life.ended().unwrap_or(end))
        } else if is_gone {
            life.listed()
        } else {
            start.max(life.listed())
        };
        let mut possible = life.statuses(from.min(end), end);
        if self.has_left_the_gauges(life, trace) {
            possible.clear();
        }
        let only = possible.first().copied().filter(|_| possible.len() == 1);
        let (is_in_window, may_be_in_window) = self.in_window(life, trace);
        if !may_be_in_window {
            possible.retain(|status| !ENDED.contains(status));
        }
        let is_there = trace.sight == Sight::Ended
            || (life.is_shown_throughout(self.poll) && self.continues(life, trace));
        let certain = only.filter(|status| {
            let is_ended = ENDED.contains(status);
            is_there && self.is_known(life, trace) && (!is_ended || is_in_window && self.is_kept(life, trace))
        });
        (certain, possible)
    }

    /// Whether a task that was gone and has returned is published as before: it was not gone for so long that it
    /// vanished, or every vanished task has been looked up since. None is kept for longer than the retention.
    fn continues(&self, life: &Life, trace: &Trace) -> bool {
        let Some((from, until)) = life.gone().filter(|(from, _)| *from <= self.poll.1) else { return true };
        (self.is_at_rest && until.saturating_sub(from) < self.shortest_retention)
            || until.saturating_sub(from) < HOUR
            || trace.sight == Sight::Ended
    }

    /// Whether an open task is gone for so long that it must have vanished.
    fn has_left_the_gauges(&self, life: &Life, trace: &Trace) -> bool {
        let is_hidden = life.gone().is_some_and(|(from, until)| from <= self.poll.0 && until > self.poll.1);
        self.is_at_rest && is_hidden && trace.maybe_ended_since.is_none()
    }

    /// Whether the end of the task is in the window for certain, and whether it may be.
    fn in_window(&self, life: &Life, trace: &Trace) -> (bool, bool) {
        let Some((least, most)) = self.ends(life, trace) else { return (false, true) };
        let start = self.time.saturating_sub(self.window);
        (least > start, most > start)
    }

    /// The ends that the row may have.
    pub fn ends(&self, life: &Life, trace: &Trace) -> Option<(i64, i64)> {
        let is_fixed = !trace.has_guessed_end || !self.is_end_given(life);
        let ends = if trace.sight == Sight::Ended && is_fixed {
            trace.ends?
        } else {
            let (least, most) = self.end_now(life)?;
            let (earliest, latest) = trace.ends.unwrap_or((least, most));
            (earliest.min(least), latest.max(most))
        };
        // A row that was removed and is read again without an end is old.
        let is_guessed = trace.has_guessed_end || !self.is_end_given(life);
        if is_guessed && life.created() < self.forgotten_before {
            return Some((ends.0.min(life.created()), ends.1.max(life.started())));
        }
        Some(ends)
    }

    /// The ends that are stored if the task is first read now, and has ended.
    pub fn end_now(&self, life: &Life) -> Option<(i64, i64)> {
        let ended = life.ended()?;
        if self.is_end_given(life) {
            return Some((ended, ended));
        }
        match self.sync_began {
            Some(_) => Some((life.created().min(self.time), life.started().max(self.time))),
            None => Some((self.time, self.time)),
        }
    }

    /// Whether the end is the API's own, and is believed.
    pub fn is_end_given(&self, life: &Life) -> bool {
        let is_discarded = life.ended().is_some_and(|ended| ended > self.time.max(self.local) + DAY);
        life.lacks != Lacks::End && !is_discarded
    }

    /// Whether the row of an ended task is kept.
    pub fn is_kept(&self, life: &Life, trace: &Trace) -> bool {
        let last = self.ends(life, trace).map_or(i64::MIN, |(least, _)| least.max(life.created()));
        life.created() >= self.covered_from.max(self.forgotten_before) || last >= self.forgotten_before
    }

    /// Whether a task that is first read now was created and ended before what may have been removed.
    pub fn is_forgotten(&self, life: &Life, trace: &Trace) -> bool {
        let has_ended = life.ended().is_some_and(|ended| ended <= self.poll.1);
        let last = self.ends(life, trace).map_or(i64::MAX, |(least, _)| least.max(life.created()));
        has_ended && last < self.forgotten_before
    }

    /// How often the counter of created tasks counts it.
    pub fn created(&self, life: &Life, trace: &Trace) -> Bounds {
        if trace.sight != Sight::Never {
            return trace.created;
        }
        if life.listed() > self.poll.1 {
            return Bounds::default();
        }
        let Some(synced) = self.synced.or(self.sync_began.map(|_| i64::MAX)) else {
            return Bounds::default();
        };
        let is_first_read_now = self.is_untroubled(life) && life.listed() > synced.max(self.tells_news_since);
        let is_after_baseline = life.created() > self.baseline.1 && life.lacks != Lacks::Creation;
        let certainly = (is_first_read_now || is_after_baseline)
            && self.is_untroubled(life)
            && self.is_known(life, trace)
            && !self.is_forgotten(life, trace);
        let possibly = life.lacks == Lacks::Creation || life.created() >= self.counts_from;
        let most = trace.created.most.max(u64::from(possibly || certainly));
        Bounds { least: u64::from(certainly), most }
    }

    /// How often the counter of ended tasks counts it.
    pub fn ended(&self, life: &Life, trace: &Trace) -> Bounds {
        let Some(ended) = life.ended().filter(|ended| *ended.max(&life.listed()) <= self.poll.1) else {
            return Bounds::default();
        };
        let created = self.created(life, trace);
        let is_seen = trace.sight == Sight::Ended;
        let is_there = is_seen
            || (ended <= self.poll.0
                && life.is_shown_throughout(self.poll)
                && self.is_known(life, trace)
                && self.continues(life, trace)
                && life.lacks != Lacks::Creation);
        let is_news = ended > self.baseline.1 && life.lacks != Lacks::End;
        let may_be_forgotten = match trace.sight {
            Sight::Never => self.is_forgotten(life, trace),
            Sight::Open | Sight::Ended => trace.may_be_forgotten,
        };
        let counts = !may_be_forgotten && (created.least > 0 || trace.was_seen_open || is_news);
        let may_count = created.most > 0
            || trace.was_shown_open
            || ended > self.baseline.0
            || life.lacks == Lacks::End
            || trace.ends.is_some_and(|(_, most)| most > self.baseline.0);
        let mut bounds = Bounds { least: u64::from(is_there && counts), most: u64::from(may_count) };
        if life.outcome == UNKNOWN_OUTCOME {
            bounds.least *= u64::from(lasts_an_hour(trace.ended_since, self.steady.0));
            bounds.most *= u64::from(lasts_an_hour(trace.maybe_ended_since, self.steady.1));
        }
        bounds
    }
}

pub fn lasts_an_hour(since: Option<i64>, now: i64) -> bool {
    since.is_some_and(|since| now - since >= HOUR)
}

/// The kinds that are told apart.
pub fn group(kind: usize, folds: bool) -> usize {
    let category = |kind: usize| KINDS[kind].0;
    let same = |other: &usize| category(*other) == category(kind);
    if folds { (0..KINDS.len()).find(same).unwrap_or(kind) } else { kind }
}

/// The group that a snapshot's kind is in.
pub fn group_of(sample: &KindSample, folds: bool) -> usize {
    let (category, task_type) = (sample.category.as_str(), sample.task_type.as_str());
    let kind = KINDS.iter().position(|kind| kind.0 == category && (folds || kind.1 == task_type));
    kind.expect("only the account's kinds must be published")
}

/// What a snapshot says, in the same form.
pub fn published(snapshot: &Snapshot, folds: bool) -> BTreeMap<Series, u64> {
    let mut numbers = BTreeMap::new();
    for sample in &snapshot.kinds {
        let group = group_of(sample, folds);
        *numbers.entry((Family::Created, group, "")).or_default() += sample.created_total;
        let queue = sample.queue_durations.as_deref();
        durations::add_published(&mut numbers, queue, |part| (Family::Queue(part), group, ""));
        for status in &sample.statuses {
            let word = word(status.status.as_str());
            *numbers.entry((Family::Tasks, group, word)).or_default() += status.tasks;
            if let Some(ended) = status.ended_total {
                *numbers.entry((Family::Ended, group, word)).or_default() += ended;
            }
            let run = status.run_durations.as_deref();
            durations::add_published(&mut numbers, run, |part| (Family::Run(part), group, word));
        }
    }
    numbers
}

pub fn word(status: &str) -> &'static str {
    WORDS.into_iter().find(|word| *word == status).expect("only the account's statuses must be published")
}

// === impl Bounds ===

impl Bounds {
    pub fn add(&mut self, other: Self) {
        self.least += other.least;
        self.most = self.most.saturating_add(other.most);
    }

    pub fn contain(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}
