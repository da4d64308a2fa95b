//! What the replica does not keep.

use std::time::Duration;

use rusqlite::Connection;

use super::Result;
use super::account::{self, AccountState};
use super::assets::Touched;

/// Rows that one transaction removes at most.
const MAX_REMOVED: u64 = 5_000;

/// Removes tasks that vanished longer ago than the retention. Ended ones are examined with their assets
/// (assets/retention.rs).
pub(super) fn remove_vanished(
    db: &Connection,
    account: i64,
    (elapsed, retention): (i64, Duration),
    (state, touched): (&mut AccountState, &mut Touched),
) -> Result<()> {
    let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    let mut remove = db.prepare_cached(
        "DELETE FROM task INDEXED BY task_followed WHERE account = ?1 AND phase <> 2 AND phase = 3 AND since < ?2
         RETURNING entity, kind",
    )?;
    let mut rows = remove.query((account, elapsed.saturating_sub(retention)))?;
    while let Some(row) = rows.next()? {
        touched.removed(row.get(0)?, row.get(1)?);
        state.rows = state.rows.saturating_sub(1);
    }
    Ok(())
}

/// Removes some rows of a retired account; gives whether there are more.
pub(super) fn purge_retired(db: &Connection) -> Result<bool> {
    let Some(account) = account::retired(db)?.into_iter().next() else { return Ok(false) };
    let mut remove = db.prepare_cached(
        "DELETE FROM task WHERE (account, id) IN (SELECT account, id FROM task WHERE account = ?1 LIMIT ?2)",
    )?;
    if remove.execute((account, MAX_REMOVED))? == 0 {
        db.execute("DELETE FROM series WHERE kind IN (SELECT id FROM kind WHERE account = ?1)", [account])?;
        for table in ["kind", "unknown_status", "entity", "segment", "asset", "asset_failure", "asset_type"] {
            db.execute(&format!("DELETE FROM {table} WHERE account = ?1"), [account])?;
        }
        db.execute("DELETE FROM account WHERE id = ?1", [account])?;
    }
    Ok(true)
}
