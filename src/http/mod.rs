//! HTTP: the page for Prometheus, the health of the process, and pages for people.
//!
//! Nothing here waits for a poll or asks the API: `/metrics` answers 200 with the last good numbers when Clumio cannot
//! be reached, and the health paths never depend on Clumio, because restarting the exporter would not mend it.

mod access;
mod assets;
mod connections;
mod format;
mod front;
mod html;
mod lifecycle;
mod listen;
mod pages;
mod parameters;
mod per_source;
mod prefix;
mod probe;
mod registry;
mod slots;
mod status;
mod tasks;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use access::{Gate, Opened, Problems};
pub use front::Front;
pub use lifecycle::Reload;
pub use listen::listen;
pub use probe::probe;

use connections::Connections;
use prefix::Prefix;
use slots::Slot;

use crate::config::ExternalUrl;
use crate::metrics::Exposition;
use crate::store::Explorer;

/// What is served.
pub struct Site {
    /// The page for Prometheus.
    pub exposition: Arc<Exposition>,
    /// The URL under which people reach the site.
    pub external_url: Option<ExternalUrl>,
    /// Where the exposition is.
    pub telemetry_path: String,
    /// How many scrapes are answered at once; 503 beyond. Pages have slots of their own.
    pub max_requests: usize,
    /// Whether the process and its pollers live, and else what is wrong.
    pub health: Health,
    /// Reads the replicas of the accounts, for pages.
    pub explorer: Arc<dyn Fn() -> Explorer + Send + Sync>,
    /// Reads the configuration again; none where clients may not ask for that.
    pub reload: Option<Reload>,
}

/// Whether the process and its pollers live, and else what is wrong.
pub type Health = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

// === impl Site ===

impl Site {
    /// The prefix of all paths.
    fn prefix(&self) -> Prefix {
        Prefix::new(self.external_url.as_ref().map_or("", ExternalUrl::path))
    }
}

/// Serves what `front` shows on `listener`, which must be non-blocking, until `stop` is done and the last responses are
/// sent.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Connections::new(Arc::clone(&front));
    let serve = async { tokio::join!(Arc::clone(&connections).accept(listener), front.watch()) };
    tokio::select! {
        _ = serve => {}
        () = stop => {}
    }
    connections.close().await;
    Ok(())
}

/// The routes of the site, without the prefix of the external URL, which [`Front`] has removed. A page for people is one
/// segment long, so that its relative links work behind any prefix.
fn router(site: Site) -> Router {
    let site = Arc::new(site);
    Router::new()
        .route("/", get(status::page))
        .route("/assets", get(assets::page))
        .route("/asset", get(assets::one))
        .route("/tasks", get(tasks::page))
        .route("/api/v1/status", get(status::api))
        .route("/api/v1/assets", get(assets::api))
        .route("/api/v1/tasks", get(tasks::api))
        .route(&site.telemetry_path, get(metrics))
        .route("/-/reload", post(lifecycle::reload))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .fallback(pages::not_found)
        .with_state(site)
}

/// For HEAD; a GET is answered before it gets here.
async fn metrics(State(site): State<Arc<Site>>, slot: Extension<Slot>, headers: HeaderMap) -> Response {
    pages::metrics(&site.exposition, &headers, &slot).await
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
