//! Answers requests by the current site, which a reload replaces while requests go on.
//!
//! A request is answered by the site that was there when it came.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower::ServiceExt;

use super::access::OPEN_PATHS;
use super::prefix::Prefix;
use super::registry::{ConnectionRegistry, Source};
use super::slots::{Slot, SlotKind, Slots};
use super::{Gate, Site, pages, router};
use crate::config::ExternalUrl;
use crate::metrics::Exposition;

/// Requests for pages and the API that are answered at once: they must not take the slots of scrapes.
const MAX_PAGES: usize = 8;

/// The site that is served.
#[derive(Debug)]
pub struct Front {
    current: ArcSwap<Shown>,
    gate: Arc<Gate>,
    exposition: Arc<Exposition>,
    connections: Arc<ConnectionRegistry>,
}

/// A site that is ready to be asked.
#[derive(Debug)]
struct Shown {
    exposition: Arc<Exposition>,
    telemetry_path: String,
    prefix: Prefix,
    routes: Router,
    scrapes: Slots,
    /// For anything but scrapes and health.
    pages: Slots,
}

// === impl Front ===

impl Front {
    /// Shows `site` to those whom `gate` lets in.
    #[must_use]
    pub fn new(site: Site, gate: Arc<Gate>) -> Arc<Self> {
        let exposition = Arc::clone(&site.exposition);
        let connections = Arc::<ConnectionRegistry>::default();
        let current = ArcSwap::from_pointee(Shown::new(site, &connections));
        Arc::new(Self { current, gate, exposition, connections })
    }

    /// Shows `site` from the next request on.
    pub fn show(&self, site: Site) {
        self.current.store(Arc::new(Shown::new(site, &self.connections)));
    }

    /// Who is let in.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(super) fn exposition(&self) -> &Arc<Exposition> {
        &self.exposition
    }

    /// The open connections of its server.
    pub(super) fn connections(&self) -> &Arc<ConnectionRegistry> {
        &self.connections
    }

    /// Reads the web config again whenever it changes, for ever, and publishes whether it is in use.
    pub(super) async fn watch(self: Arc<Self>) {
        let tell = |is_in_use| self.exposition.web_config_read(is_in_use);
        Arc::clone(&self.gate).watch(tell).await;
    }

    /// Answers by what is current. A panic is answered with 500; the log has it.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let answered = AssertUnwindSafe(self.answer_unless_panicking(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            self.exposition.count_http_panic();
            let message = "the exporter panicked while it answered; see its log\n";
            let mut response = (StatusCode::INTERNAL_SERVER_ERROR, message).into_response();
            self.gate.current().decorate(response.headers_mut());
            response
        })
    }

    async fn answer_unless_panicking(&self, mut request: Request) -> Response {
        if !has_one_host(&request) {
            return (StatusCode::BAD_REQUEST, "a request must have one Host header\n").into_response();
        }
        let site = self.current.load_full();
        site.prefix.remove_from(&mut request, &site.telemetry_path);
        let access = self.gate.current();
        let mut answer = match access.admit(request.uri().path(), request.headers(), source(&request)).await {
            Ok(()) => site.answer(request).await,
            Err(refusal) => refusal,
        };
        access.decorate(answer.headers_mut());
        answer
    }
}

/// Whether the request names its host once (RFC 9112, section 3.2).
fn has_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

/// Where the request comes from.
fn source(request: &Request) -> IpAddr {
    request.extensions().get::<Source>().map_or(Ipv4Addr::UNSPECIFIED.into(), |source| source.0)
}

// === impl Shown ===

impl Shown {
    fn new(site: Site, connections: &Arc<ConnectionRegistry>) -> Self {
        site.exposition.external_url_is(site.external_url.as_ref().map(ExternalUrl::as_str));
        Self {
            exposition: Arc::clone(&site.exposition),
            telemetry_path: site.telemetry_path.clone(),
            prefix: site.prefix(),
            scrapes: Slots::new(SlotKind::Scrape, site.max_requests, Arc::clone(connections)),
            pages: Slots::new(SlotKind::Page, MAX_PAGES, Arc::clone(connections)),
            routes: router(site),
        }
    }

    /// Answers 503 rather than keeping a client waiting for long: Prometheus reports that as a failed scrape. But a kubelet
    /// must be answered however many others ask.
    async fn answer(&self, mut request: Request) -> Response {
        if OPEN_PATHS.contains(&request.uri().path()) {
            return self.route(request).await;
        }
        let is_scrape = request.uri().path() == self.telemetry_path;
        let (slots, message) = if is_scrape {
            (&self.scrapes, "too many requests at once (web.max_requests)\n")
        } else {
            (&self.pages, "too many pages at once; try again\n")
        };
        let Some(slot) = slots.take(source(&request)).await else {
            return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
        };
        // Finding the route would take an eighth of a scrape's time.
        let mut response = if is_scrape && request.method() == Method::GET {
            pages::metrics(&self.exposition, request.headers(), &slot).await
        } else {
            request.extensions_mut().insert(slot.clone());
            self.page(request, slot.clone()).await
        };
        response.extensions_mut().insert(slot);
        response
    }

    /// A page, which holds its slot until it is built: a client that goes away does not end what it has begun.
    async fn page(&self, request: Request, slot: Slot) -> Response {
        let routes = self.routes.clone();
        let built = tokio::spawn(async move {
            let Ok(response) = routes.oneshot(request).await;
            drop(slot);
            response
        });
        match built.await {
            Ok(response) => response,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn route(&self, request: Request) -> Response {
        let Ok(answer) = self.routes.clone().oneshot(request).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::http::Health;
    use crate::store::{Explorer, Store};

    fn site() -> Site {
        let store = Store::in_memory().expect("the store must open");
        Site {
            external_url: None,
            exposition: Arc::default(),
            telemetry_path: "/metrics".to_owned(),
            max_requests: 1,
            health: Arc::new(|| Ok(())),
            explorer: Arc::new(move || Explorer::new(store.clone(), Vec::new())),
            reload: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_and_scrapes_have_slots_of_their_own() {
        let shown = Shown::new(site(), &Arc::default());
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("the request must be valid");
            shown.answer(request).await.status().as_u16()
        };
        assert_eq!([status("/metrics").await, status("/").await, status("/tasks").await], [200; 3]);
        let pages = u32::try_from(MAX_PAGES).expect("it must fit");
        let held = shown.pages.free().acquire_many(pages).await.expect("the slots must be free");
        assert_eq!([status("/").await, status("/api/v1/assets").await], [503; 2]);
        assert_eq!([status("/metrics").await, status("/-/healthy").await], [200; 2]);
        drop(held);
        let _held = shown.scrapes.free().acquire().await.expect("the slot must be free");
        assert_eq!([status("/metrics").await, status("/").await], [503, 200]);
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_counted() {
        let health: Health = Arc::new(|| panic!("on purpose"));
        let front = Front::new(Site { health, ..site() }, Gate::new());
        let ask = async |path: &str| {
            let request = Request::get(path).header(HOST, "x").body(Body::empty());
            front.answer(request.expect("the request must be valid")).await.status().as_u16()
        };
        assert_eq!([ask("/-/healthy").await, ask("/-/ready").await], [500, 200]);
        let page = String::from_utf8(front.exposition.page().plain().to_vec()).expect("it must be text");
        assert!(page.contains("\nclumio_exporter_http_panics_total 1\n"), "{page}");
    }

    #[tokio::test]
    async fn a_request_names_its_host_once() {
        let front = Front::new(site(), Gate::new());
        let ask = async |version: Version, hosts: &[&str]| {
            let mut request =
                Request::get("/-/ready").version(version).body(Body::empty()).expect("it must be valid");
            for host in hosts {
                request.headers_mut().append(HOST, host.parse().expect("it must be valid"));
            }
            front.answer(request).await.status().as_u16()
        };
        assert_eq!(ask(Version::HTTP_11, &["x"]).await, 200);
        assert_eq!(ask(Version::HTTP_10, &[]).await, 200);
        assert_eq!(ask(Version::HTTP_11, &[]).await, 400);
        assert_eq!(ask(Version::HTTP_11, &["x", "x"]).await, 400);
        assert_eq!(ask(Version::HTTP_10, &["x", "y"]).await, 400);
    }
}
