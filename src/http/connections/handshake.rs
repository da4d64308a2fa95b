//! TLS handshakes, and why they fail.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::{Error as TlsError, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;

use super::super::per_source::PerSource;
use crate::metrics::{Exposition, HandshakeFailure};

/// How long a handshake may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes in progress, of all clients and of one source. Each can make TLS buffer 64 KiB.
const MAX_HANDSHAKES: usize = 128;
const MAX_PER_SOURCE: usize = 32;

/// How often a reason is logged: clients can fail as often as they like.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The response to plain HTTP on a TLS port.
const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                           this port speaks TLS; use https\n";

/// Performs handshakes, and counts and logs those that fail.
#[derive(Debug)]
pub(super) struct Handshakes {
    exposition: Arc<Exposition>,
    in_progress: Semaphore,
    per_source: PerSource,
    /// When each reason was logged last.
    logged: Mutex<[Option<Instant>; HandshakeFailure::ALL.len()]>,
}

// === impl Handshakes ===

impl Handshakes {
    pub(super) fn new(exposition: Arc<Exposition>) -> Self {
        let (in_progress, per_source) = (Semaphore::new(MAX_HANDSHAKES), PerSource::new(MAX_PER_SOURCE));
        Self { exposition, in_progress, per_source, logged: Mutex::default() }
    }

    /// Performs a handshake once the client has sent something.
    pub(super) async fn perform(
        &self,
        tls: Arc<ServerConfig>,
        stream: TcpStream,
        source: IpAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let client = stream.peer_addr().ok();
        let result = timeout(TIMEOUT, self.handshake(tls, stream, source))
            .await
            .unwrap_or_else(|late| Err(late.into()));
        if let Err(error) = &result {
            let failure = reason(error);
            self.exposition.count_handshake_failure(failure);
            // A load balancer that only connects is no news.
            if failure != HandshakeFailure::Closed && self.is_to_be_logged(failure) {
                let client = client.map(|client| client.to_string());
                warn!(client, reason = failure.as_str(), %error, "a TLS handshake failed; more of this reason are logged once a minute");
            }
        }
        result
    }

    async fn handshake(
        &self,
        tls: Arc<ServerConfig>,
        mut stream: TcpStream,
        source: IpAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        // The start of an HTTP method; TLS starts with 0x16.
        if first[0].is_ascii_uppercase() {
            stream.write_all(SPEAK_TLS).await?;
            stream.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the client speaks plain HTTP"));
        }
        let _of_source = self.per_source.acquire(source).await;
        let _of_all = self.in_progress.acquire().await.map_err(io::Error::other)?;
        TlsAcceptor::from(tls).accept(stream).await
    }

    fn is_to_be_logged(&self, failure: HandshakeFailure) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = &mut logged[failure as usize];
        let is_due = last.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

fn reason(error: &io::Error) -> HandshakeFailure {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match (error.kind(), of_tls) {
        (_, Some(TlsError::NoCertificatesPresented)) => HandshakeFailure::NoCertificate,
        (_, Some(TlsError::InvalidCertificate(_))) => HandshakeFailure::BadCertificate,
        (_, Some(TlsError::PeerIncompatible(_))) => HandshakeFailure::Incompatible,
        (_, Some(TlsError::AlertReceived(_))) => HandshakeFailure::Alert,
        (_, Some(_)) => HandshakeFailure::Protocol,
        (io::ErrorKind::TimedOut, None) => HandshakeFailure::Timeout,
        (io::ErrorKind::InvalidInput, None) => HandshakeFailure::PlainHttp,
        _ => HandshakeFailure::Closed,
    }
}
