//! The repair of a segment whose counts differ: locates the extra rows, and lists and stores what is there.

use std::collections::BTreeSet;

use super::comparison::{Comparison, MIN_HALVED, Span};
use super::listing::{Range, RangeListing};
use super::reader::Reader;
use super::{Error, Poller};
use crate::clumio::TaskList;
use crate::store::{Completes, Segment, SliceCommit, Source};
use crate::task::TaskId;

/// The repair of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repair {
    segment: Segment,
    span: Span,
    /// Where the extra rows are.
    spans: Vec<Span>,
    /// Rows without an id or a status that were listed. The replica does not count them.
    skipped: u64,
    /// Tasks without a creation that were listed. The replica does not count them either, and the API may count one of
    /// them on both sides of an edge.
    undated: BTreeSet<TaskId>,
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Lists the first of the spans if it fits a slice, else halves it.
    ///
    /// At the end, the remaining difference is accepted only up to the number of listed rows that the replica does not
    /// count: the listing may have come from an API server that lags behind.
    pub(super) async fn repair(&mut self, mut repair: Repair) -> Result<Option<Repair>, Error> {
        let Some(first) = repair.spans.pop() else {
            let uncounted = repair.uncounted();
            let Comparison { difference, response, .. } = self.counts(repair.span, uncounted).await?;
            let skipped = i64::try_from(uncounted).unwrap_or(i64::MAX);
            self.put_audited(
                Segment { difference: difference.min(skipped), skipped, ..repair.segment },
                response,
            )
            .await?;
            return Ok(None);
        };
        let rows = self.replica.count(first.from, first.to).await?;
        if rows > self.options.max_rows && first.length() >= MIN_HALVED {
            let halves = self.halves(first).await?;
            let mut extra = Vec::new();
            for half in halves {
                let comparison = self.counts(half, repair.uncounted()).await?;
                if comparison.difference > 0 || comparison.is_uncountable {
                    extra.push(half);
                }
            }
            // Rows that the API stopped showing may mask the extra ones.
            repair.spans.extend(if extra.is_empty() { halves.to_vec() } else { extra });
        } else {
            self.list(first, &mut repair).await?;
        }
        Ok(Some(repair))
    }

    /// Lists and stores the tasks of a span, and notes the rows of it that the replica does not count.
    async fn list(&mut self, span: Span, repair: &mut Repair) -> Result<(), Error> {
        let mut reader = Reader::new(&self.list, self.page_size, self.options.max_rows);
        let total = reader.total(&span.filter()).await?;
        let (mut counted, mut unidentified) = (0, 0);
        let mut undated = BTreeSet::new();
        let mut ranges = vec![Range { from: span.from, to: Some(span.to) }];
        while let Some(range) = ranges.pop() {
            match reader.list_range(range).await? {
                RangeListing::Split(parts) => ranges.extend(parts.into_iter().rev()),
                RangeListing::Complete { tasks, skipped } => {
                    let without_creation = tasks.iter().filter(|task| task.created.is_none());
                    undated.extend(without_creation.map(|task| task.id.clone()));
                    counted += tasks.iter().filter(|task| task.created.is_some()).count() as u64;
                    unidentified += skipped;
                    let now = self.clock.later(reader.last_response());
                    let (source, completes) = (Source::Audit, Completes::Nothing);
                    self.replica.commit_slice(SliceCommit { tasks, source, now, completes }).await?;
                }
            }
        }
        // Ranges are requested a little wider than the span, and may have such rows beyond it.
        let uncounted = usize::try_from(total.saturating_sub(counted)).unwrap_or(usize::MAX);
        repair.skipped += unidentified.min(uncounted as u64);
        repair.undated.extend(undated.into_iter().take(uncounted));
        Ok(())
    }
}

// === impl Repair ===

impl Repair {
    pub(super) fn new(segment: Segment, span: Span) -> Self {
        Self { segment, span, spans: vec![span], skipped: 0, undated: BTreeSet::new() }
    }

    fn uncounted(&self) -> u64 {
        self.skipped + self.undated.len() as u64
    }
}
