//! One poll: reads what is open, what is new and what left, and commits it to the ledger, all or nothing.
//!
//! A listing by `created_timestamp` never shows that an older task has ended, there is no filter on end or change,
//! and pages have no snapshot. The numbers are exact all the same. Here is why.
//!
//! # The poll
//!
//! With `W` the watermark, the newest creation read so far, a poll reads:
//!
//! 1. **Open**: the tasks whose status is an open one, in one reading that may miss rows.
//! 2. **New**: the tasks created from `W - overlap` on, whole as of an instant of the poll ([`listing`]).
//! 3. **Left**: by id, those that the ledger follows and that neither of the two showed.
//!
//! Then it commits to a clone of the ledger, moves `W`, keeps the clone as the state, and publishes. If anything fails,
//! nothing was changed; only where the state cannot be kept, the gauges go on, and the counters stay at what was last
//! kept: they must not fall if the process ends now.
//!
//! # No task is lost
//!
//! *A task that is followed* is read by every poll: by 3 if not by 1 or 2. So its end is seen by the first
//! poll after it, and a row that slips through a page of 1 costs one look-up and nothing else.
//!
//! *A task that was never read* is in 2 of the next poll unless it was created before `W - overlap`. Say it was:
//! it was in the list at latest an overlap after its creation, so before `W`. The poll that moved the watermark to
//! `W` began at or after `W` (the watermark never passes the API's time at the poll's first answer) and read a
//! whole listing after that. So the task was in that listing, unless it was too old even for that one: the same
//! argument, one poll earlier, down to the first pass, whose slices and first whole poll meet at the baseline
//! in the same way. A failed poll moves no watermark, so it leaves no gap, however long an outage is.
//!
//! # No task counts twice
//!
//! That is the ledger's part ([`crate::ledger`]): ids of tasks created since `W - overlap` are remembered, and older
//! rows are let in only while open, and only when two polls in a row show them.
//!
//! # Every number is of one instant of the poll
//!
//! Each task is read at some instant between the first answer and the last, and taken as it was then. When
//! nothing changes meanwhile, all instants are the same, and the numbers equal a full listing.
//!
//! # What it costs
//!
//! The pages of what is open, the pages of what is new, and a look-up for each batch of those that left: three
//! requests at rest. History is never read again.

mod api_time;
mod audit;
mod first_pass;
mod heal;
mod listing;
mod reader;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{debug, warn};

use api_time::ApiTime;
use audit::Audit;
use first_pass::FirstPass;
use heal::Heal;
use listing::Range;
use reader::{Reader, Sightings};

use crate::clumio::{Error, TaskList};
use crate::ledger::{Ledger, Rules, Snapshot};
use crate::state::{self, Memory, Restored, Storage, Written};
use crate::task::{LISTED_FOR, TaskId};
use crate::time::{Timestamp, earlier};

/// How an account is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many rows a page has, if the API allows as many.
    pub page_size: u32,
    /// How many tasks are looked up by one request.
    pub id_batch_size: u32,
    /// How many rows are held at once: a listing by creation that has more is read in slices.
    pub most_rows: u64,
    /// How far back in creation the first pass reads.
    pub lookback: Duration,
    /// How often the API's own count is compared with what is known; zero: never.
    pub audit_interval: Duration,
    /// What the numbers depend on.
    pub rules: Rules,
}

/// Follows the tasks of one account.
#[derive(Debug)]
pub struct Poller<L, S> {
    list: L,
    storage: S,
    options: Options,
    time: ApiTime,
    stage: Stage,
    heal: Heal,
    /// When the API last failed to answer an audit.
    audit_failed: Option<Timestamp>,
    /// The numbers that were kept last.
    kept: Option<Snapshot>,
    progress: Arc<Progress>,
}

/// What a poll that succeeded brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What may be published.
    pub snapshot: Snapshot,
    /// What became of the state; nothing where none is kept.
    pub state: Result<Option<Written>, state::Error>,
}

/// How far a first pass is; shared with whoever publishes it.
#[derive(Debug)]
pub struct Progress(AtomicU64);

/// How much is known of the account.
#[derive(Debug)]
enum Stage {
    /// Nothing.
    Cold,
    /// Part of what the first pass reads.
    FirstPass(Box<FirstPass>),
    /// Everything: only changes are read.
    Following(Box<Ledger>),
}

// === impl Poller ===

impl<L: TaskList, S: Storage> Poller<L, S> {
    /// A poller that knows nothing yet: its first poll begins with a first pass.
    pub fn new(list: L, storage: S, options: Options) -> Self {
        let (time, stage) = (ApiTime::default(), Stage::Cold);
        let (heal, audit_failed, kept) = (Heal::Idle, None, None);
        Self { list, storage, options, time, stage, heal, audit_failed, kept, progress: Arc::default() }
    }

    /// A poller that goes on where another process stopped.
    pub fn restored(list: L, storage: S, options: Options, state: Restored) -> Self {
        let Restored { ledger, first_pass, .. } = state;
        let mut poller = Self::new(list, storage, options);
        poller.time = ApiTime::not_before(ledger.latest());
        poller.kept = ledger.snapshot();
        poller.stage = match first_pass {
            None => Stage::Following(Box::new(ledger)),
            // Nothing of it was published: beginning again is always right.
            Some(_) if ledger.window() < poller.options.rules.window => Stage::Cold,
            Some(slices) => Stage::FirstPass(Box::new(FirstPass::resumed(ledger, slices))),
        };
        poller
    }

    /// Polls another list, or in another way, from now on. What is known stays, so that the list has to be of the same
    /// tasks.
    pub fn reconfigure(&mut self, list: L, options: Options) {
        let is_larger = |ledger: &Ledger| options.rules.window > ledger.window();
        match &mut self.stage {
            Stage::Cold => {}
            // Nothing of it was published: beginning again is always right.
            Stage::FirstPass(pass) if is_larger(&pass.ledger) => self.stage = Stage::Cold,
            Stage::FirstPass(pass) => pass.ledger.set_rules(options.rules.clone()),
            Stage::Following(ledger) => ledger.set_rules(options.rules.clone()),
        }
        if options.rules != self.options.rules {
            self.heal = Heal::Idle;
            self.progress.clear();
        }
        self.list = list;
        self.options = options;
    }

    /// How far the first pass is.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The numbers that were kept last: after a restart, those of the process before.
    #[must_use]
    pub fn kept(&self) -> Option<&Snapshot> {
        self.kept.as_ref()
    }

    /// Polls once.
    ///
    /// It may be stopped at any await: what was committed stays, what was not is read again.
    ///
    /// # Errors
    /// When a request failed for good, or the pages of a listing do not add up. Nothing was changed then, but that
    /// a first pass which got somewhere resumes there.
    pub async fn poll(&mut self) -> Result<Report, Error> {
        self.finish_first_pass().await?;
        let result = self.follow().await;
        if result.is_ok() && matches!(self.heal, Heal::Idle) {
            self.progress.clear();
        }
        result
    }

    async fn finish_first_pass(&mut self) -> Result<(), Error> {
        let mut reader = Reader::new(&self.list, &self.options);
        if matches!(self.stage, Stage::Cold) {
            self.progress.set(0.0);
            self.time = ApiTime::default();
            let (rules, lookback) = (self.options.rules.clone(), self.options.lookback);
            let empty = |baseline| Ledger::new(rules, baseline, earlier(baseline, lookback));
            let pass = FirstPass::begin(&mut reader, &self.time, &self.options, empty).await?;
            self.time.resolve(reader.answers());
            self.stage = Stage::FirstPass(Box::new(pass));
        }
        let Stage::FirstPass(pass) = &mut self.stage else { return Ok(()) };
        if !pass.is_done() {
            let now = reader.learn_time(&self.time).await?;
            pass.skip_before(earlier(now, LISTED_FOR));
        }
        loop {
            self.progress.set(pass.progress());
            // Nothing of a first pass is published, so that a failure costs time at most.
            if let Err(error) = self.storage.save(pass.memory()).await {
                debug!(%error, "a restart would begin the first pass again");
            }
            if pass.is_done() {
                return Ok(());
            }
            let baseline = pass.ledger.baseline();
            pass.step(&mut reader, &self.time, baseline).await?;
        }
    }

    /// Reads what changed, and commits it.
    async fn follow(&mut self) -> Result<Report, Error> {
        let ledger = match &self.stage {
            Stage::Following(ledger) => ledger,
            Stage::FirstPass(pass) => &pass.ledger,
            Stage::Cold => unreachable!("a poll follows a first pass"),
        };
        let fresh = self.heal.waiting();
        let mut reader = Reader::new(&self.list, &self.options);
        let mut rows = Sightings::default();
        let now = reader.open_with_time(&mut rows, &self.time).await?;
        let both = || [ledger].into_iter().chain(fresh);
        let from =
            both().map(Ledger::listed_from).min().map_or(now, |from| from.max(earlier(now, LISTED_FOR)));
        reader.created(Range { from, to: None }, &mut rows).await?;
        let has_skipped = reader.take_skipped();
        let followed: HashSet<&TaskId> = both().flat_map(Ledger::followed).collect();
        let left = followed.into_iter().filter(|id| !rows.contains(id)).cloned().collect();
        reader.look_up(left, self.options.id_batch_size, &mut rows).await?;

        let time = self.time.resolve(reader.answers()).ok_or_else(api_time::unknown)?;
        let (mut ledger, rows) = (Ledger::clone(ledger), rows.into_tasks());
        let fresh = fresh.cloned().map(|mut fresh| {
            fresh.commit(rows.clone(), time);
            fresh
        });
        note_absence(&mut ledger, now);
        if has_skipped {
            ledger.audit_after(time.last_answer);
        }
        let mut snapshot = ledger.commit(rows, time);
        let heal = self.heal.next(&mut ledger, fresh);
        let audit = Audit { interval: self.options.audit_interval, failed: self.audit_failed };
        self.audit_failed = audit.of(&mut ledger, &mut reader, time.last_answer).await;
        snapshot = ledger.snapshot().unwrap_or(snapshot);
        let state = self.storage.save(Memory { ledger: ledger.saved(), first_pass: None }).await;
        self.heal = heal.unwrap_or(std::mem::take(&mut self.heal)).wanted_by(&ledger);
        self.stage = Stage::Following(Box::new(ledger));
        Ok(self.report(snapshot, state))
    }

    fn report(&mut self, snapshot: Snapshot, state: Result<Option<Written>, state::Error>) -> Report {
        if state.is_err() {
            return Report { snapshot: snapshot.with_counters_of(self.kept.as_ref()), state };
        }
        self.kept = Some(snapshot.clone());
        Report { snapshot, state }
    }
}

/// After an absence that is longer than the API looks back, what happened in it is lost.
fn note_absence(ledger: &mut Ledger, now: Timestamp) {
    let (oldest, latest) = (earlier(now, LISTED_FOR), ledger.latest());
    if latest < oldest {
        warn!(
            last_poll = %latest,
            listed_from = %oldest,
            "the last poll is longer ago than the API looks back: tasks that were created and ended between the two are \
             in no number"
        );
        ledger.audit_after(oldest);
    }
}

// === impl Progress ===

impl Progress {
    /// The part that is done, from 0 to 1; none while no first pass runs.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        let ratio = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!ratio.is_nan()).then_some(ratio)
    }

    fn set(&self, ratio: f64) {
        self.0.store(ratio.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(f64::NAN.to_bits(), Ordering::Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }
}
