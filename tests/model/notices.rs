//! That the model can fail: flaws put around the exporter are noticed within a few hundred schedules.

use proptest::test_runner::{TestError, TestRunner};

use crate::flaw::Flaw;
use crate::schedule::schedules;
use crate::{ProptestConfig, follow, run};

/// Runs schedules with the flaw until one fails; panics if none does.
fn expect_noticed(flaw: Flaw) {
    // The first failure is enough: nobody reads the smallest.
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 0,
        cases: 1_000,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&schedules(), |schedule| run(follow(schedule, flaw)));
    assert!(matches!(outcome, Err(TestError::Fail(..))), "{flaw:?} is not noticed");
}

#[test]
fn the_model_notices_an_overlap_that_is_forgotten() {
    expect_noticed(Flaw::ForgetsOverlap);
}

#[test]
fn the_model_notices_that_missing_tasks_are_not_looked_up() {
    expect_noticed(Flaw::FindsNoId);
}

#[test]
fn the_model_notices_an_incomplete_listing() {
    expect_noticed(Flaw::CountsShort);
}

#[test]
fn the_model_notices_an_audit_that_counts_wrong() {
    expect_noticed(Flaw::AuditsShort);
}
