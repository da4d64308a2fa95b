//! `[limits]`: what keeps one account from using up memory, or Prometheus.

use super::table::Table;
use super::values::{mebibytes, size, whole};

/// What keeps one account from using up memory, or Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many categories an account can have; the next ones become `other`.
    pub max_categories: usize,
    /// How many pairs of category and type an account can have; the types of the next ones become `other`.
    pub max_kinds: usize,
    /// How many types of assets an account can have; the next ones become `other`.
    pub max_asset_types: usize,
    /// The longest answer of the API, decompressed, in bytes.
    pub max_response_bytes: u64,
}

// === impl Limits ===

impl Limits {
    // A kind costs some fifty series, most of them histogram buckets: 10,000 are more than one scrape should carry.
    // The least answer holds a page of the default size, at half a kilobyte a task.
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let limits = Self {
            max_categories: table.or("max_categories", 20, whole(1..=1_000)),
            max_kinds: table.or("max_kinds", 200, whole(1..=10_000)),
            max_asset_types: table.or("max_asset_types", 50, whole(1..=1_000)),
            max_response_bytes: table.or(
                "max_response_bytes",
                mebibytes(4),
                size(64 << 10..=mebibytes(1_024)),
            ),
        };
        table.close();
        limits
    }
}
