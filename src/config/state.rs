//! `[state]`: where the numbers are kept over restarts.

use std::path::{Path, PathBuf};

use super::table::Table;
use super::values::text;

/// Where the numbers are kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The directory with a file for each account; none: they are kept in memory alone.
    pub directory: Option<PathBuf>,
}

// === impl State ===

impl State {
    /// Reads the table of the config file `file`, against whose folder a relative path resolves.
    pub(super) fn read(mut table: Table<'_>, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let directory = table.optional("directory", |value| Ok(folder.join(text(value)?)));
        table.close();
        Self { directory }
    }
}
