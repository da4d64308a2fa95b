//! The page that Prometheus scrapes: families out of snapshots, self-metrics, and their text.
//!
//! What polls publish is a snapshot an account, swapped as a whole; what the client does moves counters of its own.
//! A scrape waits for neither, and costs the same however many tasks were read.

mod account;
mod assets;
mod families;
mod family;
mod gzip;
mod page;
mod recent;
mod reloads;
mod requests;
mod server;
mod tasks;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};

pub(crate) use families::Current;
use reloads::Reloads;
use requests::RequestFamilies;
use server::ServerFamilies;

pub(crate) use account::Published;
pub use account::{Account, BackgroundJob, Failure, SyncObserver, SyncProgress};
pub use page::Page;
pub use requests::RequestMetrics;
pub use server::HandshakeFailure;

use crate::store::{Snapshot, StoreStatus};
use crate::time::Timestamp;

/// The media type of the page: the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is on the page.
pub struct Exposition {
    accounts: ArcSwap<Vec<Arc<Account>>>,
    changes: Arc<AtomicU64>,
    registry: Registry,
    requests: Arc<RequestFamilies>,
    reloads: Reloads,
    store: ArcSwapOption<StoreStatus>,
    external_url: ArcSwapOption<String>,
    server: ServerFamilies,
    cache: page::Cache,
}

// === impl Exposition ===

impl Exposition {
    /// A page without any account.
    ///
    /// # Panics
    /// Never: the families are fixed, and a test registers them.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let requests = Arc::new(RequestFamilies::new());
        let reloads = Reloads::new();
        let registered = requests
            .register(&registry)
            .and_then(|()| reloads.register(&registry))
            .and_then(|()| registry.register(Box::new(build_info())))
            .and_then(|()| registry.register(Box::new(ProcessCollector::for_self())));
        registered.expect("no family must be registered twice");
        Self {
            accounts: ArcSwap::default(),
            changes: Arc::default(),
            registry,
            requests,
            reloads,
            store: ArcSwapOption::empty(),
            external_url: ArcSwapOption::empty(),
            server: ServerFamilies::default(),
            cache: page::Cache::default(),
        }
    }

    /// What the client of `account` reports to.
    #[must_use]
    pub fn request_metrics(&self, account: &str) -> RequestMetrics {
        RequestMetrics::new(account, Arc::clone(&self.requests))
    }

    /// An account that is not on the page yet.
    #[must_use]
    pub fn account(&self, name: &str) -> Arc<Account> {
        Arc::new(Account::new(name.to_owned(), Arc::clone(&self.changes)))
    }

    /// Puts an account on the page, in place of the one that has its name; until it publishes, `clumio_up` is 0.
    pub fn show(&self, account: &Arc<Account>) {
        self.requests.begin(&account.name);
        self.change(|accounts| {
            accounts.retain(|shown| shown.name != account.name);
            accounts.push(Arc::clone(account));
            accounts.sort_by(|a, b| a.name.cmp(&b.name));
        });
    }

    /// Adds an account that is polled like this to the page.
    pub fn add_account(
        &self,
        name: &str,
        interval: Duration,
        window: Duration,
        syncs: &SyncObserver,
    ) -> Arc<Account> {
        let account = self.account(name);
        account.configured(interval, window);
        account.begins(syncs);
        self.show(&account);
        account
    }

    /// Takes every series of an account off the page; its client must report nothing any more.
    pub fn remove_account(&self, name: &str) {
        self.change(|accounts| accounts.retain(|account| account.name != name));
        self.requests.forget(name);
    }

    /// Publishes whether the configuration that was read last is in use, and since when if it is.
    pub fn config_read(&self, in_use_since: Option<Timestamp>) {
        self.reloads.ended(in_use_since);
    }

    /// Publishes whether the web config, which was read again by itself, is in use.
    pub fn web_config_read(&self, is_in_use: bool) {
        self.reloads.web_config_read(is_in_use);
    }

    /// Whether a configuration was refused since the one was read that is in use.
    pub(crate) fn config_is_refused(&self) -> bool {
        self.reloads.is_refused()
    }

    /// Publishes how the database is.
    pub fn store_is(&self, status: StoreStatus) {
        self.store.store(Some(Arc::new(status)));
    }

    /// How the database is; none before it is open.
    pub(crate) fn store_status(&self) -> Option<StoreStatus> {
        self.store.load().as_deref().copied()
    }

    /// Publishes the URL under which people reach the exporter, if there is one.
    pub fn external_url_is(&self, url: Option<&str>) {
        self.external_url.store(url.map(|url| Arc::new(url.to_owned())));
    }

    /// Counts a request whose answer panicked.
    pub fn count_http_panic(&self) {
        self.server.count_panic();
    }

    /// Counts a TLS handshake that failed.
    pub fn count_handshake_failure(&self, failure: HandshakeFailure) {
        self.server.count_handshake_failure(failure);
    }

    /// Publishes how many lines of the log were dropped.
    pub fn count_dropped_log_lines(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        self.server.set_dropped_lines(Box::new(count));
    }

    fn change(&self, change: impl Fn(&mut Vec<Arc<Account>>)) {
        self.accounts.rcu(|accounts| {
            let mut accounts = Vec::clone(accounts);
            change(&mut accounts);
            accounts
        });
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The page as last rendered, if that is less than a second ago.
    #[must_use]
    pub fn fresh_page(&self) -> Option<Arc<Page>> {
        self.cache.fresh(Instant::now())
    }

    /// Whether [`page`](Self::page) takes microseconds, with its compressed form where that is wanted.
    #[must_use]
    pub fn is_soon_rendered(&self, compressed: bool) -> bool {
        self.cache.is_soon_rendered(&self.changes, compressed)
    }

    /// The page; it can take milliseconds to render.
    pub fn page(&self) -> Arc<Page> {
        let polled = |page: &mut String| self.with_current(|accounts| families::write(accounts, page));
        let live = |page: &mut String| {
            encode(&self.registry.gather(), page);
            self.with_current(|accounts| families::write_progress(accounts, page));
            if let Some(url) = self.external_url.load_full() {
                families::write_web_info(&url, page);
            }
            self.server.write(page);
            if let Some(status) = self.store.load_full() {
                families::write_store(*status, page);
            }
        };
        self.cache.render(Instant::now(), &self.changes, polled, live)
    }

    /// The names of the accounts, sorted.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        self.accounts.load().iter().map(|account| account.name.clone()).collect()
    }

    /// The numbers of each account that has any.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        let accounts = self.accounts.load();
        accounts.iter().filter_map(|account| account.published.load().snapshot.clone()).collect()
    }

    /// Gives what is current of each account to `read`.
    pub(crate) fn with_current<T>(&self, read: impl FnOnce(&Current<'_>) -> T) -> T {
        let accounts = self.accounts.load();
        let published: Vec<_> = accounts.iter().map(|account| account.published.load()).collect();
        let current: Vec<_> =
            accounts.iter().zip(&published).map(|(account, published)| (&**account, &***published)).collect();
        read(&current)
    }
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

fn encode(families: &[MetricFamily], into: &mut String) {
    TextEncoder::new().encode_utf8(families, into).expect("no family must be empty or nameless");
}

/// Which build this is: always 1.
fn build_info() -> IntGauge {
    let opts = Opts::new("clumio_exporter_build_info", "Which build of the exporter this is; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("revision", env!("CLUMIO_EXPORTER_REVISION"))
        .const_label("rustc", env!("CLUMIO_EXPORTER_RUSTC"));
    let gauge = IntGauge::with_opts(opts).expect("the family must be well-formed");
    gauge.set(1);
    gauge
}
