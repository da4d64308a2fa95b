//! Checksums of the rows that the API cannot tell again.

use serde::Serialize;

use super::{Error, Result};

/// The CRC-32 of columns. They are hashed as JSON, which no version of the program writes differently.
pub(super) fn checksum(columns: &impl Serialize) -> u32 {
    let text = serde_json::to_vec(columns).expect("columns must be JSON");
    crc32fast::hash(&text)
}

/// Compares columns with their stored checksum.
///
/// # Errors
/// [`Error::Damaged`] with `otherwise`.
pub(super) fn verify(columns: &impl Serialize, stored: i64, otherwise: &'static str) -> Result<()> {
    if i64::from(checksum(columns)) == stored { Ok(()) } else { Err(Error::Damaged(otherwise)) }
}
