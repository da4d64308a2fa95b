//! The chart of how tasks ended: stacked bars in true proportion with axes, and the same in words.
//!
//! One failure among thousands of tasks would not be seen, so a mark above the bars shows the periods with failures.

use std::collections::BTreeMap;

use super::text::Instant;
use crate::report::{EndedByPeriod, Period, count};
use crate::time::{Timestamp, later};

/// The size of the chart in its own units: it is stretched to the width of the page.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// The height of the band above the bars in which marks are.
const BAND: f64 = 8.0;

/// The chart of some accounts.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) band: f64,
    pub(super) middle: f64,
    pub(super) bars: Vec<Bar>,
    /// What is in the chart, in words.
    pub(super) words: String,
    /// The parts, with how many tasks there are in each.
    pub(super) legend: Vec<(&'static str, String)>,
    /// The labels of the vertical axis, from above.
    pub(super) scale: [String; 3],
    /// The beginnings of the first and the middle period, and the end.
    pub(super) ticks: Vec<Instant>,
}

/// One period.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) from: Instant,
    /// How many tasks ended in each way.
    pub(super) counts: [String; 4],
    pub(super) words: String,
    pub(super) has_any: bool,
    pub(super) rects: Vec<Rect>,
}

/// A part of a bar, or a mark.
#[derive(Debug)]
pub(super) struct Rect {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
}

/// The parts of a bar, from below.
const PARTS: [&str; 4] = ["completed", "other", "aborted", "failed"];

fn counts(period: &Period) -> [u64; 4] {
    [period.completed, period.other, period.aborted, period.failed]
}

/// The sum over accounts with the same length of periods; none if there is no account.
pub(super) fn sum<'a>(accounts: impl IntoIterator<Item = &'a EndedByPeriod>) -> Option<EndedByPeriod> {
    let mut accounts = accounts.into_iter();
    let first = accounts.next()?;
    let mut periods: BTreeMap<Timestamp, Period> = first.periods.iter().map(|it| (it.from, *it)).collect();
    for period in accounts.filter(|it| it.length == first.length).flat_map(|it| &it.periods) {
        let add = |sum: &mut Period| {
            sum.completed += period.completed;
            sum.failed += period.failed;
            sum.aborted += period.aborted;
            sum.other += period.other;
        };
        periods.entry(period.from).and_modify(add).or_insert(*period);
    }
    Some(EndedByPeriod { length: first.length, periods: periods.into_values().collect() })
}

/// The least even number that begins with 1, 2, 4, 6 or 8, has only zeros after it, and is not below `n`.
fn top_of_scale(n: u64) -> u64 {
    let powers = (0..19).map(|power| 10_u64.pow(power));
    let tops = powers.flat_map(|power| [1, 2, 4, 6, 8].map(|digit| digit * power));
    tops.filter(|top| top.is_multiple_of(2)).find(|top| *top >= n).unwrap_or(n)
}

// === impl Chart ===

impl Chart {
    pub(super) fn new(ended: &EndedByPeriod) -> Self {
        let periods = &ended.periods;
        let top = top_of_scale(periods.iter().map(Period::sum).max().unwrap_or(0));
        let slot = WIDTH / periods.len().max(1) as f64;
        let bars = periods.iter().enumerate();
        let bars = bars.map(|(n, period)| Bar::new(period, n as f64 * slot, slot, top as f64));
        let end = periods.last().map(|last| later(last.from, ended.length));
        let middle = periods.get(periods.len() / 2).map(|period| period.from);
        let ticks = [periods.first().map(|first| first.from), middle, end];
        let legend =
            PARTS.into_iter().zip(counts(&ended.total())).filter(|(part, n)| *part != "other" || *n > 0);
        Self {
            width: WIDTH,
            height: HEIGHT + BAND,
            band: BAND,
            middle: BAND + HEIGHT / 2.0,
            bars: bars.collect(),
            words: words(ended),
            legend: legend.map(|(part, n)| (part, count(n))).collect(),
            scale: [top, top / 2, 0].map(count),
            ticks: ticks.into_iter().flatten().map(Instant::from).collect(),
        }
    }
}

/// What the chart shows, for those who do not see it.
fn words(ended: &EndedByPeriod) -> String {
    let total = count_words(&ended.total());
    let worst = ended.periods.iter().filter(|it| it.failed > 0).max_by_key(|it| (it.failed, it.from));
    let worst = worst.map_or_else(
        || "None failed.".to_owned(),
        |it| format!("Most failed in the period from {}: {}.", Instant::from(it.from).text, count(it.failed)),
    );
    format!("How tasks ended: {total}. {worst}")
}

fn count_words(period: &Period) -> String {
    let parts = PARTS.into_iter().zip(counts(period)).filter(|(_, n)| *n > 0);
    let parts: Vec<_> = parts.map(|(part, n)| format!("{} {part}", count(n))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

// === impl Bar ===

impl Bar {
    fn new(period: &Period, x: f64, slot: f64, top: f64) -> Self {
        let counted = counts(period);
        let mut y = BAND + HEIGHT;
        let rect = |class, y: f64, height: f64| {
            let [x, y, width, height] = [x + slot * 0.1, y, slot * 0.8, height].map(|n| format!("{n:.2}"));
            Rect { class, x, y, width, height }
        };
        let parts = PARTS.into_iter().zip(counted).filter(|(_, n)| *n > 0);
        let mut rects: Vec<_> = parts
            .map(|(class, n)| {
                let height = n as f64 / top * HEIGHT;
                y -= height;
                rect(class, y, height)
            })
            .collect();
        if period.failed > 0 {
            rects.push(rect("failed", 0.0, BAND / 2.0));
        }
        let from = Instant::from(period.from);
        let words = format!("from {}: {}", from.text, count_words(period));
        Self { rects, words, has_any: period.sum() > 0, counts: counted.map(count), from }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn period(at: i64, completed: u64, failed: u64) -> Period {
        let from = Timestamp::from_second(at * 3_600).expect("the time must be in range");
        Period { from, completed, failed, aborted: 0, other: 0 }
    }

    fn ended(periods: &[Period]) -> EndedByPeriod {
        EndedByPeriod { length: Duration::from_hours(1), periods: periods.to_vec() }
    }

    #[test]
    fn bars_are_proportional_and_failures_are_marked() {
        let chart = Chart::new(&ended(&[period(0, 997, 3), period(1, 250, 0)]));
        assert_eq!(chart.scale, ["1,000", "500", "0"]);
        let heights = |bar: &Bar| bar.rects.iter().map(|it| it.height.clone()).collect::<Vec<_>>();
        assert_eq!(heights(&chart.bars[0]), ["119.64", "0.36", "4.00"], "completed, failed, the mark");
        assert_eq!(heights(&chart.bars[1]), ["30.00"]);
        assert_eq!(chart.bars[0].rects[1].y, "8.00", "the highest bar ends at the top of the scale");
    }

    #[test]
    fn scales_are_even_and_round() {
        assert_eq!([0, 1, 2, 3, 11, 21, 1_001].map(top_of_scale), [2, 2, 2, 4, 20, 40, 2_000]);
    }

    #[test]
    fn accounts_are_added_by_period() {
        let other = ended(&[period(1, 1, 1), period(2, 5, 0)]);
        let sum = sum([&ended(&[period(0, 1, 0), period(1, 2, 0)]), &other]).expect("there must be a sum");
        assert_eq!(sum.periods, [period(0, 1, 0), period(1, 3, 1), period(2, 5, 0)]);
    }
}
