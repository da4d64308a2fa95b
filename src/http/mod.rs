//! HTTP: the page for Prometheus, the health of the process, and the status page for people.
//!
//! Nothing here waits for a poll or asks the API: `/metrics` answers 200 with the last good numbers when Clumio cannot
//! be reached, and the health paths never depend on Clumio, because restarting the exporter would not mend it.

mod access;
mod connections;
mod front;
mod lifecycle;
mod listen;
mod pages;
mod probe;
mod status;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tower::make::Shared;
use tower::service_fn;

pub use access::{Gate, Opened, Problems};
pub use front::Front;
pub use lifecycle::Reload;
pub use listen::listen;
pub use probe::probe;

use connections::Connections;

use crate::metrics::Exposition;
use crate::store::Outcomes;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head of a request. With hyper's own bound, the connections that may be open could hold 200 MB of heads
/// before anyone logs in. It bounds what is buffered of an answer as well, but pages are written in one piece. HTTP/2 has
/// about the same bound by itself.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// How long requests that are being answered may go on after the stop; with it the process ends within two seconds.
const DRAIN: Duration = Duration::from_millis(1_500);

/// What is served.
pub struct Site {
    /// The page for Prometheus.
    pub exposition: Arc<Exposition>,
    /// Where that page is.
    pub telemetry_path: String,
    /// How many requests are answered at once; 503 beyond.
    pub max_requests: usize,
    /// Whether the process and its pollers live, and else what is wrong.
    pub health: Health,
    /// How the tasks of accounts ended, for the status page.
    pub outcomes: OutcomesOf,
    /// Whether what failed tasks were about is shown where nobody has to log in.
    pub show_entities: bool,
    /// Reads the configuration again; none where clients may not ask for that.
    pub reload: Option<Reload>,
}

/// Gives how the tasks of these accounts ended.
pub type OutcomesOf =
    Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, BTreeMap<String, Outcomes>> + Send + Sync>;

/// Whether the process and its pollers live, and else what is wrong.
pub type Health = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Serves what `front` shows on `listener` until `stop` is done, and then until its last requests are answered.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(Connections::new(Arc::clone(front.gate())))
        .handle(handle.clone())
        .first_request_timeout(HEAD_TIMEOUT);
    let mut http1 = server.http_builder().http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MOST_HEAD_BYTES);
    let watch = Arc::clone(&front).watch();
    let answer = service_fn(move |request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
    });
    let serve = server.serve(Shared::new(answer));
    tokio::pin!(serve);
    tokio::select! {
        ended = &mut serve => return ended,
        () = watch => {}
        () = stop => handle.graceful_shutdown(Some(DRAIN)),
    }
    serve.await
}

/// The routes of the site.
fn router(site: Site) -> Router {
    let site = Arc::new(site);
    Router::new()
        .route("/", get(status::page))
        .route("/api/v1/status", get(status::json))
        .route(&site.telemetry_path, get(metrics))
        .route("/-/reload", post(lifecycle::reload))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .fallback(pages::not_found)
        .with_state(site)
}

/// For HEAD; a GET is answered before it gets here.
async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    pages::metrics(&site.exposition, &headers).await
}

async fn healthy(State(site): State<Arc<Site>>) -> Response {
    match (site.health)() {
        Ok(()) => "healthy\n".into_response(),
        Err(complaint) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{complaint}\n")).into_response(),
    }
}

/// Whoever is asked is serving, and there is no state to restore before that.
async fn ready() -> &'static str {
    "ready\n"
}
