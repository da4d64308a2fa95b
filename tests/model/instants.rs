//! The gauges that are instants: the creation of the oldest open task, and the end of the newest ended one.

use clumio_exporter::store::{KindSample, Snapshot, StatusSample};
use proptest::prelude::*;

use crate::account::{ENDED, Lacks, Life};
use crate::truth::{Trace, View, group, group_of, word};

/// Checks the instants of a snapshot against the account.
pub fn check_instants(view: &View<'_>, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    for (kind, sample) in samples(snapshot) {
        let is_open = !ENDED.contains(&sample.status.as_str());
        let has_oldest = sample.oldest_open.is_some();
        prop_assert_eq!(has_oldest, is_open && sample.tasks > 0, "{:?} of {:?}", sample, kind);
        check_origin(view, group_of(kind, view.folds), sample)?;
    }
    for (life, trace) in view.account.lives.iter().zip(view.traces) {
        check_life(view, snapshot, life, trace)?;
    }
    Ok(())
}

/// Each instant is that of a task which can be in such a state, and never later than T.
fn check_origin(view: &View<'_>, group_here: usize, sample: &StatusSample) -> Result<(), TestCaseError> {
    let status = word(sample.status.as_str());
    let mut lives = view.account.lives.iter().zip(view.traces);
    let is_here = |life: &Life| group(life.kind, view.folds) == group_here;
    if let Some(oldest) = sample.oldest_open.map(clumio_exporter::time::Timestamp::as_microsecond) {
        prop_assert!(oldest <= view.time, "the oldest {} is later than T", status);
        let is_it = |(life, trace): (&Life, &Trace)| {
            let is_equal = life.lacks == Lacks::Creation || life.created().min(view.time) == oldest;
            is_here(life) && is_equal && view.tasks(life, trace).1.contains(&status)
        };
        prop_assert!(lives.clone().any(is_it), "no task is the oldest {}: {}", status, oldest);
    }
    if let Some(last) = sample.last_ended.map(clumio_exporter::time::Timestamp::as_microsecond) {
        prop_assert!(last <= view.time, "the last {} is later than T", status);
        let is_it = |(life, trace): (&Life, &Trace)| {
            let ends = view.ends(life, trace).filter(|_| life.has_ended(view.poll.1));
            let is_it = ends
                .is_some_and(|(least, most)| (least.min(view.time)..=most.min(view.time)).contains(&last));
            is_here(life) && is_it && life.listed() <= view.poll.1 && ENDED[life.outcome] == status
        };
        prop_assert!(lives.any(is_it), "no task {} last: {}", status, last);
    }
    Ok(())
}

/// No task that the exporter knows for certain is older, or ended later.
fn check_life(view: &View<'_>, snapshot: &Snapshot, life: &Life, trace: &Trace) -> Result<(), TestCaseError> {
    let of_group = |status: &'static str| {
        let here = group(life.kind, view.folds);
        samples(snapshot)
            .filter(move |(kind, sample)| {
                group_of(kind, view.folds) == here && sample.status.as_str() == status
            })
            .map(|(_, sample)| sample)
    };
    let Some(status) = view.tasks(life, trace).0 else { return Ok(()) };
    if ENDED.contains(&status) {
        let newest = of_group(status).filter_map(|sample| sample.last_ended).max();
        let newest = newest.map(clumio_exporter::time::Timestamp::as_microsecond);
        let least = view.ends(life, trace).map(|(least, _)| least.min(view.time));
        prop_assert!(newest >= least, "{:?} ended later than {:?}", life, newest);
    } else if life.lacks != Lacks::Creation {
        let oldest = of_group(status).filter_map(|sample| sample.oldest_open).min();
        let is_oldest = oldest.is_some_and(|oldest| oldest.as_microsecond() <= life.created());
        prop_assert!(is_oldest, "{:?} is older than {:?}", life, oldest);
    }
    Ok(())
}

fn samples(snapshot: &Snapshot) -> impl Iterator<Item = (&KindSample, &StatusSample)> {
    snapshot.kinds.iter().flat_map(|kind| kind.statuses.iter().map(move |sample| (kind, sample)))
}
