//! The numbers of one kind of tasks, status by status.

use super::counter::Counter;
use super::saved::{Contradiction, SavedKind, SavedStatus};
use super::snapshot::{KindSample, StatusSample};
use super::window::EndedCounts;
use crate::tasks::{Label, Status};

/// How many statuses beyond the known ones are published under their own word; the vendor documents six
/// statuses in all, so that more than this is a fault, not a vocabulary.
pub(super) const MAX_OTHER_STATUSES: usize = 20;

/// The numbers of one kind.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) category: Label,
    pub(super) task_type: Label,
    pub(super) created: Counter,
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
        Self { category, task_type, created: Counter::default(), statuses }
    }

    pub(super) fn restored(saved: SavedKind) -> Result<Self, Contradiction> {
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
            let restored = Numbers::restored(numbers)?;
            match kind.statuses.iter_mut().find(|numbers| numbers.status == status) {
                Some(numbers) => *numbers = restored,
                None => kind.statuses.push(restored),
            }
            seen.push(status);
        }
        Ok(kind)
    }

    pub(super) fn saved(&self) -> SavedKind {
        SavedKind {
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            created: self.created.saved(),
            statuses: self.statuses.iter().map(Numbers::saved).collect(),
        }
    }

    pub(super) fn sample(&self) -> KindSample {
        let mut statuses: Vec<StatusSample> = self.statuses.iter().map(Numbers::sample).collect();
        statuses.sort_by(|a, b| a.status.as_str().cmp(b.status.as_str()));
        KindSample {
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            created_total: self.created.published(),
            statuses,
        }
    }
}

// === impl Numbers ===

impl Numbers {
    pub(super) fn new(status: Status) -> Self {
        let ended_total = status.is_final().then(Counter::default);
        Self { status, open: 0, ended: EndedCounts::default(), ended_total }
    }

    pub(super) fn restored(saved: SavedStatus) -> Result<Self, Contradiction> {
        let SavedStatus { status, ended, ended_total } = saved;
        let ended = EndedCounts::restored(ended).ok_or(Contradiction::Counts)?;
        let fresh = Self::new(status);
        let ended_total = match ended_total {
            Some(counter) => Some(counter.restored().ok_or(Contradiction::Counts)?),
            None => fresh.ended_total,
        };
        Ok(Self { ended, ended_total, ..fresh })
    }

    pub(super) fn saved(&self) -> SavedStatus {
        SavedStatus {
            status: self.status.clone(),
            ended: self.ended.granules().clone(),
            ended_total: self.ended_total.as_ref().map(Counter::saved),
        }
    }

    pub(super) fn sample(&self) -> StatusSample {
        StatusSample {
            status: self.status.clone(),
            tasks: self.open + self.ended.sum(),
            ended_total: self.ended_total.as_ref().map(Counter::published),
        }
    }
}
