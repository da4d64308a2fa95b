//! What the replica does not keep.

use std::time::Duration;

use rusqlite::Connection;

use super::account::{self, AccountState};
use super::{Result, micros};

/// Rows that one transaction removes at most.
const MAX_REMOVED: u64 = 5_000;

/// Removes rows before the horizon, and tasks that vanished longer ago than the retention.
pub(super) fn remove_old(
    db: &Connection,
    account: i64,
    state: &mut AccountState,
    (elapsed, retention): (i64, Duration),
) -> Result<()> {
    let mut remove_ended = db.prepare_cached(
        "DELETE FROM task WHERE (account, id) IN (
             SELECT account, id FROM task INDEXED BY task_created
             WHERE account = ?1 AND created < ?2 AND ended < ?2 AND phase = 2 LIMIT ?3)",
    )?;
    let ended = remove_ended.execute((account, micros(state.marks.horizon), MAX_REMOVED))?;
    if ended > 0 {
        state.marks.forget();
    }
    let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    let mut remove_vanished =
        db.prepare_cached("DELETE FROM task INDEXED BY task_followed WHERE account = ?1 AND phase <> 2 AND phase = 3 AND since < ?2")?;
    let vanished = remove_vanished.execute((account, elapsed.saturating_sub(retention)))?;
    state.rows = state.rows.saturating_sub((ended + vanished) as u64);
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
        for table in ["kind", "unknown_status", "entity", "segment"] {
            db.execute(&format!("DELETE FROM {table} WHERE account = ?1"), [account])?;
        }
        db.execute("DELETE FROM account WHERE id = ?1", [account])?;
    }
    Ok(true)
}
