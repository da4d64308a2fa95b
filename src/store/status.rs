//! Statuses as they are stored: the known ones by fixed ids, unknown ones by ids of the table `unknown_status`.

use crate::task::Status;

/// The id of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StatusId(pub(super) i64);

/// The known statuses by their ids. `schema.sql` relies on the id of `completed`.
pub(super) const KNOWN: [Status; 6] = [
    Status::Queued,
    Status::InProgress,
    Status::Aborting,
    Status::Completed,
    Status::Failed,
    Status::Aborted,
];

// === impl StatusId ===

impl StatusId {
    /// Stands for the status in families that have none.
    pub(super) const NONE: Self = Self(-1);

    /// The known statuses of ended tasks.
    pub(super) const ENDED: [Self; 3] = [Self(3), Self(4), Self(5)];

    /// The id of a known status.
    pub(super) fn known(status: &Status) -> Option<Self> {
        let position = KNOWN.iter().position(|known| known == status)?;
        i64::try_from(position).ok().map(Self)
    }

    pub(super) fn is_open(self) -> bool {
        (0..3).contains(&self.0)
    }

    pub(super) fn is_final(self) -> bool {
        (3..6).contains(&self.0)
    }
}
