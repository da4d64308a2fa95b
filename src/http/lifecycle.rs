//! `POST /-/reload`: reads the configuration again.
//!
//! A foreign page can have a browser inside the network send such a request. Browsers tell where it comes from in
//! `Origin`, `Referer` and `Sec-Fetch-Site`; tools send none of them. A foreign page whose own name resolves to this
//! address would pass that check, so the name in `Host` must be known as well.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;

use super::Site;
use crate::config::ExternalUrl;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Reads the configuration again; what is wrong with it, if it was refused.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

pub(super) async fn reload(State(site): State<Arc<Site>>, request: Request) -> Response {
    let Some(reload) = &site.reload else {
        let message = "lifecycle is not enabled; set web.enable_lifecycle\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    };
    if let Some(reason) = distrust(request.headers(), site.external_url.as_ref()) {
        return (StatusCode::FORBIDDEN, format!("reload refused: {reason}\n")).into_response();
    }
    match reload().await {
        Ok(()) => "reloaded\n".into_response(),
        Err(problems) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")).into_response(),
    }
}

/// Why the request must not be trusted, if so.
fn distrust(headers: &HeaderMap, external_url: Option<&ExternalUrl>) -> Option<&'static str> {
    let host = text(headers.get(HOST));
    let is_own = |value: &HeaderValue| is_own(text(Some(value)), host, external_url);
    if !has_trusted_host(host, external_url) {
        return Some("Host must be an IP address, localhost or the host of web.external_url");
    }
    if !headers.get_all(ORIGIN).iter().chain(headers.get_all(REFERER)).all(is_own) {
        return Some("Origin and Referer must be absent or of this site");
    }
    let is_same_site = |value: &HeaderValue| ["same-origin", "none"].contains(&text(Some(value)));
    let is_trusted = headers.get_all(SEC_FETCH_SITE).iter().all(is_same_site);
    (!is_trusted).then_some("Sec-Fetch-Site must be absent, none or same-origin")
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A name that a foreign page has chosen could be resolved to this address, and its requests would count as its own.
fn has_trusted_host(host: &str, external_url: Option<&ExternalUrl>) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || external_url.is_some_and(|url| host.eq_ignore_ascii_case(url.host()))
}

/// Whether the URL of a page has the host and port that the request was sent to, or is below the external URL's origin: a
/// proxy may change `Host`.
fn is_own(page: &str, host: &str, external_url: Option<&ExternalUrl>) -> bool {
    let Some((scheme, rest)) = page.split_once("://") else { return false };
    let from = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_external = |url: &ExternalUrl| url.origin().eq_ignore_ascii_case(&format!("{scheme}://{from}"));
    !from.is_empty() && from.eq_ignore_ascii_case(host) || external_url.is_some_and(is_external)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};

    fn external_url(url: &str) -> ExternalUrl {
        let flags = Flags { external_url: Some(url.to_owned()), ..Flags::default() };
        let web = config::load_web(&flags, &Environment::default()).expect("the URL must be valid");
        web.external_url.expect("the URL must be set")
    }

    fn is_trusted(host: &str, headers: &[(HeaderName, &str)], url: Option<&ExternalUrl>) -> bool {
        let all = [(HOST, host)].into_iter().chain(headers.iter().cloned());
        let all = all.map(|(name, value)| (name, value.parse().expect("the value must be valid")));
        let mut map = HeaderMap::new();
        all.for_each(|(name, value)| {
            map.append(name, value);
        });
        distrust(&map, url).is_none()
    }

    #[test]
    fn only_names_that_no_foreign_page_can_choose_are_trusted_as_host() {
        let url = external_url("https://m.example.com/clumio");
        for host in ["127.0.0.1:10317", "10.1.2.3", "[::1]:10317", "[::1]", "localhost:10317", "LOCALHOST"] {
            assert!(is_trusted(host, &[], None), "{host}");
        }
        for host in
            ["", "exporter:10317", "m.example.com", "127.0.0.1.evil.example", "localhost.evil.example", "@"]
        {
            assert!(!is_trusted(host, &[], None), "{host}");
        }
        for host in ["m.example.com", "M.example.com:443", "m.example.com:8443", "127.0.0.1"] {
            assert!(is_trusted(host, &[], Some(&url)), "{host}");
        }
        assert!(!is_trusted("evil.example", &[], Some(&url)));
    }

    #[test]
    fn only_pages_of_this_site_are_trusted() {
        let url = external_url("https://m.example.com/clumio");
        let host = "localhost:10317";
        for page in ["http://localhost:10317", "https://LOCALHOST:10317", "https://m.example.com"] {
            assert!(is_trusted(host, &[(ORIGIN, page)], Some(&url)), "{page}");
            assert!(is_trusted(host, &[(REFERER, &format!("{page}/clumio/"))], Some(&url)), "{page}");
        }
        for page in [
            "null",
            "",
            "localhost:10317",
            "http://localhost",
            "http://localhost:10318",
            "http://evil.example",
            "http://localhost:10317.evil.example",
            "http://",
            "http://m.example.com",
            "https://m.example.com.evil.example",
            "https://m.example.com:8443",
        ] {
            assert!(!is_trusted(host, &[(ORIGIN, page)], Some(&url)), "{page}");
            assert!(!is_trusted(host, &[(REFERER, page)], Some(&url)), "{page}");
        }
        let origins = [(ORIGIN, "http://localhost:10317"), (ORIGIN, "http://evil.example")];
        assert!(!is_trusted(host, &origins, None));
        assert!(!is_trusted(host, &[(ORIGIN, "https://m.example.com")], None));
    }

    #[test]
    fn browsers_may_only_send_it_from_the_same_origin() {
        for (site, expected) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(is_trusted("localhost", &[(SEC_FETCH_SITE, site)], None), expected, "{site}");
        }
    }
}
