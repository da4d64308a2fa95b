//! The assets of an account at T: one pass over their summaries.
//!
//! Which of them have series of their own is persisted: one keeps its name until it recovers, and free names go to the most
//! recent. So a limit neither hides nor reshuffles what already alerts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Row as SqlRow};

use super::super::account::AccountState;
use super::super::{Result, Rules, micros};
use super::kinds::AssetKinds;
use super::objective::Judgement;
use super::retention;
use super::samples::{AssetState, Unnamed};
use crate::config::AUTO_COVERS;
use crate::time::{Timestamp, earlier};

/// Assets that one transaction forgets at most.
const MAX_FORGOTTEN: usize = 1_000;

/// The assets of an account at T.
pub(in super::super) struct Evaluation {
    /// By the id of their type.
    pub(super) counts: HashMap<i64, Counts>,
    pub(super) failing: Names,
    pub(super) late: Names,
    /// Assets without a task within the retention.
    pub(super) forgotten: Vec<(i64, String)>,
}

/// The numbers of one type of assets.
pub(super) struct Counts {
    pub(super) states: [u64; AssetState::ALL.len()],
    pub(super) failing: u64,
    /// For each of `assets.within`.
    pub(super) completed_within: Vec<u64>,
}

/// Which assets of a family have series of their own.
#[derive(Default)]
pub(super) struct Names {
    max: usize,
    /// Those that have.
    pub(super) named: Vec<Named>,
    /// The most recent of the others.
    candidates: BTreeSet<Reverse<Named>>,
    /// Those that recovered and are still marked.
    recovered: Vec<(i64, String)>,
    /// All of them by state.
    totals: HashMap<AssetState, u64>,
}

/// A failing or late asset. The order is by how recent it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    since: i64,
    pub(super) entity: i64,
    pub(super) category: String,
    pub(super) state: AssetState,
}

/// What an evaluation depends on besides the summaries.
struct Instant<'a> {
    kinds: &'a AssetKinds,
    time: i64,
    horizon: i64,
    is_covered: bool,
    /// When each of the periods of `assets.within` begins; an end at that time is not within it.
    within: Vec<i64>,
}

/// Evaluates the assets at the time of the last poll. Those without a task since the horizon are forgotten.
pub(in super::super) fn evaluate(
    db: &Connection,
    account: i64,
    (rules, kinds): (&Rules, &AssetKinds),
    (state, horizon): (&AccountState, Timestamp),
) -> Result<Evaluation> {
    let time = state.marks.time;
    let instant = Instant {
        kinds,
        time: micros(time),
        horizon: micros(horizon),
        is_covered: state.marks.covered_from <= earlier(time, AUTO_COVERS),
        within: rules.assets.within.iter().map(|within| micros(earlier(time, within.period))).collect(),
    };
    let mut evaluation = Evaluation {
        counts: HashMap::new(),
        failing: Names::new(rules.assets.max_named),
        late: Names::new(rules.assets.max_named),
        forgotten: Vec::new(),
    };
    let mut query = db.prepare_cached(
        "SELECT entity, category, asset_type, objective, late_from, attempted, completed, failing_since, newest_change,
                named_failing, named_late
         FROM asset WHERE account = ?1",
    )?;
    let mut rows = query.query([account])?;
    while let Some(row) = rows.next()? {
        evaluation.add(db, row, &instant)?;
    }
    Ok(evaluation)
}

/// Names the most recent assets as far as there are free names, and persists who is named.
pub(super) fn name(db: &Connection, account: i64, evaluation: &mut Evaluation) -> Result<()> {
    evaluation.failing.assign(db, account, "named_failing")?;
    evaluation.late.assign(db, account, "named_late")
}

// === impl Evaluation ===

impl Evaluation {
    fn add(&mut self, db: &Connection, row: &SqlRow<'_>, instant: &Instant<'_>) -> Result<()> {
        let entity: i64 = row.get(0)?;
        if row.get::<_, i64>(8)? < instant.horizon && self.forgotten.len() < MAX_FORGOTTEN {
            let category: String = row.get(1)?;
            if retention::is_forgotten(db, (entity, &category), instant.kinds, instant.horizon)? {
                self.forgotten.push((entity, category));
                return Ok(());
            }
        }
        let (late_from, is_attempted): (i64, bool) = (row.get(4)?, row.get(5)?);
        let judgement = Judgement::from_id(row.get(3)?)?;
        let state = judgement.state(late_from < instant.time, is_attempted, instant.is_covered);
        let is_ignored = state == AssetState::Ignored;
        let failing_since = row.get::<_, Option<i64>>(7)?.filter(|_| !is_ignored);
        let completed = row.get::<_, Option<i64>>(6)?.filter(|_| !is_ignored);
        let counts = self.counts.entry(row.get(2)?).or_insert_with(|| Counts::zero(instant.within.len()));
        counts.states[state as usize] += 1;
        counts.failing += u64::from(failing_since.is_some());
        for (count, after) in counts.completed_within.iter_mut().zip(&instant.within) {
            *count += u64::from(completed.is_some_and(|completed| completed > *after));
        }
        self.failing.add(row, 9, failing_since.map(|since| (since, state)))?;
        self.late.add(row, 10, state.is_late().then_some((late_from, state)))
    }

    /// The assets beyond `assets.max_named`.
    pub(super) fn unnamed(&self) -> Unnamed {
        Unnamed {
            failing: self.failing.unnamed(|_| true),
            overdue: self.late.unnamed(|state| state == AssetState::Overdue),
            silent: self.late.unnamed(|state| state == AssetState::Silent),
        }
    }
}

// === impl Counts ===

impl Counts {
    pub(super) fn zero(within: usize) -> Self {
        Self { states: [0; AssetState::ALL.len()], failing: 0, completed_within: vec![0; within] }
    }
}

// === impl Names ===

impl Names {
    fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Adds an asset if it is failing or late, `since`, and notes whether it recovered while it was named.
    fn add(&mut self, row: &SqlRow<'_>, named: usize, since: Option<(i64, AssetState)>) -> Result<()> {
        let is_named: bool = row.get(named)?;
        let Some((since, state)) = since else {
            if is_named {
                self.recovered.push((row.get(0)?, row.get(1)?));
            }
            return Ok(());
        };
        *self.totals.entry(state).or_default() += 1;
        let entity = row.get(0)?;
        if is_named {
            self.named.push(Named { since, entity, category: row.get(1)?, state });
            return Ok(());
        }
        let is_full = self.candidates.len() >= self.max;
        let is_older = |oldest: &Reverse<Named>| (since, entity) < (oldest.0.since, oldest.0.entity);
        if self.max == 0 || (is_full && self.candidates.last().is_some_and(is_older)) {
            return Ok(());
        }
        self.candidates.insert(Reverse(Named { since, entity, category: row.get(1)?, state }));
        if is_full {
            self.candidates.pop_last();
        }
        Ok(())
    }

    fn assign(&mut self, db: &Connection, account: i64, column: &str) -> Result<()> {
        let mut update = db.prepare_cached(&format!(
            "UPDATE asset SET {column} = ?4 WHERE account = ?1 AND entity = ?2 AND category = ?3",
        ))?;
        for (entity, category) in self.recovered.drain(..) {
            update.execute((account, entity, category, false))?;
        }
        // A lower limit takes the names of the least recent.
        self.named.sort_unstable_by(|a, b| b.cmp(a));
        for asset in self.named.drain(self.max.min(self.named.len())..) {
            update.execute((account, asset.entity, asset.category, false))?;
        }
        let free = self.max - self.named.len();
        for Reverse(asset) in std::mem::take(&mut self.candidates).into_iter().take(free) {
            update.execute((account, asset.entity, &asset.category, true))?;
            self.named.push(asset);
        }
        Ok(())
    }

    fn unnamed(&self, is_counted: impl Fn(AssetState) -> bool) -> u64 {
        let total: u64 =
            self.totals.iter().filter(|(state, _)| is_counted(**state)).map(|(_, count)| count).sum();
        let named = self.named.iter().filter(|asset| is_counted(asset.state)).count();
        total.saturating_sub(named as u64)
    }
}
