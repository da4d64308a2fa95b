//! The segments that audits compare with the API, one after the other, and the counts that they compare.

use rusqlite::Connection;

use super::{Result, micros, timestamp};
use crate::time::Timestamp;

/// How far the edge of a segment may be moved to where it is quiet.
const MAX_MOVE: i64 = 5 * 60 * 1_000_000;

const SECOND: i64 = 1_000_000;

/// A segment of the covered past; it ends where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The first creation time.
    pub start: Timestamp,
    /// API count minus replica count, when it was last audited.
    pub difference: i64,
    /// Rows of it that the API lists without id, status or creation.
    pub skipped: i64,
    /// Elapsed microseconds at its last audit.
    pub audited: i64,
}

// === impl Segment ===

impl Segment {
    /// Rows of it that the replica does not count.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        u64::try_from(self.skipped).unwrap_or(0)
    }
}

/// The segments of an account, oldest first.
pub(super) fn all(db: &Connection, account: i64) -> Result<Vec<Segment>> {
    let mut query = db.prepare_cached(
        "SELECT start, difference, skipped, audited FROM segment WHERE account = ?1 ORDER BY start",
    )?;
    let segments = query.query_map([account], |row| {
        Ok(Segment {
            start: timestamp(row.get(0)?),
            difference: row.get(1)?,
            skipped: row.get(2)?,
            audited: row.get(3)?,
        })
    })?;
    Ok(segments.collect::<rusqlite::Result<_>>()?)
}

/// Adds a segment, or replaces the one with its start.
pub(super) fn put(db: &Connection, account: i64, segment: &Segment) -> Result<()> {
    let mut put = db.prepare_cached(
        "INSERT OR REPLACE INTO segment (account, start, difference, skipped, audited) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    put.execute((account, micros(segment.start), segment.difference, segment.skipped, segment.audited))?;
    Ok(())
}

/// Removes the segments that begin before the covered past, or after `until`.
pub(super) fn trim(db: &Connection, account: i64, from: Timestamp, until: Timestamp) -> Result<()> {
    let mut remove =
        db.prepare_cached("DELETE FROM segment WHERE account = ?1 AND (start < ?2 OR start > ?3)")?;
    remove.execute((account, micros(from), micros(until)))?;
    Ok(())
}

/// Rows created from `from` until before `to`. Vanished ones are left out, because the API does not return them, and those
/// without a creation, because it lists them elsewhere if at all.
pub(super) fn count(db: &Connection, account: i64, from: Timestamp, to: Timestamp) -> Result<u64> {
    let mut all =
        db.prepare_cached("SELECT count(*) FROM task INDEXED BY task_created WHERE account = ?1 AND created >= ?2 AND created < ?3")?;
    let mut vanished = db.prepare_cached(
        "SELECT count(*) FROM task INDEXED BY task_followed
         WHERE account = ?1 AND phase <> 2 AND phase = 3 AND created >= ?2 AND created < ?3 AND flags & 1 <> 0",
    )?;
    let mut undated = db.prepare_cached(
        "SELECT count(*) FROM task INDEXED BY task_undated
         WHERE account = ?1 AND flags & 1 = 0 AND created >= ?2 AND created < ?3",
    )?;
    let range = (account, micros(from), micros(to));
    let all: u64 = all.query_row(range, |row| row.get(0))?;
    let vanished: u64 = vanished.query_row(range, |row| row.get(0))?;
    let undated: u64 = undated.query_row(range, |row| row.get(0))?;
    Ok(all - vanished - undated)
}

/// The whole second within five minutes of `near` and between the bounds that is furthest from the creation of any row:
/// how finely the API compares creation times is unknown, and a row at an edge could be counted on both sides of it.
pub(super) fn quiet_second(
    db: &Connection,
    account: i64,
    near: Timestamp,
    bounds: (Timestamp, Timestamp),
) -> Result<Timestamp> {
    let near = micros(near).div_euclid(SECOND) * SECOND;
    let from = (near - MAX_MOVE).max(micros(bounds.0));
    let to = (near + MAX_MOVE).min(micros(bounds.1));
    let mut query = db.prepare_cached(
        "SELECT created FROM task INDEXED BY task_created WHERE account = ?1 AND created BETWEEN ?2 AND ?3 ORDER BY created",
    )?;
    let rows = query.query_map((account, from, to), |row| row.get(0))?;
    let created: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(timestamp(widest_gap(near, (from, to), &created)))
}

/// `near` if no row is within half a minute of it, else the whole second in the middle of the widest gap between rows.
fn widest_gap(near: i64, (from, to): (i64, i64), created: &[i64]) -> i64 {
    let is_quiet = created.iter().all(|row| row.abs_diff(near) >= (MAX_MOVE / 10).unsigned_abs());
    if is_quiet && (from..=to).contains(&near) {
        return near;
    }
    let edges: Vec<i64> = [from].into_iter().chain(created.iter().copied()).chain([to]).collect();
    let gaps = edges.windows(2).map(|pair| (pair[1] - pair[0], i64::midpoint(pair[0], pair[1])));
    let middle = gaps.max().map_or(near, |(_, middle)| middle);
    (middle.div_euclid(SECOND) * SECOND).max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(near: i64, created: &[i64]) -> i64 {
        let created: Vec<i64> = created.iter().map(|second| second * SECOND).collect();
        widest_gap(near * SECOND, ((near - 300) * SECOND, (near + 300) * SECOND), &created) / SECOND
    }

    #[test]
    fn an_edge_that_is_quiet_stays() {
        assert_eq!(gap(1_000, &[]), 1_000);
        assert_eq!(gap(1_000, &[900, 1_100]), 1_000);
    }

    #[test]
    fn an_edge_among_rows_moves_to_the_middle_of_the_widest_gap() {
        let busy: Vec<i64> = (700..=1_300).filter(|second| !(1_100..1_140).contains(second)).collect();
        assert_eq!(gap(1_000, &busy), 1_119);
    }
}
