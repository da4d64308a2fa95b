//! The row of an account: whose tasks its replica holds, its marks in time, and its totals.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::assets::AssetProgress;
use super::marks::Marks;
use super::{Error, Result};
use crate::time::Timestamp;

/// Whose tasks are read. With another identity, an account starts cold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The API.
    pub base_url: String,
    /// The organizational unit; none: that of the token.
    pub organizational_unit: Option<String>,
}

/// What is known of an account besides its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Its marks in time.
    pub marks: Marks,
    /// The creation time from which the initial sync has yet to read; none once a poll has ended it.
    pub sync_from: Option<Timestamp>,
    /// The newest timestamp that the initial sync has read.
    pub newest_read: Option<Timestamp>,
    /// Rows of the replica, vanished ones included.
    pub rows: u64,
    /// Open tasks that the API stopped returning, since the baseline.
    pub vanished_total: u64,
    /// Tasks that count and that only an audit has found, since the baseline.
    pub missed_total: u64,
    /// Replica count minus API count, as of the last audit; none before the first.
    pub drift: Option<i64>,
    /// When the last poll that was written ended, on the local clock.
    pub last_success: Option<Timestamp>,
    /// What is known of the assets besides their summaries.
    pub assets: AssetProgress,
}

// === impl AccountState ===

impl AccountState {
    /// What is known at the beginning of an initial sync.
    #[must_use]
    pub fn begin(marks: Marks) -> Self {
        Self {
            marks,
            sync_from: Some(marks.covered_from),
            newest_read: None,
            rows: 0,
            vanished_total: 0,
            missed_total: 0,
            drift: None,
            last_success: None,
            assets: AssetProgress::default(),
        }
    }

    /// The state of an account; none before its initial sync begins.
    pub(super) fn load(db: &Connection, account: i64) -> Result<Option<Self>> {
        let mut query = db.prepare_cached("SELECT state, checksum FROM account WHERE id = ?1")?;
        let (text, checksum): (String, i64) =
            query.query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if i64::from(crc32fast::hash(text.as_bytes())) != checksum {
            return Err(Error::Damaged("an account does not match its checksum"));
        }
        serde_json::from_str(&text).map_err(|_| Error::Damaged("an account has no readable state"))
    }

    pub(super) fn save(&self, db: &Connection, account: i64) -> Result<()> {
        save(db, account, Some(self))
    }
}

fn save(db: &Connection, account: i64, state: Option<&AccountState>) -> Result<()> {
    let text = serde_json::to_string(&state).expect("the state of an account must be JSON");
    let mut update = db.prepare_cached("UPDATE account SET state = ?2, checksum = ?3 WHERE id = ?1")?;
    update.execute((account, &text, crc32fast::hash(text.as_bytes())))?;
    Ok(())
}

/// The id of the account with this name, and whether it has this identity.
pub(super) fn find(db: &Connection, name: &str, identity: &Identity) -> Result<Option<(i64, bool)>> {
    let unit = identity.organizational_unit.as_deref().unwrap_or_default();
    let mut query =
        db.prepare_cached("SELECT id, base_url, organizational_unit FROM account WHERE name = ?1")?;
    let found = query.query_row([name], |row| {
        let is_same = row.get_ref(1)?.as_str()? == identity.base_url && row.get_ref(2)?.as_str()? == unit;
        Ok((row.get(0)?, is_same))
    });
    Ok(found.optional()?)
}

/// The id of the account with this name and identity. What another identity left under the name is retired.
pub(super) fn find_or_insert(db: &Connection, name: &str, identity: &Identity) -> Result<i64> {
    let unit = identity.organizational_unit.as_deref().unwrap_or_default();
    match find(db, name, identity)? {
        Some((id, true)) => return Ok(id),
        Some((id, false)) => retire(db, id)?,
        None => {}
    }
    let text = "null";
    let mut insert = db.prepare_cached(
        "INSERT INTO account (name, base_url, organizational_unit, state, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    Ok(insert.insert((name, &identity.base_url, unit, text, crc32fast::hash(text.as_bytes())))?)
}

/// Takes the name from an account: its rows are removed in the background.
pub(super) fn retire(db: &Connection, account: i64) -> Result<()> {
    db.prepare_cached("UPDATE account SET name = NULL WHERE id = ?1")?.execute([account])?;
    Ok(())
}

/// The accounts whose rows are to be removed.
pub(super) fn retired(db: &Connection) -> Result<Vec<i64>> {
    let mut query = db.prepare_cached("SELECT id FROM account WHERE name IS NULL")?;
    let ids = query.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}
