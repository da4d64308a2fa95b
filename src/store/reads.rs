//! Reads beside the writer, for pages: one at a time, each with a time limit.
//!
//! A database on disk has a connection of its own for them, so that they run concurrently with polls. One in memory has
//! only the connection of its thread; a poll then waits for one read at most.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::database::inode;
use super::{Error, Result};

/// How long a read may take. The limit in memory is lower, because it delays a poll.
const LIMIT_ON_DISK: Duration = Duration::from_secs(2);
const LIMIT_IN_MEMORY: Duration = Duration::from_millis(700);

/// How long a read waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// How long a read waits for a lock of SQLite. The writer rarely holds one that concerns readers.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Instructions of SQLite's virtual machine between two looks at the clock: some microseconds.
pub(super) const INSTRUCTIONS: i32 = 1_000;

/// Memory for pages, in KiB.
const CACHE_KIB: i64 = 1_024;

/// Gives each read its turn.
#[derive(Debug)]
pub(super) struct Reads {
    /// The database; none in memory.
    path: Option<PathBuf>,
    turn: Arc<Mutex<Turn>>,
    is_closed: Arc<AtomicBool>,
}

/// What the read whose turn it is may use.
#[derive(Debug)]
pub(super) struct Turn {
    connection: Option<ReadConnection>,
    /// Interrupts the read.
    is_closed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct ReadConnection {
    db: Connection,
    /// The inode of the open file: a damaged database is replaced while the process runs.
    inode: Option<u64>,
}

// === impl Reads ===

impl Reads {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let is_closed = Arc::<AtomicBool>::default();
        let turn = Turn { connection: None, is_closed: Arc::clone(&is_closed) };
        Self { path, turn: Arc::new(Mutex::new(turn)), is_closed }
    }

    /// Waits for its turn.
    pub(super) async fn turn(&self) -> Result<OwnedMutexGuard<Turn>> {
        let turn = timeout(MAX_WAIT, Arc::clone(&self.turn).lock_owned()).await;
        let turn = turn.map_err(|_| Error::TooSlow)?;
        if self.is_closed.load(Ordering::Relaxed) { Err(Error::Thread) } else { Ok(turn) }
    }

    /// The database on disk.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Closes the connection: the last one that is closed removes the WAL, and it must be the writer's.
    pub(super) async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.turn.lock().await.connection = None;
    }
}

/// Runs queries on the connection for reads, in one transaction.
pub(super) async fn read_on_disk<T: Send + 'static>(
    mut turn: OwnedMutexGuard<Turn>,
    path: PathBuf,
    query: impl FnOnce(&Connection, Instant) -> Result<T> + Send + 'static,
) -> Result<T> {
    let read = move || {
        let is_closed = Arc::clone(&turn.is_closed);
        let db = turn.connection(&path)?;
        let outcome = with_time_limit(db, (LIMIT_ON_DISK, is_closed), |db, end| {
            let transaction = db.unchecked_transaction()?;
            query(&transaction, end)
        });
        if matches!(outcome, Err(Error::Database { .. })) {
            turn.connection = None;
        }
        outcome
    };
    spawn_blocking(read).await.map_err(|_| Error::Thread)?
}

/// Runs queries on the connection of a database in memory.
pub(super) fn read_in_memory<T>(
    db: &mut Connection,
    query: impl FnOnce(&Connection, Instant) -> Result<T>,
) -> Result<T> {
    with_time_limit(db, (LIMIT_IN_MEMORY, Arc::default()), query)
}

/// Interrupts queries at the limit, and gives them the time by which they can end by themselves instead.
fn with_time_limit<T>(
    db: &mut Connection,
    (limit, is_closed): (Duration, Arc<AtomicBool>),
    query: impl FnOnce(&Connection, Instant) -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let end = start + limit;
    let is_over = move || Instant::now() > end || is_closed.load(Ordering::Relaxed);
    db.progress_handler(INSTRUCTIONS, Some(is_over))?;
    let outcome = query(db, start + limit / 2);
    db.progress_handler(INSTRUCTIONS, None::<fn() -> bool>)?;
    outcome
}

// === impl Turn ===

impl Turn {
    fn connection(&mut self, path: &Path) -> Result<&mut Connection> {
        let inode = inode(path);
        if self.connection.as_ref().is_some_and(|open| open.inode != inode) {
            self.connection = None;
        }
        let open = match self.connection.take() {
            Some(open) => open,
            None => ReadConnection { db: connect(path)?, inode },
        };
        Ok(&mut self.connection.insert(open).db)
    }
}

/// Opens the database for reading alone.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}
