//! `[state]`: where the numbers are kept over restarts, and for how long tasks are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::Table;
use super::values::{days, duration, minutes, show, text};

/// For how long tasks are kept in a directory, unless the user sets another time.
const RETENTION: Duration = days(35);

/// Where the numbers are kept over restarts, and for how long tasks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The directory with a file for each account; none: they are kept in memory alone.
    pub directory: Option<PathBuf>,
    /// For how long a task is kept after its creation and its end; at least `poll.lookback`.
    pub retention: Duration,
}

// === impl State ===

impl State {
    /// Reads the table of the config file `file`, against whose folder a relative path resolves. Memory holds no more
    /// than the `lookback`, unless the user wants it to.
    pub(super) fn read(mut table: Table<'_>, file: &Path, lookback: Duration) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let directory = table.optional("directory", |value| Ok(folder.join(text(value)?)));
        let default = if directory.is_some() { RETENTION } else { lookback };
        // The API lists tasks of the last six months.
        let retention = table.or("retention", default, duration(minutes(1)..=days(180)));
        table.close();
        Self { directory, retention }
    }

    /// What is wrong with a retention that is shorter than the `lookback`: a start would read what is not kept.
    pub(super) fn contradicts(&self, lookback: Duration) -> Option<String> {
        let (retention, least) = (show(self.retention), show(lookback));
        (self.retention < lookback).then(|| {
            format!(
                "the retention ({retention}) is shorter than the lookback ({least}); \
                 set state.retention to {least} or more"
            )
        })
    }
}
