//! The state directory: who may write, and which file is whose.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::error;

use super::document::{Identity, decode, encode};
use super::{Error, Fault, Memory, Storage, Written, file};
use crate::ledger::{Ledger, Rules};
use crate::time::Timestamp;

/// The file whose lock says that the directory is used. It stays when the process ends; the lock does not.
const LOCK: &str = "lock";

/// Only the owner may list and write.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// How long a poll waits for its write: a network file system can hang for ever, and the gauges must go on.
const SAVED_WITHIN: Duration = Duration::from_secs(30);

/// The state directory of this process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Holds the lock; none as long as the directory cannot be written.
    lock: SyncMutex<Option<File>>,
    /// The turns at the files of accounts, by name.
    turns: SyncMutex<HashMap<String, Arc<Turn>>>,
}

/// Whose turn it is at the file of one account, and whether what is there may be replaced.
#[derive(Debug, Default)]
struct Turn {
    /// Held by who reads or writes the file: a write that was given up still ends, and must not meet another one.
    lock: Arc<Mutex<()>>,
    /// What is wrong with the file, as long as it has not been set aside: nothing may be written over it.
    distrusted: SyncMutex<Option<&'static str>>,
}

/// The state file of one account.
#[derive(Debug, Clone)]
pub struct Disk {
    directory: Arc<Directory>,
    name: String,
    path: PathBuf,
    identity: Identity,
    turn: Arc<Turn>,
}

/// The state of an account as it was found.
#[derive(Debug)]
pub struct Restored {
    /// Its numbers.
    pub ledger: Ledger,
    /// See [`Memory::first_pass`].
    pub first_pass: Option<Vec<(Timestamp, Timestamp)>>,
    /// The file.
    pub written: Written,
}

// === impl Directory ===

impl Directory {
    /// Makes the directory if there is none, and locks it.
    ///
    /// One that cannot be written is no error: the numbers of now can still be served, and each poll says that they are
    /// not kept.
    ///
    /// # Errors
    /// When there is no such directory and none can be made, or when another process uses it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        file::make_folder(path, PRIVATE_DIRECTORY).map_err(|error| {
            io_error(
                path,
                "make the state directory",
                &error,
                "make it yourself, or set state.directory to another one",
            )
        })?;
        let directory =
            Self { path: path.to_owned(), lock: SyncMutex::default(), turns: SyncMutex::default() };
        match directory.ensure_locked() {
            Err(error @ Error::Io { .. }) => error!(%error, "the state directory cannot be written"),
            outcome => outcome?,
        }
        Ok(directory)
    }

    /// The state file of an account.
    pub fn account(self: &Arc<Self>, name: &str, identity: Identity) -> Disk {
        let path = self.path.join(format!("{name}.json"));
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Arc::clone(turns.entry(name.to_owned()).or_default());
        Disk { directory: Arc::clone(self), name: name.to_owned(), path, identity, turn }
    }

    /// Takes the lock, if this process does not hold it yet.
    fn ensure_locked(&self) -> Result<(), Error> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.join(LOCK);
        // Whoever takes the file away, or makes the directory anew, takes the lock with it.
        if lock.as_ref().is_some_and(|held| is_same_file(held, &path)) {
            return Ok(());
        }
        *lock = None;
        let failed = |error: &io::Error| {
            io_error(&path, "write the lock file of the state directory", error, WRITABLE)
        };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE);
        let file = options.open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => *lock = Some(file),
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(self.path.clone())),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        Ok(())
    }
}

fn is_same_file(held: &File, path: &Path) -> bool {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match (held.metadata(), path.metadata()) {
        (Ok(held), Ok(there)) => identity(held) == identity(there),
        _ => false,
    }
}

/// What to do about a file that cannot be read.
const READABLE: &str =
    "let the user that runs clumio-exporter read and write it, or move it away to start cold";

/// What to do about a directory that cannot be written.
const WRITABLE: &str = "make the directory of state.directory writable for the user that runs clumio-exporter, and leave room on its disk";

fn restore(text: &[u8], identity: &Identity, rules: &Rules) -> Result<Restored, Fault> {
    let (memory, at) = decode(text, identity)?;
    let ledger = Ledger::restored(memory.ledger, rules.clone())
        .map_err(|contradiction| Fault::Damaged(contradiction.to_string()))?;
    let written = Written { bytes: text.len() as u64, at };
    Ok(Restored { ledger, first_pass: memory.first_pass, written })
}

fn io_error(path: &Path, doing: &'static str, error: &io::Error, remedy: &'static str) -> Error {
    Error::Io { path: path.to_owned(), doing, why: error.to_string(), remedy }
}

// === impl Disk ===

impl Storage for Disk {
    async fn save(&self, memory: Memory) -> Result<Option<Written>, Error> {
        // One that is still under way then may end later: the file is whole either way, and no older than what was
        // published.
        timeout(SAVED_WITHIN, self.replace(memory))
            .await
            .unwrap_or_else(|_| Err(self.failed("it did not end within half a minute")))
    }
}

impl Disk {
    async fn replace(&self, memory: Memory) -> Result<Option<Written>, Error> {
        let turn = Arc::clone(&self.turn.lock).lock_owned().await;
        let disk = self.clone();
        let written = spawn_blocking(move || {
            let _turn = turn;
            let at = Timestamp::now();
            let text = encode(&disk.identity, memory, at);
            disk.write(&text).map(|()| Written { bytes: text.len() as u64, at })
        });
        written.await.map_err(|error| self.failed(&error.to_string()))?.map(Some)
    }

    /// What was kept; none if nothing was, or if it is not to be believed: then it is set aside, and the log says so. It
    /// waits for the disk, so call it where that holds nobody up.
    ///
    /// # Errors
    /// When there is a file that cannot be read: it may be a good one, so it is left alone.
    pub fn restore(&self, rules: &Rules) -> Result<Option<Restored>, Error> {
        let _turn = self.turn.lock.blocking_lock();
        let text = match file::read(&self.path) {
            Ok(None) => return Ok(None),
            Ok(Some(text)) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Fault::Damaged(error.to_string()))
            }
            Err(error) => return Err(io_error(&self.path, "read the state", &error, READABLE)),
        };
        match text.and_then(|text| restore(&text, &self.identity, rules)) {
            Ok(restored) => {
                self.trust_as(None);
                Ok(Some(restored))
            }
            Err(fault) => {
                let (account, file) = (&self.name, self.path.display());
                error!(account, %file, reason = %fault, "the state is not used; the account starts cold, and its counters at 0");
                self.trust_as(Some(fault.word()));
                if let Err(error) = self.set_aside() {
                    error!(account, %error, "nothing is kept until the file can be set aside");
                }
                Ok(None)
            }
        }
    }

    /// Lets the next write set the file aside, because what is in it is of another API or organizational unit than what
    /// is read from now on. It waits for nothing.
    pub fn retire(&self) {
        self.trust_as(Some("foreign"));
    }

    fn trust_as(&self, distrusted: Option<&'static str>) {
        *self.turn.distrusted.lock().unwrap_or_else(PoisonError::into_inner) = distrusted;
    }

    /// Moves the file out of the way, if it is not to be believed. Until that is done, nothing is written over it.
    fn set_aside(&self) -> Result<(), Error> {
        let mut distrusted = self.turn.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(word) = *distrusted else { return Ok(()) };
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        match file::set_aside(&self.path, &format!("{word}-{now}")) {
            Ok(aside) => {
                let (account, file) = (&self.name, self.path.display());
                error!(account, %file, set_aside_as = %aside.display(), "the state was set aside");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(io_error(&self.path, "set aside the state that is not used", &error, WRITABLE));
            }
        }
        *distrusted = None;
        Ok(())
    }

    fn write(&self, text: &[u8]) -> Result<(), Error> {
        self.directory.ensure_locked()?;
        self.set_aside()?;
        file::replace(&self.path, text).map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, why: &str) -> Error {
        let (path, why) = (self.path.clone(), why.to_owned());
        Error::Io { path, doing: "write the state", why, remedy: WRITABLE }
    }
}
