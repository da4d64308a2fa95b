//! The API's count of the tasks in a range of creation times, compared with that of the replica.
//!
//! `total_count` may be capped. If a count is not above that of the replica, the page that it says is the last one shows
//! whether rows follow. A capped count is taken from both halves of the range instead. Of a range that is too short for
//! that, only a listing tells what is there.

use std::time::Duration;

use super::clock::Response;
use super::reader::Reader;
use super::{Error, Poller};
use crate::clumio::{Filter, TaskList};
use crate::time::{Timestamp, earlier, elapsed, later};

/// The shortest span that is halved.
pub(super) const MIN_HALVED: Duration = Duration::from_secs(8);

/// A range of creation times, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The count of a span by the API, compared with that of the replica.
pub(super) struct Comparison {
    /// API count minus replica count.
    pub(super) difference: i64,
    /// Whether the API's count is capped in a part that is too short to be halved: only a listing tells what is there.
    pub(super) is_uncountable: bool,
    /// The response that gave the last count.
    pub(super) response: Response,
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Compares the counts of a span. Up to `uncounted` rows may be ones that the replica does not count.
    pub(super) async fn counts(&mut self, span: Span, uncounted: u64) -> Result<Comparison, Error> {
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        let (mut api, mut replica) = (0, 0);
        let mut count_cap = self.audit.count_cap;
        let mut is_uncountable = false;
        let mut spans = vec![span];
        while let Some(span) = spans.pop() {
            let rows = self.replica.count(span.from, span.to).await?;
            let total = reader.total(&span.filter()).await?;
            let is_capped = count_cap.is_some_and(|cap| total >= cap)
                || (total <= rows + uncounted && reader.is_capped(&span.filter(), total).await?);
            if is_capped {
                count_cap = Some(count_cap.map_or(total, |cap| cap.min(total)));
                if span.length() >= MIN_HALVED {
                    spans.extend(self.halves(span).await?);
                    continue;
                }
                is_uncountable = true;
            }
            // Of a range that cannot be halved, a capped count is a lower bound.
            api += if is_capped { total.max(rows) } else { total };
            replica += rows;
        }
        let difference = i64::try_from(api).unwrap_or(i64::MAX) - i64::try_from(replica).unwrap_or(i64::MAX);
        self.audit.count_cap = count_cap;
        Ok(Comparison { difference, is_uncountable, response: reader.last_response() })
    }

    pub(super) async fn halves(&self, span: Span) -> Result<[Span; 2], Error> {
        let length = span.length();
        let near = later(span.from, length / 2);
        let middle = self.edge(near, (later(span.from, length / 4), earlier(span.to, length / 4))).await?;
        Ok([Span { to: middle, ..span }, Span { from: middle, ..span }])
    }
}

// === impl Span ===

impl Span {
    pub(super) fn length(self) -> Duration {
        elapsed(self.from, self.to)
    }

    pub(super) fn filter(self) -> Filter {
        Filter::Created { from: self.from, to: Some(self.to) }
    }
}
