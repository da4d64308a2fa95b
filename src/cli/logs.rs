//! Logs: on standard error, as logfmt or JSON.
//!
//! The level is the exporter's own. Libraries log from warnings on only: their debug output shows requests whole, and
//! a log must never show the token.

use std::io;
use std::panic;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::settings::{Log, LogFormat, LogLevel};

/// Starts to log; once in a process.
pub(super) fn init(log: Log) {
    let filter = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level(log.level))
        .with_default(level(log.level).min(LevelFilter::WARN));
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
