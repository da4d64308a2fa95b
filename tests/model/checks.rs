//! The checks of what one poll published against its bounds, and against what was published before.

use std::collections::BTreeMap;

use clumio_exporter::store::{DurationHistogram, Snapshot};
use proptest::prelude::*;

use crate::holds::Freedom;
use crate::truth::{Bounds, Family, Series};

pub fn check_gauges(
    bounds: &BTreeMap<Series, Bounds>,
    now: &BTreeMap<Series, u64>,
) -> Result<(), TestCaseError> {
    for (series, bounds) in bounds.iter().filter(|((family, ..), _)| *family == Family::Tasks) {
        let number = now.get(series).copied().unwrap_or_default();
        prop_assert!(bounds.contain(number), "{:?} is {}, not in {:?}", series, number, bounds);
    }
    for (series, number) in now {
        prop_assert!(*number == 0 || bounds.contains_key(series), "{:?} is {}", series, number);
    }
    Ok(())
}

pub fn check_counters(
    bounds: &BTreeMap<Series, Bounds>,
    freedoms: &BTreeMap<Series, Freedom>,
    before: &BTreeMap<Series, u64>,
    now: &BTreeMap<Series, u64>,
) -> Result<(), TestCaseError> {
    for (series, bounds) in bounds.iter().filter(|((family, ..), _)| *family != Family::Tasks) {
        let number = now.get(series).copied().unwrap_or_default();
        let previous = before.get(series).copied().unwrap_or_default();
        let (family, group, status) = *series;
        let freedom = freedoms.get(&(family.held_with(), group, status)).copied().unwrap_or(Freedom::May);
        let bounds = match freedom {
            Freedom::Held => Bounds { least: previous, most: previous },
            Freedom::May => Bounds { least: previous, ..*bounds },
            Freedom::Free => *bounds,
        };
        prop_assert!(
            bounds.contain(number),
            "{:?} ({:?}) is {}, not in {:?}",
            series,
            freedom,
            number,
            bounds
        );
    }
    check_monotonic(before, now)
}

/// No counter is lower than before, and none disappears.
pub fn check_monotonic(
    before: &BTreeMap<Series, u64>,
    now: &BTreeMap<Series, u64>,
) -> Result<(), TestCaseError> {
    for (series, number) in before.iter().filter(|((family, ..), _)| *family != Family::Tasks) {
        let after = now.get(series);
        prop_assert!(after >= Some(number), "{:?} was {} and is {:?}", series, number, after);
    }
    Ok(())
}

/// No histogram has more than the counter of the same tasks.
pub fn check_durations(snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let count = |histogram: Option<&DurationHistogram>| histogram.map_or(0, DurationHistogram::count);
    for kind in &snapshot.kinds {
        let mut ended = 0;
        for sample in &kind.statuses {
            let total = sample.ended_total.unwrap_or(0);
            let runs = count(sample.run_durations.as_deref());
            prop_assert!(runs <= total, "more ran than ended: {:?}", sample);
            ended += total;
        }
        let queued = count(kind.queue_durations.as_deref());
        prop_assert!(queued <= ended, "more were queued than ended: {:?}", kind);
    }
    Ok(())
}

/// Counters that could not be committed stay where they were.
pub fn check_uncommitted(
    committed: &BTreeMap<Series, u64>,
    now: &BTreeMap<Series, u64>,
) -> Result<(), TestCaseError> {
    for (series, number) in now.iter().filter(|((family, ..), _)| *family != Family::Tasks) {
        let before = committed.get(series).copied().unwrap_or_default();
        prop_assert_eq!(*number, before, "{:?} moved, and was not committed", series);
    }
    Ok(())
}
