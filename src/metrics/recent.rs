//! How many polls of the last hour failed, for the status page: what `increase()` is for rules.

use std::time::Duration;

use crate::time::{Timestamp, elapsed};

/// The length of a slot, in seconds.
const SLOT: i64 = 300;

/// Slots that are kept: an hour, and the one that has begun.
const SLOTS: usize = 13;

/// The polls of the last hour, in slots of five minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RecentPolls {
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    number: i64,
    polls: u32,
    failures: u32,
}

// === impl RecentPolls ===

impl RecentPolls {
    pub(super) fn add(&mut self, at: Timestamp, has_failed: bool) {
        let number = at.as_second().div_euclid(SLOT);
        let index = usize::try_from(number.rem_euclid(13)).unwrap_or_default();
        let slot = &mut self.slots[index];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.polls += 1;
        slot.failures += u32::from(has_failed);
    }

    /// Polls of the last hour, and how many of them failed.
    pub(crate) fn within_an_hour(&self, now: Timestamp) -> (u32, u32) {
        let recent = self.recent(now);
        recent.fold((0, 0), |(polls, failures), slot| (polls + slot.polls, failures + slot.failures))
    }

    /// How long ago the first poll of the last hour failed, rounded up to five minutes; none if none did.
    pub(crate) fn first_failure(&self, now: Timestamp) -> Option<Duration> {
        let first = self.recent(now).filter(|slot| slot.failures > 0).map(|slot| slot.number).min()?;
        Timestamp::from_second(first * SLOT).ok().map(|at| elapsed(at, now))
    }

    fn recent(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        let newest = now.as_second().div_euclid(SLOT);
        self.slots.iter().filter(move |slot| (newest - 12..=newest).contains(&slot.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_counted_for_an_hour() {
        let minute =
            |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).expect("it must be in range");
        let mut recent = RecentPolls::default();
        for n in 0..120 {
            recent.add(minute(n), n < 60);
        }
        let (polls, failures) = recent.within_an_hour(minute(119));
        assert!((60..=65).contains(&polls) && failures <= 5, "{polls} {failures}");
        assert_eq!(recent.within_an_hour(minute(300)), (0, 0));
    }
}
