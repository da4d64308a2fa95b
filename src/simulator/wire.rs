//! Answers that break below HTTP: a body that fails makes the server drop its connection at that point, and
//! a socket that does not linger makes the drop a reset.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Response};
use axum::serve::IncomingStream;
use futures::stream::{self, StreamExt};
use socket2::{SockRef, Socket};
use tokio::net::TcpListener;

/// How long the first half of a body that is cut has to leave before the connection does.
const HALF: Duration = Duration::from_millis(20);

/// A second handle of a connection's socket, by which a request can have it reset.
#[derive(Debug, Clone)]
pub(super) struct Connection(Option<Arc<Socket>>);

// === impl Connection ===

impl Connection {
    /// Has the connection reset, not closed, as soon as it is dropped.
    pub(super) fn reset_when_dropped(&self) {
        if let Some(socket) = &self.0 {
            // Where the system does not allow it, the connection is closed: a broken one all the same.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(SockRef::from(stream.io()).try_clone().ok().map(Arc::new))
    }
}

/// An answer of which nothing is sent: its body fails before the head has left.
pub(super) fn nothing() -> Response<Body> {
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(broken())])))
}

/// The answer with the first half of `body`, under the length of all of it.
pub(super) fn cut(mut answer: Response<()>, body: &Bytes) -> Response<Body> {
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let end = stream::once(async {
        tokio::time::sleep(HALF).await;
        Err(broken())
    });
    answer.map(|()| Body::from_stream(half.chain(end)))
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}
