//! Generates life lines, oldest first and without end: a queue of what is due next, from which each task that
//! is created puts the next ones in.
//!
//! The order in which things fall due depends on the seed and on the start alone. So it does not matter in
//! what steps time advances, and no task is made before its time comes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::chance::{happens, log_normal, next_event, up_to};
use super::fleet::{Asset, Fleet, Work};
use super::task::{Outcome, Subject, Task};
use crate::time::{Timestamp, earlier, elapsed, later};

const DAY: Duration = Duration::from_hours(24);

/// The first id that is generated; smaller ones are left to scripts.
const FIRST_ID: u64 = 40_000_000;
/// How many tasks fail.
const FAILURES: f64 = 0.03;
/// How many tasks that can be aborted are.
const ABORTS: f64 = 0.01;
/// How many tasks hang for days: enough that a fleet of 2,000 tasks a day has a few at any time.
const HANGS: f64 = 0.0002;
/// How many backups of a class with seedings are the first one of a new asset.
const SEEDINGS: f64 = 0.01;
/// How many seedings are already running when history begins.
const OLD_SEEDINGS: u32 = 3;

/// Something that falls due.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A task that was open before history begins.
    OldSeeding,
    /// The scheduled backup of an asset.
    Backup(usize),
    /// The indexing of an asset's newest backup.
    Indexing(usize),
    /// Somebody restores something.
    Restore,
    /// An administrative task.
    Errand,
}

/// The generator.
#[derive(Debug)]
pub(super) struct Schedule {
    rng: Rng,
    fleet: Fleet,
    /// The earliest first; the number keeps those of one instant in the order in which they were put in.
    queue: BinaryHeap<Reverse<(Timestamp, u64, Due)>>,
    queued: u64,
    next_id: u64,
    tasks_per_day: u32,
    /// Assets whose backups fail, by their index in the fleet.
    pub(super) failing: BTreeSet<usize>,
}

// === impl Schedule ===

impl Schedule {
    /// The schedule of a world whose history begins at `start`.
    pub(super) fn new(seed: u64, tasks_per_day: u32, start: Timestamp) -> Self {
        let mut rng = Rng::with_seed(seed);
        let fleet = Fleet::new(tasks_per_day, &mut rng);
        let queue = BinaryHeap::with_capacity(fleet.assets.len() + 8);
        let failing = BTreeSet::new();
        let mut schedule = Self { rng, fleet, queue, queued: 0, next_id: FIRST_ID, tasks_per_day, failing };
        if tasks_per_day > 0 {
            schedule.begin(start);
        }
        schedule
    }

    /// The next task that is created at `until` or before. Its `visible_from` is its creation.
    pub(super) fn next(&mut self, until: Timestamp) -> Option<Task> {
        self.queue.peek().filter(|Reverse((at, ..))| *at <= until)?;
        let Reverse((at, _, due)) = self.queue.pop()?;
        Some(match due {
            Due::OldSeeding => self.old_seeding(at),
            Due::Backup(asset) => self.backup(asset, at),
            Due::Indexing(asset) => self.indexing(asset, at),
            Due::Restore => self.restore(at),
            Due::Errand => self.errand(at),
        })
    }

    /// What is protected.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// A backup of an asset that takes two seconds from `at` on.
    pub(super) fn run_now(&mut self, asset: usize, at: Timestamp, outcome: Outcome) -> Task {
        self.next_id += self.rng.u64(1..=9);
        let Asset { class, subject } = &self.fleet.assets[asset];
        let kind = Arc::clone(&self.fleet.classes[*class].backup.kind);
        let task = Task { kind, subject: Arc::clone(subject), ..Task::new(self.next_id, at) };
        task.started(later(at, Duration::from_secs(1))).ended(later(at, Duration::from_secs(2)), outcome)
    }

    fn begin(&mut self, start: Timestamp) {
        for _ in 0..OLD_SEEDINGS {
            let age = up_to(&mut self.rng, DAY * 3);
            self.push(earlier(start, age), Due::OldSeeding);
        }
        for asset in 0..self.fleet.assets.len() {
            let every = self.fleet.classes[self.fleet.assets[asset].class].every;
            let first = self.first_backup(start, every);
            self.push(first, Due::Backup(asset));
        }
        self.push_by_chance(start, Fleet::RESTORES, Due::Restore);
        self.push_by_chance(start, Fleet::ERRANDS, Due::Errand);
    }

    /// Half of the daily backups run at night, from 21:00 to 05:00 UTC; everything else at any time.
    fn first_backup(&mut self, start: Timestamp, every: Duration) -> Timestamp {
        if every < DAY || self.rng.bool() {
            return later(start, up_to(&mut self.rng, every));
        }
        let day = i64::try_from(DAY.as_secs()).expect("a day must fit");
        let midnight = start.as_second().div_euclid(day) * day;
        let midnight = Timestamp::from_second(midnight).unwrap_or(start);
        let time_of_day = Duration::from_hours(21) + up_to(&mut self.rng, DAY / 3);
        // A start late in the evening has missed a part of two nights: the one that ended today, and this one.
        let last_night = earlier(later(midnight, time_of_day), DAY);
        let mut nights = (0..=2).map(|days| later(last_night, DAY * days));
        nights.find(|night| *night >= start).unwrap_or(start)
    }

    fn old_seeding(&mut self, at: Timestamp) -> Task {
        let seeding = self.fleet.classes.iter().find_map(|class| class.seeding.clone());
        let work = seeding.unwrap_or_else(|| self.fleet.errands[0].clone());
        let subject = self.fleet.restored("aws_ebs_volume", &mut self.rng);
        let ended = later(at, DAY * 4 + up_to(&mut self.rng, DAY * 10));
        let outcome = if self.rng.bool() { Outcome::Completed } else { Outcome::Failed };
        let task = self.task(&work, subject, at);
        Task { started: Some(later(at, Duration::from_secs(7))), aborting: None, ..task }
            .ended(ended, outcome)
    }

    fn backup(&mut self, asset: usize, at: Timestamp) -> Task {
        let class = &self.fleet.classes[self.fleet.assets[asset].class];
        let (every, indexed) = (class.every, class.indexing.is_some());
        let fails = self.failing.contains(&asset);
        let seeding = class.seeding.clone().filter(|_| happens(&mut self.rng, SEEDINGS) && !fails);
        let work = seeding.clone().unwrap_or_else(|| class.backup.clone());
        if seeding.is_some() {
            self.fleet.replace(asset, &mut self.rng);
        }
        let subject = Arc::clone(&self.fleet.assets[asset].subject);
        let mut task = self.task(&work, subject, at);
        if fails {
            (task.aborting, task.outcome) = (None, Outcome::Failed);
        }
        let over = task.ended.unwrap_or(at);
        if indexed && task.outcome == Outcome::Completed {
            let pause = log_normal(&mut self.rng, 15.0, 0.8);
            self.push(later(over, pause), Due::Indexing(asset));
        }
        // A backup that is still running when the next one is due delays that one by whole periods.
        let periods = elapsed(at, over).as_secs() / every.as_secs() + 1;
        let wait = every.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX));
        let jitter = up_to(&mut self.rng, every / 100);
        self.push(later(at, wait + jitter), Due::Backup(asset));
        task
    }

    fn indexing(&mut self, asset: usize, at: Timestamp) -> Task {
        let asset = &self.fleet.assets[asset];
        let class = &self.fleet.classes[asset.class];
        let work = class.indexing.clone().expect("only backups that are indexed must queue an indexing");
        let subject = Arc::clone(&asset.subject);
        self.task(&work, subject, at)
    }

    fn restore(&mut self, at: Timestamp) -> Task {
        self.push_by_chance(at, Fleet::RESTORES, Due::Restore);
        let which = self.rng.usize(..self.fleet.restores.len());
        let (entity_type, work) = self.fleet.restores[which].clone();
        let subject = self.fleet.restored(entity_type, &mut self.rng);
        self.task(&work, subject, at)
    }

    fn errand(&mut self, at: Timestamp) -> Task {
        self.push_by_chance(at, Fleet::ERRANDS, Due::Errand);
        let which = self.rng.usize(..self.fleet.errands.len());
        let work = self.fleet.errands[which].clone();
        self.task(&work, Arc::default(), at)
    }

    /// A task that does `work`, and how that goes.
    fn task(&mut self, work: &Work, subject: Arc<Subject>, created: Timestamp) -> Task {
        let rng = &mut self.rng;
        self.next_id += rng.u64(1..=9);
        let queue = log_normal(rng, 6.0, 1.2);
        let mut run = log_normal(rng, work.median, work.spread);
        if happens(rng, HANGS) {
            run = DAY * 2 + up_to(rng, DAY * 8);
        }
        let started = written(later(created, queue), rng);
        let fate = rng.f64();
        let mut task = Task { kind: Arc::clone(&work.kind), subject, ..Task::new(self.next_id, created) };
        if fate < ABORTS && work.kind.can_be_aborted() {
            let aborting = written(later(created, up_to(rng, queue + run)), rng);
            let ended = written(later(aborting, log_normal(rng, 20.0, 1.0)), rng);
            task.started = Some(started).filter(|started| *started <= aborting);
            return task.aborting(aborting).ended(ended, Outcome::Aborted);
        }
        let failed = fate > 1.0 - FAILURES;
        let run = if failed { up_to(rng, run) } else { run };
        let ended = written(later(started, run), rng);
        task.started(started).ended(ended, if failed { Outcome::Failed } else { Outcome::Completed })
    }

    fn push_by_chance(&mut self, at: Timestamp, share: u32, due: Due) {
        let mean = DAY * 1000 / self.tasks_per_day.saturating_mul(share);
        let wait = next_event(&mut self.rng, mean);
        self.push(later(at, wait), due);
    }

    fn push(&mut self, at: Timestamp, due: Due) {
        let at = written(at, &mut self.rng);
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, due)));
    }
}

/// The next instant with as few digits as the API will write: whole seconds mostly, else microseconds. What is
/// written must be what is compared, or a filter and a row could disagree; and it is the next one, not the
/// last, so that nothing falls due before what caused it.
fn written(at: Timestamp, rng: &mut Rng) -> Timestamp {
    let micros = if rng.u8(..3) > 0 { (at.as_second() + 1) * 1_000_000 } else { at.as_microsecond() + 1 };
    Timestamp::from_microsecond(micros).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn days(count: u32) -> Timestamp {
        later(START, DAY * count)
    }

    fn generate(seed: u64, tasks_per_day: u32, until: &[Timestamp]) -> Vec<Task> {
        let mut schedule = Schedule::new(seed, tasks_per_day, START);
        until
            .iter()
            .flat_map(|until| std::iter::from_fn(|| schedule.next(*until)).collect::<Vec<_>>())
            .collect()
    }

    fn lines(tasks: &[Task]) -> Vec<String> {
        tasks.iter().map(|task| format!("{task:?}")).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_world_whatever_the_steps_of_time() {
        let at_once = generate(7, 500, &[days(3)]);
        let steps = (0..=72).map(|hour| later(START, Duration::from_hours(1) * hour)).collect::<Vec<_>>();
        assert_eq!(lines(&at_once), lines(&generate(7, 500, &steps)));
        assert_ne!(lines(&at_once), lines(&generate(8, 500, &[days(3)])));
    }

    #[test]
    fn tasks_come_in_the_order_of_their_creation_and_live_forwards() {
        let tasks = generate(1, 2000, &[days(7)]);
        assert!(tasks.is_sorted_by_key(|task| task.created));
        assert!(tasks.is_sorted_by(|one, next| one.id < next.id));
        for task in &tasks {
            let points = [Some(task.created), task.started, task.aborting, task.ended];
            assert!(points.into_iter().flatten().is_sorted(), "{task:?}");
        }
    }

    #[test]
    fn history_begins_with_its_start_at_any_time_of_day() {
        for hour in 0..24 {
            let start = later(START, Duration::from_hours(1) * hour);
            let mut schedule = Schedule::new(1, 5000, start);
            let until = later(start, DAY);
            let tasks = std::iter::from_fn(|| schedule.next(until)).map(|task| task.created);
            let older = tasks.filter(|created| *created < start).count();
            assert_eq!(older, usize::try_from(OLD_SEEDINGS).expect("it must fit"), "from {hour}:00 on");
        }
    }

    #[test]
    fn a_week_is_as_large_as_asked_and_believable() {
        let tasks = generate(1, 2000, &[days(7)]);
        let count = tasks.len();
        assert!((11_000..17_000).contains(&count), "{count}");
        let share = |outcome| tasks.iter().filter(|task| task.outcome == outcome).count() * 1000 / count;
        assert!((20..40).contains(&share(Outcome::Failed)));
        assert!((4..16).contains(&share(Outcome::Aborted)));
        let categories =
            tasks.iter().map(|task| task.kind.category.clone()).collect::<std::collections::HashSet<_>>();
        assert_eq!(categories.len(), 7);
        let hour = Duration::from_hours(1);
        let open = |at| tasks.iter().filter(|task| task.created <= at && task.state(at).is_open()).count();
        assert!((0..160).all(|hours| open(later(START, hour * hours)) > 0));
    }

    #[test]
    fn no_tasks_a_day_are_none_at_all() {
        assert!(generate(1, 0, &[days(30)]).is_empty());
    }
}
