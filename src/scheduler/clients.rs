//! How each account is polled, out of the settings, and the clients that do it.

use std::sync::Arc;
use std::time::Duration;

use crate::clumio::{Client, MAX_BUNDLE_BYTES, Observer, Options as ApiOptions, SetupError, Transports};
use crate::config::{Account, Settings};
use crate::files;
use crate::poll::Options as PollOptions;
use crate::store::{Identity, Rules};
use crate::time::Clock;

/// How many rows a poll holds at once: ten pages of the default size. It is what an initial sync needs beyond what
/// stays, and what the allocator keeps of it afterwards.
const MAX_ROWS: u64 = 1_000;

/// Everything that the polls of one account depend on: a reload disturbs the account if and only if it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) account: Account,
    pub(super) request_timeout: Duration,
    pub(super) max_response_bytes: u64,
    pub(super) options: PollOptions,
    /// What is in the `ca_file`; none if there is none, or it cannot be read, of which the client tells.
    pub(super) authorities: Option<Vec<u8>>,
}

/// Makes clients that share connections where they can.
pub struct Clients {
    transports: Transports,
    clock: Arc<dyn Clock>,
}

// === impl Plan ===

impl Plan {
    /// How `account` is polled by these settings. It reads the CA file, and waits for it.
    #[must_use]
    pub fn new(account: &Account, settings: &Settings) -> Self {
        let rules = Rules {
            window: settings.poll.window,
            overlap: settings.poll.overlap,
            retention: settings.state.retention,
            counter_hold: settings.poll.counter_hold,
            max_categories: settings.limits.max_categories,
            max_kinds: settings.limits.max_kinds,
            max_asset_types: settings.limits.max_asset_types,
            assets: settings.assets.for_account(&account.name),
        };
        let options = PollOptions {
            page_size: account.page_size,
            id_batch_size: settings.poll.id_batch_size,
            max_rows: MAX_ROWS,
            lookback: settings.poll.lookback,
            audit_interval: settings.poll.audit_interval,
            rules,
        };
        Self {
            account: account.clone(),
            request_timeout: settings.poll.request_timeout,
            max_response_bytes: settings.limits.max_response_bytes,
            options,
            authorities: account.ca_file.as_ref().and_then(|path| files::read(path, MAX_BUNDLE_BYTES).ok()),
        }
    }

    /// Whose tasks are read.
    pub(super) fn identity(&self) -> Identity {
        let Account { base_url, organizational_unit, .. } = &self.account;
        Identity { base_url: base_url.to_string(), organizational_unit: organizational_unit.clone() }
    }

    /// Whether the other one reads the same tasks, so that what is known of them stays right.
    pub(super) fn reads_the_same(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

// === impl Clients ===

impl Clients {
    /// Clients that read this clock. Those of one account, also after a reload, must read the same: what is known
    /// of the API's time is measured on it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { transports: Transports::new(), clock }
    }

    /// The client of one account, which reports to `observer`. The CA file is read, and nothing is sent.
    ///
    /// # Errors
    /// When its CA file or organizational unit cannot be used, or TLS cannot be set up.
    pub fn client(&mut self, plan: &Plan, observer: Arc<dyn Observer>) -> Result<Client, SetupError> {
        let account = &plan.account;
        let options = ApiOptions {
            base_url: account.base_url.clone(),
            token: account.token.clone(),
            organizational_unit: account.organizational_unit.clone(),
            interval: account.interval,
            requests_per_second: account.requests_per_second,
            request_timeout: plan.request_timeout,
            max_response_bytes: plan.max_response_bytes,
        };
        let http =
            self.transports.client(account.ca_file.as_deref(), &account.base_url, plan.request_timeout)?;
        Client::new(&options, http, Arc::clone(&self.clock), observer)
    }
}
