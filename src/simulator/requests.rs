//! What was asked of the simulator, and how it answered: by this tests compute exact numbers, and hold a client
//! to the number of requests that it promised.

use std::collections::{BTreeMap, VecDeque};

use super::faults::Fault;
use crate::time::Timestamp;

/// How many requests are remembered one by one. The counts have no such limit.
const REMEMBERED: usize = 10_000;

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// A listing: `/tasks`.
    List,
    /// One task: `/tasks/{id}`.
    Task,
    /// Anything else.
    Other,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its place among all requests, counted from 0.
    pub number: u64,
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// What it asked for.
    pub endpoint: Endpoint,
    /// The path, and the query as it was sent.
    pub target: String,
    /// The answer's status; none while there is no answer, and where the connection was reset.
    pub status: Option<u16>,
    /// The answer's `Date`.
    pub date: Option<Timestamp>,
    /// What was drawn to go wrong with it. Of several faults that answer in place of the API, one does.
    pub faults: Vec<Fault>,
}

/// The requests since the simulator began, or since they were last forgotten.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// How many arrived.
    pub total: u64,
    /// How many were answered, or reset (status `None`), by what they asked for.
    pub answers: BTreeMap<(Endpoint, Option<u16>), u64>,
    /// The `Date` of the first listing that was answered 200, in whole seconds.
    pub first_listing: Option<Timestamp>,
    /// The newest of them, the oldest first: at most 10,000.
    pub recent: VecDeque<Exchange>,
}

// === impl Endpoint ===

impl Endpoint {
    /// What a path asks for.
    pub(super) fn of(path: &str) -> Self {
        match path.strip_prefix("/tasks") {
            Some("") => Self::List,
            Some(rest) if rest.strip_prefix('/').is_some_and(|id| !id.is_empty() && !id.contains('/')) => {
                Self::Task
            }
            _ => Self::Other,
        }
    }
}

// === impl Requests ===

impl Requests {
    /// How many requests were answered with this status.
    #[must_use]
    pub fn answered(&self, endpoint: Endpoint, status: u16) -> u64 {
        self.answers.get(&(endpoint, Some(status))).copied().unwrap_or_default()
    }

    /// Notes that a request arrived.
    pub(super) fn arrived(&mut self, exchange: Exchange) {
        self.total += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(exchange);
    }

    /// Notes how request `number` was answered.
    pub(super) fn answer(
        &mut self,
        number: u64,
        endpoint: Endpoint,
        status: Option<u16>,
        date: Option<Timestamp>,
    ) {
        *self.answers.entry((endpoint, status)).or_default() += 1;
        if (endpoint, status) == (Endpoint::List, Some(200)) && self.first_listing.is_none() {
            self.first_listing = date;
        }
        if let Ok(index) = self.recent.binary_search_by_key(&number, |exchange| exchange.number) {
            self.recent[index].status = status;
            self.recent[index].date = date;
        }
    }
}
