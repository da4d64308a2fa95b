//! The state: what an account must not forget over restarts, in one file for each in `state.directory`.
//!
//! # What a crash can do
//!
//! A file is replaced as a whole, and is on the disk before anything that it backs is published: the new text is
//! written beside it and synced, renamed over it, and the directory is synced ([`file`](mod@file)). So at any instant the file is that
//! of one poll or of the one before. Whoever starts with it publishes no less than was published before, and reads
//! again what was not in it: each task is in it or is still to be read, never both.
//!
//! # What is not believed
//!
//! A file that is damaged (its first line has a digest of the rest), that a newer version wrote, or that is of another
//! API or organizational unit, is set aside under another name and reported, and the account starts cold. Numbers of two
//! accounts are never mixed, and no file is ever deleted.
//!
//! # Who may write
//!
//! One process: a lock on the directory says so, which ends with the process however that ends.

mod directory;
mod document;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod migrations;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use directory::{Directory, Disk, Restored};
pub use document::{Fault, Identity, decode, encode};

use crate::ledger::SavedLedger;
use crate::time::Timestamp;

/// What an account must not forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Its numbers, and the tasks that can still change them.
    pub ledger: SavedLedger,
    /// The ranges of creation that an unfinished first pass has still to read, the oldest last; none once a poll
    /// has followed it.
    pub first_pass: Option<Vec<(Timestamp, Timestamp)>>,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The size of the file.
    pub bytes: u64,
    /// When it was written, by this machine's clock.
    pub at: Timestamp,
}

/// The state cannot be used; the message says which file or directory, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process uses the directory.
    #[error("{}: another clumio-exporter uses this state directory; stop it, or set state.directory to another one", .0.display())]
    InUse(PathBuf),
    /// Something could not be read or written.
    #[error("{}: cannot {doing}: {why}; {remedy}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done with it.
        doing: &'static str,
        /// What the operating system said.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// Where a poller keeps its memory.
pub trait Storage: Send + Sync {
    /// Keeps `memory` in place of what was kept before; when this is done, it survives the process and the machine.
    /// Gives nothing where nothing is kept by choice.
    ///
    /// # Errors
    /// When it could not be kept; what was kept before still is.
    fn save(&self, memory: Memory) -> impl Future<Output = Result<Option<Written>, Error>> + Send;
}

impl<S: Storage> Storage for Option<S> {
    async fn save(&self, memory: Memory) -> Result<Option<Written>, Error> {
        match self {
            Some(storage) => storage.save(memory).await,
            None => Ok(None),
        }
    }
}
