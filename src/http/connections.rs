//! Connections: accepted, in TLS where the web config asks for it, and served with HTTP/1.1.
//!
//! Their number is bounded, and so is the time of each step. Without bounds, clients that connect and send nothing would
//! take the file descriptors that polls and the state need, or the place of Prometheus.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Front;

/// How many connections are open at once; more are closed. Half of the file descriptors that a process usually has.
const MAX_CONNECTIONS: usize = 512;

/// How many handshakes are in progress at once; others wait for their turn.
const MAX_HANDSHAKES: usize = 128;

/// How long a handshake may take, including the wait for its turn.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request, from the handshake or the previous response on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum size of the head of a request. With hyper's default, clients that have not logged in could make all
/// connections together hold 200 MB. It also limits how much of a response is buffered, but pages are written in one
/// piece.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long a response may wait for a client that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

/// How long responses may take after the stop, so that the process ends within two seconds.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The pause after a failed accept. Without file descriptors, every accept fails at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The response to plain HTTP on a TLS port.
const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                           this port speaks TLS; use https\n";

/// Accepts connections and serves them, as the current web config says.
#[derive(Debug)]
pub(super) struct Connections {
    front: Arc<Front>,
    http: http1::Builder,
    permits: Arc<Semaphore>,
    handshakes: Semaphore,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A connection, plain or in TLS, whose writes fail when its client does not read. It counts as open until it is dropped.
struct Connection {
    stream: Box<dyn Stream>,
    /// When the write that waits fails; none while no write waits.
    write_deadline: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

/// A stream of bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

/// HTTP/1.1 with the limits for heads.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    http
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(front: Arc<Front>) -> Arc<Self> {
        Arc::new(Self {
            front,
            http: http(),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Accepts connections until it is dropped, which closes the listener and no connection.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.tasks.spawn(Arc::clone(&self).serve(stream));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Closes all connections: those that wait for a request at once, others after their response or the timeout.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Some(Ok(connection)) = self.stop.run_until_cancelled(self.open(stream)).await else { return };
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(self.front.answer(request.map(Body::new)).await)
        });
        let mut served = pin!(self.http.serve_connection(TokioIo::new(connection), service));
        if self.stop.run_until_cancelled(served.as_mut()).await.is_none() {
            served.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN_TIMEOUT, served).await;
        }
    }

    async fn open(&self, stream: TcpStream) -> io::Result<Connection> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.try_acquire_owned().map_err(|_| io::ErrorKind::ConnectionAborted)?;
        // The end of a page must not wait for the client's delayed acknowledgement of its beginning (RFC 1122, 4.2.3.4).
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match self.front.gate().current().tls() {
            None => Box::new(stream),
            Some(tls) => Box::new(timeout(HANDSHAKE_TIMEOUT, self.handshake(tls, stream)).await??),
        };
        Ok(Connection::new(stream, permit))
    }

    async fn handshake(
        &self,
        tls: Arc<ServerConfig>,
        mut stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
        let mut first = [0];
        stream.peek(&mut first).await?;
        // The start of an HTTP method; TLS starts with 0x16.
        if first[0].is_ascii_uppercase() {
            stream.write_all(SPEAK_TLS).await?;
            stream.shutdown().await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        TlsAcceptor::from(tls).accept(stream).await
    }
}

// === impl Connection ===

impl Connection {
    fn new(stream: Box<dyn Stream>, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, write_deadline: None, _permit: permit }
    }

    /// The result of a write; an error if it has waited for too long.
    fn by_deadline<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.write_deadline = None;
            return write;
        }
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.by_deadline(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.by_deadline(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.by_deadline(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.by_deadline(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// === impl Stream ===

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use axum::response::Response;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    const CAPACITY: usize = 1_024;
    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A connection, and its client's end with room for `CAPACITY` bytes each way.
    fn connection() -> (Connection, DuplexStream, Arc<Semaphore>) {
        let (stream, client) = duplex(CAPACITY);
        let permits = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&permits).try_acquire_owned().expect("a permit must be free");
        (Connection::new(Box::new(stream), permit), client, permits)
    }

    /// Serves a page of `bytes` bytes on the connection until it is closed.
    fn serve(connection: Connection, bytes: usize) -> JoinHandle<hyper::Result<()>> {
        let page = move |_| ready(Ok::<_, Infallible>(Response::new(Body::from("x".repeat(bytes)))));
        tokio::spawn(http().serve_connection(TokioIo::new(connection), service_fn(page)))
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_send_no_complete_request_in_time_are_disconnected() {
        let head_timeout = HEAD_TIMEOUT.as_secs();
        for (sent, expected) in [
            ("", head_timeout),
            ("GET / HTTP/1.1\r\nhost:", head_timeout),
            (GET, head_timeout),
            (&format!("{GET}GET /"), head_timeout),
            // No page reads a body, so an incomplete one is not waited for.
            ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n", 0),
        ] {
            let (connection, mut client, permits) = connection();
            let begin = Instant::now();
            let served = serve(connection, 1);
            client.write_all(sent.as_bytes()).await.expect("there must be room");
            client.read_to_end(&mut Vec::new()).await.expect("the connection must be closed");
            assert_eq!(begin.elapsed().as_secs(), expected, "{sent}");
            let _ = served.await.expect("it must not panic");
            assert_eq!(permits.available_permits(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_fail_when_the_client_does_not_read_in_time() {
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
            let written = timeout(2 * WRITE_TIMEOUT, written).await.expect("the write must end");
            assert_eq!(written.expect_err("no client reads").kind(), io::ErrorKind::TimedOut);
            assert_eq!(begin.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_that_makes_progress_may_take_longer() {
        let (connection, mut client, _) = connection();
        let begin = Instant::now();
        let served = serve(connection, 8 * CAPACITY);
        client.write_all(GET.as_bytes()).await.expect("there must be room");
        let mut read = [0; CAPACITY];
        for _ in 0..8 {
            sleep(WRITE_TIMEOUT / 2).await;
            client.read_exact(&mut read).await.expect("the page must continue");
        }
        assert!(begin.elapsed() > 3 * WRITE_TIMEOUT);
        drop(client);
        let _ = served.await.expect("it must not panic");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_send_requests_and_read_no_response_are_disconnected() {
        let (connection, mut client, permits) = connection();
        let served = serve(connection, CAPACITY);
        // It fails when the connection is closed.
        let sent = timeout(2 * WRITE_TIMEOUT, client.write_all(GET.repeat(10_000).as_bytes())).await;
        assert!(sent.expect("it must be disconnected").is_err());
        assert!(served.await.expect("it must not panic").is_err());
        assert_eq!(permits.available_permits(), 1);
    }
}
