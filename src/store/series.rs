//! Counters and histograms, and how they are held back until Prometheus has had the time to see where they started.
//!
//! `increase()` ignores the first sample of a series, so a counter that first appears as 1 never increased. A new series
//! is therefore published as 0 and stays there for at least one poll and for the hold; only then it moves to its value.
//! After a restart, a restored series is held in the same way where it was, because the process may be another Pod whose
//! series are new. A hold that was not over continues: it is measured by the elapsed time of the account, which is
//! persisted. Holds depend on polls and monotonic time, never on scrapes or on T.
//!
//! A histogram moves only while the counter of the same tasks is free, so that an exposition never shows more durations
//! than ended tasks.
//!
//! None of this can be read again from the API, so each row has a checksum.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use serde::{Deserialize, Serialize};

use super::checksum::{checksum, verify};
use super::histogram::DurationHistogram;
use super::status::StatusId;
use super::{Error, Result, labels};

/// A family of counters or histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    Created = 0,
    Ended = 1,
    RunDuration = 2,
    QueueDuration = 3,
}

/// A series, within its account. The order of the fields matters to [`Increments::store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) kind: i64,
    pub(super) family: Family,
    pub(super) status: StatusId,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Count(u64),
    Durations(Box<DurationHistogram>),
}

/// What a transaction adds to the series.
#[derive(Default)]
pub(super) struct Increments(HashMap<Key, Value>);

/// A row of the table.
struct Series {
    key: Key,
    value: String,
    /// What is published while it is held; none: the value.
    published: Option<String>,
    /// Elapsed time since which it is published like that; none: it has not been yet.
    held_since: Option<i64>,
}

// === impl Family ===

impl Family {
    fn from_id(id: i64) -> Result<Self> {
        let all = [Self::Created, Self::Ended, Self::RunDuration, Self::QueueDuration];
        let family = usize::try_from(id).ok().and_then(|id| all.get(id).copied());
        family.ok_or(Error::Damaged("a series has no known family"))
    }

    fn zero(self) -> Value {
        match self {
            Self::Created | Self::Ended => Value::Count(0),
            Self::RunDuration | Self::QueueDuration => Value::Durations(Box::default()),
        }
    }
}

// === impl Value ===

impl Value {
    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| Error::Damaged("a series has no readable value"))
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers must be JSON")
    }

    fn add(&mut self, more: &Self) {
        match (self, more) {
            (Self::Count(count), Self::Count(more)) => *count = count.saturating_add(*more),
            (Self::Durations(durations), Self::Durations(more)) => durations.merge(more),
            _ => unreachable!("a family must have values of one type"),
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            Self::Durations(_) => None,
        }
    }

    pub(super) fn durations(self) -> Option<Box<DurationHistogram>> {
        match self {
            Self::Count(_) => None,
            Self::Durations(durations) => Some(durations),
        }
    }
}

// === impl Increments ===

impl Increments {
    pub(super) fn created(&mut self, kind: i64) {
        self.count(Key { kind, family: Family::Created, status: StatusId::NONE });
    }

    /// Counts a task as ended, with its queue and run duration if it ever ran.
    pub(super) fn ended(&mut self, kind: i64, status: StatusId, durations: Option<(Duration, Duration)>) {
        self.count(Key { kind, family: Family::Ended, status });
        if let Some((queue, run)) = durations {
            self.observe(Key { kind, family: Family::QueueDuration, status: StatusId::NONE }, queue);
            self.observe(Key { kind, family: Family::RunDuration, status }, run);
        }
    }

    /// Adds everything to the series.
    pub(super) fn store(self, db: &Connection) -> Result<()> {
        let mut increments: Vec<_> = self.0.into_iter().collect();
        // By key, the ended tasks of a kind come before its queue durations, which depend on `held_kinds`.
        increments.sort_by_key(|(key, _)| *key);
        let mut held_kinds = HashSet::new();
        for (key, more) in increments {
            let mut series = Series::find(db, key)?.unwrap_or_else(|| Series::new(key));
            if key.family == Family::Ended && !series.is_free() {
                held_kinds.insert(key.kind);
            }
            // The counter of a status that is new is held, so the durations of the same tasks have to wait.
            if key.family == Family::QueueDuration && series.is_free() && held_kinds.contains(&key.kind) {
                series.published = Some(series.value.clone());
            }
            let mut value = Value::parse(&series.value)?;
            value.add(&more);
            series.value = value.to_json();
            series.write(db)?;
        }
        Ok(())
    }

    fn count(&mut self, key: Key) {
        self.0.entry(key).or_insert_with(|| key.family.zero()).add(&Value::Count(1));
    }

    fn observe(&mut self, key: Key, duration: Duration) {
        let value = self.0.entry(key).or_insert_with(|| key.family.zero());
        if let Value::Durations(durations) = value {
            durations.observe(duration);
        }
    }
}

// === impl Series ===

impl Series {
    fn new(key: Key) -> Self {
        let zero = key.family.zero().to_json();
        Self { key, value: zero.clone(), published: Some(zero), held_since: None }
    }

    fn is_free(&self) -> bool {
        self.published.is_none()
    }

    fn find(db: &Connection, key: Key) -> Result<Option<Self>> {
        let mut query = db.prepare_cached(
            "SELECT kind, family, status, value, published, held_since, checksum FROM series
             WHERE kind = ?1 AND family = ?2 AND status = ?3",
        )?;
        let found = query.query_row((key.kind, key.family as i64, key.status.0), |row| Ok(Self::read(row)));
        found.optional()?.transpose()
    }

    fn read(row: &SqlRow<'_>) -> Result<Self> {
        let key =
            Key { kind: row.get(0)?, family: Family::from_id(row.get(1)?)?, status: StatusId(row.get(2)?) };
        let series = Self { key, value: row.get(3)?, published: row.get(4)?, held_since: row.get(5)? };
        verify(&series.columns(), row.get(6)?, "a counter does not match its checksum")?;
        Ok(series)
    }

    fn write(&self, db: &Connection) -> Result<()> {
        let mut write = db.prepare_cached(
            "INSERT OR REPLACE INTO series (kind, family, status, value, published, held_since, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let columns @ (kind, family, status, value, published, held_since) = self.columns();
        write.execute((kind, family, status, value, published, held_since, checksum(&columns)))?;
        Ok(())
    }

    fn columns(&self) -> (i64, i64, i64, &str, Option<&str>, Option<i64>) {
        let Key { kind, family, status } = self.key;
        (kind, family as i64, status.0, &self.value, self.published.as_deref(), self.held_since)
    }
}

fn all(db: &Connection, account: i64) -> Result<Vec<Series>> {
    let mut query = db.prepare_cached(
        "SELECT kind, family, status, value, published, held_since, checksum FROM series
         WHERE kind IN (SELECT id FROM kind WHERE account = ?1) ORDER BY kind, family, status",
    )?;
    let rows = query.query_map([account], |row| Ok(Series::read(row)))?;
    rows.map(|row| row?).collect()
}

/// How many series an account has.
pub(super) fn count(db: &Connection, account: i64) -> Result<u64> {
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM series WHERE kind IN (SELECT id FROM kind WHERE account = ?1)",
    )?;
    Ok(query.query_row([account], |row| row.get(0))?)
}

/// Deletes all series of an account. [`publish`] creates the standard ones again at 0, held.
pub(super) fn delete_all(db: &Connection, account: i64) -> Result<()> {
    let mut delete =
        db.prepare_cached("DELETE FROM series WHERE kind IN (SELECT id FROM kind WHERE account = ?1)")?;
    delete.execute([account])?;
    Ok(())
}

/// Holds every free series at its value, after a restart. Holds that are pending continue.
pub(super) fn hold_all(db: &Connection, account: i64) -> Result<()> {
    for mut series in all(db, account)?.into_iter().filter(Series::is_free) {
        series.published = Some(series.value.clone());
        series.held_since = None;
        series.write(db)?;
    }
    Ok(())
}

/// Adds the series that each kind has from the start, and notes of each held series that it is published now. With
/// `may_move`, the process has published all of them before: those whose hold is over become free.
///
/// Gives whether a hold is pending.
pub(super) fn publish(
    db: &Connection,
    account: i64,
    (hold, elapsed): (Duration, i64),
    may_move: bool,
) -> Result<bool> {
    let hold = i64::try_from(hold.as_micros()).unwrap_or(i64::MAX);
    let mut every = all(db, account)?;
    add_missing(db, account, &mut every)?;
    let is_over = |series: &Series| {
        may_move && series.held_since.is_some_and(|since| elapsed.saturating_sub(since) >= hold)
    };
    let is_counter = |series: &&Series| matches!(series.key.family, Family::Created | Family::Ended);
    let stays = |series: &&Series| !series.is_free() && !is_over(series);
    // A histogram waits for these counters.
    let held_counters: HashSet<Key> =
        every.iter().filter(is_counter).filter(stays).map(|series| series.key).collect();
    let waits = |key: Key| match key.family {
        Family::Created | Family::Ended => false,
        Family::RunDuration => held_counters.contains(&Key { family: Family::Ended, ..key }),
        Family::QueueDuration => {
            held_counters.iter().any(|other| other.kind == key.kind && other.family == Family::Ended)
        }
    };
    let mut is_pending = false;
    for series in &mut every {
        if series.is_free() {
            continue;
        }
        if is_over(series) && !waits(series.key) {
            (series.published, series.held_since) = (None, None);
            series.write(db)?;
            continue;
        }
        is_pending = true;
        if series.held_since.is_none() {
            series.held_since = Some(elapsed);
            series.write(db)?;
        }
    }
    Ok(is_pending)
}

fn add_missing(db: &Connection, account: i64, every: &mut Vec<Series>) -> Result<()> {
    let there: HashSet<Key> = every.iter().map(|series| series.key).collect();
    for (kind, ..) in labels::kinds(db, account)? {
        let created = Key { kind, family: Family::Created, status: StatusId::NONE };
        let ended = StatusId::ENDED.map(|status| Key { kind, family: Family::Ended, status });
        let missing = [created].into_iter().chain(ended).filter(|key| !there.contains(key));
        every.extend(missing.map(Series::new));
    }
    Ok(())
}

/// What is published of every series.
pub(super) fn published(db: &Connection, account: i64) -> Result<BTreeMap<Key, Value>> {
    let published = |series: Series| {
        let value = Value::parse(series.published.as_ref().unwrap_or(&series.value))?;
        Ok((series.key, value))
    };
    all(db, account)?.into_iter().map(published).collect()
}
