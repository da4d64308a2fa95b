//! Files that are replaced as a whole, durably.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The largest file that is read. That of a busy account has a few megabytes.
const MOST_BYTES: u64 = 1 << 30;

/// Only the owner may read and write.
const PRIVATE: u32 = 0o600;

/// Puts a file with this text in the place of `path`: after a crash at any instant, of the process or of the machine,
/// either the old text is there or the new one, whole.
///
/// The new file always has the same name until it is renamed, so that crashes leave one such file and not many.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = beside(path, "new");
    let replaced = write(&new, text).and_then(|()| fs::rename(&new, path)).and_then(|()| sync_folder(path));
    if replaced.is_err() {
        // On a full disk it would take the space that the next attempt needs.
        let _ = fs::remove_file(&new);
    }
    replaced
}

/// Makes a folder and those that it is in, if there are none, so that they last.
pub(super) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    for made in missing {
        // A folder that lets others into it need not let them read it: then the next save shows what is wrong, if
        // anything is.
        let _ = sync_folder(made);
    }
    Ok(())
}

/// Reads a file whole; none if it is not there.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any state"));
    }
    Ok(Some(text))
}

/// Gives a file another name, `path` and `suffix`, under which there is none yet.
pub(super) fn set_aside(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let first = beside(path, suffix);
    let others = (2..).map(|n| beside(path, &format!("{suffix}-{n}")));
    for aside in std::iter::once(first).chain(others) {
        if !aside.try_exists()? {
            fs::rename(path, &aside)?;
            sync_folder(path)?;
            return Ok(aside);
        }
    }
    unreachable!("one of endless names must be free")
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // What a crash left, or somebody else planted, is not written into.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Makes a change of names last.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
