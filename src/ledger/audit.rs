//! The audit: whether the API counts as many tasks as the ledger, and what is to be done when it does not.
//!
//! The API having more means that rows were listed later than the overlap allows, or that the token sees more than
//! before: twice the same difference, and a heal reads everything anew. The API having fewer means that the token
//! sees less, or that tasks were deleted: that is published, and nothing is taken back, because an alert must not
//! resolve when a token loses rights.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::counter::MOST;
use super::creations::Counted;
use crate::time::{Timestamp, elapsed};

/// The least time from one heal to the next. It doubles with each heal that did not last.
const BETWEEN_HEALS: Duration = Duration::from_hours(1);

/// The most that it grows to, and after which a heal is forgotten.
const MOST_BETWEEN_HEALS: Duration = Duration::from_hours(24);

/// A difference has to be seen so often in a row before it is believed.
const BELIEVED_AFTER: u32 = 2;

/// What an audit found is forgotten when none has been answered for so many intervals.
const FORGOTTEN_AFTER: u32 = 4;

/// What the last audit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Audit {
    at: Timestamp,
    /// The ledger's count minus the API's.
    drift: i64,
    /// In how many audits in a row it was the same.
    times: u32,
}

/// The heals of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heals {
    pub(super) last: Timestamp,
    pub(super) count: u32,
}

// === impl Ledger ===

impl Ledger {
    /// The range of creation that is to be audited now, every `interval`; none if it is not time, or nothing can be.
    /// A difference is looked at again at once.
    #[must_use]
    pub fn audit_due(&self, interval: Duration, now: Timestamp) -> Option<Counted> {
        let is_due = match self.audit {
            None => true,
            Some(Audit { drift, times, .. }) if drift < 0 && times < BELIEVED_AFTER => true,
            // A clock that was set back must not put it off.
            Some(Audit { at, .. }) => now < at || elapsed(at, now) >= interval,
        };
        if is_due { self.creations.counted() } else { None }
    }

    /// Takes in what an audit found: the API counts `total` rows in the range.
    pub fn audited(&mut self, range: Counted, total: u64, at: Timestamp) {
        let drift = signed(range.tasks) - signed(total);
        let before = self.audit.filter(|audit| audit.drift == drift);
        let times = before.map_or(1, |audit| audit.times.saturating_add(1));
        self.audit = Some(Audit { at, drift, times });
    }

    /// The API did not answer an audit. What the last one found is published for a while longer, and then no more: it
    /// says nothing of now.
    pub fn audit_failed(&mut self, interval: Duration, now: Timestamp) {
        self.audit = self.audit.filter(|audit| elapsed(audit.at, now) < interval * FORGOTTEN_AFTER);
    }

    /// No audit takes place at `now`: it is not time, or there is nothing to audit. Where that lasts, that the API has more
    /// is forgotten, for no audit can confirm it, and none lift it. That it has as many, or fewer, stands: fewer may be the
    /// reason.
    pub fn not_audited(&mut self, interval: Duration, now: Timestamp) {
        let is_new = |audit: &Audit| elapsed(audit.at, now) < interval * FORGOTTEN_AFTER;
        self.audit = self.audit.filter(|audit| audit.drift >= 0 || is_new(audit));
    }

    /// What the last audit found: the ledger's count minus the API's.
    #[must_use]
    pub fn drift(&self) -> Option<i64> {
        self.audit.map(|audit| audit.drift)
    }

    /// Whether everything is to be read anew: because the API is known to have more, or because the window is to be
    /// longer than what was read.
    #[must_use]
    pub fn needs_heal(&self) -> bool {
        let now = self.latest();
        let is_time =
            self.heals.is_none_or(|heals| now < heals.last || elapsed(heals.last, now) >= heals.pause());
        let has_more = self.audit.is_some_and(|audit| audit.drift < 0 && audit.times >= BELIEVED_AFTER);
        is_time && (has_more || self.rules.window > self.window())
    }

    /// A heal found what cannot be taken over: the next one comes later.
    pub fn give_up_heal(&mut self) {
        self.heals = Some(Heals::again(self.heals, self.latest()));
    }

    /// How many tasks were found too late to be counted.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

fn signed(count: u64) -> i64 {
    count.min(MOST).cast_signed()
}

// === impl Audit ===

impl Audit {
    /// Whether an audit can have found this.
    pub(super) fn is_possible(self) -> bool {
        self.drift.unsigned_abs() <= MOST
    }
}

// === impl Heals ===

impl Heals {
    /// One heal more, at `now`.
    pub(super) fn again(before: Option<Self>, now: Timestamp) -> Self {
        let recent = before.filter(|heals| elapsed(heals.last, now) < MOST_BETWEEN_HEALS * 2);
        Self { last: now, count: recent.map_or(1, |heals| heals.count.saturating_add(1)) }
    }

    fn pause(self) -> Duration {
        let doublings = self.count.saturating_sub(1).min(16);
        (BETWEEN_HEALS * 2_u32.pow(doublings)).min(MOST_BETWEEN_HEALS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(at: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + at * 3_600).expect("the instant must be in range")
    }

    #[test]
    fn heals_that_do_not_last_become_rare() {
        let mut heals = None;
        let mut pauses = Vec::new();
        let mut now = 0;
        for _ in 0..7 {
            let next = Heals::again(heals, hour(now));
            let pause = i64::try_from(next.pause().as_secs() / 3_600).expect("a pause must be short");
            pauses.push(pause);
            now += pause;
            heals = Some(next);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 24, 24]);
        assert_eq!(Heals::again(heals, hour(now + 48)).pause(), Duration::from_hours(1), "long ago");
    }

    #[test]
    fn no_audit_finds_more_than_can_be_kept() {
        let audit = |drift| Audit { at: hour(0), drift, times: 1 };
        assert!(audit(signed(0) - signed(u64::MAX)).is_possible());
        assert!(!audit(i64::MIN).is_possible());
        assert!(!audit(MOST.cast_signed() + 1).is_possible());
    }
}
