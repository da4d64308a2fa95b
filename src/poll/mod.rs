//! One poll: lists what is open and what is new, looks up what neither listing shows, and commits it, all or nothing.
//!
//! A listing by `created_timestamp` never shows that an older task has ended, there is no filter on end or update time,
//! and pages have no snapshot. The numbers are exact all the same.
//!
//! # A poll
//!
//! T is the API's time ([`clock`]), W the watermark: the newest creation time in the replica, at most T. A poll
//!
//! 1. lists the **open** tasks, in one reading that may miss rows;
//! 2. lists the **new** tasks, created since W minus the overlap: complete as of some time of the poll ([`listing`]);
//! 3. looks up by id the open tasks of the replica that are **missing** from both;
//! 4. **commits** rows, counters and marks in one transaction, and publishes.
//!
//! Between polls, in the background, the [`history`] is read back to the retention, and an [`audit`] compares counts with
//! the API.
//!
//! # No task is lost
//!
//! *An open task of the replica* is read by every poll: by 3 if not by 1 or 2. So the first poll after its end sees it.
//! A row that slips through a page of 1 costs one look-up and nothing else.
//!
//! *A task that was never read* is in 2 of the next poll unless it was created before W minus the overlap. Say it was. It
//! was listed at latest an overlap after its creation, so before W. The poll that moved the watermark to W began at or
//! after W, because the watermark never exceeds T at the poll's first response, and read a complete listing after that.
//! So the task was in that listing, unless it was too old even for that one: the same argument, one poll earlier, down to
//! the initial sync, whose slices and last poll meet in the same way. The watermark moves only with the transaction that
//! stores everything below it, so a failed poll leaves no gap, however long an outage is. When T moves back, W follows,
//! and a range is read twice; reading more never harms.
//!
//! # No task counts twice
//!
//! Rows are upserted by id and kept for the retention. Whether a task counts is stored with its row, and a counter
//! increases in the transaction that makes the row final ([`crate::store`]). What has left the replica was created and
//! ended before the horizon, and such a task is never counted.
//!
//! # Every number is of one time of the poll
//!
//! Each task is read at some time between the first response and the last, and taken as it was then. When nothing changes
//! meanwhile, the numbers equal a full listing.
//!
//! # What it costs
//!
//! The pages of open tasks, the pages of new ones, and a look-up for each batch of missing ones: at most three requests
//! when nothing happens.

mod audit;
mod clock;
mod error;
mod history;
mod initial_sync;
mod listing;
mod progress;
mod reader;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

pub use error::{BackgroundError, Error, Job};
pub use progress::Progress;

use audit::Audit;
use clock::{ApiClock, Reading, Response};
use history::History;
use listing::{Piece, Range};
use reader::{Reader, Sightings};

use crate::clumio::{Filter, TaskList};
use crate::store::{
    self, AccountState, Completes, PollCommit, PollInstant, Replica, Rules, SliceCommit, Snapshot, Source,
};
use crate::task::{LISTED_FOR, Task, TaskId};
use crate::time::{Moment, Timestamp, earlier};

/// How an account is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Rows of a page, if the API allows as many.
    pub page_size: u32,
    /// Tasks that are looked up by one request.
    pub id_batch_size: u32,
    /// Rows that are held at once: a listing by creation that has more is read in slices.
    pub max_rows: u64,
    /// How far back in creation the initial sync reads.
    pub lookback: Duration,
    /// How often the API's counts are compared with those of the replica; zero: never.
    pub audit_interval: Duration,
    /// What the numbers depend on.
    pub rules: Rules,
}

/// Follows the tasks of one account.
#[derive(Debug)]
pub struct Poller<L> {
    list: L,
    replica: Replica,
    options: Options,
    clock: ApiClock,
    /// The page size that the API accepts.
    page_size: u32,
    /// The numbers that were committed last.
    committed: Option<Arc<Snapshot>>,
    /// Whether this process has published.
    has_published: bool,
    /// Vanished tasks before this one were looked up by the polls before.
    vanished_offset: u64,
    history: History,
    audit: Audit,
    progress: Arc<Progress>,
}

/// What a poll has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is published.
    pub snapshot: Arc<Snapshot>,
    /// Why the poll could not be committed, if it could not: the counters of the snapshot are those of the last commit.
    pub uncommitted: Option<store::Error>,
}

/// Whether there is more to do in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Call again.
    More,
    /// Nothing until the next poll.
    Done,
}

/// What a poll has yet to find.
struct Unseen {
    open: HashSet<TaskId>,
    newest: Option<TaskId>,
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// A poller that will continue with what the replica has. Nothing is read yet.
    pub fn new(list: L, replica: Replica, options: Options) -> Self {
        Self {
            page_size: options.page_size,
            list,
            replica,
            options,
            clock: ApiClock::default(),
            committed: None,
            has_published: false,
            vanished_offset: 0,
            history: History::default(),
            audit: Audit::default(),
            progress: Arc::default(),
        }
    }

    /// Opens the replica, if it is not open: then [`committed`](Self::committed) has the numbers of the process before. A
    /// poll does it as well.
    ///
    /// # Errors
    /// When the replica cannot be read or written.
    pub async fn open(&mut self) -> Result<(), store::Error> {
        if self.replica.is_open() {
            return Ok(());
        }
        self.replica.open().await?;
        if let Some(state) = self.replica.load().await? {
            self.clock = ApiClock::resumed(state.marks.time, state.marks.elapsed);
        }
        self.committed = self.replica.last_snapshot().await?.map(Arc::new);
        Ok(())
    }

    /// Polls another list, or in another way, from now on. What is known stays, so the list must have the same tasks.
    pub fn reconfigure(&mut self, list: L, options: Options) {
        self.replica.set_rules(options.rules.clone());
        self.page_size = options.page_size;
        self.list = list;
        self.options = options;
        self.audit = Audit::default();
    }

    /// How far the syncs are.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The numbers that were committed last; after a restart, those of the process before.
    #[must_use]
    pub fn committed(&self) -> Option<&Arc<Snapshot>> {
        self.committed.as_ref()
    }

    /// The replica.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Polls once. It may be stopped at any await: what was committed stays, what was not is read again.
    ///
    /// # Errors
    /// When a request failed for good, the pages of a listing do not add up, or the replica cannot be read. Nothing that
    /// is published has changed then, but an initial sync resumes where it was.
    pub async fn poll(&mut self) -> Result<Report, Error> {
        self.clock.begin_poll();
        let result = self.sync_and_follow().await;
        if let Err(Error::Store(error)) = &result
            && error.is_replaced()
        {
            self.forget();
        }
        result
    }

    /// Writes the time for which the account was polled, which holds depend on. For a process that ends.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(&mut self, now: Moment) -> Result<(), store::Error> {
        if !self.has_published {
            return Ok(());
        }
        let now = self.clock.later(Response { date: None, received: now });
        self.replica.touch(now).await
    }

    /// Does one step of what is to be done between polls: a part of an audit, a repair, or a slice of the history. It may
    /// be stopped at any await.
    ///
    /// # Errors
    /// When a request failed for good, or the replica cannot be read or written. The step is repeated later.
    pub async fn background_step(&mut self) -> Result<Background, BackgroundError> {
        if !self.has_published {
            return Ok(Background::Done);
        }
        match self.audit_step().await {
            Ok(Background::More) => return Ok(Background::More),
            Ok(Background::Done) => {}
            Err(error) => {
                self.audit.give_up();
                return Err(BackgroundError { job: Job::Audit, error });
            }
        }
        self.history_step().await.map_err(|error| BackgroundError { job: Job::HistorySync, error })
    }

    async fn sync_and_follow(&mut self) -> Result<Report, Error> {
        self.open().await?;
        self.initial_sync().await?;
        let report = self.follow().await?;
        self.progress.end_initial_sync();
        Ok(report)
    }

    /// Reads what changed, and commits it.
    async fn follow(&mut self) -> Result<Report, Error> {
        let state = self.replica.load().await?.ok_or(store::Error::Replaced)?;
        let newest = self.replica.newest().await?;
        let mut unseen = Unseen::new(self.replica.followed().await?, newest.as_ref());
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        let mut rows = Sightings::default();
        read_open(&mut reader, &mut rows).await?;
        rows.iter().for_each(|task| unseen.see_open(task));
        let reading = self.clock.at(reader.first_response(), self.options.rules.overlap);
        let newest = newest.map(|(created, _)| created);
        let (from, gap_until) = listed_from(&state, reading, newest, &self.options);
        let source = match state.sync_from {
            Some(_) => Source::InitialSync,
            None => {
                Source::Poll { counts_from: counts_from(&state, reading, newest, self.options.rules.overlap) }
            }
        };
        self.list_new(&mut reader, (from, source, reading.now), &mut rows, &mut unseen).await?;
        let (missing, vanished_offset) = self.look_up_missing(&mut reader, &unseen, &mut rows).await?;
        (self.page_size, self.vanished_offset) = (reader.page_size(), vanished_offset);
        self.commit(PollCommit {
            tasks: rows.into_tasks(),
            source,
            now: reading.now,
            missing,
            sees_newest: unseen.newest.is_none(),
            has_published: self.has_published,
            gap_until,
        })
        .await
    }

    /// Lists what was created since `from`, oldest first. If it is more than fits in memory, all but the last part is
    /// committed on the way.
    async fn list_new(
        &self,
        reader: &mut Reader<'_, L>,
        (from, source, now): (Timestamp, Source, PollInstant),
        rows: &mut Sightings,
        unseen: &mut Unseen,
    ) -> Result<(), Error> {
        let mut pieces = vec![Range { from, to: None }];
        let mut new: Vec<Task> = Vec::new();
        while let Some(piece) = pieces.pop() {
            match reader.piece(piece).await? {
                Piece::Complete { tasks, .. } => {
                    for task in &tasks {
                        unseen.see_new(task);
                    }
                    new.extend(tasks);
                }
                Piece::Split(parts) => pieces.extend(parts.into_iter().rev()),
            }
            if new.len() as u64 >= self.options.max_rows && !pieces.is_empty() {
                let tasks = std::mem::take(&mut new);
                let completes = match (source, pieces.last()) {
                    (Source::InitialSync, Some(next)) => Completes::InitialSyncUntil(next.from),
                    _ => Completes::Nothing,
                };
                self.replica.commit_slice(SliceCommit { tasks, source, now, completes }).await?;
            }
        }
        rows.see_all(new);
        Ok(())
    }

    /// Looks up the open tasks that no listing has shown, and as many vanished ones as fit the last batch. Gives those that
    /// are still missing, and the vanished task with which the next poll continues.
    async fn look_up_missing(
        &self,
        reader: &mut Reader<'_, L>,
        unseen: &Unseen,
        rows: &mut Sightings,
    ) -> Result<(Vec<TaskId>, u64), Error> {
        let mut ids: Vec<TaskId> = unseen.open.iter().cloned().collect();
        ids.sort();
        let missing = ids.len();
        let batch = u64::from(self.options.id_batch_size.min(reader.limit()).max(1));
        let free = if ids.is_empty() { batch } else { (batch - ids.len() as u64 % batch) % batch };
        let vanished = self.replica.vanished(self.vanished_offset, free).await?;
        let has_all = (vanished.len() as u64) < free;
        let next_vanished = if has_all { 0 } else { self.vanished_offset + free };
        ids.extend(vanished);
        reader.look_up(ids.clone(), self.options.id_batch_size, rows).await?;
        ids.truncate(missing);
        ids.retain(|id| !rows.contains(id));
        Ok((ids, next_vanished))
    }

    async fn commit(&mut self, poll: PollCommit) -> Result<Report, Error> {
        let (snapshot, outcome) = self.replica.commit_poll(poll).await?;
        match outcome {
            Ok(()) => {
                let snapshot = Arc::new(snapshot);
                self.has_published = true;
                self.committed = Some(Arc::clone(&snapshot));
                Ok(Report { snapshot, uncommitted: None })
            }
            Err(error) => {
                let snapshot = snapshot.with_counters_of(self.committed.as_deref());
                Ok(Report { snapshot: Arc::new(snapshot), uncommitted: Some(error) })
            }
        }
    }

    /// Forgets what was known of a database that was damaged: the next poll begins cold.
    fn forget(&mut self) {
        self.replica.close();
        self.clock = ApiClock::default();
        (self.committed, self.has_published) = (None, false);
        self.history = History::default();
        self.audit = Audit::default();
    }
}

/// Reads the open tasks once. Rows that it misses are looked up.
async fn read_open<L: TaskList>(reader: &mut Reader<'_, L>, rows: &mut Sightings) -> Result<(), Error> {
    let take = |page: crate::clumio::Page, _| {
        rows.see_all(page.tasks);
        ControlFlow::Continue(())
    };
    Ok(reader.read(&Filter::Open, take).await?)
}

/// The creation time from which a poll lists what is new; and, if that is later than it should be because the API does not
/// look back as far, the same time once more.
fn listed_from(
    state: &AccountState,
    reading: Reading,
    newest: Option<Timestamp>,
    options: &Options,
) -> (Timestamp, Option<Timestamp>) {
    let now = reading.now;
    let overlap = options.rules.overlap;
    let server = earliest_time(state, reading);
    let watermark = newest.map_or(state.marks.covered_from, |newest| earlier(newest, overlap));
    let from = state.sync_from.map_or(watermark, |sync_from| watermark.min(earlier(sync_from, overlap)));
    let from = from.min(earlier(server, overlap));
    let oldest = earlier(server.min(now.local), LISTED_FOR);
    if from >= oldest {
        return (from, None);
    }
    warn!(
        since = %from,
        listed_from = %oldest,
        "the last poll is longer ago than the API looks back: tasks that were created and ended between the two are in no \
         number"
    );
    (oldest, Some(oldest))
}

/// The creation time from which a poll counts what it reads first as created: the earliest of baseline, watermark and T,
/// minus the overlap. What was created before the replica covers anything is not news, though it is listed when T moves
/// back. As long as the replica is empty, nothing tells what it covers, and the local clock at the beginning counts too.
fn counts_from(
    state: &AccountState,
    reading: Reading,
    newest: Option<Timestamp>,
    overlap: Duration,
) -> Timestamp {
    let is_baseline_ahead = state.marks.baseline > reading.now.time;
    let reading = Reading { confirmed: reading.confirmed.filter(|_| is_baseline_ahead), ..reading };
    let earliest = state.marks.baseline.min(earliest_time(state, reading));
    if let Some(newest) = newest.filter(|newest| *newest >= state.marks.covered_from) {
        return earlier(newest.min(earliest), overlap).max(state.marks.covered_from);
    }
    let local_baseline = earlier(reading.now.local, reading.now.elapsed);
    earlier(earliest.min(local_baseline), overlap)
}

/// The earliest time that it may be. One that is not confirmed and is earlier than what the replica covers must not make
/// a poll read the history; if the next poll confirms it, that poll lists since then.
fn earliest_time(state: &AccountState, reading: Reading) -> Timestamp {
    let unconfirmed = reading.unconfirmed.filter(|time| *time >= state.marks.covered_from);
    [unconfirmed, reading.confirmed].into_iter().flatten().fold(reading.now.time, Timestamp::min)
}

// === impl Unseen ===

impl Unseen {
    fn new(followed: Vec<TaskId>, newest: Option<&(Timestamp, TaskId)>) -> Self {
        Self { open: followed.into_iter().collect(), newest: newest.map(|(_, id)| id.clone()) }
    }

    fn see_open(&mut self, task: &Task) {
        self.open.remove(&task.id);
    }

    fn see_new(&mut self, task: &Task) {
        self.see_open(task);
        if self.newest.as_ref() == Some(&task.id) {
            self.newest = None;
        }
    }
}
