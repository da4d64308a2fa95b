//! One account in the database, as the poll sees it.
//!
//! The interface is narrow, so that a database which several exporters share can take its place.

use std::sync::Arc;
use std::time::Duration;

use super::account::{self, AccountState, Identity};
use super::commit::{self, PollCommit, SliceCommit};
use super::database::{Commit, Database};
use super::handle::Store;
use super::marks::PollInstant;
use super::scope::Scope;
use super::segments::{self, Segment};
use super::snapshot::Snapshot;
use super::tasks;
use super::{Error, Result, Rules};
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// The replica of the task list of one account.
#[derive(Debug, Clone)]
pub struct Replica {
    store: Store,
    name: String,
    identity: Identity,
    rules: Rules,
    /// The id of the account and the generation of the database; none before it is opened.
    opened: Option<(i64, u64)>,
}

// === impl Replica ===

impl Replica {
    /// The replica of an account. Nothing is read yet.
    #[must_use]
    pub fn new(store: Store, name: String, identity: Identity, rules: Rules) -> Self {
        Self { store, name, identity, rules, opened: None }
    }

    /// Finds the account in the database, for a process that begins to poll it: every counter is held where it is. With
    /// another identity than before, it starts cold.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn open(&mut self) -> Result<()> {
        let (name, identity) = (self.name.clone(), self.identity.clone());
        let begin = move |database: &mut Database| {
            let account = database.begin(&name, &identity)?;
            Ok((account, database.generation()))
        };
        self.opened = Some(self.store.run(begin).await?);
        Ok(())
    }

    /// Whether [`open`](Self::open) has succeeded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Forgets which account it is, after a damaged database was replaced.
    pub fn close(&mut self) {
        self.opened = None;
    }

    /// The rules by which it is evaluated.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Evaluates it by other rules from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The database it is in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Removes the account: its rows are deleted in the background.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retire(&self) -> Result<()> {
        self.write(account::retire).await
    }

    /// What is known of the account besides its rows; none before its initial sync has begun.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load(&self) -> Result<Option<AccountState>> {
        self.read(AccountState::load).await
    }

    /// The state and numbers of the process before, for an account that is not open. It writes nothing, so it need not wait
    /// for a check of the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn restore(&self) -> Result<Option<(AccountState, Snapshot)>> {
        let (name, identity, rules) = (self.name.clone(), self.identity.clone(), self.rules.clone());
        let restore = move |db: &rusqlite::Connection| {
            let Some((account, true)) = account::find(db, &name, &identity)? else { return Ok(None) };
            let state = AccountState::load(db, account)?.filter(|state| state.sync_from.is_none());
            let snapshot = state.as_ref().map(|state| commit::restore(db, account, &rules, state));
            Ok(state.zip(snapshot.transpose()?))
        };
        self.store.run(move |database| database.read(None, restore)).await
    }

    /// The numbers as of the last commit; none before the initial sync has ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_snapshot(&self) -> Result<Option<Snapshot>> {
        let rules = self.rules.clone();
        self.read(move |db, account| {
            let state = AccountState::load(db, account)?.filter(|state| state.sync_from.is_none());
            state.map(|state| commit::restore(db, account, &rules, &state)).transpose()
        })
        .await
    }

    /// Begins the initial sync of an account, with the tasks that are open.
    ///
    /// # Errors
    /// When it cannot be committed; then nothing was changed.
    pub async fn begin_sync(&self, open: Vec<Task>, now: PollInstant, lookback: Duration) -> Result<()> {
        let rules = self.rules.clone();
        self.write(move |db, account| commit::begin_sync(db, account, &rules, (&open, now, lookback))).await
    }

    /// Stores rows with what is complete with them, in one transaction.
    ///
    /// # Errors
    /// When it cannot be committed; then nothing was changed.
    pub async fn commit_slice(&self, slice: SliceCommit) -> Result<()> {
        let rules = self.rules.clone();
        self.write(move |db, account| commit::slice(db, account, &rules, &slice)).await
    }

    /// Stores what a poll has read and evaluates the numbers, in one transaction. If only its commit fails, the numbers
    /// are there all the same, with the reason.
    ///
    /// At the end of the initial sync, and after a change of the rules of assets, the summaries of all assets are computed
    /// first, in transactions of their own, between which the database serves other accounts.
    ///
    /// # Errors
    /// When the transaction failed before its commit.
    ///
    /// # Panics
    /// When the summaries do not follow the rules after all of them were computed, a fault of the exporter.
    pub async fn commit_poll(&self, poll: PollCommit) -> Result<(Snapshot, Result<()>)> {
        let poll = Arc::new(poll);
        if let Some(done) = self.try_commit(Arc::clone(&poll), false).await? {
            return Ok(done);
        }
        let rebuilds_assets = loop {
            match self.rebuild_some_assets(poll.now).await {
                Ok(true) => {}
                Ok(false) => break false,
                // A full disk stops no gauge: then the summaries are computed in the transaction of the poll.
                Err(Error::Database { is_corrupt: false, .. }) => break true,
                Err(error) => return Err(error),
            }
        };
        let done = self.try_commit(poll, rebuilds_assets).await?;
        Ok(done.expect("the summaries must follow the rules after a rebuild"))
    }

    async fn try_commit(
        &self,
        poll: Arc<PollCommit>,
        rebuilds_assets: bool,
    ) -> Result<Option<(Snapshot, Result<()>)>> {
        let (account, generation) = self.opened.ok_or(Error::Replaced)?;
        let rules = self.rules.clone();
        let job = move |database: &mut Database| {
            let commit = |db: &_| commit::poll(db, account, &rules, (&poll, rebuilds_assets));
            database.commit(Some(generation), commit)
        };
        Ok(match self.store.run(job).await? {
            Commit::Done(snapshot) => snapshot.map(|snapshot| (snapshot, Ok(()))),
            Commit::RolledBack(snapshot, error) => snapshot.map(|snapshot| (snapshot, Err(error))),
        })
    }

    /// Computes some summaries of assets for a poll, in one transaction; gives whether there are more.
    pub(super) async fn rebuild_some_assets(&self, now: PollInstant) -> Result<bool> {
        let rules = self.rules.clone();
        self.write(move |db, account| commit::rebuild_assets(db, account, &rules, now)).await
    }

    /// Recomputes the summaries of the next assets from their tasks, in one transaction. Returns the entity up to which they
    /// are done; none at the end.
    pub(crate) async fn recompute_some_assets(&self, until: Option<i64>) -> Result<Option<i64>> {
        let rules = self.rules.clone();
        self.write(move |db, account| commit::recompute_assets(db, account, &rules, until)).await
    }

    /// Writes the marks in time alone, for a process that ends.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub async fn touch(&self, now: PollInstant) -> Result<()> {
        let rules = self.rules.clone();
        self.write(move |db, account| commit::touch(db, account, &rules, now)).await
    }

    /// Writes the drift that audits have found: replica count minus API count.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub async fn set_drift(&self, drift: i64) -> Result<()> {
        self.write(move |db, account| commit::set_drift(db, account, drift)).await
    }

    /// The ids of open and provisional tasks, which every poll has to read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn followed(&self) -> Result<Vec<TaskId>> {
        self.read(tasks::followed).await
    }

    /// At most `limit` vanished tasks, after skipping `offset` of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn vanished(&self, offset: u64, limit: u64) -> Result<Vec<TaskId>> {
        self.read(move |db, account| tasks::vanished(db, account, offset, limit)).await
    }

    /// The newest creation time of a row, and a task that has it; none in an empty replica.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn newest(&self) -> Result<Option<(Timestamp, TaskId)>> {
        self.read(tasks::newest).await
    }

    /// Rows created from `from` until before `to`, without vanished ones.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count(&self, from: Timestamp, to: Timestamp) -> Result<u64> {
        self.read(move |db, account| segments::count(db, account, from, to)).await
    }

    /// The quietest second within five minutes of `near` and between the bounds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quiet_second(&self, near: Timestamp, bounds: (Timestamp, Timestamp)) -> Result<Timestamp> {
        self.read(move |db, account| segments::quiet_second(db, account, near, bounds)).await
    }

    /// The segments of the covered past between two times, oldest first; what begins elsewhere is removed.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn segments(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Segment>> {
        self.write(move |db, account| {
            segments::trim(db, account, from, until)?;
            segments::all(db, account)
        })
        .await
    }

    /// Adds segments, or replaces those with the same start.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub async fn put_segments(&self, segments: Vec<Segment>) -> Result<()> {
        self.write(move |db, account| {
            segments.iter().try_for_each(|segment| segments::put(db, account, segment))
        })
        .await
    }

    /// The name of the account.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account for queries; none before its initial sync has ended.
    pub(super) fn scope(&self, db: &rusqlite::Connection) -> Result<Option<Scope<'_>>> {
        Scope::find(db, &self.name, &self.identity, &self.rules)
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (account, generation) = self.opened.ok_or(Error::Replaced)?;
        self.store.run(move |database| database.read(Some(generation), |db| query(db, account))).await
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&rusqlite::Connection, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (account, generation) = self.opened.ok_or(Error::Replaced)?;
        let job =
            move |database: &mut Database| database.write(Some(generation), |db| operation(db, account));
        self.store.run(job).await
    }
}

// === impl Error ===

impl Error {
    /// Whether the account has to start cold, because a damaged database was replaced.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        matches!(self, Self::Replaced)
    }
}
