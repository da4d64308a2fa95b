//! The page for Prometheus, and what is said where there is none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::Site;
use super::slots::Slot;
use crate::metrics::{self, Exposition, Page};

/// What Prometheus scrapes.
pub(super) async fn metrics(exposition: &Arc<Exposition>, headers: &HeaderMap, slot: &Slot) -> Response {
    let takes_gzip = accepts_gzip(headers);
    let Some(page) = page(exposition, takes_gzip, slot).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered; see the log\n")
            .into_response();
    };
    let about = [(CONTENT_TYPE, metrics::CONTENT_TYPE), (VARY, "accept-encoding")];
    if takes_gzip {
        return (about, [(CONTENT_ENCODING, "gzip")], page.gzip()).into_response();
    }
    (about, page.plain()).into_response()
}

/// The page. Where rendering or compressing takes milliseconds, other requests do not wait for it. The slot is held until
/// that ends, even if the client goes away.
async fn page(exposition: &Arc<Exposition>, compressed: bool, slot: &Slot) -> Option<Arc<Page>> {
    let is_ready = |page: &Arc<Page>| !compressed || page.is_compressed();
    if let Some(page) = exposition.fresh_page().filter(is_ready) {
        return Some(page);
    }
    let is_soon_rendered = exposition.is_soon_rendered(compressed);
    let (exposition, slot) = (Arc::clone(exposition), slot.clone());
    let render = move || {
        let page = exposition.page();
        if compressed {
            page.gzip();
        }
        drop(slot);
        page
    };
    if is_soon_rendered {
        return Some(render());
    }
    match tokio::task::spawn_blocking(render).await {
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        rendered => rendered.ok(),
    }
}

pub(super) async fn not_found(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    if let Some(redirect) = site.prefix().redirect(&uri) {
        return redirect.into_response();
    }
    let message = format!("not found; the metrics are at {}\n", site.telemetry_path);
    (StatusCode::NOT_FOUND, message).into_response()
}

/// Whether the client takes gzip (RFC 9110, section 12.5.3): named, or by `*`, and not with a weight of 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut by_wildcard = false;
    for header in headers.get_all(ACCEPT_ENCODING) {
        for coding in header.to_str().unwrap_or_default().split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f64>);
            let is_taken = weight.is_ok_and(|weight| weight > 0.0);
            if ["gzip", "x-gzip"].iter().any(|gzip| name.eq_ignore_ascii_case(gzip)) {
                return is_taken;
            }
            if name == "*" {
                by_wildcard = is_taken;
            }
        }
    }
    by_wildcard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        let cases = [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("*, gzip; q=0.0", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().expect("the value must be valid"));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
