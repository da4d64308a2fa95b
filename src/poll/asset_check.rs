//! The daily recomputation of the summaries of assets.
//!
//! A summary is written in the transaction that changes its tasks, and stays correct as long as the database does. While no
//! task of an asset changes, nothing but this notices a flipped bit in its summary.

use std::time::Duration;

use super::{Background, Error, Poller};
use crate::clumio::TaskList;

/// How long after the start of a process the first round begins, and how long after a round the next one.
const FIRST: Duration = Duration::from_hours(1);
const EVERY: Duration = Duration::from_hours(24);

/// How far the summaries of an account have been recomputed.
#[derive(Debug, Default)]
pub(super) struct AssetCheck {
    /// Elapsed time at which the next round is due; none before the first poll of a process.
    due: Option<Duration>,
    /// The entity up to which this round has recomputed; none before its first step.
    until: Option<i64>,
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Recomputes some summaries, if a round is due.
    pub(super) async fn asset_check_step(&mut self) -> Result<Background, Error> {
        let Some(now) = self.clock.elapsed_now() else { return Ok(Background::Done) };
        if now < *self.asset_check.due.get_or_insert(now.saturating_add(FIRST)) {
            return Ok(Background::Done);
        }
        let until = self.replica.recompute_some_assets(self.asset_check.until).await?;
        self.asset_check.until = until;
        if until.is_some() {
            return Ok(Background::More);
        }
        self.asset_check.due = Some(now.saturating_add(EVERY));
        Ok(Background::Done)
    }
}
