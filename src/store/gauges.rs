//! The queries behind every published number: the replica at one instant T.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::Connection;

use super::account::AccountState;
use super::assets::AssetSamples;
use super::series::{self, Family, Key, Value};
use super::snapshot::{KindSample, Snapshot, StatusSample};
use super::status::{KNOWN, StatusId};
use super::{Result, labels, micros, tasks, timestamp};
use crate::task::{Label, Status};
use crate::time::{Timestamp, earlier};

/// Everything of one account that samples are made of.
struct Numbers {
    open: HashMap<(i64, StatusId), Open>,
    series: BTreeMap<Key, Value>,
    unknown: Vec<(StatusId, Label)>,
    time: Timestamp,
    window_start: i64,
}

#[derive(Clone, Copy, Default)]
struct Open {
    count: u64,
    oldest: i64,
}

/// The numbers of an account at T.
pub(super) fn snapshot(
    db: &Connection,
    account: i64,
    state: &AccountState,
    (window, assets): (Duration, AssetSamples),
) -> Result<Snapshot> {
    let time = state.marks.time;
    let numbers = Numbers {
        open: open(db, account)?,
        series: series::published(db, account)?,
        unknown: labels::unknown_statuses(db, account)?,
        time,
        window_start: micros(earlier(time, window)),
    };
    let kinds = labels::kinds(db, account)?.into_iter();
    let kinds = kinds.map(|(id, category, task_type)| numbers.kind(db, id, category, task_type));
    let mut kinds = kinds.collect::<Result<Vec<_>>>()?;
    // They stay until the next poll, and `collect` cannot know how many there are.
    kinds.shrink_to_fit();
    Ok(Snapshot {
        time,
        window,
        baseline: state.marks.baseline,
        watermark: watermark(db, account, time)?,
        covered_from: state.marks.covered_from,
        rows: state.rows,
        vanished_total: state.vanished_total,
        missed_total: state.missed_total,
        drift: state.drift,
        kinds,
        assets,
    })
}

/// The newest creation time in the replica, at most T.
pub(super) fn watermark(db: &Connection, account: i64, time: Timestamp) -> Result<Option<Timestamp>> {
    Ok(tasks::newest(db, account)?.map(|(created, _)| created.min(time)))
}

/// Open tasks by kind and status.
fn open(db: &Connection, account: i64) -> Result<HashMap<(i64, StatusId), Open>> {
    let mut query = db.prepare_cached(
        "SELECT kind, status, count(*), min(created) FROM task INDEXED BY task_followed
         WHERE account = ?1 AND phase <> 2 AND phase = 0 GROUP BY kind, status",
    )?;
    let rows = query.query_map([account], |row| {
        let open = Open { count: row.get(2)?, oldest: row.get(3)? };
        Ok(((row.get(0)?, StatusId(row.get(1)?)), open))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Tasks of a kind that ended with a status within the window. One range of the index for each pair: grouping would
/// sort every row of the window.
fn ended_within(db: &Connection, kind: i64, status: StatusId, window_start: i64) -> Result<u64> {
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM task INDEXED BY task_ended WHERE kind = ?1 AND status = ?2 AND ended > ?3",
    )?;
    Ok(query.query_row((kind, status.0, window_start), |row| row.get(0))?)
}

fn last_ended(db: &Connection, kind: i64, status: StatusId) -> Result<Option<i64>> {
    let mut query = db.prepare_cached(
        "SELECT max(ended) FROM task INDEXED BY task_ended WHERE kind = ?1 AND status = ?2 AND ended IS NOT NULL",
    )?;
    Ok(query.query_row((kind, status.0), |row| row.get(0))?)
}

// === impl Numbers ===

impl Numbers {
    fn kind(&self, db: &Connection, kind: i64, category: Label, task_type: Label) -> Result<KindSample> {
        let known = KNOWN.iter().cloned().map(|status| {
            let id = StatusId::known(&status).expect("the status must be known");
            (id, status)
        });
        let unknown = self.unknown.iter().map(|(id, word)| (*id, Status::Other(word.clone())));
        let mut statuses = Vec::with_capacity(KNOWN.len());
        for (id, status) in known.chain(unknown) {
            let is_known = status.is_known();
            let sample = self.status(db, kind, id, status)?;
            if is_known || !sample.is_empty() {
                statuses.push(sample);
            }
        }
        statuses.sort_by(|a, b| a.status.as_str().cmp(b.status.as_str()));
        let created = Key { kind, family: Family::Created, status: StatusId::NONE };
        let queue = Key { kind, family: Family::QueueDuration, status: StatusId::NONE };
        Ok(KindSample {
            category,
            task_type,
            created_total: self.series.get(&created).and_then(Value::count).unwrap_or(0),
            queue_durations: self.series.get(&queue).cloned().and_then(Value::durations),
            statuses,
        })
    }

    fn status(&self, db: &Connection, kind: i64, id: StatusId, status: Status) -> Result<StatusSample> {
        let open = self.open.get(&(kind, id)).copied();
        let (ended, last_ended) = if id.is_open() {
            (0, None)
        } else {
            (ended_within(db, kind, id, self.window_start)?, last_ended(db, kind, id)?)
        };
        let total = self.series.get(&Key { kind, family: Family::Ended, status: id });
        let run = self.series.get(&Key { kind, family: Family::RunDuration, status: id });
        let clamped = |at: i64| timestamp(at).min(self.time);
        Ok(StatusSample {
            status,
            tasks: open.unwrap_or_default().count + ended,
            open: open.unwrap_or_default().count,
            oldest_open: open.map(|open| clamped(open.oldest)),
            ended_total: total.and_then(Value::count),
            last_ended: last_ended.map(clamped),
            run_durations: run.cloned().and_then(Value::durations),
        })
    }
}

// === impl StatusSample ===

impl StatusSample {
    /// Whether a status that this version does not know has nothing to publish.
    fn is_empty(&self) -> bool {
        self.tasks == 0 && self.ended_total.is_none() && self.last_ended.is_none()
    }
}
