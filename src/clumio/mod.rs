//! The client of the Clumio API: one page of the task list at a time.
//!
//! [`TaskList`] is all that the poll knows of it, so that a model can stand in for the network.

mod client;
mod counted;
mod error;
mod exchange;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod lenient;
mod limit;
mod query;
mod redact;
mod retry;
mod row;
#[cfg(test)]
mod tests;
mod token;
mod token_mask;
mod transport;
mod unicode;
mod wire;

pub use client::{Client, Options};
pub use error::{Error, Reason};
pub use transport::{MAX_BUNDLE_BYTES, SetupError, Transports};

use std::time::Duration;

use crate::task::{Defect, Task, TaskId};
use crate::time::{Moment, Timestamp};

/// Which tasks a listing asks for. Only one field is ever filtered: that several are joined by AND is implied
/// by the vendor's documentation, not promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Tasks whose status is one of the known open ones.
    Open,
    /// Tasks created in a range, both bounds included; the later one can be left out.
    ///
    /// The bounds are sent in whole seconds, rounded outwards: how finely a server compares is unknown.
    Created {
        /// The earliest creation.
        from: Timestamp,
        /// The latest creation.
        to: Option<Timestamp>,
    },
    /// The tasks with these ids.
    Ids(Vec<TaskId>),
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows that are tasks.
    pub tasks: Vec<Task>,
    /// The rows that are not, for want of a status; their ids still tell them apart.
    pub without_status: Vec<TaskId>,
    /// The number of rows without an id, which nothing tells apart.
    pub without_id: u64,
    /// How many rows the listing has, over all its pages.
    pub total: u64,
    /// How many rows a page of it has: what was asked for, or less where the server allows less.
    pub limit: u32,
    /// Whether the answer links to a next page. The link itself is never followed: it could lead anywhere.
    pub has_next: bool,
    /// The answer's `Date`.
    pub date: Option<Timestamp>,
    /// When the answer's head arrived.
    pub received: Moment,
}

/// A list of tasks that is read page by page.
pub trait TaskList: Send + Sync {
    /// Reads page `number`, counted from 1, of `limit` rows.
    ///
    /// # Errors
    /// When no well-formed page could be had, retries included.
    fn page(
        &self,
        filter: &Filter,
        number: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Page, Error>> + Send;
}

/// Is told what the client does, request by request.
pub trait Observer: Send + Sync {
    /// A request ended after `took`, with this HTTP status, or with none because no answer came.
    fn request(&self, status: Option<u16>, took: Duration);
    /// A request is about to be tried again, for this reason.
    fn retry(&self, reason: Reason);
    /// A page of `rows` rows was read.
    fn rows(&self, rows: u64);
    /// A task has this defect. Each task is reported once for each of its defects, however often it is read.
    fn defect(&self, defect: Defect);
    /// A request ran to its end: an answer, a failure or a timeout. One that its caller gave up did not.
    fn finished(&self) {}
    /// The client waits on purpose (for its turn, or before a retry), for this long at most.
    fn waits(&self, _at_most: Duration) {}
    /// The token was looked at and expires then, as far as it says so itself.
    fn token(&self, _expiry: Option<Timestamp>) {}
}

// === impl Page ===

impl Page {
    /// How many rows the page has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        (self.tasks.len() + self.without_status.len()) as u64 + self.without_id
    }
}
