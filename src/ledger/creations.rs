//! How many tasks were created when: what an audit compares with the API's own count.
//!
//! Ids are forgotten after the overlap, so tasks are counted as they leave it. They are counted between *edges*:
//! instants from which every known creation is two seconds away, so that each task is on the same side of an edge however
//! the API rounds. Only the last ones are close to each other, so that memory is some hundred numbers, however long is
//! audited and however many tasks there are, and what is new is audited soon.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counter::{MOST, add};
use crate::task::LISTED_FOR;
use crate::time::{Timestamp, earlier, elapsed, later};

/// How far an edge is from any known creation: more than rounding to whole seconds, on both sides, moves it.
const CLEAR: Duration = Duration::from_secs(2);

/// The least distance between two edges.
const APART: Duration = Duration::from_hours(1);

/// About how many edges there are at most.
const EDGES: u32 = 168;

/// A closed range of creation and the number of known tasks in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The range begins here, in a whole second.
    pub from: Timestamp,
    /// It ends here, in a whole second.
    pub to: Timestamp,
    /// How many tasks are known that were created in it.
    pub tasks: u64,
}

/// The counts by creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Creations {
    /// All tasks created before this instant are counted; those created later are remembered.
    counted_to: Timestamp,
    /// The newest creation that was counted, or before which there may be tasks that were not.
    newest: Timestamp,
    /// The oldest first; each ends where the next begins, the last one with the newest creation.
    segments: VecDeque<Segment>,
    /// A range in which tasks are counted while a heal reads it anew: what both ledgers know of it is compared in the end.
    #[serde(skip)]
    compared: Option<Counted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    from: Timestamp,
    tasks: u64,
}

// === impl Creations ===

impl Creations {
    /// Nothing is counted, and what was created before `from` never will be.
    pub(super) fn new(from: Timestamp) -> Self {
        Self { counted_to: from, newest: from, segments: VecDeque::new(), compared: None }
    }

    /// The counts as they are kept.
    pub(super) fn saved(&self) -> Self {
        Self { compared: None, ..self.clone() }
    }

    /// Whether these can have been counted: the segments are in order, and no count is absurd.
    pub(super) fn is_possible(&self) -> bool {
        let mut segments = self.segments.iter();
        segments.clone().is_sorted_by(|a, b| a.from < b.from) && segments.all(|segment| segment.tasks <= MOST)
    }

    /// Counts all tasks created not yet counted until `to`, by their creations, to be audited for as long as `lookback`.
    pub(super) fn count(&mut self, mut creations: Vec<Timestamp>, to: Timestamp, lookback: Duration) {
        let apart = lookback / EDGES;
        let uncounted = self.counted_to..to;
        creations.retain(|creation| uncounted.contains(creation));
        creations.sort_unstable();
        for creation in creations {
            if self.mark_edge(whole_second(earlier(creation, CLEAR)), APART) {
                self.thin_out(apart);
            }
            if let Some(last) = self.segments.back_mut() {
                last.tasks = add(last.tasks, 1);
            }
            self.compare(creation, 1);
            self.newest = self.newest.max(creation);
        }
        self.counted_to = self.counted_to.max(to);
    }

    /// Counts a task that was met, if its time had been counted already.
    pub(super) fn add(&mut self, creation: Timestamp) {
        if creation >= self.counted_to {
            return;
        }
        self.clear_edges_near(creation);
        self.compare(creation, 1);
        if let Some(segment) = self.segment_of(creation) {
            segment.tasks = add(segment.tasks, 1);
        }
        self.newest = self.newest.max(creation);
    }

    /// Takes back a task that the API does not list any more, if it was counted.
    pub(super) fn remove(&mut self, creation: Timestamp) {
        if creation >= self.counted_to {
            return;
        }
        self.compare(creation, -1);
        if let Some(segment) = self.segment_of(creation) {
            segment.tasks = segment.tasks.saturating_sub(1);
        }
    }

    /// From now on counts what `other` counts so far, to be compared with it: of it what these, which have counted nothing
    /// yet, will count as well.
    pub(super) fn compare_with(&mut self, other: &mut Self) {
        let mut both = other.clone();
        both.segments.retain(|segment| segment.from >= self.counted_to);
        other.compared = both.counted();
        self.compared = other.compared.map(|range| Counted { tasks: 0, ..range });
    }

    /// How many more tasks than `other` these have counted of what is compared.
    pub(super) fn found_more_than(&self, other: &Self) -> u64 {
        let [found, known] = [self, other].map(|it| it.compared.map_or(0, |range| range.tasks));
        found.saturating_sub(known)
    }

    fn compare(&mut self, creation: Timestamp, by: i64) {
        if let Some(range) = &mut self.compared
            && (range.from..range.to).contains(&creation)
        {
            range.tasks = range.tasks.saturating_add_signed(by).min(MOST);
        }
    }

    /// Begins anew after `at`: before it there are rows that nothing can count.
    pub(super) fn begin_after(&mut self, at: Timestamp) {
        self.segments.clear();
        self.newest = self.newest.max(at);
    }

    /// Stops to count what was created longer than `lookback` before `at`, or is not listed any more.
    pub(super) fn forget(&mut self, at: Timestamp, lookback: Duration) {
        let (oldest, listed) = (earlier(at, lookback), earlier(at, LISTED_FOR));
        let was_counting = !self.segments.is_empty();
        while self.segments.get(1).is_some_and(|second| second.from <= oldest)
            || self.segments.front().is_some_and(|first| first.from < listed)
        {
            self.segments.pop_front();
        }
        if was_counting && self.segments.is_empty() {
            self.mark_edge(self.clear_of_uncounted(), Duration::ZERO);
        }
    }

    /// The longest range of which every task is counted; none if there is no such range.
    pub(super) fn counted(&self) -> Option<Counted> {
        let mut until_now = self.clone();
        until_now.mark_edge(self.clear_of_uncounted(), Duration::from_secs(1));
        let (first, last) = (until_now.segments.front()?, until_now.segments.back()?);
        let whole = until_now.segments.iter().rev().skip(1);
        let tasks = whole.fold(0, |sum, segment| add(sum, segment.tasks));
        (first.from < last.from).then_some(Counted { from: first.from, to: last.from, tasks })
    }

    /// The latest instant that is far enough from what is not counted yet.
    fn clear_of_uncounted(&self) -> Timestamp {
        whole_second(earlier(self.counted_to, CLEAR))
    }

    /// Begins a segment at `edge`, if that is clear of the newest creation and far enough from the edge before it. Gives
    /// whether it did.
    fn mark_edge(&mut self, edge: Timestamp, apart: Duration) -> bool {
        let is_apart = self.segments.back().is_none_or(|last| edge >= later(last.from, apart));
        let is_edge = is_apart && edge >= later(self.newest, CLEAR);
        if is_edge {
            self.segments.push_back(Segment { from: edge, tasks: 0 });
        }
        is_edge
    }

    /// Takes away the edge before the last one, if that is closer than `apart` to the one before it.
    fn thin_out(&mut self, apart: Duration) {
        let Some(middle) = self.segments.len().checked_sub(2) else { return };
        let Some(before) = middle.checked_sub(1) else { return };
        if elapsed(self.segments[before].from, self.segments[middle].from) < apart {
            self.segments[before].tasks = add(self.segments[before].tasks, self.segments[middle].tasks);
            self.segments.remove(middle);
        }
    }

    fn segment_of(&mut self, creation: Timestamp) -> Option<&mut Segment> {
        self.segments.iter_mut().rev().find(|segment| segment.from <= creation)
    }

    /// Takes away the edges to which `creation` is too close.
    fn clear_edges_near(&mut self, creation: Timestamp) {
        while let Some(place) = self.segments.iter().position(|segment| {
            elapsed(segment.from, creation) < CLEAR && elapsed(creation, segment.from) < CLEAR
        }) {
            let tasks = self.segments.remove(place).map_or(0, |segment| segment.tasks);
            // Without its first edge, what follows the next one is all that is counted.
            if let Some(before) = place.checked_sub(1).and_then(|place| self.segments.get_mut(place)) {
                before.tasks = add(before.tasks, tasks);
            }
        }
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_millisecond().div_euclid(1_000)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    const WEEK: Duration = Duration::from_hours(7 * 24);
    const HALF_A_YEAR: Duration = Duration::from_hours(180 * 24);

    fn second(at: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + at).expect("the second must be in range")
    }

    fn seconds(at: impl IntoIterator<Item = i64>) -> Vec<Timestamp> {
        at.into_iter().map(second).collect()
    }

    fn counted(creations: &Creations) -> Option<(i64, i64, u64)> {
        let relative = |at: Timestamp| at.as_second() - 1_800_000_000;
        creations.counted().map(|range| (relative(range.from), relative(range.to), range.tasks))
    }

    #[test]
    fn a_range_begins_and_ends_two_seconds_from_every_creation() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds([1, 100, 101]), second(200), WEEK);
        assert_eq!(counted(&creations), Some((98, 198, 2)), "nothing is known of what was created before 0");
        creations.count(seconds([200, 200]), second(201), WEEK);
        assert_eq!(counted(&creations), None, "the newest is too close");
        creations.count(seconds([]), second(300), WEEK);
        assert_eq!(counted(&creations), Some((98, 298, 4)));
    }

    #[test]
    fn on_a_busy_account_a_range_ends_where_there_was_room() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds((10..HOUR).chain(HOUR + 10..2 * HOUR)), second(2 * HOUR), WEEK);
        assert_eq!(counted(&creations), Some((8, HOUR + 8, 3_590)));
    }

    #[test]
    fn a_task_met_late_is_counted_and_takes_away_an_edge_that_it_is_close_to() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds([10, 2 * HOUR, 4 * HOUR]), second(5 * HOUR), WEEK);
        assert_eq!(counted(&creations), Some((8, 5 * HOUR - 2, 3)));
        creations.add(second(HOUR));
        creations.add(second(2 * HOUR - 3));
        assert_eq!(counted(&creations), Some((8, 5 * HOUR - 2, 5)));
        creations.add(second(7));
        assert_eq!(counted(&creations), Some((4 * HOUR - 2, 5 * HOUR - 2, 1)), "the first edge is gone");
        creations.remove(second(4 * HOUR));
        assert_eq!(counted(&creations), Some((4 * HOUR - 2, 5 * HOUR - 2, 0)));
    }

    #[test]
    fn rows_that_cannot_be_counted_are_in_no_range() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds([10]), second(100), WEEK);
        creations.begin_after(second(500));
        creations.count(seconds([101, 400]), second(501), WEEK);
        assert_eq!(counted(&creations), None);
        creations.count(seconds([600]), second(700), WEEK);
        assert_eq!(counted(&creations), Some((598, 698, 1)));
    }

    #[test]
    fn what_both_can_count_is_compared() {
        let mut known = Creations::new(second(0));
        known.count(seconds([10, 2 * HOUR, 4 * HOUR]), second(5 * HOUR), WEEK);
        let mut found = Creations::new(second(HOUR));
        found.compare_with(&mut known);
        found.count(seconds([2 * HOUR, 3 * HOUR, 4 * HOUR]), second(5 * HOUR), WEEK);
        assert_eq!(found.found_more_than(&known), 1, "one that is too old for the other one hides nothing");
        known.add(second(3 * HOUR));
        assert_eq!(found.found_more_than(&known), 0);
    }

    #[test]
    fn what_is_too_old_is_no_longer_counted() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds([10, 2 * HOUR, 4 * HOUR]), second(5 * HOUR), WEEK);
        creations.forget(second(5 * HOUR), Duration::from_hours(2));
        assert_eq!(counted(&creations), Some((2 * HOUR - 2, 5 * HOUR - 2, 2)));
    }

    #[test]
    fn however_long_is_audited_there_are_few_counts() {
        let mut creations = Creations::new(second(0));
        for hour in (0..180 * 24).map(|hour| hour * HOUR) {
            creations.count(seconds([hour + 10]), second(hour + HOUR), HALF_A_YEAR);
        }
        creations.forget(second(180 * DAY), HALF_A_YEAR);
        assert!(creations.segments.len() <= 169, "{}", creations.segments.len());
        assert_eq!(counted(&creations), Some((8, 180 * DAY - 2, 180 * 24)));
    }

    #[test]
    fn what_is_new_is_audited_within_hours_however_long_is_audited_and_however_busy_the_account() {
        let mut creations = Creations::new(second(0));
        // Only once an hour there is room for an edge.
        for hour in (0..30 * 24).map(|hour| hour * HOUR) {
            creations.count(seconds(hour + 10..hour + HOUR), second(hour + HOUR), HALF_A_YEAR);
        }
        assert_eq!(counted(&creations), Some((8, 719 * HOUR + 8, 719 * 3_590)));
    }

    #[test]
    fn what_the_api_does_not_list_any_more_is_not_counted_on_a_quiet_account_either() {
        let mut creations = Creations::new(second(0));
        creations.count(seconds([10, 100 * DAY]), second(180 * DAY), HALF_A_YEAR);
        creations.forget(second(180 * DAY), HALF_A_YEAR);
        assert_eq!(counted(&creations), Some((8, 180 * DAY - 2, 2)));
        creations.forget(second(180 * DAY + 9), HALF_A_YEAR);
        assert_eq!(counted(&creations), Some((100 * DAY - 2, 180 * DAY - 2, 1)));
        creations.count(seconds([]), second(300 * DAY), HALF_A_YEAR);
        creations.forget(second(300 * DAY), HALF_A_YEAR);
        assert_eq!(counted(&creations), None, "the counting begins anew");
        creations.count(seconds([]), second(301 * DAY), HALF_A_YEAR);
        creations.add(second(300 * DAY + 5));
        assert_eq!(counted(&creations), Some((300 * DAY - 2, 301 * DAY - 2, 1)));
    }

    #[test]
    fn counts_out_of_order_or_too_large_are_not_possible() {
        let with = |segments: &[(i64, u64)]| {
            let segments = segments.iter().map(|&(from, tasks)| Segment { from: second(from), tasks });
            Creations {
                segments: segments.collect(),
                counted_to: second(5 * HOUR),
                newest: second(4 * HOUR),
                compared: None,
            }
        };
        assert!(with(&[(0, 1), (HOUR, MOST)]).is_possible());
        assert!(!with(&[(HOUR, 1), (0, 1)]).is_possible());
        assert!(!with(&[(0, 1), (0, 1)]).is_possible());
        assert!(!with(&[(0, MOST + 1)]).is_possible());
        let mut full = with(&[(0, MOST), (HOUR, MOST)]);
        full.add(second(2 * HOUR));
        full.add(second(HOUR));
        assert!(full.is_possible(), "it must be taken in again");
        assert_eq!(counted(&full), Some((0, 5 * HOUR - 2, MOST)));
    }
}
