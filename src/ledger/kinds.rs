//! The numbers of every kind of tasks, each in the place that it has ([`places`](super::places)).

use std::collections::HashMap;
use std::time::Duration;

use super::Rules;
use super::kind::{Kind, Numbers};
use super::observations::Durations;
use super::places::Places;
use super::saved::{Contradiction, SavedKind};
use super::snapshot::KindSample;
use super::window::{EndedCounts, Granule, Window};
use crate::task::{Label, Status};
use crate::time::Timestamp;

/// The widest that a granule can be, in seconds: that of the longest window that can be configured is half an hour.
const MOST_SLACK: i64 = 3_600;

/// Where in [`Kinds`] a task is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    kind: u32,
    status: u32,
}

/// The numbers of every kind.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    window: Window,
    places: Places,
    /// By their places.
    all: Vec<Kind>,
    /// By how much granules that were counted with another window can be wider than those of this one, in seconds.
    slack: i64,
}

/// Where the cells of one list of kinds are in another.
pub(super) struct Cells(Vec<Vec<Cell>>);

// === impl Kinds ===

impl Kinds {
    pub(super) fn new(window: Duration, rules: &Rules) -> Self {
        Self { window: Window::new(window), places: Places::new(rules), all: Vec::new(), slack: 0 }
    }

    /// The kinds that were kept; their places are those that they had, whatever the caps have become.
    pub(super) fn restored(
        saved: Vec<SavedKind>,
        window: Duration,
        slack: i64,
        rules: &Rules,
    ) -> Result<Self, Contradiction> {
        let mut kinds = Self { slack: slack.clamp(0, MOST_SLACK), ..Self::new(window, rules) };
        let kept_with = kinds.window;
        kinds.set_rules(rules);
        for kind in saved {
            let is_possible = kinds.places.take(&kind.category, &kind.task_type).is_some()
                && kinds.places.restore_statuses(kind.statuses.iter().map(|numbers| &numbers.status));
            if !is_possible {
                return Err(Contradiction::Kinds);
            }
            kinds.all.push(Kind::restored(kind, kept_with)?);
        }
        Ok(kinds)
    }

    /// The kinds, to be kept.
    pub(super) fn saved(&self) -> Vec<SavedKind> {
        self.all.iter().map(|kind| kind.saved(self.window)).collect()
    }

    /// The position of a cell's kind, and its status.
    pub(super) fn place_of(&self, cell: Cell) -> (u32, Status) {
        (cell.kind, self.all[cell.kind as usize].statuses[cell.status as usize].status.clone())
    }

    /// The cell that [`place_of`](Self::place_of) described, if there is one.
    pub(super) fn restored_cell(&self, kind: u32, status: &Status) -> Option<Cell> {
        let statuses = &self.all.get(kind as usize)?.statuses;
        let position = statuses.iter().position(|numbers| numbers.status == *status)?;
        Some(Cell { kind, status: index(position) })
    }

    /// By how much granules that were counted with another window can be wider than those of this one, in seconds.
    pub(super) fn slack(&self) -> i64 {
        self.slack
    }

    /// Other caps, for kinds that are not seen yet, and a window that is not longer than it was.
    pub(super) fn set_rules(&mut self, rules: &Rules) {
        let shorter = Window::new(rules.window.min(self.window()));
        self.slack = self.slack.max(self.window.slack(shorter)).min(MOST_SLACK);
        self.window = Window::new(rules.window.min(self.window()));
        self.places.set_caps(rules);
    }

    pub(super) fn window(&self) -> Duration {
        self.window.length()
    }

    /// The place of a task of this category, type and status.
    pub(super) fn cell(&mut self, category: &Label, task_type: &Label, status: &Status) -> Cell {
        let kind = self.place(category, task_type);
        self.with_status(Cell { kind, status: 0 }, status)
    }

    /// The place of the same kind with another status.
    pub(super) fn with_status(&mut self, cell: Cell, status: &Status) -> Cell {
        let status = self.places.published_status(status);
        let statuses = &mut self.all[cell.kind as usize].statuses;
        let position = statuses.iter().position(|numbers| numbers.status == status);
        let position = position.unwrap_or_else(|| {
            statuses.push(Numbers::new(status));
            statuses.len() - 1
        });
        Cell { kind: cell.kind, status: index(position) }
    }

    pub(super) fn count_created(&mut self, cell: Cell) {
        self.all[cell.kind as usize].created.increment();
    }

    /// Counts a task as ended, with how long it took if it ever ran.
    pub(super) fn count_ended(&mut self, cell: Cell, durations: Option<Durations>) {
        self.all[cell.kind as usize].count_ended(cell.status as usize, durations);
    }

    /// Notes that a task ended for good.
    pub(super) fn note_end(&mut self, cell: Cell, ended: Timestamp) {
        let last_ended = &mut self.numbers(cell).last_ended;
        *last_ended = (*last_ended).max(Some(ended));
    }

    pub(super) fn add_open(&mut self, cell: Cell) {
        self.numbers(cell).open += 1;
    }

    pub(super) fn remove_open(&mut self, cell: Cell) {
        self.numbers(cell).open -= 1;
    }

    /// Counts a task that ended at `ended`, unless it has left the window by `at`; gives where.
    pub(super) fn add_ended(&mut self, cell: Cell, ended: Timestamp, at: Timestamp) -> Granule {
        let window = self.window;
        let granule = window.granule(ended);
        self.numbers(cell).ended.add(window, granule, at);
        granule
    }

    pub(super) fn remove_ended(&mut self, cell: Cell, granule: Granule) {
        self.numbers(cell).ended.remove(granule);
    }

    /// Counts a task where it was counted before, unless it has left the window by `at`.
    pub(super) fn restore_ended(&mut self, cell: Cell, granule: Granule, at: Timestamp) {
        let window = self.window;
        self.numbers(cell).ended.add(window, granule, at);
    }

    pub(super) fn is_in_window(&self, granule: Granule, at: Timestamp) -> bool {
        self.window.has(granule, at)
    }

    /// The same kinds with no task in them, and this window.
    pub(super) fn emptied(&self, window: Duration) -> Self {
        let all = self.all.iter().map(Kind::emptied).collect();
        Self { window: Window::new(window), all, slack: 0, ..self.clone() }
    }

    /// Takes over the gauges and the window of other kinds (of the last ends, those that are later), and gives where
    /// their cells are here. None if the caps put a kind into another place there.
    pub(super) fn take_gauges(&mut self, other: &Self) -> Option<Cells> {
        let is_there = |kind: &Kind| other.places.get(&kind.category, &kind.task_type).is_some();
        if !other.places.has_room() && !self.all.iter().all(is_there) {
            return None;
        }
        self.window = other.window;
        for numbers in self.all.iter_mut().flat_map(|kind| &mut kind.statuses) {
            (numbers.open, numbers.ended) = (0, EndedCounts::default());
        }
        let mut cells = Vec::with_capacity(other.all.len());
        for kind in &other.all {
            let mut row = Vec::with_capacity(kind.statuses.len());
            for theirs in &kind.statuses {
                let cell = self.cell(&kind.category, &kind.task_type, &theirs.status);
                let (place, status) = (&self.all[cell.kind as usize], self.place_of(cell).1);
                if !place.is_same_as(kind) || status != theirs.status {
                    return None;
                }
                let ours = self.numbers(cell);
                (ours.open, ours.ended) = (theirs.open, theirs.ended.clone());
                ours.last_ended = ours.last_ended.max(theirs.last_ended);
                row.push(cell);
            }
            cells.push(row);
        }
        Some(Cells(cells))
    }

    /// Whether no gauge is lower than it is in `before`, which has the same kinds or fewer, however it is made up: a task
    /// that is found must not hide that another one is not.
    pub(super) fn has_no_fewer_than(&self, before: &Self, at: Timestamp) -> bool {
        let slack = self.slack.max(before.slack).max(self.window.slack(before.window));
        self.all.iter().zip(&before.all).all(|(now, before)| {
            let mut statuses = now.statuses.iter().zip(&before.statuses);
            statuses.all(|(now, before)| {
                let has_ended = now.ended.has_no_fewer_than(&before.ended, self.window, slack, at);
                now.open >= before.open && has_ended
            })
        })
    }

    /// The ended tasks of every status of every kind.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&Status, &EndedCounts)> {
        let all = self.all.iter().flat_map(|kind| &kind.statuses);
        all.map(|numbers| (&numbers.status, &numbers.ended))
    }

    /// Drops the ended tasks that have left the window by `at`.
    pub(super) fn expire(&mut self, at: Timestamp) {
        for numbers in self.all.iter_mut().flat_map(|kind| &mut kind.statuses) {
            numbers.ended.expire(self.window, at);
        }
    }

    /// Moves the counters and histograms whose hold is over to their totals.
    pub(super) fn publish(&mut self, hold: Duration, now: Timestamp) {
        self.all.iter_mut().for_each(|kind| kind.publish(hold, now));
    }

    /// What is published, sorted by category and type, and within them by status; with the creation of the oldest open
    /// task of each cell.
    pub(super) fn samples(&self, oldest: &HashMap<Cell, Timestamp>) -> Vec<KindSample> {
        let sample = |kind: u32| {
            let oldest = |status| oldest.get(&Cell { kind, status: index(status) }).copied();
            self.all[kind as usize].sample(oldest)
        };
        self.places.in_order().map(sample).collect()
    }

    fn place(&mut self, category: &Label, task_type: &Label) -> u32 {
        if let Some(place) = self.places.get(category, task_type) {
            return place;
        }
        let (category, task_type) = self.places.folded(category, task_type);
        if let Some(place) = self.places.take(&category, &task_type) {
            self.all.push(Kind::new(category, task_type));
            return place;
        }
        self.places.get(&category, &task_type).expect("a place that cannot be taken must be there")
    }

    fn numbers(&mut self, cell: Cell) -> &mut Numbers {
        &mut self.all[cell.kind as usize].statuses[cell.status as usize]
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("kinds and statuses must be capped")
}

// === impl Cells ===

impl Cells {
    /// Where the cell is.
    pub(super) fn of(&self, cell: Cell) -> Cell {
        self.0[cell.kind as usize][cell.status as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::counter::Counter;
    use super::super::kind::MAX_OTHER_STATUSES;
    use super::super::runs::Runs;
    use super::super::saved::SavedStatus;
    use super::*;

    fn place(kinds: &mut Kinds, category: &str, task_type: &str) -> (String, String) {
        let cell = kinds.cell(&Label::new(category), &Label::new(task_type), &Status::Queued);
        let kind = &kinds.all[cell.kind as usize];
        (kind.category.to_string(), kind.task_type.to_string())
    }

    fn caps(max_categories: usize, max_kinds: usize) -> Rules {
        let [window, overlap, counter_hold] = [Duration::ZERO; 3];
        Rules { window, overlap, counter_hold, max_categories, max_kinds }
    }

    fn pair(category: &str, task_type: &str) -> (String, String) {
        (category.to_owned(), task_type.to_owned())
    }

    #[test]
    fn beyond_the_cap_of_kinds_only_the_type_folds() {
        let mut kinds = Kinds::new(Duration::from_mins(1), &caps(20, 2));
        assert_eq!(place(&mut kinds, "backup", "a"), pair("backup", "a"));
        assert_eq!(place(&mut kinds, "backup", "b"), pair("backup", "b"));
        assert_eq!(place(&mut kinds, "backup", "c"), pair("backup", "other"));
        assert_eq!(place(&mut kinds, "restore", "d"), pair("restore", "other"));
        assert_eq!(place(&mut kinds, "backup", "a"), pair("backup", "a"), "a place is fixed");
        assert_eq!(kinds.samples(&HashMap::new()).len(), 4);
    }

    #[test]
    fn beyond_the_cap_of_categories_the_category_folds() {
        let mut kinds = Kinds::new(Duration::from_mins(1), &caps(1, 10));
        assert_eq!(place(&mut kinds, "backup", "a"), pair("backup", "a"));
        assert_eq!(place(&mut kinds, "restore", "a"), pair("other", "a"));
        assert_eq!(place(&mut kinds, "snapshot", "b"), pair("other", "b"));
    }

    #[test]
    fn a_folded_kind_keeps_its_place_when_there_is_no_room_any_more() {
        let mut kinds = Kinds::new(Duration::from_mins(1), &caps(1, 2));
        for _ in 0..2 {
            assert_eq!(place(&mut kinds, "backup", "a"), pair("backup", "a"));
            assert_eq!(place(&mut kinds, "restore", "b"), pair("other", "b"));
            assert_eq!(place(&mut kinds, "restore", "c"), pair("other", "other"));
        }
    }

    #[test]
    fn kinds_beyond_every_cap_take_no_memory() {
        let mut kinds = Kinds::new(Duration::from_mins(1), &caps(3, 5));
        for n in 0..1000 {
            place(&mut kinds, &format!("category {n}"), &format!("type {n}"));
        }
        assert_eq!(kinds.samples(&HashMap::new()).len(), 5 + 1);
        for n in 0..1000 {
            let status = Status::from_word(&format!("status {n}"));
            kinds.cell(&Label::new("category 0"), &Label::new("type 0"), &status);
        }
        assert_eq!(kinds.all[0].statuses.len(), 6 + MAX_OTHER_STATUSES + 1);
    }

    #[test]
    fn more_words_than_the_cap_are_not_restored() {
        let kind = |category: &str, words: std::ops::Range<usize>| SavedKind {
            category: Label::new(category),
            task_type: Label::new("a"),
            created: Counter::default(),
            statuses: words
                .map(|n| SavedStatus {
                    status: Status::from_word(&format!("status {n}")),
                    ended: Runs::default(),
                    ended_total: None,
                    last_ended: None,
                    run: None,
                })
                .collect(),
            queue: None,
        };
        let restored = |kinds| {
            Kinds::restored(kinds, Duration::from_mins(1), 0, &caps(3, 5)).map(|kinds| kinds.saved().len())
        };
        assert_eq!(restored(vec![kind("backup", 0..MAX_OTHER_STATUSES), kind("restore", 0..3)]), Ok(2));
        let more = vec![kind("backup", 0..MAX_OTHER_STATUSES), kind("restore", 30..31)];
        assert_eq!(restored(more), Err(Contradiction::Kinds));
    }
}
