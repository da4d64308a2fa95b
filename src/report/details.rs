//! What the report reads from the replica: single assets and tasks, a few of each sort.

use std::collections::BTreeMap;

use super::verdict::{Concerns, is_too_long};
use super::{AssetCounts, AssetReport, Scope, TaskReport};
use crate::metrics::Exposition;
use crate::store::{
    self, AssetCondition, AssetFilter, AssetList, AssetOrder, AssetState, Explorer, MAX_ROWS, Periods,
    TaskFilter, TaskStatus,
};
use crate::time::{Timestamp, earlier};

/// Assets and tasks of each sort. The pages of assets and tasks have all of them.
pub const MAX_DETAILS: usize = 10;

/// Pages of open tasks that are read for the oldest ones.
const MAX_OPEN_PAGES: usize = 20;

/// Single assets and tasks. Of the assets it has those that failed or became late last: they are what is new.
#[derive(Debug, Default)]
pub struct Details {
    /// Failing assets.
    pub failing: Vec<AssetReport>,
    /// Overdue assets.
    pub overdue: Vec<AssetReport>,
    /// Silent assets.
    pub silent: Vec<AssetReport>,
    /// Tasks that are open for too long, the oldest first.
    pub open_too_long: Vec<TaskReport>,
    /// The tasks that ended last with another status than `completed`.
    pub unsuccessful: Vec<TaskReport>,
    /// How tasks ended, by account.
    pub periods: BTreeMap<String, Periods>,
    /// Why something is missing.
    pub error: Option<String>,
}

/// What the metrics say that there is to be read.
struct Expected {
    assets: AssetCounts,
    concerns: Concerns,
    last_success: BTreeMap<String, Timestamp>,
}

// === impl Details ===

impl Details {
    /// Reads what a report needs besides the metrics.
    pub async fn read(explorer: &Explorer, exposition: &Exposition, scope: &Scope, now: Timestamp) -> Self {
        let expected = Expected::new(exposition, scope);
        let mut details = Self::default();
        if let Err(error) = details.fill(explorer, scope, (&expected, now)).await {
            details.error = Some(error.to_string());
        }
        details
    }

    async fn fill(
        &mut self,
        explorer: &Explorer,
        scope: &Scope,
        (expected, now): (&Expected, Timestamp),
    ) -> Result<(), store::Error> {
        let assets = async |condition, order, expected: u64| -> Result<Vec<AssetReport>, store::Error> {
            let filter = AssetFilter {
                account: scope.account.clone(),
                condition: Some(condition),
                order,
                is_descending: true,
                limit: MAX_DETAILS,
                ..AssetFilter::default()
            };
            let list = if expected > 0 { explorer.assets(filter).await? } else { AssetList::default() };
            Ok(list.rows.into_iter().map(AssetReport::from).collect())
        };
        let counts = expected.assets;
        self.failing = assets(AssetCondition::Failing, AssetOrder::FailingSince, counts.failing).await?;
        let late = AssetCondition::Is;
        self.overdue = assets(late(AssetState::Overdue), AssetOrder::Due, counts.overdue).await?;
        self.silent = assets(late(AssetState::Silent), AssetOrder::Due, counts.silent).await?;
        if expected.concerns.kinds_open_too_long > 0 {
            self.open_too_long = expected.open_too_long(explorer, scope, now).await?;
        }
        let status = Some(TaskStatus::Unsuccessful);
        let account = scope.account.clone();
        let filter =
            TaskFilter { account: account.clone(), status, limit: MAX_DETAILS, ..TaskFilter::default() };
        self.unsuccessful = explorer.tasks(filter).await?.rows.into_iter().map(TaskReport::from).collect();
        self.periods = explorer.periods(account).await?;
        Ok(())
    }
}

// === impl Expected ===

impl Expected {
    fn new(exposition: &Exposition, scope: &Scope) -> Self {
        exposition.with_current(|current| {
            let mut expected = Self {
                assets: AssetCounts::default(),
                concerns: Concerns::default(),
                last_success: BTreeMap::new(),
            };
            for (account, published) in current.iter().filter(|(account, _)| scope.includes(account.name())) {
                expected.concerns = expected.concerns.plus(Concerns::of(published));
                if let Some(snapshot) = &published.snapshot {
                    expected.assets = expected.assets.plus(&AssetCounts::new(&snapshot.assets));
                }
                if let Some(at) = published.last_success {
                    expected.last_success.insert(account.name().to_owned(), at);
                }
            }
            expected
        })
    }

    async fn open_too_long(
        &self,
        explorer: &Explorer,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Vec<TaskReport>, store::Error> {
        let mut filter = TaskFilter {
            account: scope.account.clone(),
            status: Some(TaskStatus::Open),
            to: Some(earlier(now, std::time::Duration::from_hours(23))),
            limit: MAX_ROWS,
            ..TaskFilter::default()
        };
        let mut tasks = Vec::new();
        // They are listed newest first, and the oldest are shown.
        for _ in 0..MAX_OPEN_PAGES {
            let list = explorer.tasks(filter.clone()).await?;
            tasks.extend(list.rows.into_iter().filter(|task| {
                is_too_long(
                    task.task_type.as_str(),
                    task.created,
                    self.last_success.get(&task.account).copied(),
                )
            }));
            tasks.sort_by_key(|task| task.created);
            tasks.truncate(MAX_DETAILS);
            filter.after = list.next;
            if filter.after.is_none() {
                break;
            }
        }
        Ok(tasks.into_iter().map(TaskReport::from).collect())
    }
}
