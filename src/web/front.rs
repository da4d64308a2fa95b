//! What is served right now: a reload puts another site in place of it, while requests go on.
//!
//! A request is answered whole by the site that was there when it came.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::ServiceExt;

use super::{Site, router};

/// The site that is served.
#[derive(Debug)]
pub struct Front {
    current: ArcSwap<Router>,
}

// === impl Front ===

impl Front {
    /// Shows `site`.
    #[must_use]
    pub fn new(site: Site) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(router(site)) })
    }

    /// Shows `site` from the next request on.
    pub fn show(&self, site: Site) {
        self.current.store(Arc::new(router(site)));
    }

    /// Hands each request to what is current.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(async move |request: Request| self.answer(request).await)
    }

    async fn answer(&self, request: Request) -> Result<Response, Infallible> {
        let current = Router::clone(&self.current.load());
        current.oneshot(request).await
    }
}
