//! The gauges that are instants: the creation of the oldest open task, and the end of the newest ended one.

use clumio_exporter::ledger::{KindSample, Snapshot, StatusSample};
use clumio_exporter::time::Timestamp;
use proptest::prelude::*;

use crate::truth::{Sight, Trace, View, group, group_of, word};
use crate::world::{ENDED, Life};

/// Checks the instants of a snapshot against the world, and against what was published before.
pub fn check_instants(
    view: &View,
    before: Option<&Snapshot>,
    snapshot: &Snapshot,
) -> Result<(), TestCaseError> {
    for (kind, sample) in samples(snapshot) {
        let is_open = !ENDED.contains(&sample.status.as_str());
        prop_assert_eq!(
            sample.oldest_open.is_some(),
            is_open && sample.tasks > 0,
            "{:?} of {:?}",
            sample,
            kind
        );
        let group = group_of(kind, view.folds);
        check_origin(view, group, sample)?;
    }
    let lives = view.world.lives.iter().zip(view.traces);
    for (life, trace) in lives {
        check_life(view, snapshot, life, *trace)?;
    }
    for (kind, sample) in before.into_iter().flat_map(samples) {
        let after = samples(snapshot).find(|(now, it)| {
            (&now.category, &now.task_type, &it.status) == (&kind.category, &kind.task_type, &sample.status)
        });
        let after = after.and_then(|(_, sample)| sample.last_ended);
        prop_assert!(after >= sample.last_ended, "the last end went back to {:?}: {:?}", after, sample);
    }
    Ok(())
}

/// Each instant is that of a task which can be in such a state.
fn check_origin(view: &View, group_here: usize, sample: &StatusSample) -> Result<(), TestCaseError> {
    let status = word(sample.status.as_str());
    let mut lives = view
        .world
        .lives
        .iter()
        .zip(view.traces)
        .filter(|(life, _)| group(life.kind, view.folds) == group_here);
    if let Some(oldest) = sample.oldest_open.map(Timestamp::as_millisecond) {
        let is_it = |(life, trace): (&Life, &Trace)| {
            life.created() == oldest && view.tasks(life, *trace).1.contains(&Some(status))
        };
        prop_assert!(lives.clone().any(is_it), "no task is the oldest {}: {}", status, oldest);
    }
    if let Some(last) = sample.last_ended.map(Timestamp::as_millisecond) {
        let is_it = |(life, _): (&Life, &Trace)| {
            let has_ended = life.ended() == Some(last) && last.max(life.listed()) <= view.instants.poll.1;
            has_ended && ENDED[life.outcome] == status
        };
        let is_of_a_task = lives.any(is_it);
        // It is when a poll saw a task ended whose end was not believed.
        prop_assume!(is_of_a_task || view.wrong_dates == 0.0);
        prop_assert!(is_of_a_task, "no task {} last: {}", status, last);
    }
    Ok(())
}

/// No task that the exporter knows for certain is older, or ended later.
fn check_life(view: &View, snapshot: &Snapshot, life: &Life, trace: Trace) -> Result<(), TestCaseError> {
    let of_group = || {
        let here = group(life.kind, view.folds);
        samples(snapshot)
            .filter(move |(kind, _)| group_of(kind, view.folds) == here)
            .map(|(_, sample)| sample)
    };
    if let Some(status) = view.tasks(life, trace).0.filter(|status| !ENDED.contains(status)) {
        let oldest =
            of_group().filter(|sample| sample.status.as_str() == status).filter_map(|it| it.oldest_open);
        let oldest = oldest.min().map(Timestamp::as_millisecond);
        prop_assert!(
            oldest.is_some_and(|oldest| oldest <= life.created()),
            "{:?} is older than {:?}",
            life,
            oldest
        );
    }
    let is_seen = view.sight(life, trace) == Sight::Ended;
    if let Some(ended) = life.ended().filter(|_| is_seen || view.is_found_ended(life)) {
        let last = of_group().filter(|sample| sample.status.as_str() == ENDED[life.outcome]);
        let last = last.filter_map(|it| it.last_ended).max().map(Timestamp::as_millisecond);
        prop_assert!(last.is_some_and(|last| last >= ended), "{:?} ended later than {:?}", life, last);
    }
    Ok(())
}

fn samples(snapshot: &Snapshot) -> impl Iterator<Item = (&KindSample, &StatusSample)> {
    snapshot.kinds.iter().flat_map(|kind| kind.statuses.iter().map(move |sample| (kind, sample)))
}
