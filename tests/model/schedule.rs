//! What happens in a run: how it is set up, how long each pause is, and what changes before each poll.

use std::time::Duration;

use clumio_exporter::ledger::Rules;
use clumio_exporter::poll::Options;
use proptest::prelude::*;

use crate::api::{Behaviour, behaviours};
use crate::vault::{Habits, habits};
use crate::world::{HOUR, MINUTE, SECOND, Trouble, World, worlds};

/// A cap that no world reaches.
const ALL_KINDS: usize = 200;

/// Everything that is drawn for a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub setup: Setup,
    pub config: Config,
    pub world: World,
    pub behaviour: Behaviour,
    pub habits: Habits,
    pub steps: Vec<Step>,
}

/// What stays as it is during a run; times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub trouble: Trouble,
    /// How far replicas lag behind.
    pub stale_by: i64,
    /// How late rows are listed, but for those in trouble.
    pub lateness: i64,
    pub counter_hold: i64,
    /// Whether kinds can fold, so that only categories can be compared.
    pub folds: bool,
    /// Whether settings change, too.
    pub reloads: bool,
    /// Whether the API's clock steps.
    pub steps_clock: bool,
    /// How far the clock by which the exporter goes may be set behind that by which tasks are stamped: an end must not
    /// be further ahead of it than the overlap. Zero: it is never set.
    pub most_behind: i64,
}

/// The settings that a reload can change; times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    pub window: i64,
    pub lookback: i64,
    pub overlap: i64,
    pub page_size: u32,
    pub id_batch_size: u32,
    /// Beyond so many rows a listing is read in slices.
    pub most_rows: u64,
    /// Where kinds can fold, how many have series of their own.
    pub max_kinds: usize,
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
    /// The process ends, and another begins.
    Restart,
    /// The same, with other settings.
    RestartWith(Config),
    Reload(Config),
    /// The API's clock jumps forward, and all that happens with it.
    ClockSteps(i64),
    /// The clock by which the exporter goes is set so far ahead of what tasks are stamped by, or behind it.
    ClockIsSet(i64),
}

// === impl Setup ===

impl Setup {
    /// The same with what depends on the overlap.
    fn with_overlap(self, overlap: i64) -> Self {
        if self.sets_clock() {
            // The time of a poll can be later than what it lists, so that a row has to appear a whole poll before the
            // overlap has passed.
            return Self { lateness: overlap / 3, most_behind: overlap - 2 * SECOND, ..self };
        }
        // What appears late and is then shown by a replica that lags must still appear within the overlap.
        let (stale_by, lateness) =
            if self.stale_by > 0 { (overlap / 3, overlap - overlap / 3) } else { (0, overlap) };
        Self { stale_by, lateness, ..self }
    }

    /// Whether the clock by which the exporter goes is set, forward and back.
    pub fn sets_clock(&self) -> bool {
        self.most_behind > 0
    }

    /// Whether a heal can run.
    pub fn heals(&self) -> bool {
        self.reloads || self.trouble != Trouble::Nothing
    }
}

// === impl Config ===

impl Config {
    pub fn options(&self, setup: &Setup) -> Options {
        Options {
            page_size: self.page_size,
            id_batch_size: self.id_batch_size,
            most_rows: self.most_rows,
            lookback: milliseconds(self.lookback),
            audit_interval: Duration::from_mins(15),
            rules: self.rules(setup),
        }
    }

    pub fn rules(&self, setup: &Setup) -> Rules {
        Rules {
            window: milliseconds(self.window),
            overlap: milliseconds(self.overlap),
            counter_hold: milliseconds(setup.counter_hold),
            max_categories: 20,
            max_kinds: if setup.folds { self.max_kinds } else { ALL_KINDS },
        }
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).expect("it must be positive"))
}

/// Everything that may happen.
pub fn schedules() -> impl Strategy<Value = Schedule> {
    (setups(), overlaps()).prop_flat_map(|(setup, overlap)| {
        let setup = setup.with_overlap(overlap);
        let world = worlds(setup.lateness, setup.trouble);
        let behaviour = behaviours().prop_map(move |it| it.within(&setup));
        let steps = steps(setup, overlap);
        (Just(setup), configs(overlap), world, behaviour, habits(), steps).prop_map(
            |(setup, config, world, behaviour, habits, steps)| {
                let config = config.at_least_a_day_for(setup.trouble);
                Schedule { setup, config, world, behaviour, habits, steps }
            },
        )
    })
}

impl Config {
    /// What was listed late must still be in the lookback when the world stands still.
    fn at_least_a_day_for(self, trouble: Trouble) -> Self {
        match trouble {
            Trouble::Nothing | Trouble::Vanishing => self,
            Trouble::Late | Trouble::Shrinking => Self { lookback: self.lookback.max(24 * HOUR), ..self },
        }
    }
}

fn overlaps() -> impl Strategy<Value = i64> {
    prop_oneof![Just(MINUTE), Just(10 * MINUTE)]
}

fn setups() -> impl Strategy<Value = Setup> {
    let trouble = prop_oneof![
        5 => Just(Trouble::Nothing),
        1 => Just(Trouble::Late),
        1 => Just(Trouble::Vanishing),
        1 => Just(Trouble::Shrinking),
    ];
    let counter_hold = prop_oneof![5 => Just(0), 1 => Just(2 * MINUTE)];
    let folds = proptest::bool::weighted(0.17);
    let sometimes = || proptest::bool::weighted(0.3);
    (trouble, any::<bool>(), counter_hold, folds, sometimes(), sometimes(), sometimes()).prop_map(
        |(trouble, lags, counter_hold, folds, reloads, steps_clock, sets_clock)| {
            // By a clock that is ahead, what vanished or was seen to end is forgotten early.
            let sets_clock = sets_clock && trouble == Trouble::Nothing;
            Setup {
                trouble,
                stale_by: i64::from(lags && !sets_clock),
                lateness: 0,
                counter_hold,
                // A heal takes over nothing when there is no room for a kind.
                folds: folds && trouble != Trouble::Late,
                reloads,
                steps_clock,
                most_behind: i64::from(sets_clock),
            }
        },
    )
}

fn configs(overlap: i64) -> impl Strategy<Value = Config> {
    let window = prop_oneof![Just(24 * HOUR), Just(30 * MINUTE), Just(3 * HOUR)];
    // Whole hours put the edges of slices on whole minutes, where tasks are.
    let more = prop_oneof![0..(50 * HOUR), (0..50_i64).prop_map(|hours| hours * HOUR)];
    let overlap = prop_oneof![2 => Just(overlap), 1 => Just(2 * overlap), 1 => Just(15 * MINUTE)];
    let page_size = prop_oneof![2 => Just(100_u32), 1 => 2..20_u32];
    let max_kinds = prop_oneof![4 => 1..3_usize, 1 => Just(ALL_KINDS)];
    (window, more, overlap, page_size, 1..10_u32, 4..60_u64, max_kinds).prop_map(
        |(window, more, overlap, page_size, id_batch_size, most_rows, max_kinds)| Config {
            max_kinds,
            window,
            lookback: (window + more).max(overlap),
            overlap,
            page_size,
            id_batch_size,
            most_rows,
        },
    )
}

/// How long to wait before each poll, mostly a minute, sometimes an outage of hours; and what happens then.
fn steps(setup: Setup, overlap: i64) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![6 => Just(MINUTE), 2 => 0..(20 * MINUTE), 1 => 0..(8 * HOUR)];
    let change = move |kind: u32, config: Config, by: i64, ahead: i64| match kind {
        0..=1 => Change::Restart,
        2 if setup.reloads => Change::RestartWith(config.at_least_a_day_for(setup.trouble)),
        3..=5 if setup.reloads => Change::Reload(config.at_least_a_day_for(setup.trouble)),
        6..=7 if setup.steps_clock => Change::ClockSteps(by),
        8..=13 if setup.sets_clock() => Change::ClockIsSet(ahead),
        _ => Change::Nothing,
    };
    let by = prop_oneof![0..(10 * MINUTE), (0..(8 * HOUR))];
    let ahead =
        prop_oneof![1 => Just(0), 1 => -setup.most_behind..=0, 1 => 0..(2 * overlap), 2 => 0..(8 * HOUR)];
    let change = (0..20_u32, configs(overlap), by, ahead)
        .prop_map(move |(kind, config, by, ahead)| change(19 - kind, config, by, ahead));
    let step = (pause, change).prop_map(|(pause, change)| Step { pause, change });
    proptest::collection::vec(step, 1..16)
}
