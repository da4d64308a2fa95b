//! An account as a query for people sees it: as of its last commit.

use rusqlite::Connection;

use super::account::{self, AccountState, Identity};
use super::{Result, Rules};

/// An account that is queried.
pub(super) struct Scope<'a> {
    pub(super) account: i64,
    pub(super) name: &'a str,
    pub(super) rules: &'a Rules,
    pub(super) state: AccountState,
}

// === impl Scope ===

impl<'a> Scope<'a> {
    /// The account with this name and identity; none before its initial sync has ended.
    pub(super) fn find(
        db: &Connection,
        name: &'a str,
        identity: &Identity,
        rules: &'a Rules,
    ) -> Result<Option<Self>> {
        let Some((account, true)) = account::find(db, name, identity)? else { return Ok(None) };
        let state = AccountState::load(db, account)?.filter(|state| state.sync_from.is_none());
        Ok(state.map(|state| Self { account, name, rules, state }))
    }
}
