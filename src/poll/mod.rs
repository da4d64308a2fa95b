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
//! Then it commits to a clone of the ledger, moves `W`, and publishes. If anything fails, nothing was changed.
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
mod first_pass;
mod listing;
mod reader;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_time::ApiTime;
use first_pass::FirstPass;
use listing::Range;
use reader::{Reader, Sightings};

use crate::api::{Error, TaskList};
use crate::ledger::{Ledger, Rules, Snapshot};
use crate::tasks::TaskId;
use crate::time::earlier;

/// How far back the API lists: its documentation says six months, and not what it answers beyond.
const OLDEST: Duration = Duration::from_hours(180 * 24);

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
    /// What the numbers depend on.
    pub rules: Rules,
}

/// Follows the tasks of one account.
#[derive(Debug)]
pub struct Poller<L> {
    list: L,
    options: Options,
    time: ApiTime,
    stage: Stage,
    progress: Arc<Progress>,
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

impl<L: TaskList> Poller<L> {
    /// A poller that knows nothing yet: its first poll begins with a first pass.
    pub fn new(list: L, options: Options) -> Self {
        Self { list, options, time: ApiTime::default(), stage: Stage::Cold, progress: Arc::default() }
    }

    /// Goes on with another client and other options, and with what is known. A first pass that is under way keeps
    /// the lookback that it began with.
    pub fn reconfigure(&mut self, list: L, options: Options) {
        match &mut self.stage {
            Stage::Cold => {}
            Stage::FirstPass(pass) => pass.ledger.set_rules(options.rules.clone()),
            Stage::Following(ledger) => ledger.set_rules(options.rules.clone()),
        }
        self.list = list;
        self.options = options;
    }

    /// How far the first pass is.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Polls once.
    ///
    /// It may be stopped at any await: what was committed stays, what was not is read again.
    ///
    /// # Errors
    /// When a request failed for good, or the pages of a listing do not add up. Nothing was changed then, but that
    /// a first pass which got somewhere resumes there.
    pub async fn poll(&mut self) -> Result<Snapshot, Error> {
        self.finish_first_pass().await?;
        let result = self.follow().await;
        if result.is_ok() {
            self.progress.clear();
        }
        result
    }

    async fn finish_first_pass(&mut self) -> Result<(), Error> {
        let mut reader = Reader::new(&self.list, &self.options);
        if matches!(self.stage, Stage::Cold) {
            self.progress.set(0.0);
            let pass = FirstPass::begin(&mut reader, &mut self.time, &self.options).await?;
            self.stage = Stage::FirstPass(Box::new(pass));
        }
        if let Stage::FirstPass(pass) = &mut self.stage {
            pass.run(&mut reader, &self.time, &self.options, &self.progress).await?;
        }
        Ok(())
    }

    /// Reads what changed, and commits it.
    async fn follow(&mut self) -> Result<Snapshot, Error> {
        let ledger = match &self.stage {
            Stage::Following(ledger) => ledger,
            Stage::FirstPass(pass) => &pass.ledger,
            Stage::Cold => unreachable!("a poll follows a first pass"),
        };
        let mut reader = Reader::new(&self.list, &self.options);
        let mut rows = Sightings::default();
        reader.open(&mut rows).await?;
        let now = self.time.expected(reader.answers()).ok_or_else(api_time::unknown)?.first_answer;
        // On an account that was quiet for longer than the API looks back, nothing older can be new.
        let from = ledger.listed_from().max(earlier(now, OLDEST));
        reader.created(Range { from, to: None }, &mut rows).await?;
        let left: Vec<TaskId> = ledger.followed().filter(|id| !rows.contains(id)).cloned().collect();
        reader.look_up(left, self.options.id_batch_size, &mut rows).await?;

        let time = self.time.resolve(reader.answers()).ok_or_else(api_time::unknown)?;
        let mut ledger = ledger.clone();
        let snapshot = ledger.commit(rows.into_tasks(), time);
        self.stage = Stage::Following(Box::new(ledger));
        Ok(snapshot)
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
