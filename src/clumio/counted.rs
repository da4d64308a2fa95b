//! Which invalid tasks were counted already: a task that stays invalid is read by every poll and counted once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use super::wire::RowKey;
use crate::task::Defect;

/// How many (task, defect) pairs are remembered, at 64 bits each. An account with more of them counts some again in
/// each poll.
const MAX_COUNTED: usize = 65_536;

/// The invalid tasks that were counted since the client was made.
#[derive(Debug, Default)]
pub(super) struct CountedDefects {
    /// Keyed at random, so that no server can choose ids whose hashes collide.
    hasher: RandomState,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    hashes: HashSet<u64>,
    /// The same hashes, oldest first.
    order: VecDeque<u64>,
}

// === impl CountedDefects ===

impl CountedDefects {
    /// Whether the row has this defect for the first time. Asked again, it has not.
    pub(super) fn is_first(&self, defect: Defect, row: RowKey<'_>) -> bool {
        let hash = self.hasher.hash_one((defect, row));
        // A set of hashes is complete after every insertion or eviction.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(hash)
    }
}

// === impl Counted ===

impl Counted {
    fn insert(&mut self, hash: u64) -> bool {
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MAX_COUNTED {
            let oldest = self.order.pop_front().expect("a longer queue must have a first");
            self.hashes.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    #[test]
    fn a_row_is_first_once_for_each_defect() {
        let counted = CountedDefects::default();
        let (one, other) =
            (TaskId::new("1").expect("it must be valid"), TaskId::new("2").expect("it must be valid"));
        for (defect, row, is_first) in [
            (Defect::BadTimestamp, RowKey::Id(&one), true),
            (Defect::BadTimestamp, RowKey::Id(&one), false),
            (Defect::NoStatus, RowKey::Id(&one), true),
            (Defect::BadTimestamp, RowKey::Id(&other), true),
            (Defect::NoId, RowKey::Content(1), true),
            (Defect::NoId, RowKey::Content(2), true),
            (Defect::NoId, RowKey::Content(1), false),
        ] {
            assert_eq!(counted.is_first(defect, row), is_first, "{defect:?}, {row:?}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_bound() {
        let counted = CountedDefects::default();
        let is_first = |content| counted.is_first(Defect::NoId, RowKey::Content(content));
        let most = MAX_COUNTED as u64;
        assert!((0..most).all(is_first));
        assert!(!(0..most).any(is_first));
        assert!(is_first(most));
        assert!(!is_first(1) && is_first(0));
        assert_eq!(counted.counted.lock().expect("no test panics here").hashes.len(), MAX_COUNTED);
    }
}
