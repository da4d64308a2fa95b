//! Whole listings, out of readings that can miss rows.
//!
//! # Why a listing is whole
//!
//! What is listed by creation, or by id, only grows: no row ever leaves it. So the rows of all answers so far
//! were all in the listing at the instant of its latest answer, and the largest `total_count` of those answers is
//! how many rows it had then. When as many distinct rows have been read as that, nothing is missing: the
//! rows read *are* the listing as it was at an instant of the poll, whatever the order of rows is and however it
//! changes from request to request.
//!
//! This is asked after every page, not after every reading: on a busy account, rows enter at the front while later
//! pages are read, and the first page of the next reading supplies them. Where three readings do not get there
//! (an order in which new rows land anywhere), the listing is split: what was created before now stands still
//! and what comes after is small, and a piece that fits one page is one answer, so whole by itself. Only
//! what was created within one second cannot be split; it is read more often instead.
//!
//! Pieces are asked for a little wider than they are and cut here, half-open, on the full timestamp: how finely
//! the API compares, and whether it rounds, is unknown.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use super::reader::{Reader, Sightings};
use crate::clumio::{Error, Filter, Page, Reason, TaskList};
use crate::task::{Task, TaskId};
use crate::time::{Timestamp, earlier, elapsed, later};

/// How much wider a piece is asked for than it is, on both sides.
const MARGIN: Duration = Duration::from_secs(2);

/// The narrowest piece.
const NARROWEST: Duration = Duration::from_secs(1);

/// How often a listing is read before it is split.
const READINGS: u32 = 3;

/// How often one is read that cannot be split. When every answer has an order of its own, each reading misses
/// about one row in e: twenty miss one in e²⁰.
const READINGS_UNSPLIT: u32 = 20;

/// The most parts that a range is split into at once: a count that is nonsense must not cost memory.
const MOST_PARTS: u64 = 1_000;

/// The largest sum of the lengths of ids that are looked up at once: URLs longer than 8 KiB are refused by
/// common gateways, and escaping makes them longer.
const BATCH_BYTES: usize = 2_048;

/// A half-open range of creation; without an end it goes on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Option<Timestamp>,
}

/// What came of reading a piece.
pub(super) enum Piece {
    /// All its tasks.
    Whole(Vec<Task>),
    /// It is to be read in these parts, oldest first.
    Split(Vec<Range>),
}

/// The distinct rows of all readings of a listing.
#[derive(Default)]
struct Rows {
    sightings: Sightings,
    without_status: HashSet<TaskId>,
    /// The most rows without an id on one page. Nothing tells whether two of them on two pages are the same, so that
    /// no more are known to be there.
    without_id: u64,
    total: u64,
    pages: u64,
}

// === impl Reader ===

impl<L: TaskList> Reader<'_, L> {
    /// All tasks created in a range.
    pub(super) async fn created(&mut self, range: Range, into: &mut Sightings) -> Result<(), Error> {
        let mut pieces = vec![range];
        while let Some(piece) = pieces.pop() {
            match self.piece(piece).await? {
                Piece::Whole(tasks) => into.see_all(tasks),
                Piece::Split(parts) => pieces.extend(parts.into_iter().rev()),
            }
        }
        Ok(())
    }

    /// Reads one piece, or says how to split it.
    pub(super) async fn piece(&mut self, piece: Range) -> Result<Piece, Error> {
        let filter =
            Filter::Created { from: earlier(piece.from, MARGIN), to: piece.to.map(|to| later(to, MARGIN)) };
        let (readings, most) =
            if piece.can_be_split() { (READINGS, self.most_rows()) } else { (READINGS_UNSPLIT, u64::MAX) };
        let rows = self.rows(&filter, readings, most).await?;
        if rows.is_whole() {
            self.note_skipped(rows.has_skipped());
            let tasks = rows.sightings.into_tasks();
            return Ok(Piece::Whole(tasks.into_iter().filter(|task| piece.has(task)).collect()));
        }
        if !piece.can_be_split() {
            return Err(rows.short("the tasks created within one second"));
        }
        if !rows.sightings.iter().any(|task| piece.is_about(task)) {
            let message = "a listing by creation shows no task that was created when it was asked for; \
                           does something between the exporter and the API drop the filter?";
            return Err(Error::new(Reason::Protocol, message));
        }
        let parts = rows.total.div_ceil(self.most_rows().div_ceil(2));
        Ok(Piece::Split(piece.split(parts, rows.newest())))
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
            let rows = self.rows(&Filter::Ids(batch), READINGS, asked).await?;
            if !rows.is_whole() {
                return Err(rows.short(&format!("{asked} tasks looked up by id")));
            }
            into.see_all(rows.sightings.into_tasks());
        }
        Ok(())
    }

    /// Reads a listing until it is whole, has been read `readings` times, or turns out to have more than `most`
    /// rows.
    async fn rows(&mut self, filter: &Filter, readings: u32, most: u64) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        for _ in 0..readings {
            self.read(filter, |page| {
                rows.add(page);
                if rows.is_whole() || rows.total > most {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .await?;
            if rows.is_whole() || rows.total > most {
                break;
            }
        }
        Ok(rows)
    }
}

// === impl Rows ===

impl Rows {
    fn add(&mut self, page: Page) {
        self.pages += 1;
        self.total = self.total.max(page.total);
        self.without_id = self.without_id.max(page.without_id);
        self.without_status.extend(page.without_status);
        self.sightings.see_all(page.tasks);
    }

    fn is_whole(&self) -> bool {
        self.pages > 0 && self.distinct() >= self.total
    }

    fn distinct(&self) -> u64 {
        let without_status = self.without_status.iter().filter(|id| !self.sightings.contains(id)).count();
        (self.sightings.len() + without_status) as u64 + self.without_id
    }

    fn has_skipped(&self) -> bool {
        self.without_id > 0 || !self.without_status.is_empty()
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

    /// Whether a task is one that was asked for, give or take how the API rounds.
    fn is_about(&self, task: &Task) -> bool {
        let slack = MARGIN + NARROWEST;
        task.created.is_some_and(|created| {
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
        let whole = elapsed(self.from, to);
        let parts = u32::try_from(parts.clamp(2, MOST_PARTS)).unwrap_or(u32::MAX);
        let width = (whole / parts).max(NARROWEST);
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
