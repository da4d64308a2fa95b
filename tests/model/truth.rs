//! What must be published: bounds from the contract's promise, task by task.
//!
//! Each task is taken at some instant of the poll. So a task counts for certain where it stood throughout the
//! poll, and possibly where it stood at some instant of it. When nothing changed meanwhile the bounds meet.
//!
//! A task that was listed too late, or vanished, is *troubled*: what is certain of it depends on what the exporter
//! had seen before ([`Trace`]).

use std::collections::BTreeMap;

use clumio_exporter::ledger::{KindSample, Snapshot};

use crate::durations::{self, Part};
use crate::world::{ENDED, KINDS, Life, SECOND, World};

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

/// Everything that the bounds depend on; times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub world: &'a World,
    pub traces: &'a [Trace],
    /// Whether kinds are told apart by their category alone.
    pub folds: bool,
    /// How far replicas lag behind.
    pub stale_by: i64,
    /// Which share of answers has a wrong date. An end is not believed that is after all of them.
    pub wrong_dates: f64,
    /// A row that is listed later than this is troubled.
    pub lateness: i64,
    /// A row that was never seen may have been missed by the listings of this poll: the next one lists it again.
    pub hides_rows: bool,
    /// What is listed late was found by a heal.
    pub is_healed: bool,
    /// How far back in creation the first pass read.
    pub lookback: i64,
    /// The longest overlap that was ever set.
    pub overlap: i64,
    /// How long a task that vanished is remembered for certain.
    pub remembered: i64,
    /// How late a task can leave the window.
    pub granule: i64,
    pub window: i64,
    pub instants: Instants,
}

/// When things happened, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    /// Before the first pass.
    pub began: i64,
    /// The baseline of the counters.
    pub baseline: i64,
    /// The end of the poll that ended the first pass.
    pub first_published: i64,
    /// What the poll took as the time.
    pub at: i64,
    /// The poll, from the oldest that its first answer can be to its last.
    pub poll: (i64, i64),
}

/// What the exporter must know of a task, going by the polls that were committed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trace {
    pub sight: Sight,
    /// Whether it ended and may be in no gauge: it left a window that was shorter than now, or was gone in a heal.
    pub has_left: bool,
    /// Whether the first pass may not have read it, which had ended by then, because of [`View::hides_rows`].
    pub is_missed: bool,
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

/// The words of statuses.
const WORDS: [&str; 6] = ["aborted", "aborting", "completed", "failed", "in_progress", "queued"];

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
        for (life, trace) in self.world.lives.iter().zip(self.traces) {
            let group = group(life.kind, self.folds);
            let (certain, possible) = self.tasks(life, *trace);
            for status in possible.into_iter().flatten() {
                let number = numbers.entry((Family::Tasks, group, status)).or_default();
                number.add(Bounds { least: u64::from(certain == Some(status)), most: 1 });
            }
            numbers.entry((Family::Created, group, "")).or_default().add(self.created(life, *trace));
            let ended = self.ended(life, *trace);
            numbers.entry((Family::Ended, group, ENDED[life.outcome])).or_default().add(ended);
            durations::add(&mut numbers, group, life, ended);
        }
        numbers
    }

    /// What a poll in which all went well has shown of the task.
    pub fn sight(&self, life: &Life, trace: Trace) -> Sight {
        let (start, _) = self.instants.poll;
        let is_met = trace.sight != Sight::Never
            || (!self.is_late(life) && self.is_known(life) && !self.may_be_missed(trace));
        let is_back = life.gone().is_none_or(|(from, _)| self.instants.poll.1 < from)
            || (trace.sight != Sight::Never && self.is_remembered(life));
        if !(is_met && is_back && life.is_shown_throughout(self.instants.poll)) {
            return trace.sight;
        }
        let seen = if life.ended().is_some_and(|ended| ended <= start) { Sight::Ended } else { Sight::Open };
        seen.max(trace.sight)
    }

    /// The status under which the task is published for certain, and those under which it may be.
    pub fn tasks(&self, life: &Life, trace: Trace) -> (Option<&'static str>, [Option<&'static str>; 3]) {
        let (start, end) = self.instants.poll;
        let is_whole = life.is_shown_throughout((start, end));
        let at_poll = || self.statuses(life, trace, start.max(life.listed()));
        if self.is_late(life) {
            let (certain, possible) = at_poll();
            return (certain.filter(|_| self.is_found(life)), possible);
        }
        let is_gone = life.gone().is_some_and(|(from, _)| from <= end);
        let is_back = is_whole && trace.sight == Sight::Open && self.is_remembered(life);
        if is_gone && trace.sight != Sight::Ended && !is_back {
            return (None, self.statuses(life, trace, life.listed()).1);
        }
        let (certain, possible) = at_poll();
        let is_there = is_whole || trace.sight == Sight::Ended;
        (certain.filter(|_| is_there), possible)
    }

    /// The statuses of the task since `from`: the only one, if there is one and the exporter must know it; and all.
    fn statuses(
        &self,
        life: &Life,
        trace: Trace,
        from: i64,
    ) -> (Option<&'static str>, [Option<&'static str>; 3]) {
        let end = self.instants.poll.1;
        if life.listed() > end {
            return (None, [None; 3]);
        }
        let mut all = [Some(life.status(from)), None, Some(life.status(end))];
        let changes = [Some(life.started()), life.ended()].into_iter().flatten();
        for change in changes.filter(|at| (from..=end).contains(at)) {
            if !all.contains(&Some(life.status(change))) {
                all[1] = Some(life.status(change));
            }
        }
        if all[2] == all[0] {
            all[2] = None;
        }
        let is_known = self.is_known(life) && !trace.has_left && !self.may_be_missed(trace);
        let mut certain = all[0].filter(|_| all[1].is_none() && all[2].is_none() && is_known);
        if let Some(ended) = life.ended().filter(|ended| *ended <= end) {
            let left = self.instants.at - self.window;
            if ended <= left {
                certain = None;
            }
            // Granules end with whole seconds.
            if ended <= left - self.granule - SECOND {
                all = all.map(|status| status.filter(|word| !ENDED.contains(word)));
            }
        }
        (certain, all)
    }

    /// Whether the exporter has to know the task: one that was created before the lookback and ended before it was
    /// seen open cannot be known.
    fn is_known(&self, life: &Life) -> bool {
        life.created() >= self.instants.baseline + SECOND - self.lookback
            || life.ended().is_none_or(|ended| ended > self.instants.first_published)
    }

    fn may_be_missed(&self, trace: Trace) -> bool {
        trace.is_missed || (self.hides_rows && trace.sight == Sight::Never)
    }

    pub fn is_late(&self, life: &Life) -> bool {
        life.listed_after > self.lateness
    }

    /// Whether a heal has found the task, which was listed too late.
    fn is_found(&self, life: &Life) -> bool {
        let is_whole = life.is_shown_throughout(self.instants.poll);
        self.is_healed && self.is_late(life) && is_whole && self.is_audited(life)
    }

    /// Whether a heal has found the task ended.
    pub fn is_found_ended(&self, life: &Life) -> bool {
        life.ended().is_some_and(|ended| ended <= self.instants.poll.0) && self.is_found(life)
    }

    fn is_remembered(&self, life: &Life) -> bool {
        life.gone().is_none_or(|(from, until)| until == i64::MAX || until - from < self.remembered)
    }

    /// Whether audits cover the task: one that is known was created before it, inside the lookback.
    pub fn is_audited(&self, life: &Life) -> bool {
        let oldest = self.instants.poll.1.max(self.instants.baseline + SECOND) - self.lookback;
        let is_before = |other: &&Life| {
            !self.is_late(other) && (oldest..life.created() - 4 * SECOND).contains(&other.created())
        };
        self.world.lives.iter().any(|other| is_before(&other))
    }

    fn created(&self, life: &Life, trace: Trace) -> Bounds {
        let Instants { baseline, first_published, began, poll: (start, end), .. } = self.instants;
        let recent = life.created() >= baseline - self.overlap;
        // One that was created just before the baseline counts if the first pass had not read it yet.
        let certainly = life.created() > baseline || (recent && life.listed() > first_published);
        let possibly = certainly || (recent && life.listed() + self.stale_by >= began);
        self.counted(life, trace, Sight::Open, (certainly && life.listed() <= start, possibly))
            .until(life.listed(), end)
    }

    fn ended(&self, life: &Life, trace: Trace) -> Bounds {
        let Some(ended) = life.ended() else { return Bounds::default() };
        let Instants { baseline, poll: (start, end), .. } = self.instants;
        let created = self.created(life, trace);
        let certainly = created.least == 1 || (ended > baseline && self.is_known(life));
        // A replica that lags may have shown it open after the baseline.
        let possibly = created.most > 0 || ended > baseline - self.stale_by;
        let certainly = certainly && ended <= start && life.listed() <= start;
        self.counted(life, trace, Sight::Ended, (certainly, possibly)).until(ended.max(life.listed()), end)
    }

    /// How often a counter counts the task, with what holds for one without trouble.
    fn counted(
        &self,
        life: &Life,
        trace: Trace,
        needed: Sight,
        (certainly, possibly): (bool, bool),
    ) -> Bounds {
        if self.is_late(life) {
            return Bounds { least: 0, most: 1 };
        }
        let certainly = certainly && !self.may_be_missed(trace);
        if life.gone().is_none_or(|(from, _)| self.instants.poll.1 < from) {
            return Bounds { least: u64::from(certainly), most: u64::from(possibly) };
        }
        let least = u64::from(certainly && trace.sight >= needed);
        let most = match trace.sight {
            _ if !self.is_remembered(life) => 2,
            Sight::Never => 1,
            Sight::Open | Sight::Ended => u64::from(possibly),
        };
        Bounds { least, most }
    }

    /// How many tasks were created since the baseline, and listed in time to be counted or missed.
    pub fn certainly_created(&self) -> u64 {
        let lives = self.world.lives.iter();
        let created = lives.filter(|life| {
            life.created() > self.instants.baseline
                && life.gone.is_none()
                && (!self.is_late(life) || self.is_audited(life))
        });
        created.count() as u64
    }
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
    kind.expect("only the world's kinds must be published")
}

/// What a snapshot says, in the same form.
pub fn published(snapshot: &Snapshot, folds: bool) -> BTreeMap<Series, u64> {
    let mut numbers = BTreeMap::new();
    for sample in &snapshot.kinds {
        let group = group_of(sample, folds);
        *numbers.entry((Family::Created, group, "")).or_default() += sample.created_total;
        let waited = sample.queue_durations.as_deref();
        durations::add_published(&mut numbers, waited, |part| (Family::Queue(part), group, ""));
        for status in &sample.statuses {
            let word = word(status.status.as_str());
            *numbers.entry((Family::Tasks, group, word)).or_default() += status.tasks;
            if let Some(ended) = status.ended_total {
                *numbers.entry((Family::Ended, group, word)).or_default() += ended;
            }
            let ran = status.run_durations.as_deref();
            durations::add_published(&mut numbers, ran, |part| (Family::Run(part), group, word));
        }
    }
    numbers
}

pub fn word(status: &str) -> &'static str {
    WORDS.into_iter().find(|word| *word == status).expect("only the world's statuses must be published")
}

// === impl Bounds ===

impl Bounds {
    pub fn add(&mut self, other: Self) {
        self.least += other.least;
        self.most += other.most;
    }

    /// The same for what each task raises by so much.
    pub fn times(self, by: u64) -> Self {
        Self { least: self.least * by, most: self.most * by }
    }

    /// The same for what cannot be counted before `at`.
    fn until(self, at: i64, end: i64) -> Self {
        if at <= end { self } else { Self::default() }
    }

    pub fn contain(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}
