//! The daemon: binds, polls, serves, reloads, and stops on a signal.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::logs::{self, Logs};
use super::reload::{Load, Reloader, Sites};
use super::service;
use crate::config::{ExternalUrl, Settings};
use crate::http::{self, Front, Gate, Health};
use crate::metrics::Exposition;
use crate::scheduler::{Accounts, Change};
use crate::time::Timestamp;

/// The exit code of a process that a second signal ended: 128 and the number of SIGINT.
const ABORTED: i32 = 130;

/// The signals that end the process. They are caught from the moment that this exists: process 1 of a container has
/// no default action for them.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// A daemon that has its port and catches signals, and does nothing yet.
pub(super) struct Daemon {
    load: Load,
    settings: Settings,
    logs: Logs,
    signals: Signals,
    hangup: Signal,
    listener: TcpListener,
    gate: Arc<Gate>,
}

// === impl Daemon ===

impl Daemon {
    /// Reads the settings and starts to log. Binds before anything else is done, so that a taken port fails the start
    /// and nothing else.
    pub(super) fn bind(load: Load) -> Result<Self, Box<dyn Error>> {
        let hangup = signal(SignalKind::hangup())?;
        let settings = load()?;
        let logs = logs::init(settings.log);
        let signals = Signals::new()?;
        let gate = Gate::new();
        let opened =
            gate.read(settings.web.config_file.as_deref()).map_err(|problems| problems.join("\n"))?;
        gate.install(opened);
        let listener = http::listen(&settings.web.listen_address)?;
        Ok(Self { load, settings, logs, signals, hangup, listener, gate })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// How a browser has to ask.
    pub(super) fn scheme(&self) -> &'static str {
        if self.gate.speaks_tls() { "https" } else { "http" }
    }

    /// Where the metrics are.
    pub(super) fn telemetry_path(&self) -> &str {
        &self.settings.web.telemetry_path
    }

    /// Polls, serves and reloads until a signal.
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { load, settings, logs, mut signals, hangup, listener, gate } = self;
        let exposition = Arc::new(Exposition::new());
        let dropped = logs.dropped();
        exposition.count_dropped_log_lines(move || dropped.count());
        let prepared = spawn_blocking({
            let (settings, exposition) = (settings.clone(), Arc::clone(&exposition));
            move || prepare(&settings, exposition)
        });
        // A file system that hangs must not keep the process from being stopped.
        let (accounts, change) = tokio::select! {
            prepared = prepared => prepared?.map_err(|error| -> Box<dyn Error> { error })?,
            () = signals.next() => return Ok(()),
        };
        exposition.config_read(Some(Timestamp::now()));
        info!(
            version = env!("CARGO_PKG_VERSION"),
            address = %listener.local_addr()?,
            path = settings.web.telemetry_path,
            external_url = settings.web.external_url.as_ref().map(ExternalUrl::as_str),
            tls = gate.speaks_tls(),
            accounts = settings.accounts.len(),
            "serving"
        );
        settings.warnings().iter().for_each(|warning| warn!("{warning}"));
        accounts.apply(change).await?;
        let health = supervised(&accounts);
        let _watchdog = AbortOnDropHandle::new(tokio::spawn(service::feed_watchdog(Arc::clone(&health))));
        let (sites, asked) = Sites::new(exposition, health, Arc::clone(&accounts));
        let front = Front::new(sites.site(&settings.web), gate);
        let reloader = Reloader {
            load,
            settings,
            level: logs.level(),
            accounts: Arc::clone(&accounts),
            sites,
            front: Arc::clone(&front),
        };
        let _reloads = AbortOnDropHandle::new(tokio::spawn(reloader.run(hangup, asked)));
        // The port was bound long ago: whoever comes now is answered.
        service::ready();
        let stop = async {
            signals.stop().await;
            service::stopping();
        };
        http::serve(listener, front, stop).await?;
        accounts.finish().await;
        info!("stopped");
        Ok(())
    }
}

/// Opens the state, and does all for the accounts that can fail; it waits for the disk.
fn prepare(
    settings: &Settings,
    exposition: Arc<Exposition>,
) -> Result<(Arc<Accounts>, Change), Box<dyn Error + Send + Sync>> {
    let accounts = Arc::new(Accounts::open(exposition, settings.state.directory.as_deref())?);
    let change = accounts.prepare(settings)?;
    Ok((accounts, change))
}

/// Has the accounts supervised; gives whether they and the supervisor live.
fn supervised(accounts: &Arc<Accounts>) -> Health {
    let supervisor = AbortOnDropHandle::new(tokio::spawn(Arc::clone(accounts).supervise()));
    let accounts = Arc::clone(accounts);
    Arc::new(move || {
        if supervisor.is_finished() {
            return Err("the supervisor of the pollers has died; see the log".to_owned());
        }
        accounts.health()
    })
}

// === impl Signals ===

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Is done at the first signal; a second one ends the process at once.
    pub(super) async fn stop(mut self) {
        self.next().await;
        info!("stopping on a signal; a second one stops at once");
        tokio::spawn(async move {
            self.next().await;
            process::exit(ABORTED);
        });
    }

    /// Is done at the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
