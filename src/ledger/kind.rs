//! The numbers of one kind of tasks, status by status.
//!
//! Each series has a hold of its own. A histogram begins with its first task, later than the counter of the same tasks,
//! and after a restart its hold can be over before that of the counter is. So it moves only while the counters do:
//! a page never shows more durations than ended tasks.

use std::time::Duration;

use super::counter::Counter;
use super::observations::{Durations, Histogram, Observations};
use super::runs::Runs;
use super::saved::{Contradiction, SavedKind, SavedStatus};
use super::snapshot::{KindSample, StatusSample};
use super::window::{EndedCounts, Window};
use crate::task::{Label, Status};
use crate::time::Timestamp;

/// How many statuses beyond the known ones are published under their own word; the vendor documents six
/// statuses in all, so that more than this is a fault, not a vocabulary.
pub(super) const MAX_OTHER_STATUSES: usize = 20;

/// The numbers of one kind.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) category: Label,
    pub(super) task_type: Label,
    pub(super) created: Counter,
    /// None until a task was counted as ended that had started.
    pub(super) queue: Option<Box<Histogram>>,
    pub(super) statuses: Vec<Numbers>,
}

/// The numbers of one status of a kind.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub(super) status: Status,
    pub(super) open: u64,
    pub(super) ended: EndedCounts,
    /// None until a task has ended with this status; the known final statuses start at 0.
    pub(super) ended_total: Option<Counter>,
    /// When the newest task ended that has ever ended for good with this status.
    pub(super) last_ended: Option<Timestamp>,
    /// None until a task was counted in `ended_total` that had started.
    pub(super) run: Option<Box<Histogram>>,
}

// === impl Kind ===

impl Kind {
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.category == other.category && self.task_type == other.task_type
    }

    /// The same kind with no task in it.
    pub(super) fn emptied(&self) -> Self {
        let statuses = self.statuses.iter().map(|numbers| Numbers::new(numbers.status.clone())).collect();
        Self { statuses, ..Self::new(self.category.clone(), self.task_type.clone()) }
    }

    /// A kind with the six known statuses, so that each is published as 0 from the start.
    pub(super) fn new(category: Label, task_type: Label) -> Self {
        let statuses = Status::OPEN.into_iter().chain(Status::ENDED).map(Numbers::new).collect();
        Self { category, task_type, created: Counter::default(), queue: None, statuses }
    }

    pub(super) fn count_ended(&mut self, status: usize, durations: Option<Durations>) {
        let numbers = &mut self.statuses[status];
        numbers.ended_total.get_or_insert_default().increment();
        if let Some(Durations { queue, run }) = durations {
            numbers.run.get_or_insert_default().observe(run);
            self.queue.get_or_insert_default().observe(queue);
        }
    }

    /// Moves the counters and histograms whose hold is over to their totals.
    pub(super) fn publish(&mut self, hold: Duration, now: Timestamp) {
        self.created.publish(hold, now);
        let mut are_free = true;
        for numbers in &mut self.statuses {
            are_free &= numbers.publish(hold, now);
        }
        if let Some(queue) = &mut self.queue {
            queue.publish_if(are_free, hold, now);
        }
    }

    pub(super) fn restored(saved: SavedKind, window: Window) -> Result<Self, Contradiction> {
        let mut kind = Self::new(saved.category, saved.task_type);
        kind.created = saved.created.restored().ok_or(Contradiction::Counts)?;
        if saved.statuses.len() > kind.statuses.len() + MAX_OTHER_STATUSES + 1 {
            return Err(Contradiction::Kinds);
        }
        let mut seen = Vec::with_capacity(saved.statuses.len());
        for numbers in saved.statuses {
            let status = numbers.status.clone();
            if seen.contains(&status) {
                return Err(Contradiction::Kinds);
            }
            let restored = Numbers::restored(numbers, window)?;
            match kind.statuses.iter_mut().find(|numbers| numbers.status == status) {
                Some(numbers) => *numbers = restored,
                None => kind.statuses.push(restored),
            }
            seen.push(status);
        }
        let counters = kind.statuses.iter().filter_map(|numbers| numbers.ended_total.as_ref());
        let counted = counters.map(counts).fold([0; 2], |[a, b], [more_a, more_b]| [a + more_a, b + more_b]);
        kind.queue = restored_histogram(saved.queue, counted)?;
        Ok(kind)
    }

    pub(super) fn saved(&self, window: Window) -> SavedKind {
        SavedKind {
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            created: self.created.saved(),
            queue: self.queue.as_deref().map(Histogram::saved).map(Box::new),
            statuses: self.statuses.iter().map(|numbers| numbers.saved(window)).collect(),
        }
    }

    /// What is published, with the creation of the oldest open task of each status.
    pub(super) fn sample(&self, oldest_open: impl Fn(usize) -> Option<Timestamp>) -> KindSample {
        let numbers = self.statuses.iter().enumerate();
        let mut statuses: Vec<StatusSample> =
            numbers.map(|(status, numbers)| numbers.sample(oldest_open(status))).collect();
        statuses.sort_by(|a, b| a.status.as_str().cmp(b.status.as_str()));
        KindSample {
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            created_total: *self.created.published(),
            queue_durations: published(self.queue.as_deref()),
            statuses,
        }
    }
}

// === impl Numbers ===

impl Numbers {
    pub(super) fn new(status: Status) -> Self {
        let ended_total = status.is_final().then(Counter::default);
        Self { status, open: 0, ended: EndedCounts::default(), ended_total, last_ended: None, run: None }
    }

    pub(super) fn restored(saved: SavedStatus, window: Window) -> Result<Self, Contradiction> {
        let SavedStatus { status, ended, ended_total, last_ended, run } = saved;
        let ended = ended.restored(window).ok_or(Contradiction::Counts)?;
        let fresh = Self::new(status);
        let ended_total = match ended_total {
            Some(counter) => Some(counter.restored().ok_or(Contradiction::Counts)?),
            None => fresh.ended_total,
        };
        let run = restored_histogram(run, ended_total.as_ref().map(counts).unwrap_or_default())?;
        Ok(Self { ended, ended_total, last_ended, run, ..fresh })
    }

    /// Moves counter and histogram; gives whether the counter is held no longer, if there is one.
    fn publish(&mut self, hold: Duration, now: Timestamp) -> bool {
        let Some(counter) = &mut self.ended_total else { return true };
        counter.publish(hold, now);
        let is_free = counter.is_free();
        if let Some(run) = &mut self.run {
            run.publish_if(is_free, hold, now);
        }
        is_free
    }

    fn saved(&self, window: Window) -> SavedStatus {
        SavedStatus {
            status: self.status.clone(),
            ended: Runs::of(&self.ended, window),
            ended_total: self.ended_total.as_ref().map(Counter::saved),
            last_ended: self.last_ended,
            run: self.run.as_deref().map(Histogram::saved).map(Box::new),
        }
    }

    pub(super) fn sample(&self, oldest_open: Option<Timestamp>) -> StatusSample {
        StatusSample {
            status: self.status.clone(),
            tasks: self.open + self.ended.sum(),
            open: self.open,
            oldest_open,
            ended_total: self.ended_total.as_ref().map(|counter| *counter.published()),
            last_ended: self.last_ended,
            run_durations: published(self.run.as_deref()),
        }
    }
}

/// What is published of a histogram that has begun.
fn published(histogram: Option<&Histogram>) -> Option<Box<Observations>> {
    histogram.map(|histogram| Box::new(histogram.published().clone()))
}

/// How many ended tasks are published, and how many are counted.
fn counts(counter: &Counter) -> [u64; 2] {
    [*counter.published(), counter.total]
}

/// A histogram that was kept, of some of the tasks that counters of so many count.
fn restored_histogram(
    saved: Option<Box<Histogram>>,
    counted: [u64; 2],
) -> Result<Option<Box<Histogram>>, Contradiction> {
    let Some(saved) = saved else { return Ok(None) };
    let histogram = saved.restored().ok_or(Contradiction::Counts)?;
    let [published, total] = histogram.counts();
    let is_possible = total > 0 && published <= counted[0] && total <= counted[1];
    is_possible.then(|| Some(Box::new(histogram))).ok_or(Contradiction::Counts)
}
