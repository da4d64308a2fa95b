//! The state directory: who may use it, and where a damaged database goes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Error, Result};
use crate::files::{self, FileError};
use crate::time::Timestamp;

const DATABASE: &str = "replica.db";
/// The file whose lock says that the directory is used. It stays when the process ends; the lock does not.
const LOCK: &str = "lock";

/// How a database file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Network file systems by their magic numbers (statfs(2)). Locks and shared memory are unreliable there:
/// <https://sqlite.org/wal.html>.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
];

/// The state directory of this process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

// === impl Directory ===

impl Directory {
    /// Creates the directory if there is none, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |doing| move |error: io::Error| io_error(path, doing, &error);
        if !path.is_dir() {
            let created = DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path);
            created.map_err(failed("create the state directory"))?;
        }
        refuse_network_file_system(path)?;
        let lock_path = path.join(LOCK);
        for file in [&lock_path, &path.join(DATABASE), &path.join(format!("{DATABASE}-wal"))] {
            let refused = |error: FileError| Error::Unusable { path: file.clone(), why: error.to_string() };
            files::ensure_regular(file).map_err(refused)?;
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE);
        let lock = options.open(&lock_path);
        let lock = lock.map_err(|error| io_error(&lock_path, "open the lock file", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io_error(&lock_path, "lock", &error)),
        }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Creates the database file, empty, so that only its owner can ever read it. SQLite gives its WAL the same mode.
    pub(super) fn create_database(&self) -> Result<()> {
        let path = self.database();
        let mut options = OpenOptions::new();
        let created = options.write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(&path);
        created.map(drop).map_err(|error| io_error(&path, "create the database", &error))
    }

    /// Whether there is a file that does not begin as a database does (<https://sqlite.org/fileformat.html>). SQLite would
    /// refuse it as well, but remove its WAL.
    pub(super) fn is_foreign(&self) -> bool {
        let mut magic = [0; MAGIC.len()];
        let read = File::open(self.database()).and_then(|mut file| match file.read_exact(&mut magic) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(file.metadata()?.len() > 0),
            Err(error) => Err(error),
            Ok(()) => Ok(magic != *MAGIC),
        });
        read.unwrap_or(false)
    }

    /// Whether the process before ended without closing the database.
    pub(super) fn has_wal(&self) -> bool {
        fs::metadata(self.with_suffix("-wal")).is_ok_and(|wal| wal.len() > 0)
    }

    /// Reads the database and its WAL to their ends. A disk that cannot be read looks like damage to SQLite, and must not
    /// cost a good database.
    pub(super) fn ensure_readable(&self) -> Result<()> {
        for suffix in ["", "-wal"] {
            let path = self.with_suffix(suffix);
            let copied = match File::open(&path) {
                Ok(mut file) => io::copy(&mut file, &mut io::sink()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(error),
            };
            copied.map_err(|error| io_error(&path, "read the database", &error))?;
        }
        Ok(())
    }

    /// Renames the database and its WAL; gives the new path of the database.
    pub(super) fn move_database_aside(&self, at: Timestamp) -> Result<PathBuf> {
        let aside = format!(".recovered-{}", at.strftime("%Y%m%dT%H%M%S"));
        for suffix in ["-wal", "-shm", ""] {
            let from = self.with_suffix(suffix);
            let to = self.path.join(format!("{DATABASE}{aside}{suffix}"));
            match fs::rename(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error(&from, "rename the damaged database", &error)),
            }
        }
        Ok(self.path.join(format!("{DATABASE}{aside}")))
    }

    /// The size of the database and its WAL.
    pub(super) fn bytes(&self) -> u64 {
        let sizes =
            ["", "-wal"].map(|suffix| fs::metadata(self.with_suffix(suffix)).map_or(0, |file| file.len()));
        sizes.iter().sum()
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        self.path.join(format!("{DATABASE}{suffix}"))
    }
}

fn refuse_network_file_system(path: &Path) -> Result<()> {
    let stat = rustix::fs::statfs(path)
        .map_err(|error| io_error(path, "find out the file system of", &io::Error::from(error)))?;
    // The type of the field differs between platforms.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
    let magic = stat.f_type as i64 & 0xFFFF_FFFF;
    match NETWORK_FILE_SYSTEMS.iter().find(|(network, _)| *network == magic) {
        Some((_, file_system)) => Err(Error::NotLocal { path: path.to_owned(), file_system }),
        None => Ok(()),
    }
}

fn io_error(path: &Path, doing: &'static str, error: &io::Error) -> Error {
    Error::Io { path: path.to_owned(), doing, why: error.to_string() }
}
