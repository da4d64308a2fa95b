//! The scheduler: a poller for each account, on a timer of its own.
//!
//! Accounts share connections and nothing else. Each poller is a task of its own: one that waits, fails or panics
//! holds up no other.

mod poller;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use poller::AccountPoller;

use crate::api::{Client, Options as ApiOptions, SetupError, Transports};
use crate::exposition::Exposition;
use crate::ledger::Rules;
use crate::poll::{Options as PollOptions, Poller};
use crate::settings::{Account, Settings};
use crate::time::{Clock, SystemClock};

/// The longest that the first poll of an account waits beyond its turn, so that exporters which start together do
/// not poll together.
const JITTER: Duration = Duration::from_secs(1);

/// The longest that the first poll of an account waits for that of the one before it: enough to spread the load of
/// many, and nobody waits long for the last of a few.
const SPREAD: Duration = Duration::from_secs(5);

/// How many rows a poll holds at once: fifty pages of the default size, a megabyte or two.
const MOST_ROWS: u64 = 5_000;

/// The configured accounts, not yet polled.
pub struct Accounts {
    pollers: Vec<(AccountPoller<Client>, Duration)>,
}

/// The pollers at work; dropped, they stop.
#[derive(Debug)]
pub struct Running {
    tasks: Vec<JoinHandle<()>>,
}

/// What a client needs beside the account's own settings.
pub struct Clients {
    transports: Transports,
    clock: Arc<dyn Clock>,
}

// === impl Clients ===

impl Clients {
    /// Clients that read the clocks of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self { transports: Transports::new(), clock: Arc::new(SystemClock::new()) }
    }

    /// The client of one account, which reports to `exposition`.
    ///
    /// # Errors
    /// When its CA file or organizational unit cannot be used, or TLS cannot be set up.
    pub fn client(
        &mut self,
        account: &Account,
        settings: &Settings,
        exposition: &Exposition,
    ) -> Result<Client, SetupError> {
        let options = ApiOptions {
            base_url: account.base_url.clone(),
            token: account.token.clone(),
            organizational_unit: account.organizational_unit.clone(),
            interval: account.interval,
            requests_per_second: account.requests_per_second,
            request_timeout: settings.poll.request_timeout,
            max_response_bytes: settings.limits.max_response_bytes,
        };
        let timeout = settings.poll.request_timeout;
        let http = self.transports.client(account.ca_file.as_deref(), &account.base_url, timeout)?;
        let observer = Arc::new(exposition.request_metrics(&account.name));
        Client::new(&options, http, Arc::clone(&self.clock), observer)
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Accounts ===

impl Accounts {
    /// Sets up every configured account and puts it on the page; nothing is sent yet.
    ///
    /// # Errors
    /// When the client of an account cannot be set up.
    pub fn new(settings: &Settings, exposition: &Exposition) -> Result<Self, SetupError> {
        let mut clients = Clients::new();
        let mut pollers = Vec::with_capacity(settings.accounts.len());
        for account in &settings.accounts {
            let client = clients.client(account, settings, exposition)?;
            let poller = Poller::new(client, None, poll_options(account, settings));
            let (name, window) = (account.name.clone(), settings.poll.window);
            let view = exposition.add_account(&name, account.interval, window, poller.progress());
            let clock = Arc::clone(&clients.clock);
            let poller = AccountPoller { name, poller, account: view, clock, was_up: None };
            pollers.push((poller, account.interval));
        }
        Ok(Self { pollers })
    }

    /// Polls every account once, all at the same time. Gives whether all succeeded.
    pub async fn poll_once(mut self) -> bool {
        let polls = self.pollers.iter_mut().map(|(poller, _)| poller.poll());
        join_all(polls).await.into_iter().all(|succeeded| succeeded)
    }

    /// Starts to poll, one account after the other, so that their polls are spread over the interval.
    #[must_use]
    pub fn spawn(self) -> Running {
        let count = u32::try_from(self.pollers.len()).unwrap_or(u32::MAX).max(1);
        let mut tasks = Vec::with_capacity(self.pollers.len());
        for (turn, (poller, interval)) in (0..count).zip(self.pollers) {
            let step = (interval / count).min(SPREAD);
            let delay = step * turn + JITTER.min(step).mul_f64(fastrand::f64());
            tasks.push(tokio::spawn(poller.run(delay, interval)));
        }
        Running { tasks }
    }
}

fn poll_options(account: &Account, settings: &Settings) -> PollOptions {
    PollOptions {
        page_size: account.page_size,
        id_batch_size: settings.poll.id_batch_size,
        most_rows: MOST_ROWS,
        lookback: settings.poll.lookback,
        audit_interval: settings.poll.audit_interval,
        rules: Rules {
            window: settings.poll.window,
            overlap: settings.poll.overlap,
            counter_hold: settings.poll.counter_hold,
            max_categories: settings.limits.max_categories,
            max_kinds: settings.limits.max_kinds,
        },
    }
}

// === impl Running ===

impl Running {
    /// Whether every poller lives.
    #[must_use]
    pub fn are_alive(&self) -> bool {
        self.tasks.iter().all(|task| !task.is_finished())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
