//! The request of the audit: how many tasks the API counts ([`crate::ledger`] says in which range, and what follows).
//!
//! A poll does not need it. Where the API does not answer it, the poll goes on without, and the next audit is an interval
//! away: a request that is tried again and again before it fails must not slow down every poll.

use std::time::Duration;

use tracing::warn;

use super::reader::Reader;
use crate::clumio::{Filter, TaskList};
use crate::ledger::Ledger;
use crate::time::{Timestamp, elapsed};

/// When the next audit is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audit {
    /// From one audit to the next; zero: there is none.
    pub(super) interval: Duration,
    /// When the API last failed to answer one.
    pub(super) failed: Option<Timestamp>,
}

// === impl Audit ===

impl Audit {
    /// Compares the API's count with the ledger's, if it is time. Gives when the API last failed to answer.
    pub(super) async fn of<L: TaskList>(
        self,
        ledger: &mut Ledger,
        reader: &mut Reader<'_, L>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.interval.is_zero() || self.is_put_off(now) {
            return self.failed;
        }
        let Some(range) = ledger.audit_due(self.interval, now) else {
            ledger.not_audited(self.interval, now);
            return None;
        };
        match reader.total(&Filter::Created { from: range.from, to: Some(range.to) }).await {
            Ok(total) => {
                ledger.audited(range, total, now);
                None
            }
            Err(error) => {
                ledger.audit_failed(self.interval, now);
                warn!(%error, again_in = ?self.interval, "the API does not answer the audit; the poll goes on without it");
                Some(now)
            }
        }
    }

    /// A clock that was set back must not put it off for longer.
    fn is_put_off(self, now: Timestamp) -> bool {
        self.failed.is_some_and(|failed| now >= failed && elapsed(failed, now) < self.interval)
    }
}
