//! What a transaction has touched of the rows that assets are made of.

use std::collections::HashSet;

use super::super::merge::{Phase, Row};

/// The rows that a transaction inserted, changed or removed, as far as assets depend on them.
#[derive(Debug, Default)]
pub(in super::super) struct Touched {
    /// Entity and kind of each row, before and after its change.
    pub(super) rows: HashSet<(i64, i64)>,
    /// Parents of these rows.
    pub(super) parents: HashSet<i64>,
    /// Entities with another name than before.
    pub(in super::super) renamed: HashSet<i64>,
    /// The earliest creation of an ended row.
    pub(super) earliest_creation: Option<i64>,
}

// === impl Touched ===

impl Touched {
    pub(in super::super) fn row(&mut self, row: &Row) {
        if let Some(entity) = row.entity {
            self.rows.insert((entity, row.kind));
        }
        self.parents.extend(row.parent);
        if row.phase == Phase::Ended {
            let earliest = self.earliest_creation.get_or_insert(row.created);
            *earliest = row.created.min(*earliest);
        }
    }

    /// A row with this entity and kind is removed.
    pub(in super::super) fn removed(&mut self, entity: Option<i64>, kind: i64) {
        self.rows.extend(entity.map(|entity| (entity, kind)));
    }
}
