//! The daemon: binds, polls, serves, and stops on a signal.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::accounts::Accounts;
use crate::exposition::Exposition;
use crate::settings::Settings;
use crate::web::{self, Site};

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
    settings: Settings,
    signals: Signals,
    listener: TcpListener,
}

// === impl Daemon ===

impl Daemon {
    /// Binds before anything else is done, so that a taken port fails the start and nothing else.
    pub(super) fn bind(settings: Settings) -> io::Result<Self> {
        let signals = Signals::new()?;
        let listener = web::listen(&settings.web.listen_address)?;
        Ok(Self { settings, signals, listener })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Polls and serves until a signal.
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { settings, signals, listener } = self;
        let exposition = Arc::new(Exposition::new());
        let accounts = Accounts::new(&settings, &exposition)?;
        info!(
            version = env!("CARGO_PKG_VERSION"),
            address = %listener.local_addr()?,
            path = settings.web.telemetry_path,
            accounts = settings.accounts.len(),
            "serving"
        );
        let running = accounts.spawn();
        let site = Site {
            exposition,
            telemetry_path: settings.web.telemetry_path,
            max_requests: settings.web.max_requests,
            is_healthy: Box::new(move || running.are_alive()),
        };
        web::serve(listener, site, signals.stop()).await?;
        info!("stopped");
        Ok(())
    }
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
