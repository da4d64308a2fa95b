//! `POST /-/reload`: reads the configuration again, for whoever may ask.
//!
//! A page of a stranger can have a browser inside the network send such a request. Browsers say where it is from, in
//! `Origin`, and scripts and tools do not: so a request with an `Origin` that is not this very site is refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;

use super::Site;

/// Reads the configuration again; what is wrong with it, if it was refused.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

pub(super) async fn reload(State(site): State<Arc<Site>>, request: Request) -> Response {
    let Some(reload) = &site.reload else {
        let message = "lifecycle is not enabled; set web.enable_lifecycle\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    };
    if is_foreign(request.headers()) {
        let message = "a page of another site may not do this; send the request without Origin\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    match reload().await {
        Ok(()) => "reloaded\n".into_response(),
        Err(problems) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")).into_response(),
    }
}

/// Whether the request says that it is from another site.
fn is_foreign(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let from = origin.split_once("://").map(|(_, from)| from.as_bytes());
        !from.zip(host).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_very_site_is_not_foreign() {
        let is_foreign = |host: &[&str], origins: &[&str]| {
            let mut headers = HeaderMap::new();
            for (name, values) in [(HOST, host), (ORIGIN, origins)] {
                for value in values {
                    headers.append(name.clone(), value.parse().expect("the value must be valid"));
                }
            }
            is_foreign(&headers)
        };
        let host = &["exporter:10317"];
        assert!(!is_foreign(host, &[]));
        assert!(!is_foreign(host, &["http://exporter:10317"]));
        assert!(!is_foreign(host, &["https://EXPORTER:10317"]));
        for origin in [
            "null",
            "",
            "exporter:10317",
            "http://exporter",
            "http://exporter:10318",
            "http://evil.example",
            "http://exporter:10317.evil.example",
            "http://",
        ] {
            assert!(is_foreign(host, &[origin]), "{origin}");
        }
        assert!(is_foreign(host, &["http://exporter:10317", "http://evil.example"]));
        assert!(is_foreign(&[], &["http://exporter:10317"]));
        assert!(is_foreign(&[""], &["null"]));
    }
}
