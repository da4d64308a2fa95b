//! What histograms must show: each of their samples is a number with bounds, like a counter.

use std::collections::BTreeMap;

use clumio_exporter::ledger::Observations;

use crate::truth::{Bounds, Family, Series};
use crate::world::{ENDED, HOUR, Life, MINUTE, SECOND};

/// A sample of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// How many durations are at most as long as one of [`LONGEST`].
    AtMost(usize),
    Count,
    /// In milliseconds.
    Sum,
}

/// The buckets, in milliseconds.
const LONGEST: [i64; 11] = [
    10 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    24 * HOUR,
    72 * HOUR,
    168 * HOUR,
];

// === impl Part ===

impl Part {
    fn all() -> impl Iterator<Item = Self> {
        (0..LONGEST.len()).map(Self::AtMost).chain([Self::Count, Self::Sum])
    }

    /// By how much a duration raises the sample.
    fn raised_by(self, duration: i64) -> u64 {
        match self {
            Self::AtMost(bound) => u64::from(duration <= LONGEST[bound]),
            Self::Count => 1,
            Self::Sum => u64::try_from(duration).expect("a duration must be positive"),
        }
    }

    fn of(self, observations: &Observations) -> u64 {
        match self {
            Self::AtMost(bound) => observations.cumulative().nth(bound).expect("there must be a bucket").1,
            Self::Count => observations.count(),
            Self::Sum => u64::try_from(observations.sum().as_millis()).expect("a sum must be in range"),
        }
    }
}

/// Adds a life that the counter of ended tasks counts so often: every life that ends has a start.
pub fn add(numbers: &mut BTreeMap<Series, Bounds>, group: usize, life: &Life, counted: Bounds) {
    let Some(ran) = life.ends_after else { return };
    for part in Part::all() {
        let series = [
            ((Family::Run(part), group, ENDED[life.outcome]), part.raised_by(ran)),
            ((Family::Queue(part), group, ""), part.raised_by(life.starts_after)),
        ];
        for (series, by) in series {
            numbers.entry(series).or_default().add(counted.times(by));
        }
    }
}

/// Adds what a histogram shows, if it is there.
pub fn add_published(
    numbers: &mut BTreeMap<Series, u64>,
    observations: Option<&Observations>,
    series: impl Fn(Part) -> Series,
) {
    for (part, observations) in Part::all().filter_map(|part| Some((part, observations?))) {
        *numbers.entry(series(part)).or_default() += part.of(observations);
    }
}
