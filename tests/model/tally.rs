//! How often each thing happened that a run is there to try: what hardly ever happens is not tested.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// The clock by which the exporter goes was set forward, or the API's clock stepped.
    ClockForward,
    /// The `Date` of answers was set back.
    DateBack,
    /// The time of day was set back, where answers have no `Date`.
    LocalClockBack,
    /// A poll was taken at an earlier instant than the one before.
    TimeWentBack,
    /// A process ended while it wrote the new file of a state, or before that was synced.
    TornSave,
    /// It ended before the file was renamed.
    CrashBeforeRename,
    /// It ended after that, and the next one found the new file.
    RenameFound,
    /// The machine ended before the folder was synced, and the next process found the old file.
    RenameLost,
    /// The folder could not be synced.
    FailedAfterRename,
    /// The same, and the next process found the new file.
    DoubtfulFound,
}

thread_local! {
    /// Each test has a thread of its own.
    static COUNTS: RefCell<BTreeMap<Happening, u64>> = RefCell::default();
}

/// Each of them.
const ALL: [Happening; 10] = [
    Happening::ClockForward,
    Happening::DateBack,
    Happening::LocalClockBack,
    Happening::TimeWentBack,
    Happening::TornSave,
    Happening::CrashBeforeRename,
    Happening::RenameFound,
    Happening::RenameLost,
    Happening::FailedAfterRename,
    Happening::DoubtfulFound,
];

/// It happened once more in this test.
pub fn tally(happening: Happening) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(happening).or_default() += 1);
}

/// How often each happened in this test so far.
pub fn tallied() -> Vec<(Happening, u64)> {
    COUNTS.with_borrow(|counts| ALL.map(|it| (it, counts.get(&it).copied().unwrap_or_default())).into())
}
