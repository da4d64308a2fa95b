//! The task list of a world, without a network: it drifts, fails and misleads as the real one may.
//!
//! Time passes with every request, so that rows enter and leave between the pages of a listing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use clumio_exporter::api::{Error, Filter, Page, Reason, TaskList};
use clumio_exporter::time::{Moment, Timestamp};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::world::{DAY_ZERO, HOUR, MINUTE, SECOND, World, timestamp};

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
    /// The probability that an answer's `Date` is off, by two minutes to a day.
    pub wrong_date: f64,
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
    behaviour: Behaviour,
    state: Mutex<State>,
}

struct State {
    now: i64,
    random: SmallRng,
    requests: u64,
    faults: bool,
}

// === impl ModelApi ===

impl ModelApi {
    pub fn new(world: World, behaviour: Behaviour) -> Self {
        let random = SmallRng::seed_from_u64(behaviour.seed);
        let state = Mutex::new(State { now: DAY_ZERO, random, requests: 0, faults: true });
        Self { world, behaviour, state }
    }

    /// The API's clock.
    pub fn now(&self) -> i64 {
        self.with(|state| state.now)
    }

    /// Lets time pass until `at`.
    pub fn sleep_until(&self, at: i64) {
        self.with(|state| state.now = state.now.max(at));
    }

    /// Ends all faults.
    pub fn recover(&self) {
        self.with(|state| state.faults = false);
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.with(|state| state.requests)
    }

    pub fn max_limit(&self) -> u32 {
        self.behaviour.max_limit
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("the model must not panic"))
    }

    fn answer(&self, state: &mut State, filter: &Filter, number: u64, limit: u32) -> Page {
        let lags = state.faults && self.behaviour.stale_by > 0 && state.random.random_ratio(1, 8);
        let lag = if lags { state.random.random_range(0..=self.behaviour.stale_by) } else { 0 };
        let at = state.now - lag;
        let is_asked = self.asked(filter, at);
        let mut rows = self.world.listing(at);
        rows.retain(|&row| is_asked(row));
        self.sort(&mut rows, state);
        let limit = limit.min(self.behaviour.max_limit);
        let total = rows.len() as u64;
        let skipped = usize::try_from((number - 1) * u64::from(limit)).expect("the page must be in range");
        let page = rows.into_iter().skip(skipped).take(limit as usize);
        let tasks = page.map(|row| self.world.row(row, at)).collect();
        Page {
            tasks,
            without_status: Vec::new(),
            without_id: 0,
            total,
            limit,
            date: Some(self.date(state)),
            received: moment(state.now),
        }
    }

    /// Whether a filter asks for a task, given by its place in the world, at `at`.
    fn asked<'a>(&'a self, filter: &'a Filter, at: i64) -> impl Fn(usize) -> bool + 'a {
        let ids: BTreeSet<usize> = match filter {
            Filter::Ids(ids) => ids.iter().filter_map(|id| id.as_str().parse().ok()).collect(),
            Filter::Open | Filter::Created { .. } => BTreeSet::new(),
        };
        move |row| {
            let life = &self.world.lives[row];
            match filter {
                Filter::Open => !life.status(at).is_final(),
                Filter::Created { from, to } => {
                    let created = self.compared(life.created());
                    created >= *from && to.is_none_or(|to| created <= to)
                }
                Filter::Ids(_) => ids.contains(&row),
            }
        }
    }

    /// The creation as the server compares it.
    fn compared(&self, created: i64) -> Timestamp {
        timestamp(if self.behaviour.coarse { created.div_euclid(SECOND) * SECOND } else { created })
    }

    fn sort(&self, rows: &mut [usize], state: &mut State) {
        match self.behaviour.order {
            Order::OldestFirst => {}
            Order::NewestFirst => rows.reverse(),
            Order::Scattered => rows.sort_by_key(|&row| scatter(row)),
            Order::Unstable => rows.sort_by_cached_key(|_| state.random.random::<u64>()),
        }
    }

    /// A `Date` has no fraction of a second.
    fn date(&self, state: &mut State) -> Timestamp {
        let skewed = state.faults && state.random.random_bool(self.behaviour.wrong_date);
        let sign = if state.random.random_bool(0.5) { 1 } else { -1 };
        let skew = if skewed { sign * state.random.random_range(2 * MINUTE..=24 * HOUR) } else { 0 };
        timestamp((state.now + skew).div_euclid(SECOND) * SECOND)
    }
}

impl TaskList for ModelApi {
    async fn page(&self, filter: &Filter, number: u64, limit: u32) -> Result<Page, Error> {
        // Requests in flight together are answered in any order.
        for _ in 0..self.with(|state| state.random.random_range(0..3)) {
            tokio::task::yield_now().await;
        }
        self.with(|state| {
            state.requests += 1;
            state.now += state.random.random_range(0..=self.behaviour.slowest);
            if state.faults && state.random.random_bool(self.behaviour.failing) {
                return Err(Error::new(Reason::Connect, "the model failed this request"));
            }
            let page = self.answer(state, filter, number, limit);
            state.now += state.random.random_range(0..=self.behaviour.slowest);
            Ok(page)
        })
    }
}

fn scatter(row: usize) -> u64 {
    (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
}

/// The exporter's own clocks: its time of day is a year off, its monotonic clock runs right.
fn moment(now: i64) -> Moment {
    let steady = u64::try_from(now - DAY_ZERO).expect("time must not go back");
    Moment { wall: timestamp(now - 365 * 24 * HOUR), steady: Duration::from_millis(steady) }
}

/// Every way to behave, with replicas that lag so far.
pub fn behaviours(stale_by: i64) -> impl Strategy<Value = Behaviour> {
    let order = prop_oneof![
        Just(Order::NewestFirst),
        Just(Order::OldestFirst),
        Just(Order::Scattered),
        Just(Order::Unstable),
    ];
    let failing = prop_oneof![Just(0.0), Just(0.05), 0.0..0.3];
    let wrong_date = prop_oneof![3 => Just(0.0), 1 => Just(0.05)];
    let slowest = prop_oneof![Just(0), 1..SECOND, 1..(20 * SECOND)];
    (order, 2..40_u32, failing, wrong_date, any::<bool>(), slowest, any::<u64>()).prop_map(
        move |(order, max_limit, failing, wrong_date, coarse, slowest, seed)| Behaviour {
            order,
            max_limit,
            failing,
            wrong_date,
            stale_by,
            coarse,
            slowest,
            seed,
        },
    )
}
