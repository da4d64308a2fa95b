//! Queries for people, behind the pages and the API: concurrent with polls, with bounded rows and time.
//!
//! Everything is as of the last commit of each account, at its T, so that a page agrees with the metrics. An account
//! whose initial sync has not ended has no rows here.

mod position;
mod search;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

pub use position::TaskPosition;
pub use tasks::{TaskEntity, TaskFilter, TaskList, TaskRow, TaskStatus};

use super::scope::Scope;
use super::{AssetDetail, AssetFilter, AssetList, Periods, Replica, Result, Store, assets, periods};

/// Rows of one page or answer at most.
pub const MAX_ROWS: usize = 1_000;

/// Rows that a listing of assets skips at most. Narrower filters reach the others.
pub const MAX_OFFSET: usize = 100_000;

/// Reads the replicas of some accounts for people.
#[derive(Debug, Clone)]
pub struct Explorer {
    store: Store,
    /// Sorted by name.
    accounts: Vec<Arc<Replica>>,
}

// === impl Explorer ===

impl Explorer {
    /// Reads these accounts, which are in `store`.
    #[must_use]
    pub fn new(store: Store, mut accounts: Vec<Arc<Replica>>) -> Self {
        accounts.sort_by(|a, b| a.name().cmp(b.name()));
        Self { store, accounts }
    }

    /// The assets that a filter selects.
    ///
    /// # Errors
    /// When the database cannot be read in time.
    pub async fn assets(&self, mut filter: AssetFilter) -> Result<AssetList> {
        filter.limit = filter.limit.min(MAX_ROWS);
        filter.offset = filter.offset.min(MAX_OFFSET);
        self.read(filter.account.clone(), move |db, scopes, _| assets::list(db, scopes, &filter)).await
    }

    /// The assets of an account with this id: one for each category.
    ///
    /// # Errors
    /// When the database cannot be read in time.
    pub async fn asset(&self, account: String, id: String) -> Result<Vec<AssetDetail>> {
        let details = move |db: &Connection, scopes: &[Scope<'_>], _| {
            let details = scopes.iter().map(|scope| assets::details(db, scope, &id));
            Ok(details.collect::<Result<Vec<_>>>()?.concat())
        };
        self.read(Some(account), details).await
    }

    /// The tasks that a filter selects.
    ///
    /// # Errors
    /// When the database cannot be read in time.
    pub async fn tasks(&self, mut filter: TaskFilter) -> Result<TaskList> {
        filter.limit = filter.limit.min(MAX_ROWS);
        self.read(filter.account.clone(), move |db, scopes, end| tasks::list(db, scopes, &filter, end)).await
    }

    /// How the tasks of the window ended, by account.
    ///
    /// # Errors
    /// When the database cannot be read in time.
    pub async fn periods(&self, account: Option<String>) -> Result<BTreeMap<String, Periods>> {
        let periods = |db: &Connection, scopes: &[Scope<'_>], _| {
            let periods = scopes.iter().map(|scope| {
                let (time, window) = (scope.state.marks.time, scope.rules.window);
                Ok((scope.name.to_owned(), periods::periods(db, scope.account, time, window)?))
            });
            periods.collect()
        };
        self.read(account, periods).await
    }

    async fn read<T: Send + 'static>(
        &self,
        account: Option<String>,
        query: impl FnOnce(&Connection, &[Scope<'_>], Instant) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let is_asked = |name: &str| account.as_ref().is_none_or(|asked| asked == name);
        let accounts: Vec<_> = self.accounts.iter().filter(|it| is_asked(it.name())).cloned().collect();
        let read = move |db: &Connection, end| {
            let scopes = accounts.iter().filter_map(|replica| replica.scope(db).transpose());
            query(db, &scopes.collect::<Result<Vec<_>>>()?, end)
        };
        self.store.read(read).await
    }
}
