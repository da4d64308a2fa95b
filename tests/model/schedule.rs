//! What may happen in one run: an account, an API that behaves somehow, and steps with a poll each.

use std::time::Duration;

use clumio_exporter::poll::Options;
use clumio_exporter::store::Rules;
use proptest::prelude::*;

use crate::account::{Account, DAY, HOUR, MINUTE, SECOND, Trouble, accounts};
use crate::asset_config::{AssetConfig, asset_configs};
use crate::behaviour::{Behaviour, behaviours};

/// More kinds than the account has.
const ALL_KINDS: usize = 200;

/// Everything that happens in one run.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub setup: Setup,
    pub config: Config,
    pub account: Account,
    pub behaviour: Behaviour,
    pub steps: Vec<Step>,
}

/// What kind of schedule it is.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub trouble: Trouble,
    /// How far API replicas lag behind.
    pub stale_by: i64,
    /// How late rows without trouble are listed.
    pub lateness: i64,
    pub counter_hold: i64,
    /// Whether there is no room for every kind.
    pub folds: bool,
    pub reloads: bool,
    /// Whether clocks are set.
    pub sets_clocks: bool,
}

/// The configuration; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub window: i64,
    pub lookback: i64,
    pub retention: i64,
    pub overlap: i64,
    pub page_size: u32,
    pub id_batch_size: u32,
    pub max_rows: u64,
    pub max_kinds: usize,
    pub assets: AssetConfig,
}

/// A pause, a change, and a poll.
#[derive(Debug, Clone)]
pub struct Step {
    pub pause: i64,
    pub change: Change,
}

/// What happens before a poll.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Nothing,
    /// The process ends, in order or not, and another begins.
    Restart {
        is_clean: bool,
    },
    /// The same, with another configuration.
    RestartWith(Config),
    Reload(Config),
    /// The machine is suspended for so long.
    Suspend(i64),
    /// The `Date` of responses is so far ahead from now on, or behind.
    SetDate(i64),
    /// The `Date` of responses stands still from now on.
    FreezeDate,
    /// The exporter's time of day is so far ahead from now on, or behind.
    SetLocal(i64),
}

// === impl Setup ===

impl Setup {
    /// The same with what depends on the overlap.
    fn with_overlap(self, overlap: i64) -> Self {
        // A row that is listed late and then hidden by a replica that lags must still appear within the overlap. By a
        // clock that is ahead, a poll may seem to begin when it ends.
        let stale_by = if self.stale_by > 0 { overlap / 3 } else { 0 };
        let lateness = if self.sets_clocks { overlap / 2 } else { overlap };
        Self { stale_by, lateness: lateness.min(overlap - stale_by), ..self }
    }
}

// === impl Config ===

impl Config {
    pub fn options(&self, setup: &Setup) -> Options {
        Options {
            page_size: self.page_size,
            id_batch_size: self.id_batch_size,
            max_rows: self.max_rows,
            lookback: micros(self.lookback),
            audit_interval: Duration::from_mins(15),
            rules: self.rules(setup),
        }
    }

    pub fn rules(&self, setup: &Setup) -> Rules {
        Rules {
            window: micros(self.window),
            overlap: micros(self.overlap),
            retention: micros(self.retention),
            counter_hold: micros(setup.counter_hold),
            max_categories: 20,
            max_kinds: if setup.folds { self.max_kinds } else { ALL_KINDS },
            max_asset_types: 50,
            assets: self.assets.assets(),
        }
    }

    /// What was listed late must still be covered when the account is at rest.
    fn at_least_a_day_for(self, trouble: Trouble) -> Self {
        if matches!(trouble, Trouble::None | Trouble::Vanishing) {
            return self;
        }
        let lookback = self.lookback.max(30 * HOUR);
        Self { lookback, retention: self.retention.max(lookback), ..self }
    }
}

pub fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).expect("it must be positive"))
}

/// Everything that may happen.
pub fn schedules() -> impl Strategy<Value = Schedule> {
    let overlap = prop_oneof![Just(MINUTE), Just(10 * MINUTE)];
    (setups(), overlap).prop_flat_map(|(setup, overlap)| {
        let setup = setup.with_overlap(overlap);
        let account = accounts(setup.lateness, setup.trouble);
        let behaviour = behaviours().prop_map(move |behaviour| {
            let within = behaviour.within(&setup);
            if setup.sets_clocks {
                Behaviour { slowest: within.slowest.min(SECOND), ..within }
            } else {
                within
            }
        });
        (Just(setup), configs(overlap), account, behaviour, steps(setup, overlap)).prop_map(
            |(setup, config, account, behaviour, steps)| {
                let config = config.at_least_a_day_for(setup.trouble);
                Schedule { setup, config, account, behaviour, steps }
            },
        )
    })
}

fn setups() -> impl Strategy<Value = Setup> {
    let trouble = prop_oneof![
        6 => Just(Trouble::None),
        1 => Just(Trouble::Late),
        1 => Just(Trouble::Vanishing),
        1 => Just(Trouble::Masked),
        1 => Just(Trouble::PermissionLost),
        1 => Just(Trouble::PermissionGained),
    ];
    let counter_hold = prop_oneof![4 => Just(0), 1 => Just(2 * MINUTE)];
    let folds = proptest::bool::weighted(0.17);
    let sometimes = || proptest::bool::weighted(0.3);
    (trouble, any::<bool>(), counter_hold, folds, sometimes(), sometimes()).prop_map(
        |(trouble, lags, counter_hold, folds, reloads, sets_clocks)| Setup {
            trouble,
            stale_by: i64::from(lags),
            lateness: 0,
            counter_hold,
            folds,
            reloads,
            sets_clocks,
        },
    )
}

fn configs(overlap: i64) -> impl Strategy<Value = Config> {
    let window = prop_oneof![Just(24 * HOUR), Just(30 * MINUTE), Just(3 * HOUR)];
    // Whole hours put the edges of slices on whole minutes, where tasks are.
    let more = || prop_oneof![0..(50 * HOUR), (0..50_i64).prop_map(|hours| hours * HOUR)];
    let overlap = prop_oneof![2 => Just(overlap), 1 => Just(2 * overlap), 1 => Just(15 * MINUTE)];
    let page_size = prop_oneof![2 => Just(100_u32), 1 => 2..20_u32];
    let max_kinds = prop_oneof![4 => 1..3_usize, 1 => Just(ALL_KINDS)];
    // With 20 days, `max_age = "auto"` judges assets.
    let retained = prop_oneof![1 => Just(0), 1 => more(), 1 => Just(5 * DAY), 1 => Just(20 * DAY)];
    let limits = (page_size, 1..10_u32, 4..60_u64, max_kinds);
    (window, more(), retained, overlap, limits, asset_configs()).prop_map(
        |(window, more, retained, overlap, (page_size, id_batch_size, max_rows, max_kinds), assets)| {
            let lookback = (window + more).max(overlap);
            let retention = lookback + retained;
            Config {
                window,
                lookback,
                retention,
                overlap,
                page_size,
                id_batch_size,
                max_rows,
                max_kinds,
                assets,
            }
        },
    )
}

/// How long to wait before each poll, mostly a minute, sometimes an outage of hours; and what happens then.
fn steps(setup: Setup, overlap: i64) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![6 => Just(MINUTE), 2 => 0..(20 * MINUTE), 1 => 0..(8 * HOUR)];
    let off = prop_oneof![
        2 => Just(0),
        1 => -(2 * overlap)..(2 * overlap),
        2 => -(8 * HOUR)..(8 * HOUR),
        1 => -(40 * DAY)..(40 * DAY),
    ];
    let suspended = prop_oneof![0..(10 * MINUTE), 0..(8 * HOUR)];
    let trouble = setup.trouble;
    let config = move || configs(overlap).prop_map(move |config| config.at_least_a_day_for(trouble));
    let change =
        (0..20_u32, config(), off, suspended).prop_map(move |(kind, config, off, suspended)| match kind {
            0 | 1 => Change::Restart { is_clean: kind == 0 },
            2 if setup.reloads => Change::RestartWith(config),
            3..=5 if setup.reloads => Change::Reload(config),
            6..=9 if setup.sets_clocks => Change::SetDate(off),
            10 if setup.sets_clocks => Change::FreezeDate,
            11..=12 if setup.sets_clocks => Change::SetLocal(off),
            13 if setup.sets_clocks => Change::Suspend(suspended),
            _ => Change::Nothing,
        });
    let step = (pause, change).prop_map(|(pause, change)| Step { pause, change });
    proptest::collection::vec(step, 1..16)
}
