//! The checks of what one poll published against its bounds, and against what was published before.

use std::collections::BTreeMap;

use clumio_exporter::ledger::{Observations, Snapshot};
use proptest::prelude::*;

use crate::belief::Freedom;
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
        let stood = before.get(series).copied().unwrap_or_default();
        let (family, group, status) = *series;
        let freedom = freedoms.get(&(family.held_with(), group, status)).copied().unwrap_or(Freedom::Free);
        let bounds = match freedom {
            Freedom::Stands => Bounds { least: stood, most: stood },
            Freedom::May => Bounds { least: stood, ..*bounds },
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
    for (series, number) in before {
        let after = now.get(series);
        prop_assert!(after.is_some(), "{:?} is gone", series);
        prop_assert!(series.0 == Family::Tasks || after >= Some(number), "{:?} fell from {}", series, number);
    }
    Ok(())
}

/// No histogram has more than the counter of the same tasks.
pub fn check_durations(snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let count = |histogram: Option<&Observations>| histogram.map_or(0, Observations::count);
    for kind in &snapshot.kinds {
        let mut ended = 0;
        for sample in &kind.statuses {
            let total = sample.ended_total.unwrap_or(0);
            prop_assert!(
                count(sample.run_durations.as_deref()) <= total,
                "more ran than ended: {:?}",
                sample
            );
            ended += total;
        }
        prop_assert!(count(kind.queue_durations.as_deref()) <= ended, "more waited than ended: {:?}", kind);
    }
    Ok(())
}

/// Counters that could not be kept stand where they were.
pub fn check_stopped(kept: &BTreeMap<Series, u64>, now: &BTreeMap<Series, u64>) -> Result<(), TestCaseError> {
    for (series, number) in now.iter().filter(|((family, ..), _)| *family != Family::Tasks) {
        let stood = kept.get(series).copied().unwrap_or_default();
        prop_assert_eq!(*number, stood, "{:?} moved, and was not kept", series);
    }
    Ok(())
}
