//! The world: every task's life line, and the indexes by which a page of a million of them is found quickly.
//!
//! Nothing in it changes with time but what exists: tasks are generated as their creation comes, and what is
//! listed at an instant, and in which state, follows from the life lines.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::time::Duration;

use fastrand::Rng;

use super::chance::{happens, mix, up_to};
use super::filter::Filter;
use super::schedule::Schedule;
use super::task::{State, Task};
use crate::time::{Timestamp, later};

/// Where a task is kept.
pub(super) type Slot = u32;

/// The tasks of one account.
#[derive(Debug)]
pub(super) struct World {
    slots: Vec<Kept>,
    by_id: HashMap<u64, Slot>,
    /// Sorted. A vector, for tasks nearly always come in the order of their creation.
    by_creation: Vec<(Timestamp, Slot)>,
    /// By their end, [`Timestamp::MAX`] where there is none: what is open lies behind the instant asked for.
    by_end: BTreeSet<(Timestamp, Slot)>,
    /// Those that are not listed from their creation on, by when they are.
    late: BTreeSet<(Timestamp, Slot)>,
    schedule: Schedule,
    seed: u64,
    /// Of tasks generated from now on, how many are listed late, and by how much at most.
    lateness: (f64, Duration),
    still_from: Option<Timestamp>,
}

#[derive(Debug)]
struct Kept {
    task: Task,
    /// Whether it was generated, not scripted: such tasks stop ageing when the world stands still.
    generated: bool,
}

// === impl World ===

impl World {
    /// A world whose generated history begins at `start`.
    pub(super) fn new(seed: u64, tasks_per_day: u32, start: Timestamp) -> Self {
        Self {
            slots: Vec::new(),
            by_id: HashMap::new(),
            by_creation: Vec::new(),
            by_end: BTreeSet::new(),
            late: BTreeSet::new(),
            schedule: Schedule::new(seed, tasks_per_day, start),
            seed,
            lateness: (0.0, Duration::ZERO),
            still_from: None,
        }
    }

    /// Generates what is created up to `at`.
    pub(super) fn advance(&mut self, at: Timestamp) {
        let until = self.view(true, at);
        while let Some(mut task) = self.schedule.next(until) {
            let (share, most) = self.lateness;
            // Drawn from the id and not in turn, so that lateness leaves the rest of the world as it is.
            let mut rng = Rng::with_seed(mix(self.seed ^ task.id));
            if happens(&mut rng, share) {
                task.visible_from = later(task.created, up_to(&mut rng, most));
            }
            if !self.by_id.contains_key(&task.id) {
                self.keep(task, true);
            }
        }
    }

    /// Sets how many of the tasks that are generated from here on are listed late, and by how much at most.
    pub(super) fn set_lateness(&mut self, share: f64, most: Duration) {
        self.lateness = (share, most);
    }

    /// Puts a task in, in place of the one that has its id.
    pub(super) fn add(&mut self, task: Task) {
        self.remove(task.id);
        self.keep(task, false);
    }

    /// The generator.
    pub(super) fn schedule(&mut self) -> &mut Schedule {
        &mut self.schedule
    }

    /// Every task, oldest creation first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Task> {
        self.by_creation.iter().map(|(_, slot)| self.task(*slot))
    }

    /// Takes a task out, as if it had never been; false if there is none.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.by_id.remove(&id) else { return false };
        let task = &self.slot(slot).task;
        let (created, end, visible) = (task.created, end_of(task), task.visible_from);
        if let Ok(position) = self.by_creation.binary_search(&(created, slot)) {
            self.by_creation.remove(position);
        }
        self.by_end.remove(&(end, slot));
        self.late.remove(&(visible, slot));
        true
    }

    /// From `at` on, generates nothing and leaves every generated task in the state that it has then.
    pub(super) fn stand_still(&mut self, at: Timestamp) {
        self.advance(at);
        let at = self.view(true, at);
        self.still_from = Some(at);
        let first = self.by_creation.partition_point(|(created, _)| *created <= at);
        let beyond = self.by_creation[first..].iter().map(|(_, slot)| self.slot(*slot));
        let ids = beyond.filter(|kept| kept.generated).map(|kept| kept.task.id).collect::<Vec<_>>();
        for id in ids {
            self.remove(id);
        }
    }

    /// The tasks that are listed at `at` and meet the filter, oldest first.
    pub(super) fn matching(&self, filter: &Filter, at: Timestamp) -> Vec<Slot> {
        if let Some(ids) = filter.ids() {
            let slots = ids.iter().filter_map(|id| self.by_id.get(id).copied());
            return self.checked(slots.collect(), filter, at);
        }
        if filter.is_about_open() {
            return self.checked(self.ending_after(at), filter, at);
        }
        let listed = self.listed(filter, at);
        if filter.is_about_creation() {
            return listed;
        }
        listed.into_iter().filter(|slot| filter.matches(self.task(*slot), self.state(*slot, at))).collect()
    }

    /// The task of this id, if it is listed at `at`.
    pub(super) fn find(&self, id: u64, at: Timestamp) -> Option<Slot> {
        self.by_id.get(&id).copied().filter(|slot| self.is_listed(*slot, at))
    }

    /// The task that is kept there.
    pub(super) fn task(&self, slot: Slot) -> &Task {
        &self.slot(slot).task
    }

    /// The instant at which a task is seen by who looks at `at`: no later than where it stands still.
    pub(super) fn seen_at(&self, slot: Slot, at: Timestamp) -> Timestamp {
        self.view(self.slot(slot).generated, at)
    }

    fn state(&self, slot: Slot, at: Timestamp) -> State {
        self.task(slot).state(self.seen_at(slot, at))
    }

    fn is_listed(&self, slot: Slot, at: Timestamp) -> bool {
        let task = self.task(slot);
        task.created.max(task.visible_from) <= self.seen_at(slot, at)
    }

    fn view(&self, generated: bool, at: Timestamp) -> Timestamp {
        self.still_from.filter(|_| generated).map_or(at, |still| still.min(at))
    }

    fn slot(&self, slot: Slot) -> &Kept {
        &self.slots[usize::try_from(slot).expect("a slot must be an index")]
    }

    /// The tasks that may be open at `at`.
    fn ending_after(&self, at: Timestamp) -> Vec<Slot> {
        let after = (Bound::Excluded((self.view(true, at), Slot::MAX)), Bound::Unbounded);
        self.by_end.range(after).map(|(_, slot)| *slot).collect()
    }

    /// Those of `slots` that are listed and meet the filter, each once, oldest first.
    fn checked(&self, mut slots: Vec<Slot>, filter: &Filter, at: Timestamp) -> Vec<Slot> {
        slots.retain(|slot| {
            self.is_listed(*slot, at) && filter.matches(self.task(*slot), self.state(*slot, at))
        });
        slots.sort_unstable_by_key(|slot| (self.task(*slot).created, *slot));
        slots.dedup();
        slots
    }

    /// The tasks of the filter's range of creation that are listed. It does not look at the tasks themselves:
    /// only the few late ones can be missing from the list.
    fn listed(&self, filter: &Filter, at: Timestamp) -> Vec<Slot> {
        let to = filter.to.map_or(at, |to| to.min(at));
        let first = filter.from.map_or(0, |from| self.by_creation.partition_point(|(at, _)| *at < from));
        let end = self.by_creation.partition_point(|(created, _)| *created <= to).max(first);
        let after = (Bound::Excluded((self.view(true, at), Slot::MAX)), Bound::Unbounded);
        let hidden = self.late.range(after).map(|(_, slot)| *slot);
        let hidden = hidden.filter(|slot| !self.is_listed(*slot, at)).collect::<HashSet<_>>();
        let slots = self.by_creation[first..end].iter().map(|(_, slot)| *slot);
        slots.filter(|slot| hidden.is_empty() || !hidden.contains(slot)).collect()
    }

    fn keep(&mut self, task: Task, generated: bool) {
        let slot = Slot::try_from(self.slots.len()).expect("a world must hold less than 2^32 tasks");
        let entry = (task.created, slot);
        let position = match self.by_creation.last() {
            Some(last) if *last > entry => self.by_creation.partition_point(|other| *other < entry),
            _ => self.by_creation.len(),
        };
        self.by_creation.insert(position, entry);
        self.by_end.insert((end_of(&task), slot));
        self.by_id.insert(task.id, slot);
        if task.visible_from > task.created {
            self.late.insert((task.visible_from, slot));
        }
        self.slots.push(Kept { task, generated });
    }
}

fn end_of(task: &Task) -> Timestamp {
    task.ended.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::task::Outcome;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn start() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().expect("the instant must be valid")
    }

    fn hour(hours: u32) -> Timestamp {
        later(start(), HOUR * hours)
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text, hour(0)).expect("the filter must be valid")
    }

    fn open() -> Filter {
        filter(r#"{"status":{"$in":["queued","in_progress","aborting"]}}"#)
    }

    fn ids(world: &World, text: &str, at: Timestamp) -> Vec<u64> {
        world.matching(&filter(text), at).into_iter().map(|slot| world.task(slot).id).collect()
    }

    /// The state of everything that is listed, found without any index.
    fn all(world: &World, at: Timestamp) -> Vec<(u64, State)> {
        let slots = (0..).take(world.slots.len()).filter(|slot| world.is_listed(*slot, at));
        let mut all = slots.map(|slot| (world.task(slot).id, world.state(slot, at))).collect::<Vec<_>>();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    #[test]
    fn a_task_is_listed_from_when_it_is_visible() {
        let mut world = World::new(0, 0, start());
        world.add(Task::new(1, hour(1)).visible_from(hour(2)).ended(hour(4), Outcome::Completed));
        world.add(Task::new(2, hour(3)));
        assert_eq!(ids(&world, "", hour(1)), [0; 0]);
        assert_eq!(ids(&world, "", hour(2)), [1]);
        assert_eq!(ids(&world, "", hour(3)), [1, 2]);
        assert_eq!(world.matching(&open(), hour(1)).len(), 0);
        assert_eq!(world.matching(&open(), hour(3)).len(), 2);
        assert_eq!(world.matching(&open(), hour(4)).len(), 1);
        assert!(world.find(1, hour(1)).is_none());
        assert!(world.find(1, hour(2)).is_some());
    }

    #[test]
    fn a_task_is_replaced_by_one_of_its_id_and_can_be_taken_out() {
        let mut world = World::new(0, 0, start());
        world.add(Task::new(2, hour(2)));
        world.add(Task::new(1, hour(1)));
        assert_eq!(ids(&world, "", hour(9)), [1, 2]);
        world.add(Task::new(1, hour(3)).ended(hour(4), Outcome::Failed));
        assert_eq!(ids(&world, "", hour(9)), [2, 1]);
        assert_eq!(ids(&world, r#"{"status":{"$in":["failed"]}}"#, hour(9)), [1]);
        assert_eq!(world.matching(&open(), hour(9)).len(), 1);
        assert!(world.remove(2) && !world.remove(2));
        assert_eq!(ids(&world, "", hour(9)), [1]);
        assert_eq!(world.matching(&open(), hour(9)).len(), 0);
    }

    #[test]
    fn the_indexes_agree_with_a_scan_of_everything() {
        let mut world = World::new(3, 3000, start());
        world.set_lateness(0.2, HOUR);
        world.advance(hour(48));
        for at in [hour(1), hour(20), hour(48)] {
            let all = all(&world, at);
            let mut listed = ids(&world, "", at);
            listed.sort_unstable();
            assert_eq!(listed, all.iter().map(|(id, _)| *id).collect::<Vec<_>>());
            let still_open = all.iter().filter(|(_, state)| state.is_open()).count();
            assert_eq!(world.matching(&open(), at).len(), still_open);
            assert!(still_open > 0);
        }
        let half =
            filter(&format!(r#"{{"created_timestamp":{{"$gte":"{}","$lte":"{}"}}}}"#, hour(10), hour(20)));
        let slots = world.matching(&half, hour(48));
        assert!(!slots.is_empty());
        assert!(slots.iter().all(|slot| (hour(10)..=hour(20)).contains(&world.task(*slot).created)));
    }

    #[test]
    fn a_world_that_stands_still_keeps_its_numbers_but_scripts_go_on() {
        let mut world = World::new(5, 3000, start());
        world.set_lateness(0.2, HOUR);
        world.advance(hour(31));
        world.stand_still(hour(30));
        let rest = all(&world, hour(30));
        world.advance(hour(90));
        assert_eq!(all(&world, hour(90)), rest);
        assert_eq!(ids(&world, "", hour(90)).len(), rest.len());
        let still_open = rest.iter().filter(|(_, state)| state.is_open()).count();
        assert_eq!(world.matching(&open(), hour(90)).len(), still_open);
        world.add(Task::new(1, hour(80)).ended(hour(85), Outcome::Failed));
        assert_eq!(world.matching(&open(), hour(84)).len(), still_open + 1);
        assert_eq!(world.matching(&open(), hour(90)).len(), still_open);
    }

    #[test]
    fn a_hundred_thousand_tasks_a_day_are_generated_and_found() {
        let mut world = World::new(1, 100_000, start());
        world.advance(hour(24));
        let all = world.matching(&Filter::default(), hour(24)).len();
        let still_open = world.matching(&open(), hour(24)).len();
        assert!(all > 60_000, "{all}");
        assert!((1..all / 20).contains(&still_open), "{still_open}");
    }
}
