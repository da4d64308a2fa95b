//! Poll and store together against a model of the API, with no sockets, no disk and no clock but the model's.
//!
//! After every poll that succeeds, every number is within what the contract promises, through crashes, restarts, commits
//! that fail, reloads and wrong clocks; and once the account is at rest, every number equals a full listing.

mod account;
mod api;
mod asset_checks;
mod asset_config;
mod asset_knowledge;
mod asset_poll;
mod assets;
mod behaviour;
mod checks;
mod clock_oracle;
mod clocks;
mod durations;
mod exporter;
mod flaw;
mod holds;
mod instants;
mod knowledge;
mod notices;
mod scenarios;
mod schedule;
mod tally;
mod truth;

use account::MINUTE;
use api::SimulatedApi;
use exporter::Exporter;
use flaw::Flaw;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use schedule::{Schedule, schedules};
use tally::tallied;

/// What the schedules of a run are drawn from.
const SEED: u64 = 6;

/// The same 200 schedules on every run, so that a change is judged by itself; `PROPTEST_CASES` draws as many new ones, and
/// `tests/long model` does.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    // Proptest would continue for four times as many as there are schedules.
    let max_shrink_iters = default.max_shrink_iters.min(10_000);
    let of_environment = ProptestConfig { failure_persistence: None, max_shrink_iters, ..default };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return of_environment;
    }
    ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(SEED), ..of_environment }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("the runtime must start").block_on(future)
}

async fn follow(schedule: Schedule, flaw: Flaw) -> Result<(), TestCaseError> {
    let api = SimulatedApi::new(schedule.account.clone(), schedule.behaviour.clone(), flaw);
    let mut exporter = Exporter::new(&schedule, &api);
    steps(&mut exporter, schedule).await.map_err(|error| match error {
        TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}; what happened: {:#?}", exporter.log)),
        reject @ TestCaseError::Reject(_) => reject,
    })
}

async fn steps(exporter: &mut Exporter<'_>, schedule: Schedule) -> Result<(), TestCaseError> {
    for step in schedule.steps {
        exporter.api.sleep_until(exporter.api.now() + step.pause);
        exporter.change(step.change).await?;
        exporter.poll().await?;
    }
    rest(exporter).await
}

/// Polls until every number has to be exact, as the check after each poll sees to.
async fn rest(exporter: &mut Exporter<'_>) -> Result<(), TestCaseError> {
    let api = exporter.api;
    api.recover();
    api.set_clocks(|clocks| (clocks.date_ahead, clocks.local_ahead, clocks.frozen) = (0, 0, None));
    api.sleep_until(api.account.rests_from() + 1);
    // Two minutes confirm the time, an hour lets what is missing vanish, and another one audits the window.
    for pause in [1, 1, 1, 1, 16, 16, 16, 16, 16, 16, 16, 16] {
        prop_assert!(exporter.poll().await?, "a poll failed though the API has no faults");
        api.sleep_until(api.now() + pause * MINUTE);
    }
    // What the last audit has found is held for as long as the counters that it moves.
    exporter.poll_only().await?;
    api.sleep_until(api.now() + 3 * MINUTE);
    exporter.is_at_rest = true;
    let requests = api.requests();
    let is_cheap = |exporter: &Exporter<'_>| api.requests() - requests <= 3 || !exporter.rest_fits_pages();
    exporter.poll_only().await?;
    prop_assert!(is_cheap(exporter), "a poll at rest costs {} requests", api.requests() - requests);
    exporter.check_settled()
}

#[test]
fn every_number_is_what_the_contract_promises() {
    let config = config();
    // Each has to happen in one of three hundred schedules, if there are enough of them to tell.
    let least = u64::from(config.cases / 300);
    let outcome = TestRunner::new(config).run(&schedules(), |schedule| run(follow(schedule, Flaw::None)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let tallied = tallied();
    println!("what happened: {tallied:?}");
    let rare: Vec<_> = tallied.into_iter().filter(|(_, times)| *times < least).collect();
    assert!(rare.is_empty(), "happened less than {least} times: {rare:?}");
}
