//! The heal: a first pass beside the polls, when rows turn out to be missing.
//!
//! It is made of steps of a few requests each, between two polls, so that the polls go on in time. When it has read
//! everything, the polls read for both ledgers, and commit to both, until the one takes over what the other has found
//! ([`crate::ledger`]). Nothing of it is kept over a restart: the next audit finds the same again.
//!
//! A heal that began while the API's clock was ahead has left out what ended too long ago by that clock, and read only
//! what was created lately by it. When a poll takes a time from before its baseline, it begins again.

use tracing::{info, warn};

use super::first_pass::FirstPass;
use super::reader::Reader;
use super::{Options, Poller, Stage};
use crate::clumio::{Error, TaskList};
use crate::ledger::Ledger;
use crate::state::Storage;

/// How many pages a step reads at most, in each reading.
const PAGES: u64 = 10;

/// How many polls may try to take over what was found, before it is thrown away.
const TRIES: u32 = 10;

/// How far a heal is.
#[derive(Debug, Default)]
pub(super) enum Heal {
    /// There is none.
    #[default]
    Idle,
    /// It is to begin.
    Wanted,
    /// It has read some of what it has to read, or all.
    Running(Box<FirstPass>, u32),
}

// === impl Heal ===

impl Heal {
    /// The ledger of a heal that has read everything, and waits for a poll.
    pub(super) fn waiting(&self) -> Option<&Ledger> {
        match self {
            Self::Running(pass, _) if pass.is_done() => Some(&pass.ledger),
            _ => None,
        }
    }

    /// Begins one, if there is none and the ledger needs it.
    pub(super) fn wanted_by(self, ledger: &Ledger) -> Self {
        match self {
            Self::Idle if ledger.needs_heal() => {
                if let Some(drift @ ..0) = ledger.drift() {
                    warn!(
                        drift,
                        "the API counts more tasks than are known: everything is read anew beside the polls; a longer \
                         poll.overlap may prevent it"
                    );
                } else {
                    info!("the window is longer now: everything is read anew beside the polls");
                }
                Self::Wanted
            }
            other => other,
        }
    }

    /// What it becomes after a poll that was committed to `ledger`, and to the ledger that waits.
    pub(super) fn next(&self, ledger: &mut Ledger, fresh: Option<Ledger>) -> Option<Self> {
        let (Self::Running(_, tries), Some(fresh)) = (self, fresh) else { return None };
        if ledger.latest() < fresh.baseline() {
            info!("the clock was set back: what was read by the time that it showed before is read again");
            return Some(Self::Idle);
        }
        let missed_before = ledger.missed();
        if ledger.heal(&fresh) {
            let found = ledger.missed().saturating_sub(missed_before);
            info!(found, window = ?ledger.window(), "everything was read anew, and the numbers are whole");
            return Some(Self::Idle);
        }
        if *tries >= TRIES {
            warn!(
                "everything was read anew, but the API does not show all that is known; nothing is replaced"
            );
            ledger.give_up_heal();
            return Some(Self::Idle);
        }
        let pass = FirstPass::resumed(fresh, Vec::new());
        Some(Self::Running(Box::new(pass), tries + 1))
    }
}

impl<L: TaskList, S: Storage> Poller<L, S> {
    /// Whether there is something to do between two polls: see [`heal_step`](Self::heal_step).
    #[must_use]
    pub fn is_healing(&self) -> bool {
        match &self.heal {
            Heal::Idle => false,
            Heal::Wanted => true,
            Heal::Running(pass, _) => !pass.is_done(),
        }
    }

    /// Reads a part of what a heal has to read: some seconds at the default rate.
    ///
    /// It may be stopped at any await: the part is read again then.
    ///
    /// # Errors
    /// When a request failed for good. The heal goes on there the next time.
    pub async fn heal_step(&mut self) -> Result<(), Error> {
        let Stage::Following(ledger) = &mut self.stage else { return Ok(()) };
        let page_size = self.options.page_size;
        let most_rows = self.options.most_rows.min(u64::from(page_size) * PAGES);
        let options = Options { most_rows, ..self.options.clone() };
        let mut reader = Reader::new(&self.list, &options);
        match &mut self.heal {
            Heal::Idle => {}
            Heal::Wanted => {
                let empty = |baseline| ledger.fresh(&options.rules, baseline);
                let pass = FirstPass::begin(&mut reader, &self.time, &options, empty).await?;
                self.progress.set(0.0);
                self.heal = Heal::Running(Box::new(pass), 0);
            }
            Heal::Running(pass, _) => {
                pass.step(&mut reader, &self.time, ledger.latest_said()).await?;
                self.progress.set(pass.progress());
            }
        }
        Ok(())
    }
}
