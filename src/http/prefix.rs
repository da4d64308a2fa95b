//! The path prefix of the external URL.
//!
//! Requests come with the prefix from people and from proxies that keep it. They come without it from proxies that
//! remove it, and from scrapes and probes inside the cluster, which do not pass through a proxy. So every path is served
//! both ways, by removing the prefix before anything else reads the path.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, StatusCode, Uri, header};

/// The path of the external URL: empty, or with a leading slash and no trailing one.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefix(String);

// === impl Prefix ===

impl Prefix {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Removes the prefix from the path of a request, unless it begins the telemetry path that was asked for.
    pub(super) fn remove_from(&self, request: &mut Request, telemetry_path: &str) {
        if self.0.is_empty() || request.uri().path() == telemetry_path {
            return;
        }
        if let Some(uri) = self.without(request.uri()) {
            *request.uri_mut() = uri;
        }
    }

    fn without(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path_and_query()?.as_str().strip_prefix(&self.0)?;
        if !rest.starts_with('/') {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(rest.parse::<PathAndQuery>().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Where the prefix alone, without a trailing slash, is redirected: relative links of the status page would lose the
    /// last segment. The location is relative, because only the proxy knows the scheme and host.
    pub(super) fn redirect(&self, uri: &Uri) -> Option<(StatusCode, [(HeaderName, String); 1])> {
        if self.0.is_empty() || uri.path() != self.0 {
            return None;
        }
        let last = self.0.rsplit('/').next().unwrap_or_default();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("{last}/{query}"))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(prefix: &str, uri: &str) -> String {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = uri.parse().expect("the URI must be valid");
        Prefix::new(prefix).remove_from(&mut request, "/a/metrics");
        request.uri().to_string()
    }

    #[test]
    fn the_prefix_is_removed_once_and_only_at_a_slash() {
        for (prefix, uri, expected) in [
            ("", "/a/b?c=/a/d", "/a/b?c=/a/d"),
            ("/a", "/a/b?c=/a/d", "/b?c=/a/d"),
            ("/a", "/a/?c", "/?c"),
            ("/a", "/a", "/a"),
            ("/a", "/a?c", "/a?c"),
            ("/a", "/ab/c", "/ab/c"),
            ("/a", "/b", "/b"),
            ("/a", "/a/a/b", "/a/b"),
            ("/a", "/a/metrics", "/a/metrics"),
            ("/a", "/a/a/metrics", "/a/metrics"),
            ("/a/b", "/a/b/c", "/c"),
            ("/a", "http://host/a/b", "http://host/b"),
            ("/a", "/a//b", "//b"),
            ("/a", "*", "*"),
        ] {
            assert_eq!(path(prefix, uri), expected, "{prefix} {uri}");
        }
    }

    #[test]
    fn the_prefix_alone_is_redirected_to_its_slash() {
        let location = |prefix: &str, uri: &str| {
            let redirect = Prefix::new(prefix).redirect(&uri.parse().expect("the URI must be valid"));
            redirect.map(|(_, [(_, location)])| location)
        };
        assert_eq!(location("/a/b", "/a/b?c=d").as_deref(), Some("b/?c=d"));
        assert_eq!(location("/a", "/a").as_deref(), Some("a/"));
        assert_eq!(location("/a", "/a/"), None);
        assert_eq!(location("", "/"), None);
    }
}
