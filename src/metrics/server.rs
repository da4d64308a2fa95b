//! Families about the process as a server: its log, its faults, and refused TLS handshakes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::family::Family;

/// Reads how many lines of the log were dropped.
pub(super) type DroppedLines = Box<dyn Fn() -> u64 + Send + Sync>;

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client refused the server's certificate, or what the server speaks.
    Alert,
    /// The client's certificate was refused.
    BadCertificate,
    /// The client closed the connection.
    Closed,
    /// The client has no version, cipher suite or curve in common with the server.
    Incompatible,
    /// The client showed no certificate, and must.
    NoCertificate,
    /// The client spoke plain HTTP.
    PlainHttp,
    /// The client does not speak TLS.
    Protocol,
    /// The handshake took too long.
    Timeout,
}

/// What the process counts as a server.
#[derive(Default)]
pub(super) struct ServerFamilies {
    panics: AtomicU64,
    handshake_failures: [AtomicU64; HandshakeFailure::ALL.len()],
    dropped_lines: OnceLock<DroppedLines>,
}

// === impl HandshakeFailure ===

impl HandshakeFailure {
    /// All of them, in the order in which they are published.
    pub const ALL: [Self; 8] = [
        Self::Alert,
        Self::BadCertificate,
        Self::Closed,
        Self::Incompatible,
        Self::NoCertificate,
        Self::PlainHttp,
        Self::Protocol,
        Self::Timeout,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::BadCertificate => "bad_certificate",
            Self::Closed => "closed",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no_certificate",
            Self::PlainHttp => "plain_http",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
        }
    }
}

// === impl ServerFamilies ===

impl ServerFamilies {
    pub(super) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_handshake_failure(&self, failure: HandshakeFailure) {
        self.handshake_failures[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_dropped_lines(&self, dropped: DroppedLines) {
        // Only a second log would find it set.
        let _ = self.dropped_lines.set(dropped);
    }

    pub(super) fn write(&self, page: &mut String) {
        let mut panics = Family::counter(
            "clumio_exporter_http_panics_total",
            "Requests that were answered with 500 because of a fault of the exporter; the log has it.",
        );
        panics.add(&[], self.panics.load(Ordering::Relaxed) as f64);
        panics.write(page);
        let mut handshakes = Family::counter(
            "clumio_exporter_tls_handshake_failures_total",
            "TLS handshakes of clients of the exporter that failed, by reason.",
        );
        for (failure, count) in HandshakeFailure::ALL.iter().zip(&self.handshake_failures) {
            handshakes.add(&[("reason", failure.as_str())], count.load(Ordering::Relaxed) as f64);
        }
        handshakes.write(page);
        let Some(dropped) = self.dropped_lines.get() else { return };
        let mut lines = Family::counter(
            "clumio_exporter_log_lines_dropped_total",
            "Lines of the log that were dropped: standard error was not read in time, or a library logged too much.",
        );
        lines.add(&[], dropped() as f64);
        lines.write(page);
    }
}
