//! Why the replica cannot be opened, read or written.

use std::path::PathBuf;

/// Why an operation on the replica failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process uses the state directory.
    #[error(
        "the state directory {} is used by another process: stop it, or set state.directory to another one",
        .0.display()
    )]
    InUse(PathBuf),
    /// The directory is on a network file system.
    #[error(
        "the state directory {} is on a network file system ({file_system}), where SQLite can lose data: \
         set state.directory to a local one",
        path.display()
    )]
    NotLocal {
        /// The directory.
        path: PathBuf,
        /// What it is on.
        file_system: &'static str,
    },
    /// What is there is no file.
    #[error("cannot use {} as a part of the state: {why}; move it away, or choose another state.directory", path.display())]
    Unusable {
        /// What is there.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file operation failed.
    #[error("cannot {doing} {}: {why}; let the user that runs clumio-exporter read and write it", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the operating system answers.
        why: String,
    },
    /// The database cannot be opened, though nothing says that it is damaged.
    #[error(
        "cannot open the database {}: {why}; check that it can be read and written, or move it away to start cold",
        path.display()
    )]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite answers.
        why: String,
    },
    /// SQLite could not read or write.
    #[error("cannot read or write the database: {why}; check the disk of the state directory")]
    Database {
        /// What SQLite answers.
        why: String,
        /// Whether it takes the database for damaged, which a failed read may cause as well.
        is_corrupt: bool,
    },
    /// The database holds what this program does not write.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// The database was moved or removed while it was open.
    #[error("the database {} was moved or removed: restart the exporter to begin another one", .0.display())]
    Removed(PathBuf),
    /// The database was damaged and has been replaced: the account has to start cold.
    #[error("the database was damaged and has been replaced by an empty one")]
    Replaced,
    /// A query for a page took too long, or waited too long for others.
    #[error("the query takes too long: narrow the filter, or try again when fewer pages are open")]
    TooSlow,
    /// The thread of the database has ended, or a job on it has panicked.
    #[error("the database thread failed, a fault of the exporter: please report it")]
    Thread,
}

// === impl Error ===

impl Error {
    /// Whether the database may be damaged, so that only a check of its integrity can tell.
    pub(super) fn suggests_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Database { is_corrupt: true, .. })
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, OperationInterrupted};
        let code = error.sqlite_error_code();
        if code == Some(OperationInterrupted) {
            return Self::TooSlow;
        }
        let is_unreadable = matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidQuery
                | rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
        );
        let is_corrupt = is_unreadable || matches!(code, Some(DatabaseCorrupt | NotADatabase));
        Self::Database { why: error.to_string(), is_corrupt }
    }
}
