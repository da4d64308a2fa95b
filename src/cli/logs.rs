//! Logs: on standard error, as logfmt or JSON.
//!
//! The level is the exporter's own. Libraries log from warnings on only: their debug output shows requests with their
//! headers, and a log must never show the token. As clients can provoke them, their warnings are limited in number.
//!
//! Logging never blocks: lines wait in memory for a thread that writes them. If the reader of standard error does not keep
//! up, lines are dropped and counted.

use std::io;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat, LogLevel};

/// Lines that wait to be written at most, some 200 KiB.
const MAX_WAITING_LINES: usize = 1_024;

/// Lines of libraries that are written in each period.
const MAX_LIBRARY_LINES: u32 = 10;
const PERIOD: Duration = Duration::from_mins(1);

/// How long the last lines may take at the end of the process.
const EXIT_TIME: Duration = Duration::from_millis(1_200);

const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The log of the process. When it is dropped, waiting lines are written, for about a second at most.
pub(super) struct Logs {
    level: Level,
    dropped: DroppedLines,
    /// Writes what waits when it is dropped.
    writer: Option<WorkerGuard>,
}

/// The level of the log, which can be changed while the process runs.
#[derive(Debug, Clone)]
pub(super) struct Level(Handle<Targets, Registry>);

/// How many lines were dropped.
#[derive(Debug, Clone)]
pub(super) struct DroppedLines {
    by_writer: ErrorCounter,
    of_libraries: Arc<AtomicU64>,
}

/// Limits the lines of libraries.
#[derive(Debug, Default)]
struct LibraryLimit {
    period: Mutex<Option<(Instant, u32)>>,
    dropped: Arc<AtomicU64>,
}

/// Starts to log; once in a process.
pub(super) fn init(log: Log) -> Logs {
    let writer = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_WAITING_LINES);
    let (writer, guard) = writer.thread_name("log").finish(io::stderr());
    let limit = LibraryLimit::default();
    let dropped =
        DroppedLines { by_writer: writer.error_counter(), of_libraries: Arc::clone(&limit.dropped) };
    let (filter, handle) = reload::Layer::new(filter(log.level));
    // Only a second call fails, and then logs are set up already.
    let _ = tracing_subscriber::registry()
        .with(layer(log.format, writer).with_filter(limit).with_filter(filter))
        .try_init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, message = panic.payload_as_str(), "panic");
    }));
    Logs { level: Level(handle), dropped, writer: Some(guard) }
}

fn layer(format: LogFormat, writer: NonBlocking) -> Box<dyn Layer<Registry> + Send + Sync> {
    match format {
        LogFormat::Logfmt => Box::new(tracing_logfmt::builder().layer().with_writer(writer)),
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(writer)),
    }
}

fn filter(of_exporter: LogLevel) -> Targets {
    let of_exporter = level(of_exporter);
    Targets::new().with_target(OWN_TARGET, of_exporter).with_default(of_exporter.min(LevelFilter::WARN))
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

// === impl Logs ===

impl Logs {
    pub(super) fn level(&self) -> Level {
        self.level.clone()
    }

    pub(super) fn dropped(&self) -> DroppedLines {
        self.dropped.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let writer = self.writer.take();
        within_exit_time(move || drop(writer));
    }
}

/// Does something that waits for the reader of standard error or output, but not for longer than a process may take to end.
pub(super) fn within_exit_time(write: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let write = move || {
        write();
        // It fails only if the process has stopped waiting.
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = receiver.recv_timeout(EXIT_TIME);
    }
}

// === impl Level ===

impl Level {
    /// Logs from `level` on.
    pub(super) fn set(&self, level: LogLevel) {
        // It fails only where no log was set up.
        let _ = self.0.reload(filter(level));
    }
}

// === impl DroppedLines ===

impl DroppedLines {
    /// How many lines were dropped since the start.
    pub(super) fn count(&self) -> u64 {
        self.by_writer.dropped_lines() as u64 + self.of_libraries.load(Ordering::Relaxed)
    }
}

// === impl LibraryLimit ===

impl LibraryLimit {
    /// Whether one more line is within the limit.
    fn takes(&self, now: Instant) -> bool {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        let (begin, lines) =
            period.filter(|(begin, _)| now.duration_since(*begin) < PERIOD).unwrap_or((now, 0));
        let is_taken = lines < MAX_LIBRARY_LINES;
        *period = Some((begin, lines + u32::from(is_taken)));
        if !is_taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }
}

impl<S: Subscriber> Filter<S> for LibraryLimit {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() || metadata.target().starts_with(OWN_TARGET) || self.takes(Instant::now())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target().starts_with(OWN_TARGET) { Interest::always() } else { Interest::sometimes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that counts lines.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicU64>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(u64::from(bytes.ends_with(b"\n")), Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_warnings_of_libraries_are_limited_and_counted() {
        let (lines, limit) = (Lines::default(), LibraryLimit::default());
        let (dropped, writer) = (Arc::clone(&limit.dropped), lines.clone());
        let layer = fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry()
            .with(layer.with_filter(limit).with_filter(filter(LogLevel::Debug)));
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..30 {
                tracing::debug!(target: "hyper", "below the level of libraries");
                tracing::warn!(target: "hyper", "provoked by a client");
                tracing::info!(target: OWN_TARGET, "of the exporter");
            }
        });
        assert_eq!(lines.0.load(Ordering::Relaxed), 10 + 30);
        assert_eq!(dropped.load(Ordering::Relaxed), 20);
    }

    #[test]
    fn libraries_have_ten_lines_a_minute() {
        let (limit, start) = (LibraryLimit::default(), Instant::now());
        let taken =
            |seconds: u64| (0..20).filter(|_| limit.takes(start + Duration::from_secs(seconds))).count();
        assert_eq!([taken(0), taken(59), taken(60), taken(119), taken(500)], [10, 0, 10, 0, 10]);
        assert_eq!(limit.dropped.load(Ordering::Relaxed), 70);
    }
}
