//! The task list of a world, without a network: it drifts, fails and misleads as the real one may.
//!
//! Time passes with every request, so that rows enter and leave between the pages of a listing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clumio_exporter::clumio::{Error, Filter, Page, Reason};
use clumio_exporter::task::{Label, Status, Task, TaskId};
use clumio_exporter::time::{Moment, Timestamp};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::flaw::Flaw;
use crate::schedule::Setup;
use crate::vault::Crash;
use crate::world::{DAY_ZERO, HOUR, KINDS, Life, MINUTE, SECOND, Trouble, World, timestamp};

/// The order of rows in a listing.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    NewestFirst,
    OldestFirst,
    /// The same for every request, but new rows land anywhere.
    Scattered,
    /// Another for every request.
    Unstable,
}

/// How the list behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub order: Order,
    /// The largest page that the server gives.
    pub max_limit: u32,
    /// The probability that a request fails.
    pub failing: f64,
    /// The probability that the process ends while it waits for an answer.
    pub crashing: f64,
    /// The probability that an answer's `Date` is off, by two minutes to a day.
    pub wrong_date: f64,
    /// Whether answers have a `Date`; else the exporter's own time of day has to do.
    pub has_date: bool,
    /// How far replicas lag behind, in milliseconds; one answer in eight comes from one.
    pub stale_by: i64,
    /// Whether the server compares creations in whole seconds.
    pub coarse: bool,
    /// The longest that a request takes, in milliseconds.
    pub slowest: i64,
    pub seed: u64,
}

/// A task list that a poller can read.
pub struct ModelApi {
    pub world: World,
    pub behaviour: Behaviour,
    flaw: Flaw,
    crash: Arc<Crash>,
    /// The lives in order of creation, with what never changes in their rows.
    faces: Vec<(usize, Face)>,
    state: Mutex<State>,
}

/// What never changes in the row of a task.
struct Face {
    id: TaskId,
    category: Label,
    task_type: Label,
}

struct State {
    now: i64,
    random: SmallRng,
    requests: u64,
    faults: bool,
    clocks: Clocks,
}

/// The clocks of the exporter's machine, and how far the API's `Date` is off.
#[derive(Clone, Copy)]
struct Clocks {
    /// What the API's clock shows when the monotonic clock shows zero.
    epoch: i64,
    /// How far the time of day is off.
    skew: i64,
    /// How far the clock by which the exporter goes is off, against which tasks are stamped: that of the `Date`, or
    /// the time of day where there is none.
    ahead: i64,
}

// === impl ModelApi ===

impl ModelApi {
    pub fn new(world: World, behaviour: Behaviour, crash: Arc<Crash>, flaw: Flaw) -> Self {
        let random = SmallRng::seed_from_u64(behaviour.seed);
        let clocks = Clocks { epoch: DAY_ZERO, skew: 0, ahead: 0 };
        let state = Mutex::new(State { now: DAY_ZERO, random, requests: 0, faults: true, clocks });
        let mut faces: Vec<_> =
            world.lives.iter().enumerate().map(|(index, life)| (index, Face::new(index, life))).collect();
        faces.sort_by_key(|(index, _)| world.lives[*index].created);
        Self { world, behaviour, flaw, crash, faces, state }
    }

    /// The API's clock.
    pub fn now(&self) -> i64 {
        self.with(|state| state.now)
    }

    /// Lets time pass until `at`.
    pub fn sleep_until(&self, at: i64) {
        self.with(|state| state.now = state.now.max(at));
    }

    /// Sets the API's clock forward; the exporter's does not follow.
    pub fn step_clock(&self, by: i64) {
        self.with(|state| {
            state.now += by;
            state.clocks.epoch += by;
        });
    }

    /// Sets the clock by which the exporter goes, forward or back, and the other one to anything.
    pub fn set_clock(&self, ahead: i64) {
        self.with(|state| {
            state.clocks = Clocks { ahead, skew: state.any_skew(), ..state.clocks };
        });
    }

    /// A new process: its monotonic clock starts anew, and its time of day can be anything.
    pub fn restart_clocks(&self) {
        self.with(|state| {
            state.clocks = Clocks { epoch: state.now, skew: state.any_skew(), ..state.clocks };
        });
    }

    /// Ends all faults.
    pub fn recover(&self) {
        self.with(|state| state.faults = false);
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.with(|state| state.requests)
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("the model must not panic"))
    }

    pub async fn page(&self, filter: &Filter, number: u64, limit: u32) -> Result<Page, Error> {
        // Requests in flight together are answered in any order.
        for _ in 0..self.with(|state| state.random.random_range(0..3)) {
            tokio::task::yield_now().await;
        }
        let answer = self.with(|state| {
            state.requests += 1;
            state.now += state.random.random_range(0..=self.behaviour.slowest);
            if state.faults && state.random.random_bool(self.behaviour.failing) {
                return Some(Err(Error::new(Reason::Connect, "the model failed this request")));
            }
            let page = self.answer(state, filter, number, limit);
            state.now += state.random.random_range(0..=self.behaviour.slowest);
            let crashes = state.faults && state.random.random_bool(self.behaviour.crashing);
            (!crashes).then_some(Ok(page))
        });
        match answer {
            Some(answer) => answer,
            None => match self.crash.now().await {},
        }
    }

    fn answer(&self, state: &mut State, filter: &Filter, number: u64, limit: u32) -> Page {
        let lags = state.faults && self.behaviour.stale_by > 0 && state.random.random_ratio(1, 8);
        let lag = if lags { state.random.random_range(0..=self.behaviour.stale_by) } else { 0 };
        let at = state.now - lag;
        let listed = self.faces.iter().filter(|(index, _)| self.world.lives[*index].is_shown(at));
        let mut rows: Vec<&(usize, Face)> = listed.filter(|face| self.matches(filter, face, at)).collect();
        self.sort(&mut rows, state);
        let limit = limit.min(self.behaviour.max_limit);
        let total = rows.len() as u64;
        let skipped = usize::try_from((number - 1) * u64::from(limit)).expect("the page must be in range");
        let shown = rows.into_iter().skip(skipped).take(limit as usize);
        let tasks = shown.map(|(index, face)| face.row(&self.world.lives[*index], at)).collect();
        let short = match (self.flaw, filter) {
            (Flaw::CountsShort, _) => total > u64::from(limit),
            (Flaw::AuditsShort, Filter::Created { to: Some(_), .. }) => total > 0 && limit == 1,
            _ => false,
        };
        Page {
            tasks,
            without_status: Vec::new(),
            without_id: 0,
            total: total - u64::from(short),
            limit,
            has_next: number * u64::from(limit) < total,
            date: self.behaviour.has_date.then(|| self.date(state)),
            received: state.clocks.moment(state.now, self.behaviour.has_date),
        }
    }

    fn matches(&self, filter: &Filter, (index, face): &(usize, Face), at: i64) -> bool {
        let life = &self.world.lives[*index];
        let precision = if self.behaviour.coarse { SECOND } else { 1 };
        let created = || timestamp(life.created().div_euclid(precision) * precision);
        match filter {
            Filter::Open => life.ended().is_none_or(|ended| ended > at),
            Filter::Created { from, to: None } if self.flaw == Flaw::ForgetsOverlap => {
                created() >= timestamp(from.as_millisecond() + MINUTE)
            }
            Filter::Created { from, to } => {
                let created = created();
                created >= *from && to.is_none_or(|to| created <= to)
            }
            Filter::Ids(_) if self.flaw == Flaw::FindsNoId => false,
            Filter::Ids(ids) => ids.contains(&face.id),
        }
    }

    fn sort(&self, rows: &mut [&(usize, Face)], state: &mut State) {
        match self.behaviour.order {
            Order::OldestFirst => {}
            Order::NewestFirst => rows.reverse(),
            Order::Scattered => rows.sort_by_key(|(index, _)| scatter(*index)),
            Order::Unstable => rows.sort_by_cached_key(|_| state.random.random::<u64>()),
        }
    }

    /// A `Date` has no fraction of a second.
    fn date(&self, state: &mut State) -> Timestamp {
        let skewed = state.faults && state.random.random_bool(self.behaviour.wrong_date);
        let sign = if state.random.random_bool(0.5) { 1 } else { -1 };
        let skew = if skewed { sign * state.random.random_range(2 * MINUTE..=24 * HOUR) } else { 0 };
        timestamp((state.now + state.clocks.ahead + skew).div_euclid(SECOND) * SECOND)
    }
}

fn scatter(index: usize) -> u64 {
    (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
}

// === impl State ===

impl State {
    fn any_skew(&mut self) -> i64 {
        self.random.random_range(-(400 * 24 * HOUR)..400 * 24 * HOUR)
    }
}

// === impl Face ===

impl Face {
    fn new(index: usize, life: &Life) -> Self {
        let (category, task_type) = KINDS[life.kind];
        let id = TaskId::new(&index.to_string()).expect("the id must be valid");
        Self { id, category: Label::new(category), task_type: Label::new(task_type) }
    }

    fn row(&self, life: &Life, at: i64) -> Task {
        let seen = |instant: i64| (instant <= at).then(|| timestamp(instant));
        Task {
            id: self.id.clone(),
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            status: Status::from_word(life.status(at)),
            created: Some(timestamp(life.created())),
            started: seen(life.started()),
            ended: life.ended().and_then(seen),
            primary: None,
            parent: None,
        }
    }
}

// === impl Clocks ===

impl Clocks {
    fn moment(&self, now: i64, has_date: bool) -> Moment {
        let steady = u64::try_from(now - self.epoch).expect("time must not go back");
        let skew = if has_date { self.skew } else { self.ahead };
        Moment { wall: timestamp(now + skew), steady: Duration::from_millis(steady) }
    }
}

// === impl Behaviour ===

impl Behaviour {
    /// The same without what would take a run out of what is promised.
    pub fn within(self, setup: &Setup) -> Self {
        let mut within = Self { stale_by: setup.stale_by, ..self };
        if setup.sets_clock() {
            // Answers are quick (see the lateness then), and all say the same time, or none.
            within = Self { wrong_date: 0.0, slowest: self.slowest / 100, ..within };
        } else {
            within.has_date = true;
        }
        // A row that is gone and that a replica still shows makes up for one that slipped, until an audit finds it.
        if setup.trouble == Trouble::Vanishing && setup.stale_by > 0 && matches!(self.order, Order::Unstable)
        {
            within.order = Order::Scattered;
        }
        within
    }
}

/// Every way to behave.
pub fn behaviours() -> impl Strategy<Value = Behaviour> {
    let order = prop_oneof![
        Just(Order::NewestFirst),
        Just(Order::OldestFirst),
        Just(Order::Scattered),
        Just(Order::Unstable),
    ];
    let failing = prop_oneof![2 => Just(0.0), 1 => Just(0.05), 1 => 0.0..0.3];
    let crashing = prop_oneof![3 => Just(0.0), 1 => 0.0..0.05];
    let wrong_date = prop_oneof![3 => Just(0.0), 1 => Just(0.05)];
    let slowest = prop_oneof![Just(0), 1..SECOND, 1..(20 * SECOND)];
    let faults = (failing, crashing, wrong_date);
    (order, 2..40_u32, faults, any::<(bool, bool)>(), slowest, any::<u64>()).prop_map(
        |(order, max_limit, (failing, crashing, wrong_date), (coarse, has_date), slowest, seed)| Behaviour {
            order,
            max_limit,
            failing,
            crashing,
            wrong_date,
            has_date,
            stale_by: 0,
            coarse,
            slowest,
            seed,
        },
    )
}
