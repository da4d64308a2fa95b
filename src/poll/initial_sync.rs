//! The initial sync: what is open, then everything created since the lookback, in slices.
//!
//! Each slice is committed, oldest first, with the creation time until which the sync is complete, so that one that is
//! interrupted resumes there, or at the newest row of the replica if that is older: a `Date` that was ahead must not skip what
//! it has not read. The first response gives the baseline, which is persisted with the open tasks. The poll that
//! follows ends the sync: only then something is published.

use super::follow::read_open;
use super::listing::{Range, RangeListing};
use super::reader::{Reader, Sightings};
use super::{Error, Poller};
use crate::clumio::{Filter, TaskList};
use crate::store::{self, AccountState, Completes, PollInstant, SliceCommit, Source};
use crate::task::LISTED_FOR;
use crate::time::{Timestamp, earlier};

impl<L: TaskList> Poller<L> {
    /// Begins or resumes the initial sync, if it has not ended.
    pub(super) async fn initial_sync(&mut self) -> Result<(), Error> {
        let state = match self.replica.load().await? {
            Some(state) => state,
            None => self.begin_initial_sync().await?,
        };
        if let Some(sync_from) = state.sync_from {
            self.continue_initial_sync(state.marks.covered_from, sync_from).await?;
        }
        Ok(())
    }

    async fn begin_initial_sync(&mut self) -> Result<AccountState, Error> {
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        let mut open = Sightings::default();
        read_open(&mut reader, &mut open).await?;
        self.page_size = reader.page_size();
        let now = self.clock.at(reader.first_response(), self.options.rules.overlap).now;
        self.replica.begin_sync(open.into_tasks(), now, self.options.lookback).await?;
        Ok(self.replica.load().await?.ok_or(store::Error::Replaced)?)
    }

    async fn continue_initial_sync(
        &mut self,
        covered_from: Timestamp,
        sync_from: Timestamp,
    ) -> Result<(), Error> {
        let PollInstant { time, local, .. } = self.current_time(sync_from).await?;
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        // What was created just before the last slice was read may have been listed after that; and that was earlier than
        // the slice says if the `Date` was ahead.
        let newest = self.replica.newest().await?.map_or(covered_from, |(created, _)| created);
        let resumed_from = earlier(sync_from.min(newest), self.options.rules.overlap).max(covered_from);
        // A `Date` that is far ahead must not skip anything.
        let from = resumed_from.max(earlier(time.min(local), LISTED_FOR));
        let mut ranges = vec![Range { from, to: Some(time.max(from)) }];
        // Larger transactions write fewer pages, so small ranges are committed together.
        let mut read = Vec::new();
        while let Some(range) = ranges.pop() {
            self.progress.sync_initially([covered_from, range.from, time]);
            match reader.list_range(range).await? {
                RangeListing::Split(parts) => ranges.extend(parts.into_iter().rev()),
                RangeListing::Complete { tasks, .. } => {
                    read.extend(tasks);
                    if (read.len() as u64) < self.options.max_rows && !ranges.is_empty() {
                        continue;
                    }
                    let tasks = std::mem::take(&mut read);
                    let now = self.clock.later(reader.last_response());
                    let completes = Completes::InitialSyncUntil(range.to.unwrap_or(time));
                    let slice = SliceCommit { tasks, source: Source::InitialSync, now, completes };
                    self.replica.commit_slice(slice).await?;
                }
            }
        }
        Ok(())
    }

    /// The API's time. A sync that resumes asks for it, because nobody knows how long the process was away.
    async fn current_time(&mut self, sync_from: Timestamp) -> Result<PollInstant, Error> {
        if let Some(reading) = self.clock.reading() {
            return Ok(reading.now);
        }
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        reader.total(&Filter::Created { from: sync_from, to: None }).await?;
        Ok(self.clock.at(reader.first_response(), self.options.rules.overlap).now)
    }
}
