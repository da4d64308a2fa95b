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
//! Between polls, in the background, the [`history`] is read back to the retention, an [`audit`] compares counts with the
//! API, and an [`asset_check`] the summaries of assets with their tasks.
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

mod asset_check;
mod audit;
mod clock;
mod comparison;
mod error;
mod follow;
mod history;
mod initial_sync;
mod listing;
mod progress;
mod reader;
mod repair;
mod since;

use std::sync::Arc;
use std::time::Duration;

pub use error::{BackgroundError, Error, Job};
pub use progress::Progress;

use asset_check::AssetCheck;
use audit::Audit;
use clock::{ApiClock, Response};
use history::History;

use crate::clumio::TaskList;
use crate::store::{self, Replica, Rules, Snapshot};
use crate::time::Moment;

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
    asset_check: AssetCheck,
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
            asset_check: AssetCheck::default(),
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
        self.asset_check = AssetCheck::default();
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
        let history = self.history_step().await;
        if history.map_err(|error| BackgroundError { job: Job::HistorySync, error })? == Background::More {
            return Ok(Background::More);
        }
        self.asset_check_step().await.map_err(|error| BackgroundError { job: Job::Audit, error })
    }

    async fn sync_and_follow(&mut self) -> Result<Report, Error> {
        self.open().await?;
        self.initial_sync().await?;
        let report = self.follow().await?;
        self.progress.end_initial_sync();
        Ok(report)
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
