//! The history sync: reads back from what is covered to the retention, newest slice first, in the background.
//!
//! Each slice is committed with the creation time from which the replica is complete, so that it resumes anywhere. Slices
//! are as long as a few pages take: a slice that is not finished when the next poll is due is stopped and halved.

use std::time::Duration;

use super::listing::{Range, RangeListing};
use super::reader::Reader;
use super::{Background, Error, Poller};
use crate::clumio::TaskList;
use crate::store::{self, Completes, SliceCommit, Source};
use crate::task::LISTED_FOR;
use crate::time::earlier;

/// The length of the first slice.
const FIRST_SLICE: Duration = Duration::from_hours(1);

/// The shortest and the longest slice.
const MIN_SLICE: Duration = Duration::from_secs(1);
const MAX_SLICE: Duration = Duration::from_hours(7 * 24);

/// The history sync of one account.
#[derive(Debug)]
pub(super) struct History {
    /// The length of the next slice.
    slice: Duration,
    /// Whether the last slice was begun and not ended.
    is_interrupted: bool,
}

impl Default for History {
    fn default() -> Self {
        Self { slice: FIRST_SLICE, is_interrupted: false }
    }
}

// === impl History ===

impl History {
    fn begin_slice(&mut self) -> Duration {
        if std::mem::replace(&mut self.is_interrupted, true) {
            self.shorten();
        }
        self.slice
    }

    fn shorten(&mut self) {
        self.slice = (self.slice / 2).max(MIN_SLICE);
    }

    /// Notes that a slice was read, which had so many rows.
    fn end_slice(&mut self, rows: u64, max_rows: u64) {
        self.is_interrupted = false;
        if rows < max_rows / 4 {
            self.slice = (self.slice * 2).min(MAX_SLICE);
        }
    }
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Reads one slice of the history, if there is one to read.
    pub(super) async fn history_step(&mut self) -> Result<Background, Error> {
        let state = self.replica.load().await?.ok_or(store::Error::Replaced)?;
        let (time, covered_from) = (state.marks.time, state.marks.covered_from);
        let kept = earlier(time, self.options.rules.retention.max(self.options.lookback));
        // What was committed since the poll can have moved the horizon beyond it.
        let target = kept.max(earlier(time, LISTED_FOR)).max(state.marks.horizon);
        if covered_from <= target {
            self.progress.end_history_sync();
            return Ok(Background::Done);
        }
        self.progress.sync_history([target, covered_from, time]);
        let length = self.history.begin_slice();
        let from = earlier(covered_from, length).max(target);
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        match reader.list_range(Range { from, to: Some(covered_from) }).await? {
            RangeListing::Split(_) => {
                self.history.shorten();
                self.history.is_interrupted = false;
            }
            RangeListing::Complete { tasks, .. } => {
                let now = self.clock.later(reader.last_response());
                let rows = tasks.len() as u64;
                let completes = Completes::CoveredFrom(from);
                self.replica
                    .commit_slice(SliceCommit { tasks, source: Source::History, now, completes })
                    .await?;
                self.history.end_slice(rows, self.options.max_rows);
            }
        }
        Ok(Background::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_is_interrupted_is_halved_and_one_with_few_rows_is_doubled() {
        let mut history = History::default();
        assert_eq!(history.begin_slice(), FIRST_SLICE);
        assert_eq!(history.begin_slice(), FIRST_SLICE / 2, "the first one was interrupted");
        history.end_slice(10, 1_000);
        assert_eq!(history.begin_slice(), FIRST_SLICE);
        history.end_slice(900, 1_000);
        assert_eq!(history.begin_slice(), FIRST_SLICE);
    }
}
