//! Responses that are being sent: in pieces, so that one is not buffered whole for a client that does not read, and within a
//! budget for all clients together.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::registry::{ConnectionRegistry, HeldResource, RegisteredConnection};
use super::super::slots::Slot;

/// The bytes that a connection takes at once.
const PIECE_BYTES: usize = 16 << 10;

/// What all responses together may have that is not sent, in KiB. A larger one is sent when no other is.
const MAX_UNSENT_KIB: u32 = 8 << 10;

/// How long a response waits for room.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How often a response that waits looks for another one that is not read.
const PAUSE: Duration = Duration::from_millis(50);

/// Limits the bytes of responses that are not sent yet.
#[derive(Debug)]
pub(super) struct ResponseBudget {
    room: Arc<Semaphore>,
    connections: Arc<ConnectionRegistry>,
}

/// The body of a response that is being sent.
struct BudgetedBody {
    body: Body,
    /// The part of a frame that is to be sent.
    rest: Bytes,
    connection: Arc<RegisteredConnection>,
    _room: Option<OwnedSemaphorePermit>,
}

/// The response in place of one for which there is no room, with the headers of the web config and the connection.
fn refusal(response: &Response) -> Response {
    let message = "too many responses that are not read; try again\n";
    let mut refusal = (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    let about_body = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH];
    for (name, value) in response.headers().iter().filter(|(name, _)| !about_body.contains(name)) {
        refusal.headers_mut().insert(name.clone(), value.clone());
    }
    refusal
}

// === impl ResponseBudget ===

impl ResponseBudget {
    pub(super) fn new(connections: Arc<ConnectionRegistry>) -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_UNSENT_KIB as usize)), connections }
    }

    /// The response as it is sent, once there is room for it; else 503. Its slot is held until it is sent.
    pub(super) async fn send(
        &self,
        mut response: Response,
        connection: &Arc<RegisteredConnection>,
    ) -> Response {
        let slot = response.extensions_mut().remove::<Slot>();
        let bytes = response.body().size_hint().upper().unwrap_or(u64::MAX);
        let kib = u32::try_from(bytes / 1_024).unwrap_or(MAX_UNSENT_KIB).min(MAX_UNSENT_KIB);
        let room = if kib == 0 { None } else { self.reserve(kib).await };
        if kib > 0 && room.is_none() {
            return refusal(&response);
        }
        connection.begin_response(slot, room.is_some());
        let connection = Arc::clone(connection);
        response.map(|body| Body::new(BudgetedBody { body, rest: Bytes::new(), connection, _room: room }))
    }

    async fn reserve(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        let mut turn = pin!(Arc::clone(&self.room).acquire_many_owned(kib));
        let end = Instant::now() + MAX_WAIT;
        loop {
            match timeout(PAUSE, turn.as_mut()).await {
                Ok(reserved) => return reserved.ok(),
                Err(_) if Instant::now() >= end => return None,
                Err(_) => _ = self.connections.close_stalled(HeldResource::Room),
            }
        }
    }
}

// === impl BudgetedBody ===

impl HttpBody for BudgetedBody {
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

impl Drop for BudgetedBody {
    fn drop(&mut self) {
        self.connection.end_response();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;
    use axum::http::header::X_FRAME_OPTIONS;

    use super::super::super::registry::ConnectionGuard;
    use super::*;

    fn connections() -> (Arc<ConnectionRegistry>, [ConnectionGuard; 2]) {
        let registry = Arc::<ConnectionRegistry>::default();
        let guards = [1, 2].map(|number| registry.add(Ipv4Addr::new(10, 0, 0, number).into()));
        (registry, guards)
    }

    /// As large as the budget.
    fn large() -> Response {
        let body = Body::from(vec![0; MAX_UNSENT_KIB as usize * 1_024]);
        let mut response = Response::new(body);
        response.headers_mut().insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        response
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_not_read_makes_room_for_another() {
        let (registry, [unread, other]) = connections();
        let budget = ResponseBudget::new(registry);
        let first = budget.send(large(), unread.connection()).await;
        let (second, ()) = tokio::join!(budget.send(large(), other.connection()), async {
            unread.evicted().await;
            drop(first);
        });
        assert_eq!(second.status(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_without_room_is_refused_with_its_other_headers() {
        let (registry, [reading, other]) = connections();
        let budget = ResponseBudget::new(registry);
        let first = budget.send(large(), reading.connection()).await;
        let progress = async {
            loop {
                tokio::time::sleep(PAUSE).await;
                reading.connection().note_progress();
            }
        };
        let refused = tokio::select! {
            refused = budget.send(large(), other.connection()) => refused,
            () = progress => unreachable!("a client that reads does not end"),
        };
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[X_FRAME_OPTIONS], "DENY");
        drop(first);
        assert_eq!(budget.send(large(), other.connection()).await.status(), StatusCode::OK);
    }
}
