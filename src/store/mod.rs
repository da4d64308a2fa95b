//! The replica: a local copy of the task list, and the queries behind every published number.
//!
//! Everything is in one SQLite database, in the state directory or in memory. What polls read is stored by idempotent
//! upserts by id ([`merge`] has the rules); every number is a query at one instant T ([`gauges`]). Numbers can be late
//! but cannot drift: there is nothing to repair but rows, by reading them again.
//!
//! A poll is one transaction ([`commit`]): rows, counters, holds and marks in time together, or nothing. The numbers to
//! publish are queried before it is committed, because SQLite rolls back by itself when a disk is full. What the API
//! cannot tell again, counters with their labels and marks, has checksums ([`checksum`]).
//!
//! The state of the [`assets`] that tasks protect is derived from rows in the same transaction.
//!
//! [`Store`] runs the database on a thread of its own, since SQLite blocks. [`Replica`] is one account in it. Pages read
//! through [`Explorer`], beside the polls.
//!
//! This is the only module with SQL. Every query is a named function beside its text.

mod account;
mod assets;
mod checksum;
mod commit;
mod database;
mod directory;
mod entities;
mod error;
mod explore;
mod gauges;
mod handle;
mod histogram;
mod integrity;
mod labels;
mod marks;
mod merge;
mod periods;
mod reads;
mod replica;
mod retention;
mod scope;
mod segments;
mod series;
mod snapshot;
mod status;
mod tasks;
#[cfg(test)]
mod tests;

pub use account::{AccountState, Identity};
pub use assets::{
    AgeBasis, AssetCondition, AssetDetail, AssetFilter, AssetLabels, AssetList, AssetOrder, AssetProgress,
    AssetRow, AssetSamples, AssetState, AssetTypeSample, CompletedWithin, FailingAsset, LateAsset, Unnamed,
};
pub use commit::{Completes, PollCommit, SliceCommit};
pub use error::Error;
pub use explore::{
    Explorer, MAX_OFFSET, MAX_ROWS, TaskEntity, TaskFilter, TaskList, TaskPosition, TaskRow, TaskStatus,
};
pub use handle::{Store, StoreStatus};
pub use histogram::DurationHistogram;
pub use marks::{Marks, PollInstant};
pub use merge::Source;
pub use periods::{Period, Periods};
pub use replica::Replica;
pub use segments::Segment;
pub use snapshot::{KindSample, Snapshot, StatusSample};

use std::time::Duration;

use crate::config::Assets;
use crate::time::Timestamp;

/// What numbers and rows depend on besides the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long ended tasks stay in the gauges.
    pub window: Duration,
    /// The longest time from the creation of a task until the API lists it.
    pub overlap: Duration,
    /// How long rows are kept.
    pub retention: Duration,
    /// For how long at least a new series is published as 0, and a restored one at its restored value.
    pub counter_hold: Duration,
    /// The most categories with series of their own; others become `other`.
    pub max_categories: usize,
    /// The most pairs of category and type with series of their own; the type of others becomes `other`.
    pub max_kinds: usize,
    /// The most types of assets with series of their own; others become `other`.
    pub max_asset_types: usize,
    /// Which tasks protect assets, and how old the last completed one may be; with the objectives of this account alone.
    pub assets: Assets,
}

type Result<T> = std::result::Result<T, Error>;

/// Microseconds since 1970, as times are stored.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The time of a stored value; what is out of range becomes the nearest time that can be written.
fn timestamp(micros: i64) -> Timestamp {
    let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(nearest)
}
