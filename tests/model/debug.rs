use crate::account::*;
use crate::behaviour::*;
use crate::flaw::Flaw;
use crate::schedule::*;
#[test]
fn debug_schedule() {
    let schedule = Schedule {
    setup: Setup {
        trouble: Trouble::Vanishing,
        stale_by: 20000000,
        lateness: 30000000,
        counter_hold: 0,
        folds: false,
        reloads: false,
        sets_clocks: true,
    },
    config: Config {
        window: 86400000000,
        lookback: 93600000000,
        retention: 93600000000,
        overlap: 60000000,
        page_size: 100,
        id_batch_size: 1,
        max_rows: 4,
        max_kinds: 1,
    },
    account: Account {
        lives: vec![
            Life {
                kind: 0,
                created: -247000001,
                listed_after: 0,
                starts_after: 0,
                ends_after: Some(
                    432077941,
                ),
                outcome: 0,
                lacks: Lacks::Creation,
                gone: Some(
                    (
                        60752407,
                        124581876,
                    ),
                ),
            },
            Life {
                kind: 0,
                created: 4536000000,
                listed_after: 0,
                starts_after: 28615,
                ends_after: Some(
                    421136466,
                ),
                outcome: 1,
                lacks: Lacks::Nothing,
                gone: None,
            },
            Life {
                kind: 2,
                created: 3928480263,
                listed_after: 0,
                starts_after: 0,
                ends_after: Some(
                    1649699918,
                ),
                outcome: 1,
                lacks: Lacks::Nothing,
                gone: None,
            },
            Life {
                kind: 1,
                created: 4231537113,
                listed_after: 0,
                starts_after: 460300302,
                ends_after: Some(
                    2234934092,
                ),
                outcome: 1,
                lacks: Lacks::Nothing,
                gone: None,
            },
            Life {
                kind: 0,
                created: 1189488612,
                listed_after: 0,
                starts_after: 140096039,
                ends_after: None,
                outcome: 1,
                lacks: Lacks::End,
                gone: None,
            },
            Life {
                kind: 2,
                created: 865664652,
                listed_after: 0,
                starts_after: 380071798,
                ends_after: Some(
                    41866306,
                ),
                outcome: 1,
                lacks: Lacks::Nothing,
                gone: Some(
                    (
                        165876649,
                        14136782729,
                    ),
                ),
            },
            Life {
                kind: 0,
                created: -419976573,
                listed_after: 28979751,
                starts_after: 398094702,
                ends_after: Some(
                    1395356966,
                ),
                outcome: 2,
                lacks: Lacks::Nothing,
                gone: None,
            },
        ],
    },
    behaviour: Behaviour {
        order: Order::Scattered,
        max_limit: 23,
        max_accepted_limit: None,
        count_cap: None,
        failing: 0.0,
        crashing: 0.0,
        stopping: 0.0,
        failing_commits: 0.0,
        wrong_date: 0.0,
        has_date: true,
        stale_by: 20000000,
        forgetful: false,
        is_coarse: true,
        slowest: 1000000,
        seed: 8811792678555194310,
    },
    steps: vec![
        Step {
            pause: 60000000,
            change: Change::FreezeDate,
        },
        Step {
            pause: 60000000,
            change: Change::Nothing,
        },
        Step {
            pause: 60000000,
            change: Change::SetDate(
                -19785297459,
            ),
        },
        Step {
            pause: 665729144,
            change: Change::Nothing,
        },
        Step {
            pause: 915307363,
            change: Change::SetLocal(
                0,
            ),
        },
        Step {
            pause: 60000000,
            change: Change::SetLocal(
                73858840,
            ),
        },
        Step {
            pause: 195217854,
            change: Change::Nothing,
        },
        Step {
            pause: 60000000,
            change: Change::Nothing,
        },
        Step {
            pause: 60000000,
            change: Change::Nothing,
        },
        Step {
            pause: 286162194,
            change: Change::SetDate(
                0,
            ),
        },
        Step {
            pause: 2936600325,
            change: Change::Nothing,
        },
        Step {
            pause: 60000000,
            change: Change::Restart {
                is_clean: true,
            },
        },
        Step {
            pause: 60000000,
            change: Change::SetLocal(
                -20978156,
            ),
        },
        Step {
            pause: 7892909139,
            change: Change::Nothing,
        },
        Step {
            pause: 60000000,
            change: Change::Nothing,
        },
    ],
};
    let outcome = crate::run(crate::follow(schedule, Flaw::None));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
