//! The page that Prometheus scrapes: families out of snapshots, self-metrics, and their text.
//!
//! What polls publish is a snapshot an account, swapped as a whole; what the client does moves counters of its own.
//! A scrape waits for neither, and costs the same however many tasks were read.

mod account;
mod families;
mod page;
mod requests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, Opts, Registry, TextEncoder};

use requests::RequestFamilies;

pub use account::{Account, Failure};
pub use page::Page;
pub use requests::RequestMetrics;

use crate::poll::Progress;

/// The media type of the page: the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is on the page.
pub struct Exposition {
    accounts: ArcSwap<Vec<Arc<Account>>>,
    changes: Arc<AtomicU64>,
    registry: Registry,
    requests: Arc<RequestFamilies>,
    progress: GaugeVec,
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
        let progress = GaugeVec::new(
            Opts::new(
                "clumio_exporter_first_pass_progress_ratio",
                "How much of its first pass an account has read, from 0 to 1; absent while none runs.",
            ),
            &["account"],
        )
        .expect("the family must be well-formed");
        let registered = requests
            .register(&registry)
            .and_then(|()| registry.register(Box::new(progress.clone())))
            .and_then(|()| registry.register(Box::new(build_info())))
            .and_then(|()| registry.register(Box::new(ProcessCollector::for_self())));
        registered.expect("no family must be registered twice");
        Self {
            accounts: ArcSwap::default(),
            changes: Arc::default(),
            registry,
            requests,
            progress,
            cache: page::Cache::default(),
        }
    }

    /// What the client of `account` reports to.
    #[must_use]
    pub fn request_metrics(&self, account: &str) -> RequestMetrics {
        RequestMetrics::new(account, Arc::clone(&self.requests))
    }

    /// Adds an account to the page; until it publishes, `clumio_up` is 0.
    pub fn add_account(
        &self,
        name: &str,
        interval: Duration,
        window: Duration,
        progress: Arc<Progress>,
    ) -> Arc<Account> {
        let changes = Arc::clone(&self.changes);
        let account = Arc::new(Account::new(name.to_owned(), interval, window, progress, changes));
        self.accounts.rcu(|accounts| {
            let mut accounts = Vec::clone(accounts);
            accounts.push(Arc::clone(&account));
            accounts.sort_by(|a, b| a.name.cmp(&b.name));
            accounts
        });
        account
    }

    /// The page as last rendered, if that is less than a second ago.
    #[must_use]
    pub fn fresh_page(&self) -> Option<Arc<Page>> {
        self.cache.fresh(Instant::now())
    }

    /// The page; it can take milliseconds to render.
    pub fn page(&self) -> Arc<Page> {
        let polled = |into: &mut Vec<u8>| encode(&self.polled_families(), into);
        let live = |into: &mut Vec<u8>| encode(&self.live_families(), into);
        self.cache.render(Instant::now(), &self.changes, polled, live)
    }

    fn polled_families(&self) -> Vec<MetricFamily> {
        let accounts = self.accounts.load();
        let published: Vec<_> = accounts.iter().map(|account| account.published.load()).collect();
        let current: Vec<_> =
            accounts.iter().zip(&published).map(|(account, published)| (&**account, &***published)).collect();
        families::families(&current)
    }

    fn live_families(&self) -> Vec<MetricFamily> {
        for account in self.accounts.load().iter() {
            let labels = [account.name.as_str()];
            match account.progress.get() {
                Some(ratio) => self.progress.with_label_values(&labels).set(ratio),
                None => drop(self.progress.remove_label_values(&labels)),
            }
        }
        self.registry.gather()
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

fn encode(families: &[MetricFamily], into: &mut Vec<u8>) {
    let mut text = String::new();
    TextEncoder::new().encode_utf8(families, &mut text).expect("no family must be empty or nameless");
    into.extend(text.into_bytes());
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
