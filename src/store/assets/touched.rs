//! What a transaction has touched of the rows that assets are made of.

use std::collections::{HashMap, HashSet};

use super::super::merge::{Phase, Row};
use super::super::status::StatusId;

const FAILED: StatusId = StatusId::ENDED[1];

/// The rows that a transaction inserted, changed or removed, as far as assets depend on them.
#[derive(Debug, Default)]
pub(in super::super) struct Touched {
    /// Entity and kind of each row, before and after its change; with the time up to which an asset whose state no older row
    /// can change has to be computed again, which is the maximum for most changes.
    pub(super) rows: HashMap<(i64, i64), i64>,
    /// Parents of these rows.
    pub(super) parents: HashSet<i64>,
    /// Entities with another name than before.
    pub(in super::super) renamed: HashSet<i64>,
    /// The earliest creation of an ended row.
    pub(super) earliest_creation: Option<i64>,
}

// === impl Touched ===

impl Touched {
    /// A row is there that was not there before.
    pub(in super::super) fn inserted(&mut self, row: &Row) {
        // A failure may be the first of its type.
        let until = match row.ended_by.filter(|_| row.phase == Phase::Ended && row.status != FAILED) {
            Some(ended) => ended.max(row.created),
            None => i64::MAX,
        };
        self.note(row, until);
    }

    /// A row has changed: this is the one before, or after it.
    pub(in super::super) fn changed(&mut self, row: &Row) {
        self.note(row, i64::MAX);
    }

    fn note(&mut self, row: &Row, until: i64) {
        if let Some(entity) = row.entity {
            self.note_asset(entity, row.kind, until);
        }
        self.parents.extend(row.parent);
        if row.phase == Phase::Ended {
            let earliest = self.earliest_creation.get_or_insert(row.created);
            *earliest = row.created.min(*earliest);
        }
    }

    /// A row with this entity and kind is removed.
    pub(in super::super) fn removed(&mut self, entity: Option<i64>, kind: i64) {
        if let Some(entity) = entity {
            self.note_asset(entity, kind, i64::MAX);
        }
    }

    fn note_asset(&mut self, entity: i64, kind: i64, until: i64) {
        let latest = self.rows.entry((entity, kind)).or_insert(until);
        *latest = until.max(*latest);
    }
}
