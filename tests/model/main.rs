//! Poll and ledger together against a model of the API, with no sockets and no clock but the model's.
//!
//! After every poll that succeeds, every number is within what the contract promises; and after the world stands
//! still, every number equals a full listing.

mod api;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Behaviour, ModelApi, behaviours};
use clumio_exporter::api::{Error, Filter, Page, TaskList};
use clumio_exporter::ledger::{Rules, Snapshot};
use clumio_exporter::poll::{Options, Poller, Report};
use clumio_exporter::state::Disk;
use proptest::prelude::*;
use truth::{Instants, Setup, published, truth};
use world::{DAY_ZERO, HOUR, MINUTE, SECOND, World, worlds};

/// The list shared between the poller and the test.
struct Shared(Arc<ModelApi>);

/// One exporter following one world.
struct Run {
    api: Arc<ModelApi>,
    poller: Poller<Shared, Option<Disk>>,
    setup: Setup,
    first_published: Option<i64>,
    last: Option<Snapshot>,
}

impl TaskList for Shared {
    fn page(
        &self,
        filter: &Filter,
        number: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Page, Error>> + Send {
        self.0.page(filter, number, limit)
    }
}

impl Run {
    fn new(world: World, behaviour: Behaviour, setup: Setup) -> Self {
        let milliseconds = |ms: i64| Duration::from_millis(u64::try_from(ms).expect("it must be positive"));
        let options = Options {
            page_size: 100,
            id_batch_size: 7,
            most_rows: setup.most_rows,
            lookback: milliseconds(setup.lookback),
            audit_interval: Duration::from_mins(15),
            rules: Rules {
                window: milliseconds(setup.window),
                overlap: milliseconds(setup.overlap),
                counter_hold: Duration::ZERO,
                max_categories: 20,
                max_kinds: 200,
            },
        };
        let api = Arc::new(ModelApi::new(world, behaviour));
        let poller = Poller::new(Shared(Arc::clone(&api)), None, options);
        Self { api, poller, setup, first_published: None, last: None }
    }

    /// Polls once; if it succeeds, checks every number. Gives whether it succeeded.
    async fn poll(&mut self) -> Result<bool, TestCaseError> {
        let start = self.api.now();
        let Ok(Report { snapshot, .. }) = self.poller.poll().await else { return Ok(false) };
        let end = self.api.now();
        let instants = Instants {
            baseline: snapshot.baseline.as_millisecond(),
            first_published: *self.first_published.get_or_insert(end),
            // An answer can be as old as a replica lags behind.
            poll: (start - self.setup.stale_by, end),
        };
        self.check(&snapshot, instants)?;
        self.last = Some(snapshot);
        Ok(true)
    }

    /// Whether what is open and what is new fit a page each.
    fn rest_fits_pages(&self) -> bool {
        let Some(last) = &self.last else { return false };
        let new_from = last.watermark.as_millisecond() - self.setup.overlap - 3 * SECOND;
        let lives = &self.api.world.lives;
        let open = lives.iter().filter(|life| life.ended().is_none()).count();
        let new = lives.iter().filter(|life| life.created() >= new_from).count();
        open.max(new) <= self.api.max_limit() as usize
    }

    fn check(&self, snapshot: &Snapshot, instants: Instants) -> Result<(), TestCaseError> {
        // Two answers in a row whose wrong dates agree: nothing tells that the clock is not so.
        prop_assume!((DAY_ZERO - SECOND..=instants.first_published).contains(&instants.baseline));
        prop_assert_eq!(snapshot.drift.unwrap_or(0), 0, "the audit sees what is not there");
        let expected = truth(&self.api.world, self.setup, instants);
        let before = self.last.as_ref().map(published).unwrap_or_default();
        let now = published(snapshot);
        for (series, bounds) in &expected {
            let number = now.get(series).copied().unwrap_or_default();
            let is_new_counter = series.0 != "tasks" && !before.contains_key(series);
            if is_new_counter {
                prop_assert_eq!(number, 0, "{:?} is new", series);
            } else {
                prop_assert!(bounds.contain(number), "{:?} is {}, not in {:?}", series, number, bounds);
            }
        }
        for (series, number) in &now {
            prop_assert!(*number == 0 || expected.contains_key(series), "{:?} is {}", series, number);
        }
        check_rising(&before, &now)
    }
}

fn check_rising(
    before: &BTreeMap<(&'static str, usize, String), u64>,
    now: &BTreeMap<(&'static str, usize, String), u64>,
) -> Result<(), TestCaseError> {
    for (series, number) in before {
        let after = now.get(series);
        prop_assert!(after.is_some(), "{:?} is gone", series);
        prop_assert!(series.0 == "tasks" || after >= Some(number), "{:?} fell from {}", series, number);
    }
    Ok(())
}

fn setups() -> impl Strategy<Value = Setup> {
    let window = prop_oneof![Just(24 * HOUR), Just(30 * MINUTE), Just(3 * HOUR)];
    // Whole hours put the edges of slices on whole minutes, where tasks are.
    let more = prop_oneof![0..(50 * HOUR), (0..50_i64).prop_map(|hours| hours * HOUR)];
    let overlap = prop_oneof![Just(MINUTE), Just(10 * MINUTE)];
    (window, more, overlap, any::<bool>(), 4..60_u64).prop_map(|(window, more, overlap, lags, most_rows)| {
        Setup {
            window,
            lookback: window + more,
            overlap,
            // What appears late and is then shown by a replica that lags must still appear within the overlap.
            stale_by: if lags { overlap / 3 } else { 0 },
            most_rows,
        }
    })
}

/// How long to wait before each poll: mostly a minute, sometimes an outage of hours.
fn pauses() -> impl Strategy<Value = Vec<i64>> {
    let pause = prop_oneof![6 => Just(MINUTE), 2 => 0..(20 * MINUTE), 1 => 0..(8 * HOUR)];
    proptest::collection::vec(pause, 1..20)
}

/// 4,000 schedules, unless the environment asks for another number.
fn config() -> ProptestConfig {
    let of_environment = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return of_environment;
    }
    ProptestConfig { cases: 4_000, ..of_environment }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("the runtime must start").block_on(future)
}

async fn follow(
    world: World,
    behaviour: Behaviour,
    setup: Setup,
    pauses: Vec<i64>,
) -> Result<(), TestCaseError> {
    let mut run = Run::new(world, behaviour, setup);
    for pause in pauses {
        run.api.sleep_until(run.api.now() + pause);
        run.poll().await?;
    }
    run.api.recover();
    run.api.sleep_until(run.api.world.stands_still_from() + 1);
    // The first can end a first pass, the second takes in what only two polls in a row prove, and the third
    // moves the counters of kinds that were new in the second.
    for _ in 0..3 {
        prop_assert!(run.poll().await?, "a poll failed though the API was well");
        run.api.sleep_until(run.api.now() + MINUTE);
    }
    let before = run.api.requests();
    run.poll().await?;
    prop_assert!(run.api.requests() - before <= 3 || !run.rest_fits_pages(), "a poll at rest costs too much");
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_number_is_what_the_contract_promises(
        (setup, world, behaviour) in setups().prop_flat_map(|setup| {
            (Just(setup), worlds(setup.overlap - setup.stale_by), behaviours(setup.stale_by))
        }),
        pauses in pauses(),
    ) {
        run(follow(world, behaviour, setup, pauses))?;
    }
}
