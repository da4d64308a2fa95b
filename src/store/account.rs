//! The row of an account: whose tasks its replica holds, its marks in time, and its totals.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use serde::{Deserialize, Serialize};

use super::assets::AssetProgress;
use super::checksum::{checksum, verify};
use super::marks::Marks;
use super::{Error, Result, labels, series};
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
    /// Local time of the first response of the last poll that was committed.
    pub last_success: Option<Timestamp>,
    /// What is known of the assets besides their summaries.
    pub assets: AssetProgress,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct AccountRow {
    id: i64,
    /// None: retired.
    name: Option<String>,
    base_url: String,
    organizational_unit: String,
    /// JSON of [`AccountState`].
    state: String,
    /// How many counters and histograms the account has. One that is lost would begin again at 0.
    series: u64,
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
        let row = AccountRow::find(db, account)?;
        if row.series != series::count(db, account)? {
            return Err(Error::Damaged("an account does not have all of its counters"));
        }
        serde_json::from_str(&row.state).map_err(|_| Error::Damaged("an account has no readable state"))
    }

    pub(super) fn save(&self, db: &Connection, account: i64) -> Result<()> {
        let state = serde_json::to_string(self).expect("the state of an account must be JSON");
        let row = AccountRow::find(db, account)?;
        AccountRow { state, series: series::count(db, account)?, ..row }.update(db)
    }
}

// === impl AccountRow ===

impl AccountRow {
    fn find(db: &Connection, id: i64) -> Result<Self> {
        let mut query = db.prepare_cached(
            "SELECT id, name, base_url, organizational_unit, state, series, checksum FROM account WHERE id = ?1",
        )?;
        query.query_row([id], |row| Ok(Self::read(row)))?
    }

    fn read(row: &SqlRow<'_>) -> Result<Self> {
        let account = Self {
            id: row.get(0)?,
            name: row.get(1)?,
            base_url: row.get(2)?,
            organizational_unit: row.get(3)?,
            state: row.get(4)?,
            series: row.get(5)?,
        };
        verify(&account, row.get(6)?, "an account does not match its checksum")?;
        Ok(account)
    }

    fn insert(self, db: &Connection) -> Result<i64> {
        let mut insert = db.prepare_cached(
            "INSERT INTO account (name, base_url, organizational_unit, state, series, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?;
        let id = insert.insert((
            &self.name,
            &self.base_url,
            &self.organizational_unit,
            &self.state,
            self.series,
        ))?;
        Self { id, ..self }.update(db)?;
        Ok(id)
    }

    fn update(&self, db: &Connection) -> Result<()> {
        let mut update = db.prepare_cached(
            "UPDATE account SET name = ?2, state = ?3, series = ?4, checksum = ?5 WHERE id = ?1",
        )?;
        update.execute((self.id, &self.name, &self.state, self.series, checksum(self)))?;
        Ok(())
    }
}

/// Reads everything of every account that the API cannot tell again, which compares it with its checksums.
pub(super) fn verify_all(db: &Connection) -> Result<()> {
    let mut query = db.prepare(
        "SELECT id, name, base_url, organizational_unit, state, series, checksum FROM account NOT INDEXED",
    )?;
    let rows = query.query_map([], |row| Ok(AccountRow::read(row)))?;
    for row in rows {
        let account = row??;
        // The rows of a retired account are removed step by step.
        if account.name.is_none() {
            continue;
        }
        AccountState::load(db, account.id)?;
        labels::kinds(db, account.id)?;
        labels::unknown_statuses(db, account.id)?;
        series::published(db, account.id)?;
    }
    Ok(())
}

/// The id of the account with this name, and whether it has this identity. An account that a damaged index hides would
/// start cold.
pub(super) fn find(db: &Connection, name: &str, identity: &Identity) -> Result<Option<(i64, bool)>> {
    let unit = identity.organizational_unit.as_deref().unwrap_or_default();
    let mut query = db.prepare_cached(
        "SELECT id, base_url, organizational_unit FROM account NOT INDEXED WHERE name = ?1",
    )?;
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
    let account = AccountRow {
        id: 0,
        name: Some(name.to_owned()),
        base_url: identity.base_url.clone(),
        organizational_unit: unit.to_owned(),
        state: "null".to_owned(),
        series: 0,
    };
    account.insert(db)
}

/// Takes the name from an account: its rows are removed in the background.
pub(super) fn retire(db: &Connection, account: i64) -> Result<()> {
    let row = AccountRow::find(db, account)?;
    AccountRow { name: None, ..row }.update(db)
}

/// The accounts whose rows are to be removed.
pub(super) fn retired(db: &Connection) -> Result<Vec<i64>> {
    let mut query = db.prepare_cached("SELECT id FROM account WHERE name IS NULL")?;
    let ids = query.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}
