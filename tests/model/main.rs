//! Poll, ledger and state together against a model of the API, with no sockets, no disk and no clock but the model's.
//!
//! After every poll that succeeds, every number is within what the contract promises, through crashes, restarts, saves
//! that fail, reloads and clocks that step; and after the world stands still, every number equals a full listing.

mod api;
mod belief;
mod checks;
mod durations;
mod ending;
mod flaw;
mod instants;
mod notices;
mod run;
mod schedule;
mod tally;
mod truth;
mod vault;
mod world;

use flaw::Flaw;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use run::Run;
use schedule::{Schedule, schedules};
use tally::tallied;
use world::{MINUTE, Trouble};

/// 4,000 schedules, unless the environment asks for another number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    // Proptest would go on for four times as many as there are schedules, and tell nobody meanwhile.
    let max_shrink_iters = default.max_shrink_iters.min(10_000);
    let of_environment = ProptestConfig { failure_persistence: None, max_shrink_iters, ..default };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return of_environment;
    }
    ProptestConfig { cases: 4_000, ..of_environment }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("the runtime must start").block_on(future)
}

async fn follow(schedule: Schedule, flaw: Flaw) -> Result<(), TestCaseError> {
    let mut run = Run::new(&schedule, flaw);
    steps(&mut run, schedule).await.map_err(|error| match error {
        TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}; what happened: {:?}", run.log)),
        reject @ TestCaseError::Reject(_) => reject,
    })
}

async fn steps(run: &mut Run, schedule: Schedule) -> Result<(), TestCaseError> {
    for step in schedule.steps {
        run.api.sleep_until(run.api.now() + step.pause);
        run.change(step.change)?;
        run.poll().await?;
    }
    run.recover();
    run.api.sleep_until(run.api.world.stands_still_from() + 1);
    settle(run, schedule.setup.counter_hold).await?;
    match schedule.setup.trouble {
        Trouble::Nothing => rest(run).await,
        Trouble::Late => find_what_is_late(run).await,
        Trouble::Shrinking => notice_what_is_hidden(run).await,
        Trouble::Vanishing => Ok(()),
    }
}

/// Polls until every number has to be exact, as the check after each poll sees to.
async fn settle(run: &mut Run, counter_hold: i64) -> Result<(), TestCaseError> {
    // The first can end a first pass, the second takes in what only two polls in a row prove, or the time that was
    // doubted, and the third moves the counters of kinds that were new in the second. A heal may begin after the first
    // or the second, and ends one later.
    for _ in 0..(5 + counter_hold / MINUTE * 2) {
        prop_assert!(run.poll().await?, "a poll failed though the API was well");
        run.api.sleep_until(run.api.now() + MINUTE);
    }
    prop_assert!(!run.is_off(), "the time is never believed");
    run.check_settled()
}

async fn rest(run: &mut Run) -> Result<(), TestCaseError> {
    let before = run.api.requests();
    run.poll().await?;
    prop_assert!(run.api.requests() - before <= 3 || !run.rest_fits_pages(), "a poll at rest costs too much");
    Ok(())
}

/// Heals are a day apart at most.
async fn find_what_is_late(run: &mut Run) -> Result<(), TestCaseError> {
    for _ in 0..100 {
        let start = run.api.now();
        run.poll().await?;
        if run.is_healed((start, run.api.now())) {
            return Ok(());
        }
        run.api.sleep_until(run.api.now() + 20 * MINUTE);
    }
    Err(TestCaseError::fail(format!("what was listed late is never found; the drift is {:?}", run.drift())))
}

async fn notice_what_is_hidden(run: &mut Run) -> Result<(), TestCaseError> {
    run.api.sleep_until(run.api.now() + 20 * MINUTE);
    let start = run.api.now();
    run.poll().await?;
    let sees_less = run.sees_less((start, run.api.now()));
    prop_assert!(!sees_less || run.drift() > Some(0), "nobody says that tasks are hidden: {:?}", run.drift());
    Ok(())
}

#[test]
fn every_number_is_what_the_contract_promises() {
    let config = config();
    // Each has to happen in one of a hundred schedules, if there are enough of them to tell.
    let least = u64::from(config.cases / 100);
    let outcome = TestRunner::new(config).run(&schedules(), |schedule| run(follow(schedule, Flaw::None)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let tallied = tallied();
    println!("what happened: {tallied:?}");
    let rare: Vec<_> = tallied.into_iter().filter(|(_, times)| *times < least).collect();
    assert!(rare.is_empty(), "happened less than {least} times: {rare:?}");
}
