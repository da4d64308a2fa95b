//! Which kinds and statuses have series of their own: the caps that bound how many there can be.
//!
//! A kind is a pair of category and type. Its place is fixed when it is first seen, so that a series never
//! changes its meaning. Beyond `max_kinds` only the type folds, into `other`: category and status stay, so that
//! a rule by category stays right. Beyond `max_categories` the category becomes `other` as well. What folds is
//! not remembered, so that memory stays bounded by the caps whatever the API answers.

use std::collections::{BTreeMap, BTreeSet};

use super::Rules;
use super::kind::MAX_OTHER_STATUSES;
use crate::task::{Label, Status};

/// The places that are taken, and those that can be.
#[derive(Debug, Clone)]
pub(super) struct Places {
    max_categories: usize,
    max_kinds: usize,
    by_labels: BTreeMap<Label, BTreeMap<Label, u32>>,
    /// How many are taken, and how many of these by types that folded.
    taken: u32,
    folded: u32,
    other_statuses: BTreeSet<Label>,
}

// === impl Places ===

impl Places {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            max_categories: rules.max_categories,
            max_kinds: rules.max_kinds,
            by_labels: BTreeMap::new(),
            taken: 0,
            folded: 0,
            other_statuses: BTreeSet::new(),
        }
    }

    /// Other caps, for what is not seen yet.
    pub(super) fn set_caps(&mut self, rules: &Rules) {
        (self.max_categories, self.max_kinds) = (rules.max_categories, rules.max_kinds);
    }

    pub(super) fn get(&self, category: &Label, task_type: &Label) -> Option<u32> {
        self.by_labels.get(category)?.get(task_type).copied()
    }

    /// Takes the next place; none if the kind has one.
    pub(super) fn take(&mut self, category: &Label, task_type: &Label) -> Option<u32> {
        let place = self.taken;
        let types = self.by_labels.entry(category.clone()).or_default();
        if types.contains_key(task_type) {
            return None;
        }
        types.insert(task_type.clone(), place);
        self.taken = place.checked_add(1).expect("kinds must be capped");
        self.folded += u32::from(*task_type == Label::other());
        Some(place)
    }

    /// The category and type under which a kind is counted that has no place of its own.
    pub(super) fn folded(&self, category: &Label, task_type: &Label) -> (Label, Label) {
        let has_room = self.by_labels.contains_key(category) || self.has_room_for_categories();
        let category = if has_room { category.clone() } else { Label::other() };
        let has_room = self.get(&category, task_type).is_some() || self.has_room_for_kinds();
        let task_type = if has_room { task_type.clone() } else { Label::other() };
        (category, task_type)
    }

    /// Whether a kind that was never seen would get a place of its own.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for_kinds() && self.has_room_for_categories()
    }

    /// The places, sorted by category and type.
    pub(super) fn in_order(&self) -> impl Iterator<Item = u32> {
        self.by_labels.values().flat_map(BTreeMap::values).copied()
    }

    /// The status under which one is published: its own word, as long as there are not too many.
    pub(super) fn published_status(&mut self, status: &Status) -> Status {
        let Status::Other(word) = status else { return status.clone() };
        if self.other_statuses.len() < MAX_OTHER_STATUSES {
            self.other_statuses.insert(word.clone());
        }
        if self.other_statuses.contains(word) { status.clone() } else { Status::Other(Label::other()) }
    }

    /// Takes in the statuses of a kind that was kept; gives whether there can be so many.
    pub(super) fn restore_statuses<'a>(&mut self, statuses: impl Iterator<Item = &'a Status>) -> bool {
        let words = statuses.filter(|status| !status.is_known());
        self.other_statuses.extend(words.map(|status| Label::from(status.clone())));
        // What stands for words beyond the cap is not one of them.
        self.other_statuses.iter().filter(|word| **word != Label::other()).count() <= MAX_OTHER_STATUSES
    }

    fn has_room_for_kinds(&self) -> bool {
        ((self.taken - self.folded) as usize) < self.max_kinds
    }

    fn has_room_for_categories(&self) -> bool {
        let own = self.by_labels.len() - usize::from(self.by_labels.contains_key(&Label::other()));
        own < self.max_categories
    }
}
