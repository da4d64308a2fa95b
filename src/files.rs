//! Reading the files that a user names: the configuration, tokens, certificates.
//!
//! A path can lead to something that never ends or never answers: a pipe, a device, a file system whose server is gone. So
//! only regular files are read, they are opened without waiting, their size is limited before they are read, and the reading
//! takes place on a thread of its own, which is left behind if it does not end in time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// How long a file may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a file was not read. The message does not name the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("no such file")]
    NotFound,
    /// It must not be read.
    #[error("permission denied; let the user that runs clumio-exporter read it")]
    Denied,
    /// A directory.
    #[error("a directory")]
    Directory,
    /// A pipe, a socket or a device.
    #[error("not a regular file")]
    Special,
    /// Larger than the limit in bytes.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// Not text.
    #[error("not UTF-8 text")]
    NotText,
    /// The file system does not answer.
    #[error("not read within {} s; its file system does not answer", TIMEOUT.as_secs())]
    Timeout,
    /// Any other error of the system.
    #[error("cannot be read: {0}")]
    System(String),
}

/// The content of a regular file of at most `max_bytes` bytes. It waits for the disk, for five seconds at most.
///
/// # Errors
/// If there is no such file, or it cannot be read.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let path = path.to_owned();
    within(TIMEOUT, move || content(&path, max_bytes))
}

/// The same, if it is UTF-8.
///
/// # Errors
/// As [`read`]; and if the file is not text.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, max_bytes)?).map_err(|_| FileError::NotText)
}

/// Refuses what is there and is not a regular file, without opening it.
///
/// # Errors
/// If it is a directory, a pipe, a socket or a device.
pub fn ensure_regular(path: &Path) -> Result<(), FileError> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(FileError::Directory),
        Ok(found) if !found.is_file() => Err(FileError::Special),
        _ => Ok(()),
    }
}

fn within<T: Send + 'static>(
    timeout: Duration,
    read: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let reader = thread::Builder::new().name("read-file".to_owned());
    // It fails only if the receiver has given up.
    reader.spawn(move || drop(sender.send(read())))?;
    receiver.recv_timeout(timeout).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Err(FileError::Timeout),
        RecvTimeoutError::Disconnected => Err(FileError::System("the reading panicked".to_owned())),
    })
}

fn content(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(FileError::Directory);
    }
    if !found.is_file() {
        return Err(FileError::Special);
    }
    let mut bytes = Vec::new();
    // A file can grow, and some in /proc have no size.
    if found.len() <= max_bytes {
        file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    }
    if found.len() > max_bytes || bytes.len() as u64 > max_bytes {
        return Err(FileError::TooLarge(max_bytes));
    }
    Ok(bytes)
}

/// Opens it without waiting for a writer, if it is a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

// === impl FileError ===

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::System(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    const LIMIT: u64 = 8;

    #[test]
    fn a_regular_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().expect("there must be a folder");
        let path = folder.path().join("file");
        for (content, expected) in [
            (&b""[..], Ok(String::new())),
            (b"12345678", Ok("12345678".to_owned())),
            (b"123456789", Err(FileError::TooLarge(LIMIT))),
            (b"\xFF", Err(FileError::NotText)),
        ] {
            fs::write(&path, content).expect("it must be written");
            assert_eq!(read_text(&path, LIMIT), expected);
        }
        assert_eq!(read(&folder.path().join("none"), LIMIT), Err(FileError::NotFound));
        assert_eq!(read(folder.path(), LIMIT), Err(FileError::Directory));
        // It has no size, and has more than the limit.
        assert_eq!(read(Path::new("/proc/self/status"), LIMIT), Err(FileError::TooLarge(LIMIT)));
    }

    #[test]
    fn what_blocks_or_never_ends_is_not_read() {
        let folder = tempfile::tempdir().expect("there must be a folder");
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("the pipe must be made");
        let _listener = UnixListener::bind(&socket).expect("the socket must be bound");
        assert_eq!(read(&pipe, LIMIT), Err(FileError::Special));
        assert_eq!(read(Path::new("/dev/zero"), LIMIT), Err(FileError::Special));
        assert!(matches!(read(&socket, LIMIT), Err(FileError::System(_))));
        for path in [pipe, socket, "/dev/zero".into()] {
            assert_eq!(ensure_regular(&path), Err(FileError::Special), "{}", path.display());
        }
        assert_eq!(ensure_regular(folder.path()), Err(FileError::Directory));
        assert_eq!(ensure_regular(&folder.path().join("none")), Ok(()));
    }

    #[test]
    fn a_file_system_that_does_not_answer_is_not_waited_for() {
        let (_sender, receiver) = mpsc::channel::<Vec<u8>>();
        let hangs = move || receiver.recv().map_err(|_| FileError::NotFound);
        assert_eq!(within(Duration::from_millis(10), hangs), Err(FileError::Timeout));
    }
}
