//! An independent implementation of section 2 of the contract for one asset: over all of its tasks, without summaries.

use std::collections::BTreeSet;

use clumio_exporter::store::AssetState;

use crate::account::{DAY, HOUR, KINDS, PARENTS};
use crate::asset_config::AssetConfig;

/// A task of an asset, as the replica has it. Times are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetTask {
    pub id: usize,
    pub kind: usize,
    /// None while it is open.
    pub outcome: Option<&'static str>,
    pub created: i64,
    /// Its end, or the T that first saw it if that is earlier.
    pub ended: Option<i64>,
    pub parent: usize,
}

/// What the state of an asset depends on besides its tasks.
#[derive(Debug, Clone, Copy)]
pub struct Instant {
    pub time: i64,
    pub covered_from: i64,
    pub config: AssetConfig,
}

/// What section 2 says of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub state: AssetState,
    pub is_auto: bool,
    pub completed: Option<i64>,
    pub since: i64,
    pub late_from: i64,
    /// The types that fail, with the end of the first failure.
    pub failing: Vec<(&'static str, i64)>,
    pub parent: Option<&'static str>,
}

/// The order of ends: by time, creation, id.
type End = (i64, i64, usize);

/// Judges an asset, which must have tasks.
pub fn judge(asset: usize, tasks: &[AssetTask], instant: Instant) -> Verdict {
    let completions = ends(tasks, |task| task.outcome == Some("completed"));
    let last = completions.last().copied();
    let first = tasks.iter().map(|task| task.created).min().expect("an asset must have tasks");
    let since = last.map_or(first, |last| last.0);
    let parent = PARENTS[newest(tasks).parent];
    let max_age = instant.config.max_age(asset, parent);
    let usual = usual_interval(&completions);
    let is_open = tasks.iter().any(|task| task.ended.is_none());
    let age = match (max_age, usual, last) {
        (Some(age), ..) => age,
        (None, Some(usual), _) => usual + usual / 4 + HOUR,
        (None, None, Some(_)) => 8 * DAY,
        (None, None, None) if is_open => 7 * DAY,
        (None, None, None) => 26 * HOUR,
    };
    let is_attempt =
        |task: &AssetTask| task.outcome != Some("completed") && end(task).is_none_or(|end| Some(end) > last);
    let late = if tasks.iter().any(is_attempt) { AssetState::Overdue } else { AssetState::Silent };
    let is_late = instant.time - since > age;
    let is_covered = instant.covered_from <= instant.time - 15 * DAY;
    let state = match max_age {
        Some(0) => AssetState::Ignored,
        None if !is_covered => AssetState::Unjudged,
        _ if is_late => late,
        None if usual.is_none() && last.is_some() => AssetState::Unjudged,
        _ => AssetState::Ok,
    };
    let failing = if state == AssetState::Ignored { vec![] } else { failing_types(tasks) };
    Verdict {
        state,
        is_auto: max_age.is_none(),
        completed: last.map(|last| last.0),
        since,
        late_from: since + age,
        failing,
        parent,
    }
}

fn end(task: &AssetTask) -> Option<End> {
    Some((task.ended?, task.created, task.id))
}

/// The ends of the tasks that are chosen, in order.
fn ends(tasks: &[AssetTask], is_chosen: impl Fn(&AssetTask) -> bool) -> Vec<End> {
    let mut ends: Vec<End> = tasks.iter().filter(|task| is_chosen(task)).filter_map(end).collect();
    ends.sort_unstable();
    ends
}

/// An open task is newer than any that has ended.
fn newest(tasks: &[AssetTask]) -> &AssetTask {
    let order = |task: &&AssetTask| (task.ended.unwrap_or(i64::MAX), task.created, task.id);
    tasks.iter().max_by_key(order).expect("an asset must have tasks")
}

/// The second-longest of the gaps that ended in the 15 days up to the last completion, or of the last four if those are
/// fewer.
fn usual_interval(completions: &[End]) -> Option<i64> {
    let last = completions.last()?.0;
    let gaps: Vec<(i64, i64)> =
        completions.windows(2).map(|pair| (pair[1].0, pair[1].0 - pair[0].0)).collect();
    let is_recent = |(end, _): &&(i64, i64)| *end > last - 15 * DAY;
    let recent = gaps.iter().filter(is_recent).count();
    let mut lengths: Vec<i64> = gaps.iter().rev().take(recent.max(4)).map(|(_, length)| *length).collect();
    lengths.sort_unstable();
    lengths.iter().rev().nth(1).copied()
}

fn failing_types(tasks: &[AssetTask]) -> Vec<(&'static str, i64)> {
    let types: BTreeSet<&'static str> = tasks.iter().map(|task| KINDS[task.kind].1).collect();
    let since = |name: &&'static str| {
        let is_of_type = |task: &AssetTask| KINDS[task.kind].1 == *name;
        let is_success = |task: &AssetTask| {
            task.outcome == Some("completed") && (is_of_type(task) || name.contains("seeding"))
        };
        let resolved = ends(tasks, is_success).last().copied();
        let failures = ends(tasks, |task| task.outcome == Some("failed") && is_of_type(task));
        failures.into_iter().find(|end| Some(*end) > resolved).map(|end| end.0)
    };
    types.iter().filter_map(|name| Some((*name, since(name)?))).collect()
}
