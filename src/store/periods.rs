//! How tasks ended, period by period over the window.

use std::time::Duration;

use rusqlite::Connection;
use serde::Serialize;

use super::status::StatusId;
use super::{Result, labels, micros, timestamp};
use crate::time::{Timestamp, earlier};

/// Periods that the window is divided into at most; one more, because it rarely begins with one.
const MAX_PERIODS: u64 = 48;

/// The lengths that a period can have, in seconds: people read a clock.
const LENGTHS: [u64; 8] = [60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400];

/// The ended tasks of the window, by when they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods {
    /// How long a period is. Each begins at a multiple of it, in UTC.
    pub length: Duration,
    /// The periods that the window touches, oldest first and without a gap.
    pub list: Vec<Period>,
}

/// How tasks ended in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// When it begins.
    pub from: Timestamp,
    /// Tasks that completed.
    pub completed: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were aborted.
    pub aborted: u64,
    /// Tasks with a status that this version does not know.
    pub other: u64,
}

/// How the tasks of the window of an account ended, at T.
pub(super) fn periods(db: &Connection, account: i64, time: Timestamp, window: Duration) -> Result<Periods> {
    let length = length(window);
    let index = |at: Timestamp| at.as_second().div_euclid(length);
    let mut list = Vec::new();
    let start = earlier(time, window);
    let kinds: Vec<i64> = labels::kinds(db, account)?.into_iter().map(|(id, ..)| id).collect();
    let unknown: Vec<StatusId> =
        labels::unknown_statuses(db, account)?.into_iter().map(|(id, _)| id).collect();
    let newest = index(time);
    for period in index(start)..=newest {
        let from = period * length * 1_000_000;
        // Clocks differ: what ended a little after T belongs to the last period.
        let to = if period == newest { i64::MAX } else { from + length * 1_000_000 };
        let count = |status: StatusId| {
            let counts =
                kinds.iter().map(|kind| ended_between(db, *kind, status, (from.max(micros(start) + 1), to)));
            counts.sum::<Result<u64>>()
        };
        let [completed, failed, aborted] = StatusId::ENDED;
        list.push(Period {
            from: timestamp(from),
            completed: count(completed)?,
            failed: count(failed)?,
            aborted: count(aborted)?,
            other: unknown.iter().map(|status| count(*status)).sum::<Result<u64>>()?,
        });
    }
    Ok(Periods { length: Duration::from_secs(length.unsigned_abs()), list })
}

fn ended_between(db: &Connection, kind: i64, status: StatusId, (from, to): (i64, i64)) -> Result<u64> {
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM task INDEXED BY task_ended WHERE kind = ?1 AND status = ?2 AND ended >= ?3 AND ended < ?4",
    )?;
    Ok(query.query_row((kind, status.0, from, to), |row| row.get(0))?)
}

fn length(window: Duration) -> i64 {
    let fits = |length: &&u64| window.as_secs() <= **length * MAX_PERIODS;
    let length = LENGTHS.iter().find(fits).copied().unwrap_or(window.as_secs() / MAX_PERIODS);
    i64::try_from(length).unwrap_or(i64::MAX)
}

// === impl Period ===

impl Period {
    /// Tasks that ended in it.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.completed + self.failed + self.aborted + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_lengths_that_people_read_and_are_at_most_forty_eight() {
        let hours = |hours| length(Duration::from_hours(hours));
        assert_eq!(length(Duration::from_mins(1)), 60);
        assert_eq!([1, 12, 24, 48, 7 * 24, 30 * 24].map(hours), [300, 900, 3_600, 3_600, 21_600, 86_400]);
    }
}
