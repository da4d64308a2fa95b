//! Logs: on standard error, as logfmt or JSON.
//!
//! The level is the exporter's own. Libraries log from warnings on only: their debug output shows requests whole, and
//! a log must never show the token.

use std::io;
use std::panic;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat, LogLevel};

/// The level of the log, which can be changed while the process runs.
#[derive(Debug, Clone)]
pub(super) struct Level(Handle<Targets, Registry>);

/// Starts to log; once in a process.
pub(super) fn init(log: Log) -> Level {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Logfmt => Box::new(tracing_logfmt::builder().layer().with_writer(io::stderr)),
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(io::stderr)),
    };
    // Only a second call fails, and then logs are set up already.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, message = panic.payload_as_str(), "panic");
    }));
    Level(handle)
}

// === impl Level ===

impl Level {
    /// Logs from `level` on.
    pub(super) fn set(&self, level: LogLevel) {
        // It fails only where no log was set up.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(of_exporter: LogLevel) -> Targets {
    let of_exporter = level(of_exporter);
    Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), of_exporter)
        .with_default(of_exporter.min(LevelFilter::WARN))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
