//! Reads the pages of one listing, a few at a time.
//!
//! A listing has no snapshot: rows that enter or leave it between two requests shift the others. One reading
//! is therefore a set of rows that were each in the listing at some instant, no more; what makes a listing whole
//! is in [`super::listing`].

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use super::Options;
use super::api_time::Answers;
use crate::clumio::{Error, Filter, Page, Reason, TaskList};
use crate::task::{Task, TaskId};

/// How many pages are requested at once: enough to hide the network's latency behind the default rate limit.
const IN_FLIGHT: usize = 8;

/// The largest number of pages that is read of one listing: a million rows at the default page size.
const MAX_PAGES: u64 = 10_000;

/// The largest number of rows that is believed: half a million tasks a day for as long as the API looks back.
const MOST_BELIEVED: u64 = 100_000_000;

/// A reading ends when this many pages in a row were the same: the API does not turn pages.
const SAME_PAGES: u32 = 3;

/// Reads listings during one poll, and remembers what the answers said of the time.
pub(super) struct Reader<'a, L> {
    list: &'a L,
    page_size: u32,
    most_rows: u64,
    limit: u32,
    answers: Answers,
    /// Whether a listing by creation had rows that are no tasks.
    has_skipped: bool,
}

/// The rows read in a poll: of each task the latest, but once it ended it stays ended.
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
    pub(super) fn new(list: &'a L, options: &Options) -> Self {
        let Options { page_size, most_rows, .. } = *options;
        Self { list, page_size, most_rows, limit: page_size, answers: Answers::default(), has_skipped: false }
    }

    /// The number of rows beyond which a listing is split.
    pub(super) fn most_rows(&self) -> u64 {
        self.most_rows
    }

    /// When the answers so far came.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The largest page that the API gives, as far as is known.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether a listing by creation had rows that are no tasks, since this was last asked.
    pub(super) fn take_skipped(&mut self) -> bool {
        std::mem::take(&mut self.has_skipped)
    }

    /// Notes that a listing by creation had rows that are no tasks.
    pub(super) fn note_skipped(&mut self, has_skipped: bool) {
        self.has_skipped |= has_skipped;
    }

    /// How many rows a listing has.
    pub(super) async fn total(&mut self, filter: &Filter) -> Result<u64, Error> {
        let page = self.list.page(filter, 1, 1).await?;
        self.answers.note(page.date, page.received);
        Ok(page.total)
    }

    /// Reads page after page and gives each to `take`, until it breaks or there are no more.
    ///
    /// The limit that the first answer names is sent with every later page: a server that allows less than was
    /// asked for would otherwise be asked for pages that do not meet.
    pub(super) async fn read(
        &mut self,
        filter: &Filter,
        mut take: impl FnMut(Page) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let list = self.list;
        let first = list.page(filter, 1, self.page_size).await?;
        let limit = first.limit;
        self.limit = limit;
        let mut last_page = 1;
        let mut repeats = Repeats::default();
        let mut requested = 1;
        let mut in_flight = FuturesOrdered::new();
        let mut page = first;
        loop {
            self.answers.note(page.date, page.received);
            let ends = page.rows() == 0 || repeats.notice(&page);
            let pages = pages(&page)?;
            // What has too many pages may still be read in parts.
            if take(page).is_break() || ends {
                return Ok(());
            }
            last_page = last_page.max(bounded(pages)?);
            while requested < last_page && in_flight.len() < IN_FLIGHT {
                requested += 1;
                in_flight.push_back(list.page(filter, requested, limit));
            }
            match in_flight.next().await {
                Some(next) => page = next?,
                None => return Ok(()),
            }
        }
    }
}

/// How many pages the listing has, going by this one.
fn pages(page: &Page) -> Result<u64, Error> {
    if page.rows() > u64::from(page.limit) {
        let message = format!("a page has {} rows, more than its limit of {}", page.rows(), page.limit);
        return Err(Error::new(Reason::Protocol, message));
    }
    if page.total > MOST_BELIEVED {
        let message = format!("a listing claims {} tasks, which is not believed", page.total);
        return Err(Error::new(Reason::Protocol, message));
    }
    Ok(page.total.div_ceil(u64::from(page.limit.max(1))))
}

/// The number of pages, if that many are read.
fn bounded(pages: u64) -> Result<u64, Error> {
    if pages <= MAX_PAGES {
        return Ok(pages);
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
        self.same >= SAME_PAGES
    }
}

// === impl Sightings ===

impl Sightings {
    pub(super) fn see(&mut self, task: Task) {
        if let Some(earlier) = self.tasks.get(&task.id)
            && earlier.status.is_final()
        {
            return;
        }
        self.tasks.insert(task.id.clone(), task);
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
