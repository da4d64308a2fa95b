//! Complete listings, out of readings that can miss rows.
//!
//! # Why a listing is complete
//!
//! What is listed by creation, or by id, only grows: no row leaves it. So the rows of all responses so far were all in
//! the listing at the time of its latest response, and the largest `total_count` of those responses is at most how many
//! rows it had then. When the reading has come to its end and as many distinct rows have been read as that, nothing is
//! missing: the rows *are* the listing as it was at some time of the poll, whatever the order of rows is and however it
//! changes from request to request.
//!
//! `total_count` is a lower bound, because search servers cap counts. A listing of one page is complete by itself. One of
//! several pages with more rows than its count, repeated ones included, proves nothing, nor does one that counts as many
//! rows as such a listing, so it is split until each part fits its count or one page.
//!
//! On a busy account, rows enter at the front while later pages are read, and the first page of the next reading supplies
//! them. Where three readings do not suffice (an order in which new rows land anywhere), the listing is split: what was
//! created before now does not change, what comes after is small, and a part that fits one page is one response. Only what
//! was created within one second cannot be split; it is read more often instead.
//!
//! Parts are requested a little wider than they are and cut here, half-open, on the full timestamp: how finely the API
//! compares, and whether it rounds, is unknown.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use super::reader::{Reader, Sightings};
use crate::clumio::{Error, Filter, Page, Reason, TaskList};
use crate::task::{Task, TaskId};
use crate::time::{Timestamp, earlier, elapsed, later};

/// How much wider a range is requested than it is, on both sides.
const MARGIN: Duration = Duration::from_secs(2);

/// The narrowest range.
const NARROWEST: Duration = Duration::from_secs(1);

/// How often a listing is read before it is split.
const READINGS: u32 = 3;

/// How often one is read that cannot be split. When every answer has an order of its own, each reading misses
/// about one row in e: twenty miss one in e²⁰.
const READINGS_UNSPLIT: u32 = 20;

/// The parts that a range is split into at most: an absurd count must not cost memory.
const MAX_PARTS: u64 = 1_000;

/// The largest sum of the lengths of ids that are looked up at once: URLs longer than 8 KiB are refused by
/// common gateways, and escaping makes them longer.
const BATCH_BYTES: usize = 2_048;

/// A half-open range of creation times; without an end it has no upper bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Option<Timestamp>,
}

/// The result of listing a range.
pub(super) enum RangeListing {
    /// All its tasks, and how many rows were skipped for want of an id or a status.
    Complete { tasks: Vec<Task>, skipped: u64 },
    /// It is to be read in these parts, oldest first.
    Split(Vec<Range>),
}

/// How far a listing is read before it is split or given up.
#[derive(Debug, Clone, Copy)]
struct Effort {
    readings: u32,
    /// A listing with more rows is split.
    most: u64,
    /// Whether the listing cannot be split: then one whose count proves nothing is read as often as `readings` says.
    is_last: bool,
}

/// The distinct rows of all readings of a listing.
#[derive(Default)]
struct Rows {
    sightings: Sightings,
    without_status: HashSet<TaskId>,
    /// The most rows without an id on one page. Nothing tells whether two of them on two pages are the same, so no more
    /// are known to be there.
    without_id: u64,
    /// The largest `total_count` so far: that of a replica of the API that lags behind proves nothing.
    total: u64,
    /// Pages of the current reading.
    pages: u64,
    /// Rows of the current reading, each as often as it came.
    read: u64,
    /// Whether a reading had several pages, and whether one of those had more rows than its count.
    has_pages: bool,
    has_surplus: bool,
    /// Whether a reading came to its end.
    has_ended: bool,
    /// The least count that is known to be too low.
    cap: Option<u64>,
}

// === impl Reader ===

impl<L: TaskList> Reader<'_, L> {
    /// Lists one range, or gives the parts in which it is to be listed.
    pub(super) async fn list_range(&mut self, range: Range) -> Result<RangeListing, Error> {
        let filter =
            Filter::Created { from: earlier(range.from, MARGIN), to: range.to.map(|to| later(to, MARGIN)) };
        let can_be_split = range.can_be_split();
        let effort = if can_be_split {
            Effort { readings: READINGS, most: self.max_rows, is_last: false }
        } else {
            Effort { readings: READINGS_UNSPLIT, most: u64::MAX, is_last: true }
        };
        let rows = self.rows(&filter, effort).await?;
        if rows.is_complete() && !(rows.is_capped() && can_be_split) {
            let skipped = rows.skipped();
            let tasks = rows.sightings.into_tasks().into_iter().filter(|task| range.has(task)).collect();
            return Ok(RangeListing::Complete { tasks, skipped });
        }
        if !can_be_split {
            return Err(rows.short("the tasks created within one second"));
        }
        if !rows.sightings.iter().any(|task| range.is_about(task)) {
            let message = "a listing by creation shows no task that was created when it was asked for; \
                           does something between the exporter and the API drop the filter?";
            return Err(Error::new(Reason::Protocol, message));
        }
        let parts = rows.total.div_ceil(self.max_rows.div_ceil(2));
        Ok(RangeListing::Split(range.split(parts, rows.newest())))
    }

    /// Looks tasks up by id, as many at once as fit one page.
    pub(super) async fn look_up(
        &mut self,
        ids: Vec<TaskId>,
        batch_size: u32,
        into: &mut Sightings,
    ) -> Result<(), Error> {
        let mut ids = ids.into_iter().peekable();
        while ids.peek().is_some() {
            let most = batch_size.min(self.limit()) as usize;
            let mut bytes = 0;
            let mut batch = Vec::new();
            while let Some(id) = ids.next_if(|id| {
                batch.is_empty() || (batch.len() < most && bytes + id.as_str().len() <= BATCH_BYTES)
            }) {
                bytes += id.as_str().len();
                batch.push(id);
            }
            let asked = batch.len() as u64;
            let effort = Effort { readings: READINGS, most: asked, is_last: false };
            let rows = self.rows(&Filter::Ids(batch), effort).await?;
            if !rows.is_complete() {
                return Err(rows.short(&format!("{asked} tasks looked up by id")));
            }
            into.see_all(rows.sightings.into_tasks());
        }
        Ok(())
    }

    /// Reads a listing until it suffices, or the effort is spent.
    async fn rows(&mut self, filter: &Filter, effort: Effort) -> Result<Rows, Error> {
        let mut rows = Rows { cap: self.count_cap, ..Rows::default() };
        for _ in 0..effort.readings {
            (rows.pages, rows.read) = (0, 0);
            self.read(filter, |page, is_last| {
                rows.add(page, is_last);
                if rows.suffice(effort) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
            if rows.suffice(effort) {
                break;
            }
        }
        if rows.is_capped() {
            self.count_cap = Some(rows.cap.map_or(rows.total, |cap| cap.min(rows.total)));
        }
        Ok(rows)
    }
}

// === impl Rows ===

impl Rows {
    fn add(&mut self, page: Page, is_last: bool) {
        self.pages += 1;
        self.has_ended |= is_last;
        self.total = self.total.max(page.total);
        self.read += page.rows();
        self.has_pages |= self.pages > 1;
        self.has_surplus |= self.pages > 1 && self.read > self.total;
        self.without_id = self.without_id.max(page.without_id);
        self.without_status.extend(page.without_status);
        self.sightings.see_all(page.tasks);
    }

    /// Whether nothing more has to be read: they are complete, or will be split.
    fn suffice(&self, effort: Effort) -> bool {
        let is_proven = self.is_complete() && !(effort.is_last && self.is_capped());
        is_proven || self.total.max(self.distinct()) > effort.most
    }

    fn is_complete(&self) -> bool {
        self.has_ended && self.distinct() >= self.total
    }

    /// Whether the count does not prove that nothing is missing: it says less than was read, or as much as one that did.
    fn is_capped(&self) -> bool {
        let is_cap = self.cap.is_some_and(|cap| self.total >= cap);
        self.has_surplus || (self.has_pages && (is_cap || self.distinct() > self.total))
    }

    fn distinct(&self) -> u64 {
        self.sightings.len() as u64 + self.skipped()
    }

    fn skipped(&self) -> u64 {
        let without_status = self.without_status.iter().filter(|id| !self.sightings.contains(id)).count();
        without_status as u64 + self.without_id
    }

    fn newest(&self) -> Option<Timestamp> {
        self.sightings.iter().filter_map(|task| task.created).max()
    }

    fn short(&self, what: &str) -> Error {
        let message = format!(
            "listing {what}: the API counts {} rows and gave {} distinct ones in {} pages",
            self.total,
            self.distinct(),
            self.pages
        );
        Error::new(Reason::Protocol, message)
    }
}

// === impl Range ===

impl Range {
    fn has(&self, task: &Task) -> bool {
        task.created.is_none_or(|created| created >= self.from && self.to.is_none_or(|to| created < to))
    }

    /// Whether a task may be one that was asked for, give or take how the API rounds.
    fn is_about(&self, task: &Task) -> bool {
        let slack = MARGIN + NARROWEST;
        task.created.is_none_or(|created| {
            created >= earlier(self.from, slack) && self.to.is_none_or(|to| created <= later(to, slack))
        })
    }

    fn can_be_split(&self) -> bool {
        self.to.is_none_or(|to| elapsed(self.from, to) > NARROWEST)
    }

    /// Parts that together are this range, oldest first: of a range without an end, all that was read so far and
    /// the rest; of one with an end about `parts` of the same length, two at least.
    fn split(&self, parts: u64, newest: Option<Timestamp>) -> Vec<Self> {
        let Some(to) = self.to else {
            let to = newest.unwrap_or(self.from).max(later(self.from, NARROWEST));
            return vec![Self { from: self.from, to: Some(to) }, Self { from: to, to: None }];
        };
        let length = elapsed(self.from, to);
        let parts = u32::try_from(parts.clamp(2, MAX_PARTS)).unwrap_or(u32::MAX);
        let width = (length / parts).max(NARROWEST);
        let mut starts: Vec<Timestamp> = Vec::new();
        let mut at = self.from;
        while at < to {
            starts.push(at);
            at = later(at, width);
        }
        let ends = starts.iter().skip(1).copied().chain([to]);
        starts.iter().zip(ends).map(|(&from, to)| Self { from, to: Some(to) }).collect()
    }
}
