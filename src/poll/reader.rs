//! Reads the pages of one listing, a few at a time.
//!
//! A listing has no snapshot: rows that enter or leave it between two requests shift the others. One reading is therefore
//! a set of rows that were each in the listing at some time, no more; what makes a listing complete is in
//! [`super::listing`].

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};

use super::clock::Response;
use crate::clumio::{Error, Filter, Page, Reason, TaskList};
use crate::task::{Task, TaskId};

/// Pages that are requested at once: enough to hide the network's latency behind the default rate limit.
const IN_FLIGHT: usize = 8;

/// Pages that are read of one listing at most: a million rows at the default page size.
const MAX_PAGES: u64 = 10_000;

/// The largest `total_count` that is plausible: half a million tasks a day for as long as the API looks back.
const MAX_PLAUSIBLE_TOTAL: u64 = 100_000_000;

/// A reading ends when this many pages in a row are the same: the API does not turn pages.
const MAX_SAME_PAGES: u32 = 3;

/// Reads listings, and notes when their responses came.
pub(super) struct Reader<'a, L> {
    list: &'a L,
    page_size: u32,
    limit: u32,
    pub(super) max_rows: u64,
    /// The least `total_count` that turned out to be less than the rows of its listing.
    pub(super) count_cap: Option<u64>,
    responses: Option<(Response, Response)>,
}

/// Rows that were read: of each task the latest, but once it ended it stays ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Sightings {
    tasks: BTreeMap<TaskId, Task>,
}

/// Notices pages that repeat.
#[derive(Debug, Default)]
struct Repeats {
    last: Option<u64>,
    same: u32,
}

// === impl Reader ===

impl<'a, L: TaskList> Reader<'a, L> {
    /// A reader that holds about `max_rows` rows at once: a listing by creation that has more is read in slices.
    pub(super) fn new(list: &'a L, page_size: u32, max_rows: u64) -> Self {
        Self { list, page_size, limit: page_size, max_rows, count_cap: None, responses: None }
    }

    /// The first response; call it after a listing was read.
    pub(super) fn first_response(&self) -> Response {
        self.responses.expect("a listing must have a response").0
    }

    /// The response that arrived last so far; call it after a listing was read.
    pub(super) fn last_response(&self) -> Response {
        self.responses.expect("a listing must have a response").1
    }

    /// The page size that the API accepts, as far as is known.
    pub(super) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The largest page that the API gives, as far as is known.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// The `total_count` of a listing.
    pub(super) async fn total(&mut self, filter: &Filter) -> Result<u64, Error> {
        let page = self.list.page(filter, 1, 1).await?;
        self.note(&page);
        plausible(&page)?;
        Ok(page.total)
    }

    /// Whether a listing continues after its last row by `total_count`, so that this is only a lower bound.
    pub(super) async fn is_capped(&mut self, filter: &Filter, total: u64) -> Result<bool, Error> {
        if total == 0 {
            return Ok(false);
        }
        let page = self.list.page(filter, total, 1).await?;
        self.note(&page);
        // Both are of one response: rows that were added in between prove nothing.
        Ok(page.has_next && page.total <= total)
    }

    /// Reads page after page and gives each to `take`, until it breaks or the listing ends: at a page that is not full or
    /// has no next link, but not before as many rows as its `total_count`. A capped count does not end it.
    ///
    /// The limit that the first response names is sent with every later request: a server that allows less than was
    /// asked for would otherwise be asked for pages that do not meet.
    ///
    /// `take` is also given whether the page is the last one.
    pub(super) async fn read(
        &mut self,
        filter: &Filter,
        mut take: impl FnMut(Page, bool) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let list = self.list;
        let mut page = self.first_page(filter).await?;
        let limit = page.limit;
        self.limit = limit;
        let (mut number, mut requested, mut pages) = (1, 1, 1);
        let mut repeats = Repeats::default();
        let mut in_flight = FuturesOrdered::new();
        loop {
            self.note(&page);
            plausible(&page)?;
            pages = pages.max(page.total.div_ceil(u64::from(limit.max(1))));
            let is_full = page.rows() >= u64::from(limit);
            if number == pages && is_full && page.has_next {
                pages += 1;
            }
            let is_empty = page.rows() == 0;
            let is_last = is_empty || repeats.notice(&page) || number == pages;
            if take(page, is_last).is_break() {
                return Ok(());
            }
            if is_last {
                // A page may end the listing that an API server answered which lags behind. What others have shown counts.
                while is_empty && let Some(Some(Ok(page))) = in_flight.next().now_or_never() {
                    self.note(&page);
                    plausible(&page)?;
                    let _ = take(page, is_last);
                }
                return Ok(());
            }
            // What has too many pages may still be read in parts, so this comes after `take`.
            bounded(pages)?;
            while requested < pages && in_flight.len() < IN_FLIGHT {
                requested += 1;
                in_flight.push_back(list.page(filter, requested, limit));
            }
            page = in_flight.next().await.expect("a page before the last must be requested")?;
            number += 1;
        }
    }

    /// The first page. A limit that the API rejects is halved.
    async fn first_page(&mut self, filter: &Filter) -> Result<Page, Error> {
        let mut page_size = self.page_size;
        let mut rejected = None;
        loop {
            match self.list.page(filter, 1, page_size).await {
                Ok(page) => {
                    self.page_size = page_size;
                    return Ok(page);
                }
                Err(error) if error.rejects_limit() && page_size > 1 => {
                    page_size /= 2;
                    rejected.get_or_insert(error);
                }
                // If the API rejects every limit, something else is wrong, and the first error says what.
                Err(error) => return Err(rejected.filter(|_| error.rejects_limit()).unwrap_or(error)),
            }
        }
    }

    fn note(&mut self, page: &Page) {
        let response = Response { date: page.date, received: page.received };
        let (_, last) = self.responses.get_or_insert((response, response));
        // Pages are requested side by side, and need not arrive in order.
        if last.received.steady < response.received.steady {
            *last = response;
        }
    }
}

fn plausible(page: &Page) -> Result<(), Error> {
    if page.rows() > u64::from(page.limit) {
        let message = format!("a page has {} rows, more than its limit of {}", page.rows(), page.limit);
        return Err(Error::new(Reason::Protocol, message));
    }
    if page.total > MAX_PLAUSIBLE_TOTAL {
        let message = format!("a listing claims {} tasks, which is not plausible", page.total);
        return Err(Error::new(Reason::Protocol, message));
    }
    Ok(())
}

fn bounded(pages: u64) -> Result<(), Error> {
    if pages <= MAX_PAGES {
        return Ok(());
    }
    let message =
        format!("a listing that cannot be split has {pages} pages; raise poll.page_size if it is not wrong");
    Err(Error::new(Reason::Protocol, message))
}

// === impl Repeats ===

impl Repeats {
    /// Whether the same page came once too often.
    fn notice(&mut self, page: &Page) -> bool {
        let mut hasher = DefaultHasher::new();
        page.tasks.iter().for_each(|task| task.id.hash(&mut hasher));
        page.without_status.hash(&mut hasher);
        let hash = hasher.finish();
        self.same = if self.last == Some(hash) { self.same + 1 } else { 1 };
        self.last = Some(hash);
        self.same >= MAX_SAME_PAGES
    }
}

// === impl Sightings ===

impl Sightings {
    pub(super) fn see(&mut self, task: Task) {
        let has_ended = self.tasks.get(&task.id).is_some_and(|earlier| earlier.status.is_final());
        if !has_ended {
            self.tasks.insert(task.id.clone(), task);
        }
    }

    pub(super) fn see_all(&mut self, tasks: impl IntoIterator<Item = Task>) {
        tasks.into_iter().for_each(|task| self.see(task));
    }

    pub(super) fn contains(&self, id: &TaskId) -> bool {
        self.tasks.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    pub(super) fn into_tasks(self) -> Vec<Task> {
        self.tasks.into_values().collect()
    }
}
