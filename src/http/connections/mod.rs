//! Connections: accepted, in TLS where the web config asks for it, and served with HTTP/1.1.
//!
//! Their number is bounded ([`registry`](super::registry)), and so are the time of each step and what is not sent yet
//! ([`response`]). Without bounds, clients that connect and send nothing would take the file descriptors that polls and the
//! state need, or the connection of Prometheus.

mod handshake;
mod response;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::handshake::Handshakes;
use self::response::ResponseBudget;
use self::stream::{Bytes, Stream};
use super::Front;
use super::access::Access;
use super::registry::{ConnectionGuard, RegisteredConnection};

/// How long a client may take to send the head of a request, from the handshake or the previous response on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum size of the head of a request. With hyper's default, clients that have not logged in could make all
/// connections together hold 200 MB. It also limits how much of a response is buffered, but pages are written in one
/// piece.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long responses may take after the stop, so that the process ends within two seconds.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The pause after a failed accept. Without file descriptors, every accept fails at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and serves them, as the current web config says.
#[derive(Debug)]
pub(super) struct Connections {
    front: Arc<Front>,
    http: http1::Builder,
    handshakes: Handshakes,
    budget: ResponseBudget,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// HTTP/1.1 with the limits for heads.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    http
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(front: Arc<Front>) -> Arc<Self> {
        let budget = ResponseBudget::new(Arc::clone(front.connections()));
        let handshakes = Handshakes::new(Arc::clone(front.exposition()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Arc::new(Self { front, http: http(), handshakes, budget, stop, tasks })
    }

    /// Accepts connections until it is dropped, which closes the listener and no connection.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => {
                    let guard = self.front.connections().add(client.ip());
                    self.tasks.spawn(Arc::clone(&self).keep(stream, guard));
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

    /// Serves a connection until it ends or the registry closes it for another one.
    async fn keep(self: Arc<Self>, stream: TcpStream, guard: ConnectionGuard) {
        tokio::select! {
            () = self.serve(stream, guard.connection()) => {}
            () = guard.evicted() => {}
        }
    }

    async fn serve(&self, stream: TcpStream, connection: &Arc<RegisteredConnection>) {
        let access = self.front.gate().current();
        let opened = self.stop.run_until_cancelled(self.open(stream, &access, connection.source().0)).await;
        let Some(Ok(bytes)) = opened else { return };
        let service = service_fn(async |mut request: Request<Incoming>| {
            connection.note_request();
            request.extensions_mut().insert(connection.source());
            let mut response = self.front.answer(request.map(Body::new)).await;
            self.expire(&access, &mut response);
            Ok::<_, Infallible>(self.budget.send(response, connection).await)
        });
        let stream = TokioIo::new(Stream::new(bytes, Arc::clone(connection)));
        let mut served = pin!(self.http.serve_connection(stream, service));
        if self.stop.run_until_cancelled(served.as_mut()).await.is_none() {
            served.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN_TIMEOUT, served).await;
        }
    }

    /// The bytes of a connection, after the handshake if the web config asks for one.
    async fn open(&self, stream: TcpStream, access: &Access, source: IpAddr) -> io::Result<Box<dyn Bytes>> {
        // The end of a page must not wait for the client's delayed acknowledgement of its beginning (RFC 1122, 4.2.3.4).
        stream.set_nodelay(true)?;
        Ok(match access.tls() {
            None => Box::new(stream),
            Some(tls) => Box::new(self.handshakes.perform(tls, stream, source).await?),
        })
    }

    /// Ends the connection with this response if another web config is in use than when it was opened: its client would
    /// have to show another certificate, or speak TLS.
    fn expire(&self, access: &Arc<Access>, response: &mut Response<Body>) {
        if !Arc::ptr_eq(access, &self.front.gate().current()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::super::registry::ConnectionRegistry;
    use super::super::slots::{SlotKind, Slots};
    use super::stream::WRITE_TIMEOUT;
    use super::*;

    const CAPACITY: usize = 1_024;
    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// The slots of a server, of which there is one.
    fn slots() -> (Arc<ConnectionRegistry>, Arc<Slots>) {
        let connections = Arc::<ConnectionRegistry>::default();
        let slots = Slots::new(SlotKind::Scrape, 1, Arc::clone(&connections));
        (connections, Arc::new(slots))
    }

    /// A connection, and its client's end with room for `CAPACITY` bytes each way.
    fn connection(connections: &Arc<ConnectionRegistry>) -> (Stream, ConnectionGuard, DuplexStream) {
        let (stream, client) = duplex(CAPACITY);
        let guard = connections.add(Ipv4Addr::LOCALHOST.into());
        (Stream::new(Box::new(stream), Arc::clone(guard.connection())), guard, client)
    }

    /// Serves a page of `bytes` bytes on the connection until it is closed; 503 while there is no slot.
    fn serve(
        (connections, slots): &(Arc<ConnectionRegistry>, Arc<Slots>),
        (stream, guard): (Stream, ConnectionGuard),
        bytes: usize,
    ) -> JoinHandle<hyper::Result<()>> {
        let (budget, slots) = (ResponseBudget::new(Arc::clone(connections)), Arc::clone(slots));
        tokio::spawn(async move {
            let service = service_fn(async |_| {
                let slot = slots.take(guard.connection().source().0).await;
                let body = if slot.is_some() { "x".repeat(bytes) } else { "busy".to_owned() };
                let mut response = Response::new(Body::from(body));
                slot.map(|slot| response.extensions_mut().insert(slot));
                Ok::<_, Infallible>(budget.send(response, guard.connection()).await)
            });
            tokio::select! {
                served = http().serve_connection(TokioIo::new(stream), service) => served,
                () = guard.evicted() => Ok(()),
            }
        })
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
            let slots = slots();
            let (stream, guard, mut client) = connection(&slots.0);
            let begin = Instant::now();
            let served = serve(&slots, (stream, guard), 1);
            client.write_all(sent.as_bytes()).await.expect("there must be room");
            client.read_to_end(&mut Vec::new()).await.expect("the connection must be closed");
            assert_eq!(begin.elapsed().as_secs(), expected, "{sent}");
            let _ = served.await.expect("it must not panic");
            assert_eq!(slots.1.free().available_permits(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_fail_when_the_client_does_not_read_in_time() {
        let slices = [IoSlice::new(b"x"), IoSlice::new(b"y")];
        for is_vectored in [false, true] {
            let (mut stream, _place, _client) = connection(&Arc::default());
            stream.write_all(&[0; CAPACITY]).await.expect("there must be room");
            let begin = Instant::now();
            let written = async {
                if is_vectored { stream.write_vectored(&slices).await } else { stream.write(b"x").await }
            };
            let written = timeout(2 * WRITE_TIMEOUT, written).await.expect("the write must end");
            assert_eq!(written.expect_err("no client reads").kind(), io::ErrorKind::TimedOut);
            assert_eq!(begin.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_that_makes_progress_may_take_longer_and_holds_its_slot_until_it_ends() {
        let slots = slots();
        let (stream, guard, mut client) = connection(&slots.0);
        let begin = Instant::now();
        let served = serve(&slots, (stream, guard), 8 * CAPACITY);
        client.write_all(GET.as_bytes()).await.expect("there must be room");
        let mut read = [0; CAPACITY];
        for _ in 0..8 {
            sleep(WRITE_TIMEOUT / 2).await;
            assert_eq!(slots.1.free().available_permits(), 0);
            client.read_exact(&mut read).await.expect("the page must continue");
        }
        assert!(begin.elapsed() > 3 * WRITE_TIMEOUT);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(slots.1.free().available_permits(), 1, "it is sent but for what the client has room for");
        drop(client);
        let _ = served.await.expect("it must not panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_disconnected_when_another_one_needs_its_slot() {
        let slots = slots();
        let (stream, guard, mut slow) = connection(&slots.0);
        let unread = serve(&slots, (stream, guard), 64 * CAPACITY);
        slow.write_all(GET.as_bytes()).await.expect("there must be room");
        sleep(Duration::from_secs(1)).await;

        let (stream, guard, mut client) = connection(&slots.0);
        let begin = Instant::now();
        let served = serve(&slots, (stream, guard), 2);
        client.write_all(GET.as_bytes()).await.expect("there must be room");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("it must be answered");
        assert!(answer.ends_with(b"\r\n\r\nxx"), "{answer:?}");
        assert_eq!(
            begin.elapsed().as_secs(),
            HEAD_TIMEOUT.as_secs(),
            "the rest is the wait for another request"
        );
        assert!(unread.await.is_ok() && served.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_send_requests_and_read_no_response_are_disconnected() {
        let slots = slots();
        let (stream, guard, mut client) = connection(&slots.0);
        let served = serve(&slots, (stream, guard), CAPACITY);
        // It fails when the connection is closed.
        let sent = timeout(2 * WRITE_TIMEOUT, client.write_all(GET.repeat(10_000).as_bytes())).await;
        assert!(sent.expect("it must be disconnected").is_err());
        assert!(served.await.expect("it must not panic").is_err());
        assert_eq!(slots.1.free().available_permits(), 1);
    }
}
