//! The audit: compares how many tasks the API counts with how many the replica has, and reads again what differs.
//!
//! # What it finds
//!
//! A poll misses a task only if the API lists it later than the overlap. Such a task is an extra row of the API in some
//! segment of the covered past. The audit remembers for each segment the difference that it found last, so that rows that
//! the API stops showing in one segment do not mask late rows in another. A segment whose difference has changed is halved
//! until the difference is located in ranges that fit one slice, and those are listed and upserted. What is left after
//! that is accepted as far as rows were listed that the replica does not count (without id, status or creation).
//!
//! Fewer rows than before count as a change once a second count with moved edges confirms them. They are published as
//! drift, and nothing is removed: a token that lost permissions must not resolve an alert. The segment is listed all the
//! same, for they may mask rows that are late.
//!
//! How the counts are compared is in [`comparison`](super::comparison), and how a segment is repaired in
//! [`repair`](super::repair).
//!
//! # What it does not find
//!
//! Rows that the API stops showing and as many that it lists late cancel each other out if all are in the same segment and
//! change between two audits of it: within [`Options::audit_interval`](super::Options) in the newest segment, and within an
//! hour elsewhere in the window. A segment is an eighth of the window, at least [`MIN_SEGMENT`] long.
//!
//! # Which segments
//!
//! The newest segment is audited every time, older ones in turn, so that the window takes an hour at most. One segment
//! beyond the window is audited each time as well.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Response;
use super::comparison::{Comparison, Span};
use super::repair::Repair;
use super::{Background, Error, Poller};
use crate::clumio::TaskList;
use crate::store::{self, Segment};
use crate::time::{Timestamp, earlier, elapsed, later};

/// Segments that the window is divided into.
const SEGMENTS: u32 = 8;

/// The shortest segment.
const MIN_SEGMENT: Duration = Duration::from_mins(30);

/// The whole window is audited within this time.
const WINDOW_WITHIN: Duration = Duration::from_hours(1);

/// How far an edge is moved to confirm a difference.
const MOVE: Duration = Duration::from_mins(4);

/// The audits of one account.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Elapsed time at which the next one is due; none before the first poll of a process.
    due: Option<Duration>,
    queue: VecDeque<Step>,
    /// The least `total_count` that turned out to be capped.
    pub(super) count_cap: Option<u64>,
}

/// What one step of an audit does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Compares the counts of a segment.
    Compare(Segment, Span),
    /// Locates extra rows, and lists them.
    Repair(Repair),
    /// Publishes the drift.
    Conclude,
}

// === impl Audit ===

impl Audit {
    /// Gives up the audit that is under way; the next one is due after an interval.
    pub(super) fn give_up(&mut self) {
        self.queue.clear();
    }

    /// Whether an audit is due; notes when the next one will be.
    fn is_due(&mut self, now: Duration, interval: Duration) -> bool {
        if interval.is_zero() {
            return false;
        }
        let due = *self.due.get_or_insert(now.saturating_add(interval));
        let is_due = now >= due;
        if is_due {
            self.due = Some(now.saturating_add(interval));
        }
        is_due
    }
}

// === impl Poller ===

impl<L: TaskList> Poller<L> {
    /// Does one step of an audit, if there is one to do.
    pub(super) async fn audit_step(&mut self) -> Result<Background, Error> {
        // It stays in the queue until it is done: this may be stopped at any await.
        let Some(step) = self.audit.queue.front().cloned() else { return self.begin_audit().await };
        let next = match step {
            Step::Compare(segment, span) => self.compare(segment, span).await?,
            Step::Repair(repair) => self.repair(repair).await?.map(Step::Repair),
            Step::Conclude => self.conclude().await?,
        };
        self.audit.queue.pop_front();
        if let Some(next) = next {
            self.audit.queue.push_front(next);
        }
        Ok(Background::More)
    }

    async fn begin_audit(&mut self) -> Result<Background, Error> {
        let state = self.replica.load().await?.ok_or(store::Error::Replaced)?;
        let now = self.clock.elapsed_now().unwrap_or(state.marks.elapsed);
        if !self.audit.is_due(now, self.options.audit_interval) {
            return Ok(Background::Done);
        }
        let Some((newest, _)) = self.replica.newest().await? else { return Ok(Background::Done) };
        // What is newer may still appear without being late.
        let until = earlier(newest.min(state.marks.time), self.options.rules.overlap);
        let window_start = earlier(state.marks.time, self.options.rules.window);
        let segments = self.segments(state.marks.covered_from, until).await?;
        let ends = segments.iter().skip(1).map(|next| next.start).chain([until]);
        let spans =
            segments.iter().zip(ends).map(|(segment, to)| (*segment, Span { from: segment.start, to }));
        let spans: Vec<_> = spans.filter(|(_, span)| span.from < span.to).collect();
        let chosen = choose(spans, window_start, self.options.audit_interval);
        self.audit.queue.extend(chosen.into_iter().map(|(segment, span)| Step::Compare(segment, span)));
        self.audit.queue.push_back(Step::Conclude);
        Ok(Background::More)
    }

    /// The segments between two times. New ones are added at both ends.
    async fn segments(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Segment>, Error> {
        let mut segments = self.replica.segments(from, until).await?;
        let length = (self.options.rules.window / SEGMENTS).max(MIN_SEGMENT);
        let mut added = Vec::new();
        let mut newest = if let Some(last) = segments.last() {
            last.start
        } else {
            let start = self.replica.quiet_second(from, (from, until)).await?;
            added.push(Segment { start, difference: 0, skipped: 0, audited: 0 });
            start
        };
        if let Some(last) = segments.last_mut()
            && elapsed(newest, until) >= length * 2
        {
            // What was accepted may be in the part that is cut off.
            *last = Segment { difference: 0, skipped: 0, audited: 0, ..*last };
            added.push(*last);
        }
        while elapsed(newest, until) >= length * 2 {
            newest = self.edge(later(newest, length), (later(newest, length / 2), until)).await?;
            added.push(Segment { start: newest, difference: 0, skipped: 0, audited: 0 });
        }
        let mut oldest = segments.first().map_or(until, |first| first.start);
        while !segments.is_empty() && elapsed(from, oldest) >= length {
            oldest = self.edge(earlier(oldest, length), (from, earlier(oldest, length / 2))).await?;
            added.push(Segment { start: oldest, difference: 0, skipped: 0, audited: 0 });
        }
        if !added.is_empty() {
            self.replica.put_segments(added.clone()).await?;
            segments.extend(added);
            segments.sort_by_key(|segment| segment.start);
            segments.dedup();
        }
        Ok(segments)
    }

    pub(super) async fn edge(
        &self,
        near: Timestamp,
        bounds: (Timestamp, Timestamp),
    ) -> Result<Timestamp, Error> {
        Ok(self.replica.quiet_second(near, bounds).await?)
    }

    async fn compare(&mut self, segment: Segment, span: Span) -> Result<Option<Step>, Error> {
        let Comparison { difference, is_uncountable, response } =
            self.counts(span, segment.uncounted()).await?;
        let is_confirmed = difference > segment.difference
            || (difference < segment.difference && self.has_fewer(segment, span).await?);
        if is_confirmed || is_uncountable {
            // A segment that has lost rows is listed as well: those may mask extra ones.
            return Ok(Some(Step::Repair(Repair::new(segment, span))));
        }
        self.put_audited(segment, response).await?;
        Ok(None)
    }

    /// Whether the API has fewer rows than the replica even with other edges.
    async fn has_fewer(&mut self, segment: Segment, span: Span) -> Result<bool, Error> {
        let middle = earlier(span.to, elapsed(span.from, span.to) / 2);
        let from = self.edge(later(span.from, MOVE), (span.from, middle)).await?;
        let moved = if segment.difference == 0 { Span { from, ..span } } else { span };
        Ok(self.counts(moved, segment.uncounted()).await?.difference < segment.difference)
    }

    pub(super) async fn put_audited(&mut self, segment: Segment, response: Response) -> Result<(), Error> {
        let elapsed = self.clock.later(response).elapsed;
        let audited = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        Ok(self.replica.put_segments(vec![Segment { audited, ..segment }]).await?)
    }

    async fn conclude(&self) -> Result<Option<Step>, Error> {
        let segments = self.replica.segments(Timestamp::MIN, Timestamp::MAX).await?;
        let drift = segments.iter().map(|segment| segment.skipped - segment.difference).sum();
        self.replica.set_drift(drift).await?;
        Ok(None)
    }
}

/// The newest span; of the others in the window those audited longest ago, so many that each has its turn within an hour;
/// and one beyond the window.
fn choose(
    mut spans: Vec<(Segment, Span)>,
    window_start: Timestamp,
    interval: Duration,
) -> Vec<(Segment, Span)> {
    let newest = spans.pop();
    spans.sort_by_key(|(segment, _)| segment.audited);
    let (window, beyond): (Vec<_>, Vec<_>) = spans.into_iter().partition(|(_, span)| span.to > window_start);
    let turns = WINDOW_WITHIN.as_secs_f64() / interval.as_secs_f64();
    // A handful: the cast cannot lose anything.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let each_time = (window.len() as f64 / turns.max(1.0)).ceil() as usize;
    newest.into_iter().chain(window.into_iter().take(each_time)).chain(beyond.into_iter().take(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(n: i64) -> Timestamp {
        Timestamp::from_second(n * 3_600).expect("the hour must be in range")
    }

    fn spans(audited: &[i64]) -> Vec<(Segment, Span)> {
        let span = |(hours, audited): (i64, &i64)| {
            let segment = Segment { start: hour(hours), difference: 0, skipped: 0, audited: *audited };
            (segment, Span { from: hour(hours), to: hour(hours + 1) })
        };
        (0..).zip(audited).map(span).collect()
    }

    #[test]
    fn the_newest_segment_is_audited_every_time_and_the_window_within_an_hour() {
        let chosen = |minutes| {
            let chosen = choose(spans(&[1, 2, 9, 8, 7, 6, 0]), hour(2), Duration::from_mins(minutes));
            chosen.into_iter().map(|(segment, _)| segment.start).collect::<Vec<_>>()
        };
        assert_eq!(chosen(15), [hour(6), hour(5), hour(0)]);
        assert_eq!(chosen(30), [hour(6), hour(5), hour(4), hour(0)]);
        assert_eq!(chosen(120), [hour(6), hour(5), hour(4), hour(3), hour(2), hour(0)]);
    }

    #[test]
    fn audits_are_an_interval_apart() {
        let mut audit = Audit::default();
        let minutes = Duration::from_mins;
        let is_due = |audit: &mut Audit, now| audit.is_due(minutes(now), minutes(15));
        assert!(!is_due(&mut audit, 100) && !is_due(&mut audit, 114));
        assert!(is_due(&mut audit, 115) && !is_due(&mut audit, 129) && is_due(&mut audit, 131));
        assert!(!Audit::default().is_due(minutes(9), Duration::ZERO));
    }
}
