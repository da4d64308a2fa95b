//! What happens to a connection before HTTP: TLS where the web config says so, in a bounded time and a bounded number; and
//! its end when nothing happens any more.
//!
//! Without bounds, clients that connect and say nothing would take the descriptors that polls and the state need, or the
//! place of Prometheus.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Gate;

/// How many connections are open at once; more are closed. Half of the descriptors that a process usually has.
const MOST_CONNECTIONS: usize = 512;

/// How many handshakes are under way at once; others wait for their turn.
const MOST_HANDSHAKES: usize = 128;

/// How long a handshake may take, with the wait for its turn.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be silent. HTTP/1 has a bound of its own for the next request; nothing else bounds HTTP/2,
/// whose clients keep connections open for as long as they can.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// The first byte that a client sends who wants TLS: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What a client is told who speaks plain HTTP where TLS is spoken.
const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                           this port speaks TLS; use https\n";

/// Makes connections out of accepted sockets, as the web config that is current says.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    gate: Arc<Gate>,
    open: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// A connection, plain or in TLS. It counts for as long as it is there.
pub(super) struct Connection {
    stream: Stream,
    /// When it has been silent for too long.
    idle: Pin<Box<Sleep>>,
    _open: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { gate, open: semaphore(MOST_CONNECTIONS), handshakes: semaphore(MOST_HANDSHAKES) }
    }

    async fn open(self, stream: TcpStream) -> io::Result<Connection> {
        let open = self.open.try_acquire_owned().map_err(|_| io::ErrorKind::ConnectionAborted)?;
        let stream = match self.gate.current().tls() {
            None => Stream::Plain(stream),
            Some(tls) => {
                let handshake = handshake(tls, stream, self.handshakes);
                Stream::Tls(Box::new(timeout(HANDSHAKE_TIMEOUT, handshake).await??))
            }
        };
        Ok(Connection::new(stream, open))
    }
}

async fn handshake(
    tls: Arc<ServerConfig>,
    mut stream: TcpStream,
    turns: Arc<Semaphore>,
) -> io::Result<TlsStream<TcpStream>> {
    let _turn = turns.acquire().await.map_err(io::Error::other)?;
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() && first[0] != HANDSHAKE_RECORD {
        stream.write_all(SPEAK_TLS).await?;
        stream.shutdown().await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    TlsAcceptor::from(tls).accept(stream).await
}

impl<S: Send + 'static> Accept<TcpStream, S> for Connections {
    type Stream = Connection;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let connections = self.clone();
        async move { Ok((connections.open(stream).await?, service)) }.boxed()
    }
}

// === impl Connection ===

impl Connection {
    fn new(stream: Stream, open: OwnedSemaphorePermit) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE_TIMEOUT)), _open: open }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let read = match &mut connection.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        };
        if read.is_ready() {
            connection.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
            return read;
        }
        connection.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_silent_for_too_long_is_closed_and_its_place_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port must be free");
        let address = listener.local_addr().expect("it must have an address");
        let mut client = TcpStream::connect(address).await.expect("it must connect");
        let (stream, _) = listener.accept().await.expect("it must be accepted");
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("there must be a place");
        let mut connection = Connection::new(Stream::Plain(stream), place);
        let mut byte = [0];
        for _ in 0..3 {
            // Whatever comes begins the time anew.
            sleep(IDLE_TIMEOUT / 2).await;
            client.write_all(b"x").await.expect("it must be sent");
            connection.read_exact(&mut byte).await.expect("it must not be closed yet");
        }
        let begin = Instant::now();
        let error = connection.read(&mut byte).await.expect_err("nothing more comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() >= IDLE_TIMEOUT);
        drop(connection);
        assert_eq!(places.available_permits(), 1);
    }
}
