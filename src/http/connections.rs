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

/// How long a connection may be silent, and how long what is sent may wait for a client that reads nothing. HTTP/1 has a
/// bound of its own for the next request; nothing else bounds HTTP/2, whose clients keep connections open for as long as
/// they can. No common scrape interval is as long, so that no scrape meets the end of its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

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
    stream: Box<dyn Stream>,
    /// When nothing has gone either way for too long.
    idle: Pin<Box<Sleep>>,
    _open: OwnedSemaphorePermit,
}

/// What bytes go through, both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

// === impl Connections ===

impl Connections {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { gate, open: semaphore(MOST_CONNECTIONS), handshakes: semaphore(MOST_HANDSHAKES) }
    }

    async fn open(self, stream: TcpStream) -> io::Result<Connection> {
        let open = self.open.try_acquire_owned().map_err(|_| io::ErrorKind::ConnectionAborted)?;
        // The end of a page must not wait for the client's delayed acknowledgement of its beginning (RFC 1122, 4.2.3.4).
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match self.gate.current().tls() {
            None => Box::new(stream),
            Some(tls) => {
                let handshake = handshake(tls, stream, self.handshakes);
                Box::new(timeout(HANDSHAKE_TIMEOUT, handshake).await??)
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
    fn new(stream: Box<dyn Stream>, open: OwnedSemaphorePermit) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE_TIMEOUT)), _open: open }
    }

    /// Begins the time anew.
    fn restart_idle(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
    }

    /// What was done; an error if it waits and has done so for too long. A client that asks and never reads makes the
    /// writing wait, while nobody reads what more it sends.
    fn or_idle<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match done {
            Poll::Ready(_) => done,
            Poll::Pending => self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.restart_idle();
        }
        self.or_idle(cx, written)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() {
            self.restart_idle();
        }
        self.or_idle(cx, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_idle(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_idle(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// === impl Stream ===

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    const CAPACITY: usize = 1_024;

    /// A connection with the client's end of it, between which so many bytes may be under way.
    fn connection() -> (Connection, DuplexStream, Arc<Semaphore>) {
        let (stream, client) = duplex(CAPACITY);
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("there must be a place");
        (Connection::new(Box::new(stream), place), client, places)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_silent_for_too_long_is_closed_and_its_place_is_free() {
        let (mut connection, mut client, places) = connection();
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

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_for_too_long_is_cut_off_however_it_is_written_to() {
        let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
        for is_vectored in [false, true] {
            let (mut connection, _client, _) = connection();
            connection.write_all(&[0; CAPACITY]).await.expect("there must be room");
            let begin = Instant::now();
            let written = async {
                if is_vectored {
                    connection.write_vectored(&slices).await
                } else {
                    connection.write(b"x").await
                }
            };
            let written = timeout(2 * IDLE_TIMEOUT, written).await.expect("it must not go on for ever");
            assert_eq!(written.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
            assert_eq!(begin.elapsed().as_secs(), IDLE_TIMEOUT.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_that_gets_on_may_take_longer_than_a_silent_connection() {
        let (mut connection, mut client, _) = connection();
        let begin = Instant::now();
        let page = [0; 8 * CAPACITY];
        let reads = async {
            let mut read = [0; CAPACITY];
            for _ in 0..8 {
                sleep(IDLE_TIMEOUT / 2).await;
                client.read_exact(&mut read).await.expect("it must not be cut off");
            }
        };
        // As a server does: it also looks whether the client has something to say.
        let (mut from, mut to) = tokio::io::split(&mut connection);
        let mut byte = [0];
        tokio::select! {
            read = from.read(&mut byte) => panic!("the client says nothing: {read:?}"),
            (written, ()) = async { tokio::join!(to.write_all(&page), reads) } => {
                written.expect("it must be sent");
            }
        }
        assert!(begin.elapsed() > 3 * IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_whose_answers_nobody_reads_do_not_hold_a_place() {
        let (connection, mut client, places) = connection();
        let router = Router::new().route("/", get(async || "x".repeat(CAPACITY)));
        let served = tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(router);
            builder
                .serve_connection(TokioIo::new(connection), service)
                .await
                .map_err(|error| error.to_string())
        });
        let requests = "GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10_000);
        // It fails when the connection is closed.
        let sent = timeout(2 * IDLE_TIMEOUT, client.write_all(requests.as_bytes())).await;
        assert!(sent.expect("it must not go on for ever").is_err());
        assert!(served.await.expect("it must not panic").is_err());
        assert_eq!(places.available_permits(), 1);
    }
}
