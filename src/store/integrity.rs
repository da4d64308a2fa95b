//! The check of the whole database, beside the polls.
//!
//! Most numbers are read from an index alone, so a flipped bit in one gives a wrong number for as long as its row exists.
//! `integrity_check` compares indexes with their tables. Where they differ, nothing tells which of them is right: the
//! database is damaged.
//!
//! The check has its own connection and reads a snapshot, so polls continue meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::reads::{INSTRUCTIONS, connect};
use super::{Error, Result};

/// Runs one check at a time.
#[derive(Debug)]
pub(super) struct IntegrityCheck {
    /// The database; none in memory.
    path: Option<PathBuf>,
    turn: Arc<Mutex<()>>,
    is_closed: Arc<AtomicBool>,
}

// === impl IntegrityCheck ===

impl IntegrityCheck {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, turn: Arc::default(), is_closed: Arc::default() }
    }

    /// The first fault that `integrity_check` reports twice in a row; none if the database is intact or in memory, or if
    /// [`close`](Self::close) interrupts the check.
    ///
    /// # Errors
    /// When the check cannot run, which proves nothing.
    pub(super) async fn run(&self) -> Result<Option<String>> {
        match self.run_once().await? {
            // A fault of the memory, or of one read, does not come twice.
            Some(_) => self.run_once().await,
            None => Ok(None),
        }
    }

    async fn run_once(&self) -> Result<Option<String>> {
        let Some(path) = self.path.clone() else { return Ok(None) };
        // It stays with the check if the caller gives up.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let is_closed = Arc::clone(&self.is_closed);
        let check = move || {
            let _turn = turn;
            check(&path, is_closed)
        };
        spawn_blocking(check).await.map_err(|_| Error::Thread)?
    }

    /// Interrupts the check, and waits until its connection is closed: the last one that is closed removes the WAL, and it
    /// must be the writer's.
    pub(super) async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        drop(self.turn.lock().await);
    }
}

fn check(path: &Path, is_closed: Arc<AtomicBool>) -> Result<Option<String>> {
    let mut db = connect(path)?;
    db.progress_handler(INSTRUCTIONS, Some(move || is_closed.load(Ordering::Relaxed)))?;
    // One fault is enough.
    let verdict = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(Error::from) {
        Ok(verdict) if verdict == "ok" => Ok(None),
        Ok(fault) => Ok(Some(fault)),
        // Interrupted by `close`.
        Err(Error::TooSlow) => Ok(None),
        Err(error) if error.suggests_damage() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}
