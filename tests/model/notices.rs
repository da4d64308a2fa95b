//! That the model can fail: flaws put around the exporter are noticed within a few hundred schedules.

use proptest::test_runner::{TestError, TestRunner};

use crate::flaw::Flaw;
use crate::schedule::schedules;
use crate::{ProptestConfig, follow, run};

/// Runs schedules with the flaw until one fails; panics if none does.
fn noticed(flaw: Flaw) {
    // The first failure is enough: nobody reads the smallest.
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 0,
        cases: 2_000,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&schedules(), |schedule| run(follow(schedule, flaw)));
    assert!(matches!(outcome, Err(TestError::Fail(..))), "{flaw:?} is not noticed");
}

#[test]
fn the_model_notices_an_overlap_that_is_forgotten() {
    noticed(Flaw::ForgetsOverlap);
}

#[test]
fn the_model_notices_that_what_left_is_not_looked_up() {
    noticed(Flaw::FindsNoId);
}

#[test]
fn the_model_notices_a_listing_that_is_not_whole() {
    noticed(Flaw::CountsShort);
}

#[test]
fn the_model_notices_an_audit_that_counts_wrong() {
    noticed(Flaw::AuditsShort);
}

#[test]
fn the_model_notices_a_state_that_is_written_after_it_is_published() {
    noticed(Flaw::KeepsLate);
}

#[test]
fn the_model_notices_a_state_that_was_not_written() {
    noticed(Flaw::HidesFailedSaves);
}
