//! The first pass: the tasks that are there when the exporter starts without a state.
//!
//! Open tasks come first, because they may be older than the lookback and no range of creation would show them.
//! Rows slip while they are read, so they are read until a reading brings nothing that was there before, and shows as
//! many as the API counts. Where pages shift too fast for that, the tasks of all readings are counted together: what
//! an earlier reading showed and this one did not is looked up by id, for it may have ended and hide in the count that
//! another one is missing. One that slips every time is met again by the polls after, which take in open tasks however
//! old.
//!
//! Then the lookback is read in slices of creation, oldest first. All of it lies before the baseline, so only rows
//! that appear late can still enter, within an overlap of the baseline; whole polls list from there on.
//! A slice is committed when it is whole, so that a pass which fails resumes where it was, with the same baseline.
//! A process that resumes the pass of another one asks for the time first: by the baseline's, which can be long ago,
//! what ended since would be taken as ended in the future.
//! Nothing is published until a whole poll has followed, which reads again every task that was seen open.
//!
//! A heal ([`super::heal`]) is a first pass as well, on a ledger of its own.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use tracing::{info, warn};

use super::Options;
use super::api_time::{self, ApiTime};
use super::listing::{Piece, Range};
use super::reader::{Reader, Sightings};
use crate::clumio::{Error, Filter, TaskList};
use crate::ledger::{Ledger, PollTime};
use crate::state::Memory;
use crate::task::{Task, TaskId};
use crate::time::{Timestamp, elapsed};

/// How often the open tasks are read at most: see the same number for listings that cannot be split.
const OPEN_READINGS: u32 = 20;

/// So many readings have the chance to show every open task by themselves, before those of all readings are counted
/// together: among them may be one that a replica which lags goes on to show as open.
const OWN_READINGS: u32 = 3;

/// A first pass that is under way.
#[derive(Debug)]
pub(super) struct FirstPass {
    pub(super) ledger: Ledger,
    /// What is still to be read; the next slice, which is the oldest, comes last.
    slices: Vec<(Timestamp, Timestamp)>,
}

/// What one reading of the open tasks brought.
#[derive(Default)]
pub(super) struct OpenReading {
    shown: HashSet<TaskId>,
    /// The creations of the tasks that no reading showed before.
    news: Vec<Option<Timestamp>>,
    /// The most rows that a page counted.
    total: u64,
    /// Rows without an id or a status.
    not_tasks: u64,
}

// === impl FirstPass ===

impl FirstPass {
    /// Reads the open tasks, and fixes the baseline, of which `empty` makes the ledger.
    pub(super) async fn begin<L: TaskList>(
        reader: &mut Reader<'_, L>,
        time: &ApiTime,
        options: &Options,
        empty: impl FnOnce(Timestamp) -> Ledger,
    ) -> Result<Self, Error> {
        let mut open = Sightings::default();
        let mut ended = HashSet::new();
        let mut baseline = None;
        for n in 0..OPEN_READINGS {
            let reading = reader.open(&mut open).await?;
            ended.extend(reader.ended_among(&open, &reading.shown, &ended, options).await?);
            baseline = time.estimate(reader.answers()).map(|time| time.first_answer);
            let still_open = (open.len() - ended.len()) as u64 + reading.not_tasks;
            let are_all_known = reading.is_whole() || (n >= OWN_READINGS && still_open >= reading.total);
            if are_all_known && baseline.is_some_and(|at| !reading.has_news_from_before(at)) {
                break;
            }
        }
        let Some(baseline) = baseline else {
            return Err(api_time::unknown());
        };
        let mut ledger = empty(baseline);
        let read_from = ledger.read_from();
        // As they were when they were open: whole polls see them end, and count them.
        let open = open.into_tasks().into_iter().filter(|task| !task.has_ended()).collect();
        ledger.take_baseline(open, now(time, reader, baseline).last_answer);
        info!(open = ledger.followed().count(), %read_from, "the open tasks are read; the history follows");
        Ok(Self { ledger, slices: vec![(read_from, baseline)] })
    }

    /// Goes on where another process stopped.
    pub(super) fn resumed(ledger: Ledger, slices: Vec<(Timestamp, Timestamp)>) -> Self {
        Self { ledger, slices }
    }

    /// Leaves out what the API does not list any more, if the pass stood still for so long.
    pub(super) fn skip_before(&mut self, oldest: Timestamp) {
        let Some(&(from, _)) = self.slices.last() else { return };
        if from >= oldest {
            return;
        }
        warn!(%from, %oldest, "the first pass goes on where the API looks back no more: what is older is in no number");
        self.slices.retain(|(_, to)| *to > oldest);
        if let Some((from, _)) = self.slices.last_mut() {
            *from = oldest.max(*from);
        }
        self.ledger.audit_after(oldest);
    }

    /// What another process needs to go on.
    pub(super) fn memory(&self) -> Memory {
        Memory { ledger: self.ledger.saved(), first_pass: Some(self.slices.clone()) }
    }

    /// Whether all of the lookback has been read.
    pub(super) fn is_done(&self) -> bool {
        self.slices.is_empty()
    }

    /// Reads the next slice, or finds out how to split it. Ends until `latest_said` are possible: a slice can be one answer,
    /// and the polls have asked more of them what time it is.
    pub(super) async fn step<L: TaskList>(
        &mut self,
        reader: &mut Reader<'_, L>,
        time: &ApiTime,
        latest_said: Timestamp,
    ) -> Result<(), Error> {
        let Some(&(from, to)) = self.slices.last() else { return Ok(()) };
        match reader.piece(Range { from, to: Some(to) }).await? {
            Piece::Whole(tasks) => {
                let mut ledger = self.ledger.clone();
                if reader.take_skipped() {
                    ledger.audit_after(to);
                }
                let now = now(time, reader, ledger.baseline());
                ledger.take_slice(tasks, to, PollTime { latest: now.latest.max(latest_said), ..now });
                self.ledger = ledger;
                self.slices.pop();
            }
            Piece::Split(parts) => {
                self.slices.pop();
                let parts = parts.into_iter().rev();
                self.slices.extend(parts.map(|part| (part.from, part.to.unwrap_or(to))));
            }
        }
        Ok(())
    }

    /// How much of the lookback has been read, from 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        let Some((from, _)) = self.slices.last() else { return 1.0 };
        let read_from = self.ledger.read_from();
        let whole = elapsed(read_from, self.ledger.baseline()).max(Duration::from_secs(1));
        elapsed(read_from, *from).as_secs_f64() / whole.as_secs_f64()
    }
}

/// When the answers came, but not before the baseline.
fn now<L: TaskList>(time: &ApiTime, reader: &Reader<'_, L>, baseline: Timestamp) -> PollTime {
    let unknown = PollTime { first_answer: baseline, last_answer: baseline, latest: baseline };
    time.estimate(reader.answers()).map_or(unknown, |time| PollTime {
        first_answer: time.first_answer.max(baseline),
        last_answer: time.last_answer.max(baseline),
        latest: time.latest.max(baseline),
    })
}

// === impl OpenReading ===

impl OpenReading {
    /// Whether it shows as many tasks as the API counted.
    fn is_whole(&self) -> bool {
        self.shown.len() as u64 + self.not_tasks >= self.total
    }

    fn has_news_from_before(&self, at: Timestamp) -> bool {
        self.news.iter().any(|created| created.is_none_or(|created| created < at))
    }
}

// === impl Reader ===

impl<L: TaskList> Reader<'_, L> {
    /// Reads the open tasks once.
    pub(super) async fn open(&mut self, into: &mut Sightings) -> Result<OpenReading, Error> {
        let mut reading = OpenReading::default();
        self.read(&Filter::Open, |page| {
            let unseen = page.tasks.iter().filter(|task| !into.contains(&task.id));
            reading.news.extend(unseen.map(|task| task.created));
            reading.total = reading.total.max(page.total);
            reading.not_tasks += page.rows() - page.tasks.len() as u64;
            reading.shown.extend(page.tasks.iter().map(|task| task.id.clone()));
            into.see_all(page.tasks);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(reading)
    }

    /// Reads the open tasks, as often as it takes to know what time it is.
    pub(super) async fn open_with_time(
        &mut self,
        into: &mut Sightings,
        time: &ApiTime,
    ) -> Result<Timestamp, Error> {
        for _ in 0..OPEN_READINGS {
            self.open(into).await?;
            if let Some(time) = time.estimate(self.answers()) {
                return Ok(time.first_answer);
            }
        }
        Err(api_time::unknown())
    }

    /// Asks until it is known what time it is: a slice of one page is one answer, which nothing agrees with yet.
    pub(super) async fn learn_time(&mut self, time: &ApiTime) -> Result<Timestamp, Error> {
        for _ in 0..OPEN_READINGS {
            if let Some(time) = time.estimate(self.answers()) {
                return Ok(time.first_answer);
            }
            self.total(&Filter::Open).await?;
        }
        Err(api_time::unknown())
    }

    /// Looks up those of the open tasks that a reading did not show; gives the ids of those that have ended.
    async fn ended_among(
        &mut self,
        open: &Sightings,
        shown: &HashSet<TaskId>,
        ended: &HashSet<TaskId>,
        options: &Options,
    ) -> Result<Vec<TaskId>, Error> {
        let missing =
            open.iter().map(|task| &task.id).filter(|id| !shown.contains(id) && !ended.contains(id));
        let mut rows = Sightings::default();
        self.look_up(missing.cloned().collect(), options.id_batch_size, &mut rows).await?;
        Ok(rows.into_tasks().into_iter().filter(Task::has_ended).map(|task| task.id).collect())
    }
}
