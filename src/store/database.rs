//! Opening the database, transactions, and what happens when it is damaged.
//!
//! A missing database is created. A damaged, newer or foreign one is renamed, and an empty one takes its place: a cold start.
//! One that is locked or cannot be read is not damaged: the program refuses to start. A failed checksum proves damage. An
//! error from SQLite does not, because a read error of the disk looks the same to it: `quick_check` must confirm it, and the
//! files must be readable to their ends.
//!
//! After an unclean shutdown, `quick_check` runs before the first write. It may take a while, and what was published
//! last can be read meanwhile. Once a day, everything is checked (integrity.rs).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tracing::{error, warn};

use super::account::{self, AccountState, Identity};
use super::directory::Directory;
use super::{Error, Result, series};
use crate::time::Timestamp;

const SCHEMA: &str = include_str!("schema.sql");

/// The version of the schema (`PRAGMA user_version`).
const VERSION: i64 = 6;

/// Says whose database it is (`PRAGMA application_id`): "clum".
const APPLICATION: i64 = 0x636C_756D;

/// Memory for pages, in KiB. More does not make a poll faster (tests/bench).
const CACHE_KIB: i64 = 2_048;

/// Distinct statements that are kept prepared.
const STATEMENTS: usize = 96;

/// The database, on its thread.
#[derive(Debug)]
pub(super) struct Database {
    db: Connection,
    /// None: in memory.
    directory: Option<Directory>,
    /// The inode of the open file.
    inode: Option<u64>,
    /// Whether `quick_check` has to run before the first write.
    is_unchecked: bool,
    /// How often the database was replaced: what was known of an account before is void.
    generation: u64,
    recovered: Option<Timestamp>,
    /// Why the files have to be replaced, as long as that fails.
    replacing: Option<String>,
    last_write: Option<Timestamp>,
    fails_commits: bool,
}

/// What an operation leaves behind, though it may not have been committed.
pub(super) enum Commit<T> {
    Done(T),
    /// The result of the operation, and why it was rolled back.
    RolledBack(T, Error),
}

// === impl Database ===

impl Database {
    pub(super) fn in_memory() -> Result<Self> {
        let db = Connection::open_in_memory()?;
        configure(&db)?;
        create_schema(&db)?;
        Ok(Self::new(db, None))
    }

    pub(super) fn open(path: &Path) -> Result<Self> {
        let directory = Directory::open(path)?;
        if directory.is_foreign() {
            return Self::replaced(directory, "it is not an SQLite database");
        }
        let is_new = !directory.database().exists();
        let was_unclean = directory.has_wal();
        let opened = connect(&directory).and_then(|db| verify(&db, is_new).map(|()| db));
        let mut database = match opened {
            Ok(db) => Self::new(db, Some(directory)),
            Err(reason) if reason.suggests_damage() => {
                // Without a connection nothing can check it; with one, `quick_check` decides.
                let is_damaged = connect(&directory).map_or(true, |db| is_damaged(&db) || !is_readable(&db));
                if !is_damaged && !matches!(reason, Error::Damaged(_)) {
                    return Err(Error::Open { path: directory.database(), why: reason.to_string() });
                }
                return Self::replaced(directory, &reason.to_string());
            }
            Err(Error::Database { why, .. }) => {
                return Err(Error::Open { path: directory.database(), why });
            }
            Err(other) => return Err(other),
        };
        database.is_unchecked = was_unclean;
        Ok(database)
    }

    fn new(db: Connection, directory: Option<Directory>) -> Self {
        let inode = directory.as_ref().and_then(|directory| inode(&directory.database()));
        Self {
            db,
            directory,
            inode,
            is_unchecked: false,
            generation: 0,
            recovered: None,
            replacing: None,
            last_write: None,
            fails_commits: false,
        }
    }

    /// An empty database in place of a damaged one.
    fn replaced(directory: Directory, reason: &str) -> Result<Self> {
        directory.ensure_readable()?;
        let (db, now) = replace(&directory, reason)?;
        Ok(Self { generation: 1, recovered: Some(now), ..Self::new(db, Some(directory)) })
    }

    /// The account with this name and identity, for a process that begins: every series is held where it is.
    pub(super) fn begin(&mut self, name: &str, identity: &Identity) -> Result<i64> {
        self.write(None, |db| {
            let account = account::find_or_insert(db, name, identity)?;
            AccountState::load(db, account)?;
            series::hold_all(db, account)?;
            Ok(account)
        })
    }

    /// Runs an operation in a transaction, and commits it.
    pub(super) fn write<T>(
        &mut self,
        generation: Option<u64>,
        operation: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        match self.commit(generation, operation)? {
            Commit::Done(done) => Ok(done),
            Commit::RolledBack(_, error) => Err(error),
        }
    }

    /// Runs an operation in a transaction. If only the commit fails, the result is there all the same.
    pub(super) fn commit<T>(
        &mut self,
        generation: Option<u64>,
        operation: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<Commit<T>> {
        self.check_before_write()?;
        self.expect_generation(generation)?;
        let outcome = self.transaction(operation);
        self.replace_if_damaged(outcome)
    }

    /// Runs queries that change nothing, if the database was not replaced.
    pub(super) fn read<T>(
        &mut self,
        generation: Option<u64>,
        query: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        self.finish_replacing()?;
        self.expect_generation(generation)?;
        let outcome = query(&self.db);
        self.replace_if_damaged(outcome)
    }

    fn transaction<T>(&mut self, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<Commit<T>> {
        let changes = self.db.total_changes();
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = operation(&transaction)?;
        let is_changed = transaction.total_changes() != changes;
        if is_changed && self.fails_commits {
            transaction.rollback()?;
            let why = "the test lets every commit fail".to_owned();
            return Ok(Commit::RolledBack(result, Error::Database { why, is_corrupt: false }));
        }
        if let Err(error) = transaction.commit() {
            return Ok(Commit::RolledBack(result, error.into()));
        }
        if is_changed {
            self.last_write = Some(Timestamp::now());
        }
        Ok(Commit::Done(result))
    }

    fn check_before_write(&mut self) -> Result<()> {
        self.finish_replacing()?;
        if let Some(directory) = &self.directory
            && inode(&directory.database()) != self.inode
        {
            return Err(Error::Removed(directory.database()));
        }
        if self.is_unchecked && is_damaged(&self.db) {
            self.replace_open("quick_check found errors after an unclean shutdown")?;
        }
        self.is_unchecked = false;
        Ok(())
    }

    /// Replaces the database in which a check has found a fault, unless it was replaced since.
    pub(super) fn replace_damaged(&mut self, generation: u64, fault: &str) -> Result<()> {
        if self.generation == generation { self.replace_open(fault) } else { Ok(()) }
    }

    fn replace_open(&mut self, reason: &str) -> Result<()> {
        if let Some(directory) = &self.directory {
            directory.ensure_readable()?;
            self.replacing = Some(reason.to_owned());
            return self.finish_replacing();
        }
        let generation = self.generation + 1;
        error!(reason, "the database in memory is damaged: every account starts cold");
        *self = Self { generation, ..Self::in_memory()? };
        Ok(())
    }

    /// Goes on with a replacement that has failed half-way, for example because the disk is full.
    fn finish_replacing(&mut self) -> Result<()> {
        let (Some(reason), Some(directory)) = (&self.replacing, &self.directory) else { return Ok(()) };
        // The connection must be closed before its files are renamed.
        self.db = Connection::open_in_memory()?;
        let (db, now) = replace(directory, reason)?;
        self.inode = inode(&directory.database());
        (self.db, self.recovered, self.replacing) = (db, Some(now), None);
        self.is_unchecked = false;
        self.generation += 1;
        Ok(())
    }

    /// Replaces the database if that is why an operation failed.
    fn replace_if_damaged<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && error.suggests_damage()
            && (matches!(error, Error::Damaged(_)) || is_damaged(&self.db))
        {
            let reason = error.to_string();
            self.replace_open(&reason)?;
            return Err(Error::Replaced);
        }
        outcome
    }

    fn expect_generation(&self, generation: Option<u64>) -> Result<()> {
        match generation {
            Some(expected) if expected != self.generation => Err(Error::Replaced),
            _ => Ok(()),
        }
    }

    /// Closes the files. What is called later finds an empty database in memory that belongs to no account.
    pub(super) fn close(&mut self) {
        if let Ok(empty) = Self::in_memory() {
            let generation = self.generation + 1;
            *self = Self { generation, ..empty };
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn recovered(&self) -> Option<Timestamp> {
        self.recovered
    }

    pub(super) fn last_write(&self) -> Option<Timestamp> {
        self.last_write
    }

    /// The connection, for reads with a time limit.
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.db
    }

    /// The file; none in memory.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(Directory::database)
    }

    /// The size of the database and its WAL; none in memory.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.directory.as_ref().map(Directory::bytes)
    }

    pub(super) fn set_fails_commits(&mut self, fails: bool) {
        self.fails_commits = fails;
    }
}

pub(super) fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|file| file.ino())
}

/// Moves a damaged database aside and begins an empty one; gives when.
fn replace(directory: &Directory, reason: &str) -> Result<(Connection, Timestamp)> {
    let now = Timestamp::now();
    let aside = directory.move_database_aside(now)?;
    error!(
        reason,
        moved_to = %aside.display(),
        "the database cannot be used: it was renamed, and every account starts cold with counters at 0"
    );
    let db = connect(directory)?;
    verify(&db, true)?;
    Ok((db, now))
}

fn connect(directory: &Directory) -> Result<Connection> {
    directory.create_database()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path: PathBuf = directory.database();
    let db = Connection::open_with_flags(&path, flags)
        .map_err(|error| Error::Open { path, why: error.to_string() })?;
    configure(&db)?;
    Ok(db)
}

/// A poll's transaction stays in memory until it is committed, so that a full disk fails only the commit.
fn configure(db: &Connection) -> Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "cache_spill", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))?;
    Ok(())
}

/// Creates the schema of a new database, and refuses what this version did not write.
fn verify(db: &Connection, is_new: bool) -> Result<()> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    match (application, version) {
        (0, 0) if is_new || is_empty(db)? => return create_schema(db),
        (APPLICATION, VERSION) => {}
        (APPLICATION, newer) if newer > VERSION => {
            warn!(version = newer, "the database is of a newer version");
            return Err(Error::Damaged("it was written by a newer version"));
        }
        _ => return Err(Error::Damaged("it was not written by clumio-exporter")),
    }
    account::verify_all(db)
}

fn create_schema(db: &Connection) -> Result<()> {
    db.execute_batch(&format!(
        "BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    Ok(())
}

fn is_empty(db: &Connection) -> Result<bool> {
    Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0)
}

fn is_readable(db: &Connection) -> bool {
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).is_ok()
}

/// Whether `quick_check` finds errors. A check that cannot run proves nothing.
fn is_damaged(db: &Connection) -> bool {
    let check = db.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
    match check {
        Ok(verdict) => verdict != "ok",
        Err(error) => Error::from(error).suggests_damage(),
    }
}
