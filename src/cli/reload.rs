//! Reload: reads the configuration again while the daemon runs, and applies it whole or not at all.
//!
//! One task does it, so that two reloads never overlap and none is left half-way when whoever asked for it hangs up.
//! Everything that can fail comes first. The place where it listens and the form of the log stay as they were at the
//! start, and so does the place of the state: a new one is refused, because accepting and ignoring it would be a lie.

use std::sync::Arc;

use futures::FutureExt;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::logs::Level;
use super::service;
use crate::config::{self, Settings, Web};
use crate::http::{Front, Health, Opened, Reload, Site};
use crate::metrics::Exposition;
use crate::scheduler::{Accounts, Applied, Change};
use crate::store::Explorer;
use crate::time::Timestamp;

/// Reads the settings: at the start, and at each reload.
pub(super) type Load = Arc<dyn Fn() -> Result<Settings, config::Error> + Send + Sync>;

/// Everything that is wrong, a line each.
type Problems = Vec<String>;

/// How many requests for a reload may wait for their turn: fewer than are answered at once.
const MOST_WAITING: usize = 16;

/// Asks for a reload, and is told what came of it.
type Ask = oneshot::Sender<Result<(), String>>;

/// Everything that a reload can change.
pub(super) struct Reloader {
    pub(super) load: Load,
    /// What is in use.
    pub(super) settings: Settings,
    pub(super) level: Level,
    pub(super) accounts: Arc<Accounts>,
    pub(super) sites: Sites,
    pub(super) front: Arc<Front>,
}

/// Makes the site that `[web]` describes.
pub(super) struct Sites {
    exposition: Arc<Exposition>,
    health: Health,
    accounts: Arc<Accounts>,
    asks: mpsc::Sender<Ask>,
}

/// The requests for reloads that came over HTTP.
pub(super) struct Asked(mpsc::Receiver<Ask>);

// === impl Sites ===

impl Sites {
    /// The sites, and what their clients ask for.
    pub(super) fn new(exposition: Arc<Exposition>, health: Health, accounts: Arc<Accounts>) -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(MOST_WAITING);
        (Self { exposition, health, accounts, asks }, Asked(asked))
    }

    pub(super) fn site(&self, web: &Web) -> Site {
        Site {
            exposition: Arc::clone(&self.exposition),
            external_url: web.external_url.clone(),
            telemetry_path: web.telemetry_path.clone(),
            max_requests: web.max_requests,
            health: Arc::clone(&self.health),
            explorer: self.explorer(),
            reload: web.enable_lifecycle.then(|| self.reload()),
        }
    }

    fn explorer(&self) -> Arc<dyn Fn() -> Explorer + Send + Sync> {
        let accounts = Arc::clone(&self.accounts);
        Arc::new(move || accounts.explorer())
    }

    fn reload(&self) -> Reload {
        let asks = self.asks.clone();
        Arc::new(move || ask(asks.clone()).boxed())
    }
}

async fn ask(asks: mpsc::Sender<Ask>) -> Result<(), String> {
    let (reply, outcome) = oneshot::channel();
    // Many that wait, for a file system that hangs, would take the place of those who scrape.
    asks.try_send(reply)
        .map_err(|_| "too many reloads are under way; try again when they have ended".to_owned())?;
    // It fails only while the process ends, or after a panic, which the log has.
    outcome.await.map_err(|_| "the exporter is stopping".to_owned())?
}

// === impl Reloader ===

impl Reloader {
    /// Reloads on each signal and each request.
    pub(super) async fn run(mut self, mut hangup: Signal, mut asked: Asked) {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => {
                    // The log has what came of it.
                    let _ = self.reload().await;
                }
                Some(reply) = asked.0.recv() => {
                    let outcome = self.reload().await.map_err(|problems| problems.join("\n"));
                    // Whoever asked may have hung up.
                    let _ = reply.send(outcome);
                }
            }
        }
    }

    async fn reload(&mut self) -> Result<(), Problems> {
        service::reloading();
        let outcome = self.apply().await;
        service::ready();
        match outcome {
            Ok(Applied { added, removed, changed }) => {
                self.sites.exposition.config_read(Some(Timestamp::now()));
                info!(added, removed, changed, "the configuration was read again and is in use");
                Ok(())
            }
            Err(problems) => {
                self.sites.exposition.config_read(None);
                let problems_found = problems.join("; ");
                error!(
                    problems = problems_found,
                    "the configuration was refused, and the one before stays in use"
                );
                Err(problems)
            }
        }
    }

    async fn apply(&mut self) -> Result<Applied, Problems> {
        let (settings, change, opened) = self.prepare().await?;
        let applied = self.accounts.apply(change).await.map_err(|problems| problems.0)?;
        self.front.gate().install(opened);
        if settings.web != self.settings.web {
            self.front.show(self.sites.site(&settings.web));
        }
        self.level.set(settings.log.level);
        settings.warnings().iter().for_each(|warning| warn!("{warning}"));
        self.settings = settings;
        Ok(applied)
    }

    /// Reads the files, on a thread that may wait for them.
    async fn prepare(&self) -> Result<(Settings, Change, Opened), Problems> {
        let (load, accounts) = (Arc::clone(&self.load), Arc::clone(&self.accounts));
        let gate = Arc::clone(self.front.gate());
        let prepared = spawn_blocking(move || {
            let settings = load().map_err(|error| error.problems().to_vec())?;
            let change = accounts.prepare(&settings).map_err(|problems| problems.0);
            let opened = gate.read(settings.web.config_file.as_deref());
            Ok((settings, change, opened))
        });
        let panicked =
            |_| Err(vec!["reading it panicked, a fault of the exporter: please report it".to_owned()]);
        let (settings, change, opened) = prepared.await.unwrap_or_else(panicked)?;
        let mut problems = self.fixed(&settings);
        match (change, opened) {
            (Ok(change), Ok(opened)) if problems.is_empty() => Ok((settings, change, opened)),
            (change, opened) => {
                problems.extend(change.err().into_iter().chain(opened.err()).flatten());
                Err(problems)
            }
        }
    }

    /// What `settings` change that only a restart can change.
    fn fixed(&self, settings: &Settings) -> Problems {
        let (old, new) = (&self.settings, settings);
        let directory = |settings: &Settings| match &settings.state.directory {
            Some(directory) => directory.display().to_string(),
            None => "none".to_owned(),
        };
        let fixed = [
            ("web.listen_address", old.web.listen_address.clone(), new.web.listen_address.clone()),
            ("log.format", old.log.format.as_str().to_owned(), new.log.format.as_str().to_owned()),
            ("state.directory", directory(old), directory(new)),
        ];
        let changed = fixed.into_iter().filter(|(_, old, new)| old != new);
        let message = |(key, old, new)| {
            format!(
                "{key}: {old:?} cannot become {new:?} while the exporter runs; restart it, or change it back"
            )
        };
        changed.map(message).collect()
    }
}
