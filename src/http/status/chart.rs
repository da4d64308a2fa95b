//! The picture of how tasks ended: bars of rectangles, and the same in words.
//!
//! A single failure among thousands must be seen, so each part of a bar has a least height.

use super::text::{Instant, count};
use crate::report::{Period, Picture};
use crate::time::later;

/// The size of the picture, in its own units: it is stretched to the width of the page.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// The least height of a part that has a task, and that of one which should not be overlooked.
const LEAST: [f64; 4] = [1.5, 5.0, 5.0, 5.0];

/// The picture of one account.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) bars: Vec<Bar>,
    /// What is in the picture, in words.
    pub(super) words: String,
    /// The parts, with how many tasks there are in each.
    pub(super) legend: Vec<(&'static str, String)>,
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

/// A part of a bar.
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

// === impl Chart ===

impl Chart {
    pub(super) fn new(picture: &Picture) -> Self {
        let periods = &picture.periods;
        let most = periods.iter().map(Period::sum).max().unwrap_or(0).max(1) as f64;
        let slot = WIDTH / periods.len().max(1) as f64;
        let bars =
            periods.iter().enumerate().map(|(n, period)| Bar::new(period, n as f64 * slot, slot, most));
        let end = periods.last().map(|last| later(last.from, picture.length));
        let middle = periods.get(periods.len() / 2).map(|period| period.from);
        let ticks = [periods.first().map(|first| first.from), middle, end];
        let legend =
            PARTS.into_iter().zip(counts(&picture.total())).filter(|(part, n)| *part != "other" || *n > 0);
        Self {
            width: WIDTH,
            height: HEIGHT,
            bars: bars.collect(),
            words: words(picture),
            legend: legend.map(|(part, n)| (part, count(n))).collect(),
            ticks: ticks.into_iter().flatten().map(Instant::from).collect(),
        }
    }
}

/// What the picture shows, for those who do not see it.
fn words(picture: &Picture) -> String {
    let total = said(&picture.total());
    let worst = picture.periods.iter().filter(|it| it.failed > 0).max_by_key(|it| (it.failed, it.from));
    let worst = worst.map_or_else(
        || "None failed.".to_owned(),
        |it| format!("Most failed in the period from {}: {}.", Instant::from(it.from).text, count(it.failed)),
    );
    format!("How tasks ended: {total}. {worst}")
}

fn said(period: &Period) -> String {
    let parts = PARTS.into_iter().zip(counts(period)).filter(|(_, n)| *n > 0);
    let parts: Vec<_> = parts.map(|(part, n)| format!("{} {part}", count(n))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

// === impl Bar ===

impl Bar {
    fn new(period: &Period, x: f64, slot: f64, most: f64) -> Self {
        let counted = counts(period);
        let parts = PARTS.into_iter().zip(counted).zip(LEAST).filter(|((_, n), _)| *n > 0);
        let parts: Vec<_> =
            parts.map(|((class, n), least)| (class, (n as f64 / most * HEIGHT).max(least))).collect();
        // Least heights can make a bar too high.
        let high: f64 = parts.iter().map(|(_, height)| height).sum();
        let shrink = (HEIGHT / high).min(1.0);
        let mut top = HEIGHT;
        let rects = parts.into_iter().map(|(class, height)| {
            let height = height * shrink;
            top -= height;
            let [x, y, width, height] =
                [x + slot * 0.1, top.max(0.0), slot * 0.8, height].map(|n| format!("{n:.1}"));
            Rect { class, x, y, width, height }
        });
        let from = Instant::from(period.from);
        let words = format!("from {}: {}", from.text, said(period));
        Self { rects: rects.collect(), words, has_any: period.sum() > 0, counts: counted.map(count), from }
    }
}
