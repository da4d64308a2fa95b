//! What histograms must show: each of their samples is a number with bounds, like a counter.

use std::collections::BTreeMap;

use clumio_exporter::store::DurationHistogram;

use crate::account::{ENDED, Lacks, Life};
use crate::truth::{Bounds, Family, Series};

/// A sample of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// How many durations are at most as long as a bucket's bound.
    AtMost(usize),
    Count,
    /// In microseconds.
    Sum,
}

// === impl Part ===

impl Part {
    fn all() -> impl Iterator<Item = Self> {
        (0..DurationHistogram::BOUNDS.len()).map(Self::AtMost).chain([Self::Count, Self::Sum])
    }

    /// By how much a duration in microseconds raises the sample.
    fn raised_by(self, duration: i64) -> u64 {
        let duration = u64::try_from(duration).expect("a duration must be positive");
        match self {
            Self::AtMost(bound) => {
                u64::from(u128::from(duration) <= DurationHistogram::BOUNDS[bound].as_micros())
            }
            Self::Count => 1,
            Self::Sum => duration,
        }
    }

    fn of(self, histogram: &DurationHistogram) -> u64 {
        match self {
            Self::AtMost(bound) => histogram.cumulative().nth(bound).expect("there must be a bucket").1,
            Self::Count => histogram.count(),
            Self::Sum => u64::try_from(histogram.sum().as_micros()).expect("a sum must be in range"),
        }
    }
}

/// Adds a life that the counter of ended tasks counts so often. `is_given` says whether its end is the API's own.
pub fn add(
    numbers: &mut BTreeMap<Series, Bounds>,
    group: usize,
    life: &Life,
    counted: Bounds,
    is_given: bool,
) {
    let Some(ran) = life.ends_after else { return };
    for part in Part::all() {
        let mut add = |family, status, by: Bounds| {
            let number = numbers.entry((family, group, status)).or_default();
            number
                .add(Bounds { least: counted.least * by.least, most: counted.most.saturating_mul(by.most) });
        };
        let exactly = |by| Bounds { least: by, most: by };
        let anything = match part {
            Part::AtMost(_) => Bounds { least: 0, most: 1 },
            Part::Count => exactly(1),
            Part::Sum => Bounds { least: 0, most: 1 << 52 },
        };
        let run = if is_given { exactly(part.raised_by(ran)) } else { anything };
        let queue = if is_given && life.lacks != Lacks::Creation {
            exactly(part.raised_by(life.starts_after))
        } else {
            anything
        };
        add(Family::Run(part), ENDED[life.outcome], run);
        add(Family::Queue(part), "", queue);
    }
}

/// Adds what a histogram shows, if it is there.
pub fn add_published(
    numbers: &mut BTreeMap<Series, u64>,
    histogram: Option<&DurationHistogram>,
    series: impl Fn(Part) -> Series,
) {
    for (part, histogram) in Part::all().filter_map(|part| Some((part, histogram?))) {
        *numbers.entry(series(part)).or_default() += part.of(histogram);
    }
}
