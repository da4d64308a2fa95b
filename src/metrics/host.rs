//! Families about the process as a server: its log and its faults.

use std::sync::OnceLock;

use super::family::Family;

/// Reads how many lines of the log were dropped.
pub(super) type DroppedLines = Box<dyn Fn() -> u64 + Send + Sync>;

/// Writes how many requests panicked.
pub(super) fn write_panics(panics: u64, page: &mut String) {
    let mut family = Family::counter(
        "clumio_exporter_http_panics_total",
        "Requests that were answered with 500, because the exporter panicked.",
    );
    family.add(&[], panics as f64);
    family.write(page);
}

/// Writes how many lines of the log were dropped; nothing where no log is written.
pub(super) fn write_log(dropped: &OnceLock<DroppedLines>, page: &mut String) {
    let Some(dropped) = dropped.get() else { return };
    let mut family = Family::counter(
        "clumio_exporter_log_lines_dropped_total",
        "Lines of the log that were dropped: standard error was not read in time, or a library logged too much.",
    );
    family.add(&[], dropped() as f64);
    family.write(page);
}
