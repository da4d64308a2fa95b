//! A model of the Clumio API, for tests, for the demo, and for any other client to be pointed at.
//!
//! Its world is a set of life lines that age by a clock, so that what is true at an instant is known exactly
//! and can be compared with what a client made of the answers. It follows the vendor's page and shares no type
//! with the client of this crate: one mistake must not cancel out in both.
//!
//! - [`Task`]: the life line of a task; a world of them with its indexes; a fleet and a schedule that generate
//!   a believable one.
//! - `filter`, [`Order`], `row`: how a listing is chosen, ordered, cut into pages and written.
//! - [`Fault`]: what goes wrong, and how often. [`View`]: what a token may see. [`Requests`]: what was asked.
//! - `breakdown`: assets that fail on request.
//! - `server`, `resources`, `answer`, `wire`: the HTTP face, down to connections that break.

mod access;
mod answer;
mod args;
mod breakdown;
mod chance;
mod faults;
mod filter;
mod fleet;
mod listing;
mod options;
mod refusal;
mod requests;
mod resources;
mod row;
mod schedule;
mod server;
mod task;
mod wire;
mod world;

pub use access::View;
pub use args::Args;
pub use breakdown::{AssetQuery, BrokenAsset};
pub use faults::{BadRate, Fault, Faults, Rate};
pub use listing::Order;
pub use options::Options;
pub use requests::{Endpoint, Exchange, Requests};
pub use task::{Entity, Kind, Outcome, State, Subject, Task, Truth};

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use fastrand::Rng;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::time::{Timestamp, earlier};
use access::Access;
use faults::Drawn;
use filter::Filter;
use world::World;

/// How long answers have to leave once the simulator is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// A handle of one simulated API. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Simulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    world: Mutex<World>,
    access: Mutex<Access>,
    luck: Mutex<(Faults, Rng)>,
    requests: Mutex<Requests>,
    /// The number of the next request; it goes on when the requests are taken.
    arrivals: AtomicU64,
    /// Where a test has stopped the clock.
    stopped: Mutex<Option<Timestamp>>,
}

/// What is drawn for one request.
#[derive(Debug)]
struct Luck {
    drawn: Drawn,
    /// For whatever else the request leaves to chance.
    rng: Rng,
}

// === impl Simulator ===

impl Simulator {
    /// A simulator whose history ends now, by its own clock. Generating a million tasks takes a few seconds.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let now = clock(&options);
        let world = World::new(options.seed, options.tasks_per_day, earlier(now, options.history));
        let luck = (options.faults.clone(), Rng::with_seed(options.seed));
        let (world, luck) = (Mutex::new(world), Mutex::new(luck));
        let access = Mutex::new(Access::new(&options.token));
        let (requests, arrivals) = (Mutex::default(), AtomicU64::new(0));
        let simulator = Self(Arc::new(Inner {
            options,
            world,
            access,
            luck,
            requests,
            arrivals,
            stopped: Mutex::default(),
        }));
        let late = simulator.0.options.faults.probability(Fault::Late);
        simulator.world().set_lateness(late, simulator.0.options.late_by);
        drop(simulator.world_at(now));
        simulator
    }

    /// The API as a router. Over it a `reset` only closes the connection, and a `stall` never ends: see
    /// [`serve`](Self::serve).
    pub fn router(&self) -> Router {
        server::router(self.clone(), CancellationToken::new())
    }

    /// Serves the API on `listener` until `stop` is ready. What is still being answered then is ended at once
    /// where it waits on purpose, and is left to itself after two seconds where the client does not take it.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let stopped = CancellationToken::new();
        let service =
            server::router(self, stopped.clone()).into_make_service_with_connect_info::<wire::Connection>();
        let grace = stopped.clone();
        let grace = async move {
            grace.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let stop = async move {
            stop.await;
            stopped.cancel();
        };
        let server = axum::serve(listener, service).with_graceful_shutdown(stop).into_future();
        tokio::select! {
            result = server => result,
            () = grace => Ok(()),
        }
    }

    /// What it was made of. The faults and the token are those of the beginning.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The simulator's clock: this machine's, with the offset, unless it was set.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        lock(&self.0.stopped).unwrap_or_else(|| clock(&self.0.options))
    }

    /// Stops the clock at `at`, until it is set again: for a test that plays hours in seconds. What was generated
    /// up to the time before stays, also when that is later.
    pub fn set_clock(&self, at: Timestamp) {
        *lock(&self.0.stopped) = Some(at);
    }

    /// What is true at `at` of every task that is listed then, oldest creation first, whatever the view shows.
    /// It may lie in the past, or in the future.
    #[must_use]
    pub fn tasks(&self, at: Timestamp) -> Vec<Truth> {
        let world = self.world_at(at);
        let slots = world.matching(&Filter::default(), at);
        slots.into_iter().map(|slot| world.task(slot).truth(world.seen_at(slot, at))).collect()
    }

    /// Puts a task in the world, in place of the one that has its id. It lives by its own life line, also in
    /// a world that stands still.
    pub fn add(&self, task: Task) {
        self.world_at(self.now()).add(task);
    }

    /// Takes a task out of the world, as if it had never been, if there is one of this id. Added again, it is
    /// back.
    pub fn remove(&self, id: u64) {
        self.world_at(self.now()).remove(id);
    }

    /// From `at` on (from now on, if that has passed) the generated world rests: nothing new is created, no
    /// late task appears, and every task stays in the status that it has then, also an open one.
    pub fn stand_still(&self, at: Timestamp) {
        let now = self.now();
        self.world_at(now).stand_still(at.max(now));
    }

    /// Changes what goes wrong, from the next request on.
    pub fn set_faults(&self, faults: Faults) {
        let late = faults.probability(Fault::Late);
        // What was created before this moment keeps the lateness of before.
        self.world_at(self.now()).set_lateness(late, self.0.options.late_by);
        lock(&self.0.luck).0 = faults;
    }

    /// Makes one token more right, from the next answer on.
    pub fn issue_token(&self, token: impl Into<String>) {
        lock(&self.0.access).issue(token.into());
    }

    /// Makes a token wrong, from the next answer on.
    pub fn revoke_token(&self, token: &str) {
        lock(&self.0.access).revoke(token);
    }

    /// Changes what every token may see, from the next answer on.
    pub fn set_view(&self, view: View) {
        lock(&self.0.access).set_view(view);
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        lock(&self.0.requests).clone()
    }

    /// What was asked so far, and counts from nothing again. A request that is not answered yet appears in
    /// the counts of answers of afterwards.
    #[must_use]
    pub fn take_requests(&self) -> Requests {
        std::mem::take(&mut *lock(&self.0.requests))
    }

    /// The world, in which all exists that is created up to `at`.
    fn world_at(&self, at: Timestamp) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.advance(at);
        world
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.0.world)
    }

    fn draw(&self) -> Luck {
        let mut luck = lock(&self.0.luck);
        let (faults, rng) = &mut *luck;
        Luck { drawn: faults.draw(rng), rng: rng.fork() }
    }
}

fn clock(options: &Options) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(options.clock_offset).unwrap_or(now)
}

/// What a panic left behind is still a world: each change of it is made under one lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
