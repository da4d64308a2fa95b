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

use super::status::Visitor;
use super::{Gate, Site, router};
use crate::exposition::Exposition;

/// The site that is served.
#[derive(Debug)]
pub struct Front {
    current: ArcSwap<Router>,
    gate: Arc<Gate>,
    exposition: Arc<Exposition>,
}

// === impl Front ===

impl Front {
    /// Shows `site` to those whom `gate` lets in.
    #[must_use]
    pub fn new(site: Site, gate: Arc<Gate>) -> Arc<Self> {
        let exposition = Arc::clone(&site.exposition);
        Arc::new(Self { current: ArcSwap::from_pointee(router(site)), gate, exposition })
    }

    /// Shows `site` from the next request on.
    pub fn show(&self, site: Site) {
        self.current.store(Arc::new(router(site)));
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

    /// Hands each request to what is current.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(async move |request: Request| self.answer(request).await)
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Infallible> {
        let access = self.gate.current();
        let mut answer = match access.admit(request.uri().path(), request.headers()).await {
            Ok(()) => {
                request.extensions_mut().insert(Visitor { has_logged_in: access.wants_login() });
                let current = Router::clone(&self.current.load());
                current.oneshot(request).await?
            }
            Err(refusal) => refusal,
        };
        access.decorate(answer.headers_mut());
        Ok(answer)
    }
}
