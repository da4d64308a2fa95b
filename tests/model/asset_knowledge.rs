//! What the replica has of the tasks of assets, as far as the test can tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::{Account, DAY, ENDED, HOUR, KINDS, Lacks, Life, SECOND, UNKNOWN_OUTCOME};
use crate::api::{Record, SimulatedApi};
use crate::asset_config::AssetConfig;
use crate::assets::{AssetTask, Instant, Verdict, judge};
use crate::truth::{Sight, Trace, View, lasts_an_hour};

/// An asset: index into [`crate::account::ASSETS`], and the category of its tasks.
pub type AssetKey = (usize, &'static str);

/// What is known of the tasks of assets, by their index.
#[derive(Debug, Clone, Default)]
pub struct AssetKnowledge {
    traces: Vec<AssetTrace>,
    /// The tasks of each asset.
    lives: Arc<BTreeMap<AssetKey, Vec<usize>>>,
}

/// What the exporter has read of a task, in addition to [`Trace`].
#[derive(Debug, Clone, Copy, Default)]
struct AssetTrace {
    /// The T at which it was read first, at least and at most.
    first: Option<(i64, i64)>,
    /// The same of its end.
    end_first: Option<(i64, i64)>,
    /// Whether the replica has had it for certain.
    is_stored: bool,
    /// Whether the retention has removed it, and it was not shown since.
    is_removed: bool,
    /// Whether it may have been removed, or stored again.
    is_doubtful: bool,
}

/// What is known of an asset after a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownAsset {
    Certain(Verdict),
    /// Its tasks are not known for certain.
    Uncertain,
}

/// What a poll has forgotten.
#[derive(Debug, Default)]
pub struct Forgotten {
    pub certain: Vec<AssetKey>,
    pub possible: Vec<AssetKey>,
}

// === impl AssetKnowledge ===

impl AssetKnowledge {
    pub fn new(account: &Account) -> Self {
        Self { traces: vec![AssetTrace::default(); account.lives.len()], lives: Arc::new(by_asset(account)) }
    }

    /// Notes rows that were shown and may have been stored at one of these T.
    pub fn note(&mut self, account: &Account, traces: &[Trace], record: &Record, times: (i64, i64)) {
        for shown in &record.shown {
            let (life, trace) = (&account.lives[shown.life], &traces[shown.life]);
            let known = &mut self.traces[shown.life];
            // It may be stored again, as if it had been read for the first time.
            let is_again = std::mem::take(&mut known.is_removed) || known.is_doubtful;
            known.is_doubtful = is_again;
            if trace.sight == Sight::Ended && life.outcome != UNKNOWN_OUTCOME && !is_again {
                continue;
            }
            if is_again || (trace.sight == Sight::Never && !known.is_stored) {
                known.first = Some(merged(known.first, times));
            }
            if shown.has_ended {
                known.end_first = Some(merged(known.end_first, times));
            }
        }
    }

    /// Notes which tasks the replica must have after a poll that was committed.
    pub fn note_stored(&mut self, view: &View<'_>) {
        for ((life, trace), known) in view.account.lives.iter().zip(view.traces).zip(&mut self.traces) {
            let has_settled = known.end_first.is_some() && life.has_ended(view.poll.0);
            let is_kept = view.is_known(life, trace) && view.is_kept(life, trace);
            known.is_stored |= trace.is_shown && has_settled && is_kept;
        }
    }

    /// The assets that the replica must have, and those that it may have.
    pub fn assets(&self, view: &View<'_>, config: AssetConfig) -> BTreeMap<AssetKey, KnownAsset> {
        let instant = Instant { time: view.time, covered_from: view.covered_from, config };
        let mut assets = BTreeMap::new();
        for (key, lives) in self.lives.iter().filter(|(key, _)| config.protects(key.1)) {
            let stored = lives.iter().filter(|index| self.may_be_stored(view, **index));
            let tasks: Option<Vec<_>> = stored.map(|index| self.task(view, *index)).collect();
            let known = match tasks {
                Some(tasks) if tasks.is_empty() => continue,
                Some(tasks) => KnownAsset::Certain(judge(key.0, &tasks, instant)),
                None => KnownAsset::Uncertain,
            };
            assets.insert(*key, known);
        }
        assets
    }

    /// Notes what the retention removes in a poll with this horizon, and gives the assets that have no other task.
    pub fn forget(&mut self, view: &View<'_>, horizon: i64, config: AssetConfig) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for (key, lives) in self.lives.clone().iter() {
            let stored = lives.iter().copied().filter(|index| self.may_be_stored(view, *index));
            let lives: Vec<_> = stored.collect();
            // Without an asset, each row is removed by itself.
            let groups: Vec<_> =
                if config.protects(key.1) { vec![&lives[..]] } else { lives.chunks(1).collect() };
            for lives in groups.into_iter().filter(|lives| !lives.is_empty()) {
                let ages: Vec<_> = lives.iter().map(|index| self.is_old(view, *index, horizon)).collect();
                let is_certain = ages.iter().all(|age| age.0);
                if !ages.iter().all(|age| age.1) {
                    continue;
                }
                // A row that belongs to no asset is removed without an asset being forgotten.
                if config.protects(key.1) {
                    let keys = if is_certain { &mut forgotten.certain } else { &mut forgotten.possible };
                    keys.push(*key);
                }
                for index in lives {
                    let known = &mut self.traces[*index];
                    (known.is_removed, known.is_doubtful) = (is_certain, !is_certain);
                }
            }
        }
        forgotten
    }

    fn may_be_stored(&self, view: &View<'_>, index: usize) -> bool {
        view.traces[index].is_shown && !self.traces[index].is_removed
    }

    /// The task as the replica has it; none if that is not certain.
    fn task(&self, view: &View<'_>, index: usize) -> Option<AssetTask> {
        let (life, trace, known) = (&view.account.lives[index], &view.traces[index], &self.traces[index]);
        let is_final = trace.sight == Sight::Ended && life.outcome != UNKNOWN_OUTCOME;
        let is_gone = life.gone().is_some_and(|(from, _)| from <= view.poll.1) && !is_final;
        // When T moves back, rows are listed that ended before what was removed: they are not stored for certain.
        let is_refused =
            trace.sight == Sight::Ended && (trace.may_be_forgotten || !view.is_kept(life, trace));
        let may_be_missing = trace.sight == Sight::Never || is_refused;
        if known.is_doubtful || is_gone || (may_be_missing && !known.is_stored) {
            return None;
        }
        let created = self.created(life, index);
        let created = Some(created.0).filter(|_| created.0 == created.1)?;
        let task = AssetTask {
            id: index,
            kind: life.kind,
            outcome: None,
            created,
            ended: None,
            parent: life.parent,
        };
        if trace.sight == Sight::Open {
            return (!life.has_ended(view.poll.1)).then_some(task);
        }
        // A replica of the API that lags behind may have reopened it.
        let is_settled = is_final || life.has_ended(view.poll.0);
        let ((least, most), seen) = (view.ends(life, trace)?, known.end_first?);
        let ended = (least.min(seen.0), most.min(seen.1));
        let is_replaced = trace.has_guessed_end && life.lacks != Lacks::End;
        let is_certain = is_settled && ended.0 == ended.1 && !is_replaced;
        is_certain.then_some(AssetTask { outcome: Some(ENDED[life.outcome]), ended: Some(ended.0), ..task })
    }

    /// The creation of the row, at least and at most.
    fn created(&self, life: &Life, index: usize) -> (i64, i64) {
        let given = (life.lacks != Lacks::Creation).then(|| life.created());
        given.map_or(self.traces[index].first.unwrap_or((i64::MIN, i64::MAX)), |created| (created, created))
    }

    /// Whether the row was created and had ended before the horizon for certain, and whether that may be.
    fn is_old(&self, view: &View<'_>, index: usize, horizon: i64) -> (bool, bool) {
        let (life, trace) = (&view.account.lives[index], &view.traces[index]);
        let is_gone = life.gone().is_some_and(|(from, _)| from <= view.poll.1);
        if !life.has_ended(view.poll.1) || is_gone {
            return (false, is_gone);
        }
        let created = self.created(life, index);
        let Some(ends) = view.ends(life, trace) else { return (false, false) };
        // A row that was removed is new when it is listed again: without a creation it is not old, and with an unknown
        // status it is provisional for another hour.
        let is_known = life.outcome != UNKNOWN_OUTCOME
            || (lasts_an_hour(trace.ended_since, view.steady.0) && !self.traces[index].is_doubtful);
        let is_final = trace.sight != Sight::Open
            && life.lacks != Lacks::Creation
            && life.has_ended(view.poll.0)
            && is_known;
        let is_old = is_final && created.1.max(ends.1) < horizon;
        (is_old, is_old || created.0.max(ends.0) < horizon)
    }
}

fn merged(before: Option<(i64, i64)>, (least, most): (i64, i64)) -> (i64, i64) {
    before.map_or((least, most), |before| (before.0.min(least), before.1.max(most)))
}

fn by_asset(account: &Account) -> BTreeMap<AssetKey, Vec<usize>> {
    let mut assets: BTreeMap<AssetKey, Vec<usize>> = BTreeMap::new();
    for (index, life) in account.lives.iter().enumerate() {
        if let Some(asset) = life.asset {
            assets.entry((asset, KINDS[life.kind].0)).or_default().push(index);
        }
    }
    assets
}

/// Between which instants the T lies with which rows were stored since `start`.
pub fn possible_times(
    api: &SimulatedApi,
    record: &Record,
    start: i64,
    known: &[i64],
    are_right: bool,
) -> (i64, i64) {
    let clocks = api.clocks();
    if are_right {
        return (start - SECOND, clocks.now);
    }
    let of_clocks = [clocks.now, clocks.now + clocks.local_ahead, clocks.now + clocks.date_ahead];
    let dates = record.first.and_then(|(date, _)| date).map(clumio_exporter::time::Timestamp::as_microsecond);
    let times = || of_clocks.into_iter().chain(dates).chain(known.iter().copied());
    let (least, most) = (times().min(), times().max());
    (least.map_or(i64::MIN, |least| least - HOUR - DAY), most.map_or(i64::MAX, |most| most + HOUR + DAY))
}
