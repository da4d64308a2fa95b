//! What is served right now: a reload puts another site in place of it, while requests go on.
//!
//! A request is answered whole by the site that was there when it came.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::access::OPEN_PATHS;
use super::prefix::Prefix;
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
}

/// A site that is ready to be asked.
#[derive(Debug)]
struct Shown {
    exposition: Arc<Exposition>,
    telemetry_path: String,
    prefix: Prefix,
    routes: Router,
    /// How many more scrapes may be answered at once.
    scrapes: Semaphore,
    /// How many more requests for anything else may be answered at once.
    pages: Semaphore,
}

// === impl Front ===

impl Front {
    /// Shows `site` to those whom `gate` lets in.
    #[must_use]
    pub fn new(site: Site, gate: Arc<Gate>) -> Arc<Self> {
        let exposition = Arc::clone(&site.exposition);
        Arc::new(Self { current: ArcSwap::from_pointee(Shown::new(site)), gate, exposition })
    }

    /// Shows `site` from the next request on.
    pub fn show(&self, site: Site) {
        self.current.store(Arc::new(Shown::new(site)));
    }

    /// Who is let in.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Reads the web config again whenever it changes, for ever, and publishes whether it is in use.
    pub(super) async fn watch(self: Arc<Self>) {
        let tell = |is_in_use| self.exposition.web_config_read(is_in_use);
        Arc::clone(&self.gate).watch(tell).await;
    }

    /// Answers by what is current.
    pub(super) async fn answer(&self, mut request: Request) -> Response {
        let site = self.current.load_full();
        site.prefix.remove_from(&mut request, &site.telemetry_path);
        let access = self.gate.current();
        let mut answer = match access.admit(request.uri().path(), request.headers()).await {
            Ok(()) => site.answer(request).await,
            Err(refusal) => refusal,
        };
        access.decorate(answer.headers_mut());
        answer
    }
}

// === impl Shown ===

impl Shown {
    fn new(site: Site) -> Self {
        site.exposition.external_url_is(site.external_url.as_ref().map(ExternalUrl::as_str));
        Self {
            exposition: Arc::clone(&site.exposition),
            telemetry_path: site.telemetry_path.clone(),
            prefix: site.prefix(),
            scrapes: Semaphore::new(site.max_requests),
            pages: Semaphore::new(MAX_PAGES),
            routes: router(site),
        }
    }

    /// Answers 503 instead of keeping a client waiting: Prometheus counts that as a failed scrape and says so. But a
    /// kubelet must be answered however many others ask.
    async fn answer(&self, request: Request) -> Response {
        if OPEN_PATHS.contains(&request.uri().path()) {
            return self.route(request).await;
        }
        let (slots, message) = if request.uri().path() == self.telemetry_path {
            (&self.scrapes, "too many requests at once (web.max_requests)\n")
        } else {
            (&self.pages, "too many pages at once; try again\n")
        };
        let Ok(_slot) = slots.try_acquire() else {
            return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
        };
        self.route(request).await
    }

    async fn route(&self, request: Request) -> Response {
        // Finding the route would take an eighth of a scrape's time.
        if request.method() == Method::GET && request.uri().path() == self.telemetry_path {
            return pages::metrics(&self.exposition, request.headers()).await;
        }
        let Ok(answer) = self.routes.clone().oneshot(request).await;
        answer
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
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

    #[tokio::test]
    async fn pages_and_scrapes_have_slots_of_their_own() {
        let shown = Shown::new(site());
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("the request must be valid");
            shown.answer(request).await.status().as_u16()
        };
        assert_eq!([status("/metrics").await, status("/").await, status("/tasks").await], [200; 3]);
        let pages = u32::try_from(MAX_PAGES).expect("it must fit");
        let held = shown.pages.acquire_many(pages).await.expect("the slots must be free");
        assert_eq!([status("/").await, status("/api/v1/assets").await], [503; 2]);
        assert_eq!([status("/metrics").await, status("/-/healthy").await], [200; 2]);
        drop(held);
        let _held = shown.scrapes.acquire().await.expect("the slot must be free");
        assert_eq!([status("/metrics").await, status("/").await], [503, 200]);
    }
}
