//! Pages and their order. The vendor promises no order at all, so that of a listing is configurable, down to
//! one that changes with every request.

use std::ops::Range;

use super::chance::mix;
use super::world::{Slot, World};

/// The order of the rows of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Order {
    /// The newest creation first.
    #[default]
    Newest,
    /// The oldest creation first.
    Oldest,
    /// No order that means anything, but always the same.
    Scattered,
    /// No order that means anything, and a new one for every request.
    Unstable,
}

/// A page that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Counted from 1.
    pub(super) number: u64,
    /// The number of rows.
    pub(super) limit: u32,
    /// How many rows have left the pages before it since those were read; below zero, how many have entered.
    pub(super) drift: i32,
}

// === impl Order ===

impl Order {
    /// The rows in `range` of `slots`, which are given oldest first, once they are in this order. `salt`
    /// makes the orders that mean nothing.
    pub(super) fn page(
        self,
        world: &World,
        mut slots: Vec<Slot>,
        range: Range<usize>,
        salt: u64,
    ) -> Vec<Slot> {
        let range = range.start.min(slots.len())..range.end.min(slots.len());
        match self {
            Self::Oldest => {}
            Self::Newest => slots.reverse(),
            Self::Scattered | Self::Unstable => {
                let key = |slot: &Slot| mix(world.task(*slot).id ^ salt);
                // Only the page needs to be in order: what lies before it, and what behind, does not.
                if range.start < slots.len() {
                    slots.select_nth_unstable_by_key(range.start, key);
                }
                if range.end < slots.len() {
                    slots[range.start..].select_nth_unstable_by_key(range.len(), key);
                }
                slots[range.clone()].sort_unstable_by_key(key);
            }
        }
        slots[range].to_vec()
    }
}

// === impl Cut ===

impl Cut {
    /// Which rows of a listing the page has.
    pub(super) fn range(self) -> Range<usize> {
        let before = self.number.saturating_sub(1).saturating_mul(u64::from(self.limit));
        let before = before.saturating_add_signed(i64::from(self.drift));
        let first = usize::try_from(before).unwrap_or(usize::MAX);
        first..first.saturating_add(usize::try_from(self.limit).unwrap_or(usize::MAX))
    }

    /// How many rows a listing of `rows` has now that it has drifted.
    pub(super) fn total(self, rows: usize) -> u64 {
        let rows = u64::try_from(rows).expect("the size of a vector must fit");
        rows.saturating_add_signed(-i64::from(self.drift))
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Filter;
    use super::super::task::Task;
    use super::*;
    use crate::time::Timestamp;

    fn world() -> World {
        let mut world = World::new(0, 0, Timestamp::UNIX_EPOCH);
        for id in 1..=250 {
            let created = i64::try_from(id).expect("a small number must fit");
            world.add(Task::new(id, Timestamp::from_second(created).expect("the instant must be valid")));
        }
        world
    }

    fn read(world: &World, order: Order, salt: u64) -> Vec<u64> {
        let slots = || world.matching(&Filter::default(), Timestamp::from_second(999).expect("valid"));
        (1..=3)
            .flat_map(|number| {
                let cut = Cut { number, limit: 100, drift: 0 };
                order.page(world, slots(), cut.range(), salt)
            })
            .map(|slot| world.task(slot).id)
            .collect()
    }

    #[test]
    fn every_order_has_every_row_once() {
        let world = world();
        assert_eq!(read(&world, Order::Oldest, 0), (1..=250).collect::<Vec<_>>());
        assert_eq!(read(&world, Order::Newest, 0), (1..=250).rev().collect::<Vec<_>>());
        let scattered = read(&world, Order::Scattered, 1);
        assert_eq!(scattered, read(&world, Order::Scattered, 1));
        assert_ne!(scattered, read(&world, Order::Scattered, 2));
        let mut sorted = scattered;
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=250).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_beyond_the_last_is_empty() {
        let world = world();
        let cut = Cut { number: u64::MAX, limit: 100, drift: 0 };
        assert!(Order::Scattered.page(&world, vec![0, 1], cut.range(), 0).is_empty());
        assert!(Order::Newest.page(&world, vec![], cut.range(), 0).is_empty());
    }

    #[test]
    fn drift_moves_a_page_and_its_total() {
        let cut = |drift| Cut { number: 2, limit: 100, drift };
        assert_eq!((cut(3).range(), cut(3).total(250)), (103..203, 247));
        assert_eq!((cut(-3).range(), cut(-3).total(250)), (97..197, 253));
    }
}
