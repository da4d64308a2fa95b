//! What is asked of a run after the world stands still.

use proptest::prelude::*;

use crate::belief::Freedom;
use crate::checks::check_gauges;
use crate::instants::check_instants;
use crate::run::{Run, window_of};
use crate::truth::{Sight, View, published};
use crate::world::{SECOND, Trouble};

// === impl Run ===

impl Run {
    /// Whether what is open and what is new fit a page each.
    pub fn rest_fits_pages(&self) -> bool {
        let Some(last) = &self.served else { return false };
        let new_from = last.watermark.as_millisecond() - self.config.overlap - 3 * SECOND;
        let lives = &self.api.world.lives;
        let open = lives.iter().filter(|life| life.ended().is_none()).count();
        let new = lives.iter().filter(|life| life.created() >= new_from).count();
        open.max(new) <= self.api.behaviour.max_limit.min(self.config.page_size) as usize
    }

    /// Whether the exporter still takes an old time for the right one.
    pub fn is_off(&self) -> bool {
        self.was_off
    }

    /// Checks that a longer window has been filled, and that every counter is free to move.
    pub fn check_settled(&self) -> Result<(), TestCaseError> {
        let Some(served) = &self.served else { return Err(TestCaseError::fail("nothing is served")) };
        let has_room = !self.setup.folds;
        if has_room && matches!(self.setup.trouble, Trouble::Nothing | Trouble::Late) {
            prop_assert_eq!(window_of(served), self.config.window, "the window was never filled");
        }
        // The heal that finds what is late can end with the last poll, and bring a kind that is new then.
        if has_room && self.setup.trouble != Trouble::Late {
            let freedoms = self.live.holds.freedoms(served, &self.setup, self.time());
            prop_assert!(freedoms.values().all(|it| *it == Freedom::Free), "a hold never ends");
        }
        Ok(())
    }

    /// Whether what was listed late has been found: every gauge is exact, and the audit finds no difference.
    pub fn is_healed(&self, poll: (i64, i64)) -> bool {
        let Some(served) = &self.served else { return false };
        let view = View { is_healed: true, ..self.view(served, poll, &self.live.traces, &self.api) };
        let created = served.kinds.iter().map(|kind| kind.created_total).sum::<u64>();
        served.drift.unwrap_or(0) == 0
            && check_gauges(&view.bounds(), &published(served, false)).is_ok()
            && check_instants(&view, None, served).is_ok()
            // A heal for a longer window takes in what is late before an audit has counted it.
            && (self.setup.reloads || created + served.missed_total >= view.certainly_created())
    }

    /// Whether the token sees fewer tasks than the exporter knows, inside what is audited.
    pub fn sees_less(&self, poll: (i64, i64)) -> bool {
        let Some(served) = &self.served else { return false };
        // A heal for a longer window counts anew, where the gauges of all that is hidden have left the shorter one.
        if self.setup.reloads {
            return false;
        }
        let view = self.view(served, poll, &self.live.traces, &self.api);
        self.api.world.lives.iter().zip(&self.live.traces).any(|(life, trace)| {
            let is_hidden = life.gone().is_some_and(|(from, _)| from < poll.0);
            is_hidden && trace.sight == Sight::Ended && view.is_audited(life)
        })
    }

    pub fn drift(&self) -> Option<i64> {
        self.served.as_ref()?.drift
    }
}
