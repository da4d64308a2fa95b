//! The supervisor over a list that answers, hangs or panics on demand, under a paused clock.
//!
//! A paused clock advances whenever the runtime is idle, and it is idle while the thread of the database works. So the
//! tests advance it themselves, a second at a time, and wait for the poll in between.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, advance, sleep};

use super::activity::{Activity, Watch};
use super::poller::AccountPoller;
use super::supervisor::Supervised;
use crate::clumio::{Error, Filter, Observer, Page, Reason, TaskList};
use crate::config::Assets;
use crate::metrics::{Exposition, SyncObserver};
use crate::poll::{Options, Poller};
use crate::store::{Identity, Replica, Rules, Store};
use crate::time::{Clock, Moment, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Two of them, a poll, leave less than one of a minute.
const SLOW: Duration = Duration::from_secs(25);

/// Five timeouts, and the two looks that follow.
const FOUND_WITHIN: Duration = Duration::from_secs(5 * 30 + 2);

/// A loop that a look starts sends its first request after that look.
const SEEN_AFTER: Duration = SECOND;

/// What a list does with a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Answers,
    Hangs,
    /// The request ends without an answer, after its timeout.
    TimesOut,
    /// The answer takes a while.
    IsSlow,
}

/// The list of an account without tasks.
struct List {
    world: Arc<World>,
    observer: Arc<Watch>,
}

/// What the tests decide, and what they find.
#[derive(Default)]
struct World {
    mood: std::sync::Mutex<Mood>,
    /// Whether publishing panics, which is outside of a poll.
    clock_panics: AtomicBool,
    requests: AtomicU64,
    /// Whether a request waits for its response.
    is_requesting: AtomicBool,
    /// Requests for a slice of the lookback, which only an initial sync sends.
    slices: AtomicU64,
}

/// A request that waits for its response; dropped with the response, or when the poll is stopped.
struct Request<'a>(&'a AtomicBool);

struct FakeClock(Arc<World>);

/// An account that is watched, as the scheduler watches it.
struct Watched {
    supervised: Supervised<List>,
    world: Arc<World>,
    store: Store,
    stopped_time: Option<Sender<()>>,
}

impl TaskList for List {
    async fn page(&self, filter: &Filter, _: u64, limit: u32) -> Result<Page, Error> {
        self.world.requests.fetch_add(1, Ordering::Relaxed);
        if matches!(filter, Filter::Created { to: Some(_), .. }) {
            self.world.slices.fetch_add(1, Ordering::Relaxed);
        }
        let request = Request::new(&self.world);
        match self.world.mood() {
            Mood::Hangs => pending().await,
            Mood::TimesOut => sleep(TIMEOUT).await,
            Mood::IsSlow => sleep(SLOW).await,
            Mood::Answers => {}
        }
        drop(request);
        self.observer.finished();
        if self.world.mood() == Mood::TimesOut {
            return Err(Error::new(Reason::Timeout, "no answer in time"));
        }
        let received = moment();
        let (tasks, without_status) = (Vec::new(), Vec::new());
        Ok(Page {
            tasks,
            without_status,
            without_id: 0,
            total: 0,
            limit,
            has_next: false,
            date: Some(received.wall),
            received,
        })
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Moment {
        assert!(!self.0.clock_panics.load(Ordering::Relaxed), "the clock is broken, as the test wants it");
        moment()
    }
}

/// Keeps the clock where it is until the sender is dropped: it does not advance by itself while a blocking task runs.
fn stop_time() -> Sender<()> {
    let (stopped_time, ends) = channel();
    spawn_blocking(move || ends.recv());
    stopped_time
}

fn moment() -> Moment {
    let wall = Timestamp::from_second(1_800_000_000).expect("the second must be in range");
    Moment { wall, steady: Duration::ZERO }
}

fn options() -> Options {
    let day = Duration::from_hours(24);
    let overlap = Duration::from_mins(10);
    let rules = Rules {
        window: day,
        overlap,
        retention: day,
        counter_hold: Duration::ZERO,
        max_categories: 20,
        max_kinds: 200,
        max_asset_types: 50,
        assets: Assets::default(),
    };
    Options {
        page_size: 100,
        id_batch_size: 50,
        max_rows: 1_000,
        lookback: day,
        audit_interval: Duration::ZERO,
        rules,
    }
}

// === impl Request ===

impl<'a> Request<'a> {
    fn new(world: &'a World) -> Self {
        world.is_requesting.store(true, Ordering::Relaxed);
        Self(&world.is_requesting)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

// === impl World ===

impl World {
    fn mood(&self) -> Mood {
        *self.mood.lock().expect("no test panics here")
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics here") = mood;
    }

    fn slices(&self) -> u64 {
        self.slices.load(Ordering::Relaxed)
    }
}

// === impl Watched ===

impl Watched {
    /// An account that is polled every minute, from now on.
    fn start(mood: Mood) -> Self {
        Self::with(mood, options())
    }

    fn with(mood: Mood, options: Options) -> Self {
        let (world, exposition) = (Arc::<World>::default(), Exposition::new());
        world.set(mood);
        let (activity, view) = (Arc::new(Activity::new(TIMEOUT)), exposition.account("prod"));
        let metrics = exposition.request_metrics("prod");
        let observer = Watch { metrics, activity: Arc::clone(&activity), view: Arc::clone(&view) };
        let list = List { world: Arc::clone(&world), observer: Arc::new(observer) };
        let store = Store::in_memory().expect("the database must open");
        let identity = Identity { base_url: String::new(), organizational_unit: None };
        let replica = Replica::new(store.clone(), "prod".to_owned(), identity, options.rules.clone());
        let poller = Poller::new(list, replica, options);
        view.begins(&SyncObserver::default());
        exposition.show(&view);
        let poller = AccountPoller {
            name: "prod".to_owned(),
            interval: MINUTE,
            poller: Arc::new(Mutex::new(poller)),
            replica: ArcSwapOption::empty(),
            stopped: AtomicU32::new(0),
            exposition: Arc::new(exposition),
            view,
            activity,
            clock: Arc::new(FakeClock(Arc::clone(&world))),
        };
        let supervised = Supervised::start(Arc::new(poller), Duration::ZERO);
        Self { supervised, world, store, stopped_time: Some(stop_time()) }
    }

    /// Lets time pass, and looks once a second.
    async fn pass(&mut self, time: Duration) {
        self.until(time, |_| false).await;
    }

    /// Lets time pass until `is_it`, `most` at most; gives how long it took.
    async fn until(&mut self, most: Duration, is_it: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while start.elapsed() < most && !is_it(self) {
            advance(SECOND).await;
            self.settle().await;
            self.supervised.look();
        }
        start.elapsed()
    }

    /// Waits until the poller waits for time to pass or for a response.
    async fn settle(&self) {
        // Enough for what runs on the runtime alone.
        for _ in 0..5 {
            yield_now().await;
        }
        let activity = &self.supervised.poller.activity;
        let mut signs = None;
        loop {
            while self.is_working() {
                std::thread::yield_now();
                yield_now().await;
            }
            let before = signs.replace(activity.signs());
            if before == signs {
                return;
            }
            // What follows a poll waits for the thread of the database.
            for _ in 0..3 {
                self.store.status().await.expect("the database must answer");
                yield_now().await;
            }
        }
    }

    /// Whether a poll waits for nothing but the database. One that was stopped is overdue for ever.
    fn is_working(&self) -> bool {
        let activity = &self.supervised.poller.activity;
        activity.polling_for().is_some()
            && !activity.is_overdue()
            && !self.world.is_requesting.load(Ordering::Relaxed)
    }

    /// The value of a series of the account as it is now, on a page of its own: a page is cached for a while.
    fn get(&self, family: &str, reason: &str) -> Option<u64> {
        let exposition = Exposition::new();
        exposition.show(&self.supervised.poller.view);
        let page = exposition.page();
        let page = page.plain();
        let page = str::from_utf8(&page).expect("the page must be text");
        let reason = if reason.is_empty() { String::new() } else { format!(",reason=\"{reason}\"") };
        let series = format!("{family}{{account=\"prod\"{reason}}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    }

    fn failures(&self, reason: &str) -> u64 {
        self.get("clumio_exporter_poll_failures_total", reason).expect("every reason must be published")
    }

    fn is_up(&self) -> bool {
        self.get("clumio_up", "") == Some(1)
    }

    async fn covered_from(&self) -> Timestamp {
        let replica = self.supervised.poller.replica.load_full().expect("a poll must have ended");
        let state = replica.load().await.expect("the database must answer");
        state.expect("there must be a state").marks.covered_from
    }

    fn requests(&self) -> u64 {
        self.world.requests.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn polls_that_leave_no_time_delay_the_history_but_do_not_prevent_it() {
    let mut options = options();
    options.rules.retention = options.lookback * 2;
    let mut watched = Watched::with(Mood::IsSlow, options);
    watched.pass(4 * MINUTE).await;
    let first = watched.covered_from().await;
    watched.pass(4 * MINUTE).await;
    assert_eq!(watched.covered_from().await, first, "a request does not fit between two polls");
    watched.pass(12 * MINUTE).await;
    assert!(watched.covered_from().await < first);
    assert!(watched.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_hangs_is_started_again_over_what_it_knew() {
    let mut watched = Watched::start(Mood::Answers);
    watched.pass(10 * MINUTE + SECOND).await;
    assert!(watched.is_up());
    let (polls, slices) = (watched.get("clumio_exporter_polls_total", ""), watched.world.slices());
    assert_eq!((polls, slices), (Some(11), 1));

    watched.world.set(Mood::Hangs);
    let found = watched.until(10 * MINUTE, |it| it.failures("timeout") > 0).await;
    assert!(found > MINUTE && found <= MINUTE + FOUND_WITHIN, "{found:?}");
    assert!(!watched.is_up());
    assert_eq!(watched.get("clumio_exporter_polls_total", ""), Some(12), "it counts as a poll that failed");
    assert_eq!(watched.get("clumio_exporter_last_poll_duration_seconds", ""), Some(152));

    watched.world.set(Mood::Answers);
    watched.pass(2 * SECOND).await;
    assert!(watched.is_up());
    watched.pass(10 * MINUTE).await;
    assert_eq!((watched.failures("timeout"), watched.world.slices()), (1, 1), "no second initial sync");
}

#[tokio::test(start_paused = true)]
async fn restarts_wait_twice_as_long_each_time_until_a_request_finishes() {
    let mut watched = Watched::start(Mood::Hangs);
    let mut waits = Vec::new();
    for restart in 1..=9 {
        watched.until(10 * MINUTE, |it| it.failures("timeout") == restart).await;
        let requests = watched.requests();
        waits.push(watched.until(10 * MINUTE, |it| it.requests() > requests).await);
    }
    let expected = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|wait| Duration::from_secs(wait) + SEEN_AFTER);
    assert_eq!(waits, expected);

    watched.world.set(Mood::Answers);
    watched.until(10 * MINUTE, Watched::is_up).await;
    watched.world.set(Mood::Hangs);
    let failures = watched.failures("timeout");
    watched.until(10 * MINUTE, |it| it.failures("timeout") > failures).await;
    let requests = watched.requests();
    assert_eq!(watched.until(10 * MINUTE, |it| it.requests() > requests).await, SECOND + SEEN_AFTER);
}

#[tokio::test(start_paused = true)]
async fn health_fails_when_restarts_have_not_helped_for_five_minutes() {
    let mut watched = Watched::start(Mood::Hangs);
    watched.until(10 * MINUTE, |it| it.failures("timeout") == 1).await;
    let unhealthy = watched.until(10 * MINUTE, |it| it.supervised.complaint().is_some()).await;
    assert_eq!(unhealthy, 5 * MINUTE);
    let complaint = watched.supervised.complaint().unwrap_or_default();
    assert_eq!(
        complaint,
        "the poller of account \"prod\" has not got on for 300 s, started again 2 times; see the log"
    );
    watched.world.set(Mood::Answers);
    watched.until(10 * MINUTE, Watched::is_up).await;
    assert_eq!(watched.supervised.complaint(), None);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_times_out_for_hours_is_no_matter_of_health() {
    let mut watched = Watched::start(Mood::TimesOut);
    let unhealthy = watched.until(Duration::from_hours(3), |it| it.supervised.complaint().is_some()).await;
    assert_eq!(unhealthy, Duration::from_hours(3));
    let polls = watched.get("clumio_exporter_polls_total", "").expect("polls must be counted");
    assert_eq!((polls, watched.failures("timeout")), (3 * 60, 3 * 60), "each poll failed once");
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_dies_outside_of_a_poll_is_started_again() {
    let mut watched = Watched::start(Mood::Answers);
    watched.world.clock_panics.store(true, Ordering::Relaxed);
    watched.until(MINUTE, |it| it.failures("panic") == 1).await;
    assert!(!watched.is_up());
    watched.world.clock_panics.store(false, Ordering::Relaxed);
    let up = watched.until(MINUTE, Watched::is_up).await;
    assert!(up <= 2 * SECOND, "{up:?}");
    assert_eq!(watched.world.slices(), 1, "what the poll before had read was not lost");
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_dies_after_each_poll_waits_longer_each_time_and_fails_health() {
    let mut watched = Watched::start(Mood::Answers);
    watched.world.clock_panics.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    let mut unhealthy_after = 0;
    for death in 1..=12 {
        watched.until(MINUTE, |it| it.failures("panic") == death).await;
        if watched.supervised.complaint().is_none() {
            unhealthy_after = death + 1;
        }
        let requests = watched.requests();
        waits.push(watched.until(10 * MINUTE, |it| it.requests() > requests).await);
    }
    let expected =
        [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60].map(|wait| Duration::from_secs(wait) + SEEN_AFTER);
    assert_eq!(waits, expected);
    assert_eq!(unhealthy_after, 11, "the deaths before are within five minutes");

    watched.world.clock_panics.store(false, Ordering::Relaxed);
    watched.pass(2 * MINUTE).await;
    assert!(watched.is_up());
    assert_eq!(watched.supervised.complaint(), None);
}

/// As after `SIGSTOP`, or in a container that was frozen.
#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_for_a_while_is_not_taken_for_one_that_hangs() {
    let mut watched = Watched::start(Mood::TimesOut);
    watched.pass(SECOND).await;
    for _ in 0..3 {
        advance(10 * MINUTE).await;
        watched.supervised.look();
        watched.pass(2 * MINUTE).await;
    }
    assert_eq!(watched.supervised.complaint(), None);
    assert_eq!(watched.get("clumio_exporter_polls_total", ""), Some(watched.failures("timeout")));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_stopped_leaves_the_poller_free() {
    let mut watched = Watched::start(Mood::Hangs);
    watched.pass(SECOND).await;
    watched.supervised.stop().await.expect("the loop must end");
    let poller = Arc::clone(&watched.supervised.poller);
    assert!(poller.poller.try_lock().is_ok());
    watched.world.set(Mood::Answers);
    watched.supervised.restart();
    watched.pass(SECOND).await;
    assert!(watched.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_cannot_be_stopped_is_told() {
    let mut watched = Watched::start(Mood::Answers);
    let poller = Arc::clone(&watched.supervised.poller);
    let _held = poller.poller.lock().await;
    watched.stopped_time = None;
    let error = watched.supervised.stop().await.expect_err("it must be told");
    assert_eq!(error, "account \"prod\": its poller does not stop; restart the exporter");
}
