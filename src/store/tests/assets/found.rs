//! One asset in the independent implementation.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::{AssetLabels, AssetState};
use super::naive::{At, DAY, Key, Known, seconds};
use super::{Backup, HOUR};
use crate::config::{Assets, MaxAge, Objective};
use crate::task::Label;

/// What it finds of one asset.
pub(super) struct Found<'a> {
    tasks: Vec<&'a Known>,
    pub(super) state: AssetState,
    pub(super) completed: Option<i64>,
    pub(super) since: i64,
    pub(super) late_from: i64,
    pub(super) failing: Vec<(String, i64)>,
}

fn end(task: &Backup) -> Option<(i64, i64, i64)> {
    Some((task.ended?, task.created, task.id))
}

/// The usual interval of these completions.
fn usual(completions: &[(i64, i64, i64)]) -> Option<i64> {
    let mut ends: Vec<i64> = completions.iter().map(|end| end.0).collect();
    ends.sort_unstable();
    let last = *ends.last()?;
    let gaps: Vec<(i64, i64)> = ends.windows(2).map(|pair| (pair[1], pair[1] - pair[0])).collect();
    let recent: Vec<_> = gaps.iter().filter(|(end, _)| *end > last - 15 * DAY).copied().collect();
    let chosen = if recent.len() < 4 { &gaps[gaps.len().saturating_sub(4)..] } else { &recent[..] };
    let mut lengths: Vec<i64> = chosen.iter().map(|(_, length)| *length).collect();
    lengths.sort_unstable();
    lengths.reverse();
    if ends.len() < 3 { None } else { lengths.get(1).copied() }
}

/// Whether the text matches a pattern with stars, by trying every split.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => matches(&pattern[1..], text) || (!text.is_empty() && matches(pattern, &text[1..])),
        (Some(a), Some(b)) if a == b || a == '?' => matches(&pattern[1..], &text[1..]),
        _ => false,
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    pub(super) fn new(tasks: Vec<&'a Known>, at: &At<'_>) -> Self {
        let of_status = |status: &'static str| tasks.iter().filter(move |(task, _)| task.status == status);
        let completions: Vec<_> = of_status("completed").filter_map(|(task, _)| end(task)).collect();
        let last = completions.iter().max().copied();
        let first = tasks.iter().map(|(task, _)| task.created).min().expect("an asset must have tasks");
        let since = last.map_or(first, |last| last.0);
        let is_open = tasks.iter().any(|(task, vanished)| task.ended.is_none() && vanished.is_none());
        let is_attempted = tasks.iter().any(|(task, vanished)| {
            let may_complete = end(task).map_or(vanished.is_none(), |end| Some(end) > last);
            task.status != "completed" && may_complete
        });
        let mut found = Self {
            tasks,
            state: AssetState::Ok,
            completed: last.map(|last| last.0),
            since,
            late_from: 0,
            failing: vec![],
        };
        let max_age = found.max_age(at.rules);
        let is_covered = at.covered_from <= at.time - 15 * DAY;
        let usual = usual(&completions);
        let age = match (max_age, usual, completions.len()) {
            (MaxAge::Fixed(age), ..) => seconds(age),
            (MaxAge::Auto, Some(usual), _) => usual * 5 / 4 + HOUR,
            (MaxAge::Auto, None, 1 | 2) => 8 * DAY,
            (MaxAge::Auto, None, _) if is_open => 7 * DAY,
            (MaxAge::Auto, None, _) => 26 * HOUR,
        };
        found.late_from = since + age;
        let is_late = at.time - since > age;
        found.state = match max_age {
            MaxAge::Fixed(Duration::ZERO) => AssetState::Ignored,
            MaxAge::Auto if !is_covered => AssetState::Unjudged,
            _ if is_late && is_attempted => AssetState::Overdue,
            _ if is_late => AssetState::Silent,
            MaxAge::Auto if usual.is_none() && last.is_some() => AssetState::Unjudged,
            _ => AssetState::Ok,
        };
        if found.state != AssetState::Ignored {
            found.failing = found.failing_types();
        }
        found
    }

    fn failing_types(&self) -> Vec<(String, i64)> {
        let types: BTreeSet<&str> = self.tasks.iter().map(|(task, _)| task.task_type).collect();
        let since = |name: &&str| {
            let is_success = |task: &Backup| {
                task.status == "completed" && (name.contains("seeding") || task.task_type == *name)
            };
            let resolved = self
                .tasks
                .iter()
                .filter(|(task, _)| is_success(task))
                .filter_map(|(task, _)| end(task))
                .max();
            let failed =
                self.tasks.iter().filter(|(task, _)| task.status == "failed" && task.task_type == *name);
            let failed = failed.filter_map(|(task, _)| end(task));
            failed.filter(|end| Some(*end) > resolved).min().map(|end| end.0)
        };
        types.iter().filter_map(|name| Some(((*name).to_owned(), since(name)?))).collect()
    }

    fn newest(&self) -> &Backup {
        let order = |(task, _): &&&Known| (task.ended.unwrap_or(i64::MAX), task.created, task.id);
        &self.tasks.iter().max_by_key(order).expect("an asset must have tasks").0
    }

    /// Its id and name; the name is that of the task created last.
    fn names(&self) -> (Option<String>, Option<String>) {
        let newest = self.tasks.iter().max_by_key(|(task, _)| (task.created, task.id));
        newest.and_then(|(task, _)| task.asset.clone()).expect("an asset must have an entity")
    }

    fn max_age(&self, rules: &Assets) -> MaxAge {
        let (id, name) = self.names();
        let name = name.or(id).unwrap_or_default();
        let newest = self.newest();
        let is_match = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| matches(pattern, text))
        };
        let matching = |objective: &&Objective| {
            is_match(&objective.asset_type, newest.asset_type.unwrap_or("unknown"))
                && is_match(&objective.name, &name)
                && is_match(&objective.parent, newest.parent.unwrap_or_default())
        };
        rules.objectives.iter().find(matching).map_or(rules.max_age, |objective| objective.max_age)
    }

    pub(super) fn labels(&self, key: &Key, names: bool) -> AssetLabels {
        let (id, name) = self.names();
        let id = id.or_else(|| name.clone()).unwrap_or_default();
        let parent = self.newest().parent.unwrap_or_default();
        AssetLabels {
            category: Label::new(&key.0),
            asset_type: Label::new(&key.1),
            asset: Label::new(&if names { name.unwrap_or_else(|| id.clone()) } else { id.clone() }),
            asset_id: Label::new(&id),
            parent: Label::new(&if names || parent.is_empty() {
                parent.to_owned()
            } else {
                format!("id-{parent}")
            }),
        }
    }
}
