//! Responses that are being sent: in pieces, so that one is not buffered whole for a client that does not read, and within a
//! budget for all clients together.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::open::{Holding, OpenConnection, OpenConnections};
use super::super::slots::Slot;

/// The bytes that a connection takes at once.
const PIECE_BYTES: usize = 16 << 10;

/// What all responses together may have that is not sent, in KiB. A larger one is sent when no other is.
const MAX_UNSENT_KIB: u32 = 8 << 10;

/// How long a response waits for room.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How often a response that waits looks for another one that is not read.
const PAUSE: Duration = Duration::from_millis(50);

/// The room for responses.
#[derive(Debug)]
pub(super) struct Unsent {
    room: Arc<Semaphore>,
    connections: Arc<OpenConnections>,
}

/// The body of a response that is being sent.
struct SentBody {
    body: Body,
    /// The part of a frame that is to be sent.
    rest: Bytes,
    connection: Arc<OpenConnection>,
    _room: Option<OwnedSemaphorePermit>,
}

// === impl Unsent ===

impl Unsent {
    pub(super) fn new(connections: Arc<OpenConnections>) -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_UNSENT_KIB as usize)), connections }
    }

    /// The response as it is sent, once there is room for it; else 503. Its slot is held until it is sent.
    pub(super) async fn send(&self, mut response: Response, connection: &Arc<OpenConnection>) -> Response {
        let slot = response.extensions_mut().remove::<Slot>();
        let bytes = response.body().size_hint().upper().unwrap_or(u64::MAX);
        let kib = u32::try_from(bytes / 1_024).unwrap_or(MAX_UNSENT_KIB).min(MAX_UNSENT_KIB);
        let room = if kib == 0 { None } else { self.reserve(kib).await };
        if kib > 0 && room.is_none() {
            let message = "too many responses that are not read; try again\n";
            return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
        }
        connection.begin_response(slot, room.is_some());
        let connection = Arc::clone(connection);
        response.map(|body| Body::new(SentBody { body, rest: Bytes::new(), connection, _room: room }))
    }

    async fn reserve(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        let mut turn = pin!(Arc::clone(&self.room).acquire_many_owned(kib));
        let end = Instant::now() + MAX_WAIT;
        loop {
            match timeout(PAUSE, turn.as_mut()).await {
                Ok(reserved) => return reserved.ok(),
                Err(_) if Instant::now() >= end => return None,
                Err(_) => _ = self.connections.close_stalled(Holding::Room),
            }
        }
    }
}

// === impl SentBody ===

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = PIECE_BYTES.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.connection.end_response();
    }
}
