//! Assets for people: how many are in which state, and each with its times.

use serde::Serialize;

use crate::store::{AssetList, AssetRow, AssetSamples, AssetState};
use crate::task::Label;
use crate::time::Timestamp;

/// How many assets there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AssetCounts {
    /// All but ignored ones.
    pub total: u64,
    /// Failing ones, whatever their state is.
    pub failing: u64,
    /// Those that meet their objective.
    pub ok: u64,
    /// Late ones with an attempt since the last completion.
    pub overdue: u64,
    /// Late ones without.
    pub silent: u64,
    /// Those of which too little is known.
    pub unjudged: u64,
    /// Those whose objective says so.
    pub ignored: u64,
}

/// A list of assets.
#[derive(Debug, Serialize)]
pub struct AssetsReport {
    /// How many assets the filter selects.
    pub total: u64,
    /// The assets of this page.
    pub assets: Vec<AssetReport>,
}

/// One asset.
#[derive(Debug, Clone, Serialize)]
pub struct AssetReport {
    /// The account.
    pub account: String,
    /// The category of the tasks.
    pub category: Label,
    /// The API's type of the asset.
    pub asset_type: Label,
    /// Its id.
    pub id: String,
    /// Its name, or its id.
    pub name: String,
    /// The name of what it belongs to.
    pub parent: Option<String>,
    /// The state.
    pub state: &'static str,
    /// The end of the first failure since the last completion; none if it is not failing.
    pub failing_since: Option<Timestamp>,
    /// The types of the tasks that fail.
    pub failing_types: Vec<Label>,
    /// The last completion.
    pub last_completed: Option<Timestamp>,
    /// The last completion, or the creation of the first known task.
    pub unprotected_since: Timestamp,
    /// When it becomes or became late.
    pub late_from: Option<Timestamp>,
    /// How old the last completion may be.
    pub max_age_seconds: Option<u64>,
}

// === impl AssetCounts ===

impl AssetCounts {
    /// The assets of one account.
    pub(super) fn new(samples: &AssetSamples) -> Self {
        let mut counts = Self::default();
        for sample in &samples.types {
            let [ok, overdue, silent, unjudged, ignored] = sample.states;
            let total = ok + overdue + silent + unjudged;
            let failing = sample.failing;
            counts = counts.plus(&Self { total, failing, ok, overdue, silent, unjudged, ignored });
        }
        counts
    }

    pub(super) fn plus(self, other: &Self) -> Self {
        Self {
            total: self.total + other.total,
            failing: self.failing + other.failing,
            ok: self.ok + other.ok,
            overdue: self.overdue + other.overdue,
            silent: self.silent + other.silent,
            unjudged: self.unjudged + other.unjudged,
            ignored: self.ignored + other.ignored,
        }
    }
}

// === impl AssetsReport ===

impl AssetsReport {
    /// The columns of the CSV form.
    pub const COLUMNS: [&str; 13] = [
        "account",
        "category",
        "asset_type",
        "id",
        "name",
        "parent",
        "state",
        "failing_since",
        "failing_types",
        "last_completed",
        "unprotected_since",
        "late_from",
        "max_age_seconds",
    ];
}

impl From<AssetList> for AssetsReport {
    fn from(list: AssetList) -> Self {
        Self { total: list.total, assets: list.rows.into_iter().map(AssetReport::from).collect() }
    }
}

// === impl AssetReport ===

impl From<AssetRow> for AssetReport {
    fn from(row: AssetRow) -> Self {
        let max_age = row.late_from.map(|late_from| late_from.duration_since(row.unprotected_since));
        Self {
            failing_since: row.failing.iter().map(|(_, since)| *since).min(),
            failing_types: row.failing.into_iter().map(|(task_type, _)| task_type).collect(),
            account: row.account,
            category: row.category,
            asset_type: row.asset_type,
            id: row.id,
            name: row.name,
            parent: row.parent,
            state: row.state.as_str(),
            last_completed: row.completed,
            unprotected_since: row.unprotected_since,
            late_from: row.late_from,
            max_age_seconds: max_age.and_then(|age| u64::try_from(age.as_secs()).ok()),
        }
    }
}

impl AssetReport {
    /// Whether it is overdue or silent.
    #[must_use]
    pub fn is_late(&self) -> bool {
        [AssetState::Overdue, AssetState::Silent].iter().any(|state| state.as_str() == self.state)
    }
}
