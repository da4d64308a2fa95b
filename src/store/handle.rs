//! The thread of the database.
//!
//! SQLite blocks, for milliseconds in a poll and longer on a slow disk, so it has a thread of its own. Jobs run one after
//! the other. A job whose caller gives up runs to its end all the same: a transaction is committed or not, and the next
//! job sees which.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::database::Database;
use super::integrity::IntegrityCheck;
use super::reads::{self, Reads};
use super::{Error, Result, retention};
use crate::time::Timestamp;

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// The database of all accounts. Clones share it; it is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: Arc<Sender<Job>>,
    reads: Arc<Reads>,
    integrity: Arc<IntegrityCheck>,
}

/// How the database is, for self-metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStatus {
    /// The size of the database and its WAL; none in memory.
    pub bytes: Option<u64>,
    /// When this process last wrote to it.
    pub last_write: Option<Timestamp>,
    /// When a database that could not be used was replaced.
    pub recovered: Option<Timestamp>,
}

// === impl Store ===

impl Store {
    /// A database in memory, which ends with the process.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::start(Database::in_memory()?))
    }

    /// The database in a state directory. It reads files, and waits for them.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process uses it, or its database cannot be read. A damaged database
    /// is no error: it is renamed and an empty one takes its place.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self::start(Database::open(directory)?))
    }

    fn start(mut database: Database) -> Self {
        let (jobs, next) = channel::<Job>();
        let reads = Arc::new(Reads::new(database.path()));
        let integrity = Arc::new(IntegrityCheck::new(database.path()));
        let run = move || {
            for job in next {
                job(&mut database);
            }
        };
        let thread = thread::Builder::new().name("database".to_owned());
        // The thread ends when the last handle is dropped.
        thread.spawn(run).expect("a thread must start");
        Self { jobs: Arc::new(jobs), reads, integrity }
    }

    /// Removes some rows of accounts that are no longer there; gives whether there are more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn purge_retired(&self) -> Result<bool> {
        self.run(|database| database.write(None, retention::purge_retired)).await
    }

    /// Reads every page and compares indexes with tables (`PRAGMA integrity_check`) while polls continue, and replaces a
    /// damaged database. It takes seconds per million tasks, and does nothing for a database in memory.
    ///
    /// # Errors
    /// When the database cannot be checked or replaced.
    pub async fn check_integrity(&self) -> Result<()> {
        let generation = self.run(|database| Ok(database.generation())).await?;
        let Some(fault) = self.integrity.run().await? else { return Ok(()) };
        self.run(move |database| database.replace_damaged(generation, &fault)).await
    }

    /// How the database is.
    ///
    /// # Errors
    /// When its thread has failed.
    pub async fn status(&self) -> Result<StoreStatus> {
        let status = |database: &mut Database| {
            let (bytes, last_write) = (database.bytes(), database.last_write());
            Ok(StoreStatus { bytes, last_write, recovered: database.recovered() })
        };
        self.run(status).await
    }

    /// Closes the database so that another process can open it. Reads for pages fail afterwards, and operations on an open
    /// [`Replica`](super::Replica) fail with [`Error::Replaced`].
    pub async fn close(&self) {
        self.integrity.close().await;
        self.reads.close().await;
        let close = |database: &mut Database| {
            database.close();
            Ok(())
        };
        // It fails only if the thread has ended, and the database with it.
        let _ = self.run(close).await;
    }

    /// For tests: lets every commit fail from now on, as a full disk does, or no longer.
    #[doc(hidden)]
    pub async fn set_fails_commits(&self, fails: bool) {
        let set = move |database: &mut Database| {
            database.set_fails_commits(fails);
            Ok(())
        };
        // It has no other result than the thread's end.
        let _ = self.run(set).await;
    }

    /// Runs queries for a page, which read one state of the database. They are interrupted when they take too long, and
    /// should end by the time that they are given.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, Instant) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.reads.turn().await?;
        match self.reads.path() {
            Some(path) => reads::read_on_disk(turn, path.to_owned(), query).await,
            None => {
                self.run(move |database| {
                    let _turn = turn;
                    reads::read_in_memory(database.connection(), query)
                })
                .await
            }
        }
    }

    /// Runs a job on the thread of the database. A panic in it continues in the caller.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        let job = move |database: &mut Database| {
            let outcome = catch_unwind(AssertUnwindSafe(|| job(database)));
            // The caller may have been cancelled.
            let _ = done.send(outcome);
        };
        self.jobs.send(Box::new(job)).map_err(|_| Error::Thread)?;
        match result.await.map_err(|_| Error::Thread)? {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }
}
