//! What the ledger remembers of a task: enough to apply it once, and no longer than it can come back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kinds::Cell;
use super::window::Granule;
use crate::time::{Timestamp, earlier, elapsed};

/// A task that the API does not return is dropped after this many polls and [`MISSING_FOR`], whichever is later:
/// one answer of a lagging replica must not drop a task.
const MISSING_POLLS: u8 = 3;

/// See [`MISSING_POLLS`].
const MISSING_FOR: Duration = Duration::from_hours(1);

/// How long an ended task with an unknown status is looked up before its status is taken as final.
const PROVISIONAL_FOR: Duration = Duration::from_hours(1);

/// Ids are kept this much longer than listings can show them: requests round to whole seconds, and so does the
/// API's `Date`.
const FORGET_SLACK: Duration = Duration::from_secs(5);

/// A remembered task.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Where it is counted.
    pub(super) cell: Cell,
    /// When it was created, or first seen where the API does not tell.
    pub(super) created: Timestamp,
    /// What the last poll knew of it.
    pub(super) state: State,
}

/// The life of a task as the ledger sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum State {
    /// Counted as open.
    Open {
        /// Since when the API has not returned it, if so.
        missing: Option<Missing>,
    },
    /// Dropped, because the API did not return it; it goes on where it was if it comes back.
    Vanished {
        /// When it was dropped.
        at: Timestamp,
    },
    /// Ended with a status that is not known to be final: in the gauges, not yet in the counters.
    Provisional {
        /// When it was first seen with an end.
        since: Timestamp,
        /// Where in the window it is counted.
        granule: Granule,
        /// Whether it goes into the counters once it is final.
        counts: bool,
        /// When it started, if it did.
        started: Option<Timestamp>,
        /// When it ended.
        ended: Timestamp,
    },
    /// Ended for good.
    Ended {
        /// When it was first seen so; when it ended, if that was before the first pass.
        seen: Timestamp,
    },
}

/// For how long the API has not returned a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    since: Timestamp,
    polls: u8,
}

// === impl State ===

impl State {
    /// Open, and returned by the API.
    pub(super) fn listed() -> Self {
        Self::Open { missing: None }
    }

    pub(super) fn is_listed(&self) -> bool {
        *self == Self::listed()
    }
}

// === impl Known ===

impl Known {
    /// Whether the task can still change, and so is looked up when no listing shows it.
    pub(super) fn is_followed(&self) -> bool {
        !matches!(self.state, State::Ended { .. })
    }

    fn is_listed(&self, listed_from: Timestamp) -> bool {
        self.created >= earlier(listed_from, FORGET_SLACK)
    }

    /// Whether no listing can bring the task back: it ended, that is an overlap ago, and so is its creation; or
    /// it vanished a window ago.
    pub(super) fn can_be_forgotten(
        &self,
        rules: &super::Rules,
        listed_from: Timestamp,
        at: Timestamp,
    ) -> bool {
        match self.state {
            State::Open { .. } | State::Provisional { .. } => false,
            State::Vanished { at: dropped } => {
                !self.is_listed(listed_from) && elapsed(dropped, at) >= rules.window
            }
            State::Ended { seen } => !self.is_listed(listed_from) && elapsed(seen, at) >= rules.overlap,
        }
    }
}

// === impl Missing ===

impl Missing {
    /// The task is missing at the instant `at` as well.
    pub(super) fn again(before: Option<Self>, at: Timestamp) -> Self {
        match before {
            // A clock that was set back must not keep a task for longer.
            Some(missing) => Self { since: missing.since.min(at), polls: missing.polls.saturating_add(1) },
            None => Self { since: at, polls: 1 },
        }
    }

    /// Whether the task is taken as gone.
    pub(super) fn is_gone(self, at: Timestamp) -> bool {
        self.polls >= MISSING_POLLS && elapsed(self.since, at) >= MISSING_FOR
    }
}

/// Whether a status that was first seen with an end at `since` is taken as final.
pub(super) fn is_settled(since: Timestamp, at: Timestamp) -> bool {
    elapsed(since, at) >= PROVISIONAL_FOR
}
