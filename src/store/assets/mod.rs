//! Assets: what tasks protect, whether that succeeds, and since when it does not.
//!
//! An asset is the primary entity of tasks in `assets.categories`, for each category. Everything about it follows from its
//! rows in `task`. Reading all of them with every poll would cost as much as the history is long, so the table `asset`
//! has a summary of each.
//!
//! # A summary equals its recomputation
//!
//! A summary is a function of the rows of its asset, the names of the entity and its parent, and the rules; it does not
//! depend on T ([`summary`]). A transaction that changes one of these recomputes it:
//!
//! - *Rows* change only by upserts, by tasks that vanish, and by the retention. The first two note entity and kind of each
//!   row before and after its change ([`touched`]), because a task may get another entity or type. The retention removes
//!   only rows on which no state depends.
//! - *Names* change with an upsert, which notes the entity. Its assets are recomputed, and those whose parent it is if an
//!   objective selects by parent.
//! - *Rules* change with the configuration. A checksum of them is stored with the account; if it differs, everything is
//!   recomputed. So it is at the end of the initial sync, before which there are no summaries.
//!
//! Recomputing reads an index from the newest end backwards, and stops where older rows cannot matter ([`evidence`]). A
//! summary has the time before which they cannot (`settled_before`): the history sync mostly reads such rows, and they cost
//! one look-up.
//!
//! # All summaries are recomputed in steps
//!
//! 200,000 assets take many seconds, in which the database would serve no other account. So a poll that finds other rules
//! than those of the summaries waits while [`rebuild`] computes a few hundred of them per transaction; then it is committed.
//! Until that, the numbers of the last poll stay published. How far it is is committed with each step: what a transaction
//! touches meanwhile is recomputed at once, and a process that ends continues there. If it had been publishing by other
//! rules, the next process publishes the summaries as they are until its first poll, some of them by the new rules; each
//! state is right by one of the two. If a step cannot be committed because the disk is full, the transaction of the poll,
//! which cannot be committed either, computes the rest, so that gauges continue.
//!
//! # T is applied by one pass over the summaries
//!
//! A summary has the time after which the asset is late, and how its state follows from that and from whether the replica
//! covers 15 days ([`objective`]). So time alone changes no summary, and an evaluation compares numbers ([`evaluation`]).
//! It takes place with every successful poll, at its T: an outage neither begins nor ends an alert.
//!
//! An end in the future counts as of the T that first saw it (`ended_by`): what fails before that time comes is after it.
//!
//! # Pages read summaries as well
//!
//! A page about many assets is a pass over the summaries of its own ([`list()`]), at the T of the last commit. A page about
//! one reads its evidence ([`detail`]).
//!
//! # The retention keeps what a state depends on
//!
//! Of an asset that has a row within the retention, the rows stay that its evidence names: the completions that make its
//! usual interval, the last completion of each type, the first failure after it, the newest other end, and, if none has
//! completed, its first row. Evidence that is read from these alone is the same, because it is read from nothing else.
//! [`retention`] tells when rows are examined.

mod detail;
mod ends;
mod evaluation;
mod evidence;
mod filter;
mod groups;
mod interval;
mod kinds;
mod labels;
mod list;
mod objective;
mod retention;
mod samples;
mod summary;
mod table;
mod touched;

use std::collections::HashMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use detail::AssetDetail;
pub(super) use detail::details;
pub(super) use ends::{TaskKey, read_key};
pub use filter::{AssetCondition, AssetFilter, AssetOrder};
pub(super) use list::list;
pub use list::{AssetList, AssetRow};
pub use objective::AgeBasis;
pub use samples::{
    AssetLabels, AssetSamples, AssetState, AssetTypeSample, CompletedWithin, FailingAsset, LateAsset, Unnamed,
};
pub(super) use touched::Touched;

use self::evaluation::{Evaluation, evaluate};
use self::kinds::AssetKinds;
use self::summary::Summaries;
use super::account::AccountState;
use super::{Result, Rules, micros};
use crate::task::Label;
use crate::time::Timestamp;

/// What is known of the assets of an account besides their summaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetProgress {
    /// Checksum of the rules by which all summaries were computed; none as long as there are none.
    rules: Option<u32>,
    /// None once all summaries follow the rules.
    rebuild: Option<Rebuild>,
    /// Assets without any task within the retention, since the baseline.
    pub forgotten_total: u64,
    /// Rows created before it have been examined by the retention, in microseconds since 1970.
    swept: i64,
}

/// How far the summaries were computed by other rules than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Rebuild {
    /// Checksum of these rules.
    rules: u32,
    /// Entities up to this id follow them.
    until: i64,
}

/// Whether every summary is computed, and by these rules.
pub(super) fn follow(state: &AccountState, rules: &Rules) -> bool {
    state.assets.rules == Some(checksum(rules)) && state.assets.rebuild.is_none()
}

/// Computes the summaries of some assets by the rules, if they do not follow them; gives whether there are more.
pub(super) fn rebuild(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (state, horizon): (&mut AccountState, Timestamp),
) -> Result<bool> {
    if follow(state, rules) {
        return Ok(false);
    }
    let kinds = AssetKinds::load(db, account, rules)?;
    let mut summaries = Summaries::new(db, account, (rules, &kinds), micros(horizon))?;
    let rebuild = state.assets.begin_rebuild(checksum(rules));
    let next = summaries.rebuild(rebuild.until)?;
    if let Some(until) = next {
        rebuild.until = until;
    } else {
        (state.assets.rules, state.assets.rebuild) = (Some(rebuild.rules), None);
        // Rows may be kept that no longer belong to an asset.
        state.assets.swept = i64::MIN;
    }
    summaries.removed.note(state);
    Ok(next.is_some())
}

/// Recomputes the summaries of some entities, those that follow `after`. It does nothing during a rebuild, which recomputes
/// all of them. Returns the last of these entities; none at the end.
pub(super) fn recompute(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (state, after): (&mut AccountState, Option<i64>),
) -> Result<Option<i64>> {
    if !follow(state, rules) {
        return Ok(None);
    }
    let kinds = AssetKinds::load(db, account, rules)?;
    let mut summaries = Summaries::new(db, account, (rules, &kinds), micros(state.marks.horizon))?;
    let last = summaries.rebuild(after.unwrap_or(i64::MIN))?;
    summaries.removed.note(state);
    Ok(last)
}

/// Recomputes the summaries of what a transaction has touched. Before the end of the initial sync, there are none.
pub(super) fn maintain(
    db: &Connection,
    account: i64,
    rules: &Rules,
    (touched, state): (&Touched, &mut AccountState),
) -> Result<()> {
    note_parents(db, touched)?;
    let created = touched.earliest_creation.unwrap_or(i64::MAX);
    state.assets.swept = state.assets.swept.min(created);
    if state.assets.rules.is_none() && state.assets.rebuild.is_none() {
        return Ok(());
    }
    if !follow(state, rules) {
        state.assets.begin_rebuild(checksum(rules));
    }
    let kinds = AssetKinds::load(db, account, rules)?;
    let horizon = micros(state.marks.horizon);
    let mut summaries = Summaries::new(db, account, (rules, &kinds), horizon)?;
    let assets = assets(db, account, (touched, &kinds), summaries.depends_on_parents())?;
    for ((entity, category), until) in assets {
        summaries.recompute(entity, &category, until)?;
    }
    if summaries.removed.assets > 0 {
        retention::remove_unused_entities(db, &touched.rows.keys().map(|(entity, _)| *entity).collect())?;
    }
    summaries.removed.note(state);
    Ok(())
}

/// Removes rows that are older than the retention, forgets assets, names failing and late ones, and gives what is
/// published of them.
pub(super) fn settle(
    db: &Connection,
    account: i64,
    rules: &Rules,
    state: &mut AccountState,
) -> Result<AssetSamples> {
    let kinds = AssetKinds::load(db, account, rules)?;
    let mut evaluation = evaluate(db, account, (rules, &kinds), (state, state.marks.horizon))?;
    retention::forget(db, account, &kinds, (&evaluation.forgotten, state))?;
    retention::Sweep::run(db, account, &kinds, state)?;
    evaluation::name(db, account, &mut evaluation)?;
    labels::samples(db, account, (rules, state), &evaluation)
}

/// What is published of the assets as of the last commit. It writes nothing.
pub(super) fn samples(
    db: &Connection,
    account: i64,
    rules: &Rules,
    state: &AccountState,
) -> Result<AssetSamples> {
    let kinds = AssetKinds::load(db, account, rules)?;
    // The horizon may have moved since: only the next poll forgets.
    let evaluation: Evaluation = evaluate(db, account, (rules, &kinds), (state, Timestamp::MIN))?;
    labels::samples(db, account, (rules, state), &evaluation)
}

/// A checksum of the rules on which summaries depend.
fn checksum(rules: &Rules) -> u32 {
    let assets = &rules.assets;
    let text = format!(
        "{:?} {:?} {:?} {}",
        assets.categories, assets.max_age, assets.objectives, rules.max_asset_types
    );
    crc32fast::hash(text.as_bytes())
}

/// The assets that a transaction has touched; see [`Touched::rows`].
fn assets(
    db: &Connection,
    account: i64,
    (touched, kinds): (&Touched, &AssetKinds),
    depends_on_parents: bool,
) -> Result<HashMap<(i64, Label), i64>> {
    let mut assets: HashMap<(i64, Label), i64> = HashMap::new();
    for ((entity, kind), until) in &touched.rows {
        if let Some(category) = kinds.category(*kind) {
            let latest = assets.entry((*entity, category.clone())).or_insert(*until);
            *latest = (*latest).max(*until);
        }
    }
    for entity in &touched.renamed {
        let mut query = db.prepare_cached("SELECT category FROM asset WHERE account = ?1 AND entity = ?2")?;
        let categories =
            query.query_map((account, entity), |row| Ok(Label::new(row.get_ref(0)?.as_str()?)))?;
        for category in categories {
            assets.insert((*entity, category?), i64::MAX);
        }
    }
    if depends_on_parents && !touched.renamed.is_empty() {
        let mut query = db.prepare_cached("SELECT entity, category, parent FROM asset WHERE account = ?1")?;
        let mut rows = query.query([account])?;
        while let Some(row) = rows.next()? {
            let parent: Option<i64> = row.get(2)?;
            if parent.is_some_and(|parent| touched.renamed.contains(&parent)) {
                assets.insert((row.get(0)?, Label::new(&row.get::<_, String>(1)?)), i64::MAX);
            }
        }
    }
    Ok(assets)
}

fn note_parents(db: &Connection, touched: &Touched) -> Result<()> {
    let mut update = db.prepare_cached("UPDATE entity SET is_parent = 1 WHERE id = ?1 AND is_parent = 0")?;
    for parent in &touched.parents {
        update.execute([parent])?;
    }
    Ok(())
}

// === impl AssetProgress ===

impl Default for AssetProgress {
    fn default() -> Self {
        Self { rules: None, rebuild: None, forgotten_total: 0, swept: i64::MIN }
    }
}

impl AssetProgress {
    /// The rebuild by these rules. One by other rules is given up.
    fn begin_rebuild(&mut self, rules: u32) -> &mut Rebuild {
        let of_others = |rebuild: &Rebuild| rebuild.rules != rules;
        if self.rebuild.as_ref().is_some_and(of_others) {
            self.rebuild = None;
        }
        self.rebuild.get_or_insert(Rebuild { rules, until: i64::MIN })
    }
}
