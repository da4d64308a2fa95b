//! How often each thing happened that a run is there to try: what hardly ever happens is not tested.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    DateForward,
    DateBack,
    DateFrozen,
    /// A `Date` was used that differs from the expected time by more than the overlap.
    JumpConfirmed,
    /// A `Date` was not used.
    JumpDoubted,
    LocalClockUsed,
    Suspended,
    CrashAtRequest,
    CrashAfterResponse,
    /// The transaction of a poll that ended in a crash was committed.
    CommittedInCrash,
    CommitFailed,
    BackgroundStopped,
    BackgroundFailed,
    PollFailed,
    RestartClean,
    Reload,
    RowShownOpenAgain,
    CountCapped,
    /// A covered task was removed because of the retention.
    RowsRemoved,
    CoveredFurtherBack,
    HoldDelayed,
    Provisional,
    Vanished,
    Missed,
    Drift,
    EndDiscarded,
    AssetFailing,
    AssetOverdue,
    AssetSilent,
    /// By the usual interval of the asset.
    AssetJudged,
    /// It no longer fails, or is no longer late.
    AssetRecovered,
    AssetForgotten,
    AssetUnnamed,
    /// At rest, everything about an asset was compared exactly.
    AssetComparedAtRest,
    AssetUnknownAtRest,
}

impl Happening {
    pub const ALL: [Self; 35] = [
        Self::DateForward,
        Self::DateBack,
        Self::DateFrozen,
        Self::JumpConfirmed,
        Self::JumpDoubted,
        Self::LocalClockUsed,
        Self::Suspended,
        Self::CrashAtRequest,
        Self::CrashAfterResponse,
        Self::CommittedInCrash,
        Self::CommitFailed,
        Self::BackgroundStopped,
        Self::BackgroundFailed,
        Self::PollFailed,
        Self::RestartClean,
        Self::Reload,
        Self::RowShownOpenAgain,
        Self::CountCapped,
        Self::RowsRemoved,
        Self::CoveredFurtherBack,
        Self::HoldDelayed,
        Self::Provisional,
        Self::Vanished,
        Self::Missed,
        Self::Drift,
        Self::EndDiscarded,
        Self::AssetFailing,
        Self::AssetOverdue,
        Self::AssetSilent,
        Self::AssetJudged,
        Self::AssetRecovered,
        Self::AssetForgotten,
        Self::AssetUnnamed,
        Self::AssetComparedAtRest,
        Self::AssetUnknownAtRest,
    ];
}

thread_local! {
    static TALLY: RefCell<BTreeMap<Happening, u64>> =
        RefCell::new(Happening::ALL.into_iter().map(|happening| (happening, 0)).collect());
}

pub fn tally(happening: Happening) {
    TALLY.with_borrow_mut(|tally| *tally.entry(happening).or_default() += 1);
}

pub fn tallied() -> BTreeMap<Happening, u64> {
    TALLY.with_borrow(Clone::clone)
}
