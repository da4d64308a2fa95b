//! The URL under which people reach the exporter, usually through a reverse proxy.

use std::fmt;

use url::Url;

use super::table::Verdict;

const EXAMPLE: &str = "\"https://monitoring.example.com/clumio\"";

/// An absolute http or https URL without user info, query, fragment or trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    text: String,
    origin: String,
    host: String,
    path: String,
}

// === impl ExternalUrl ===

impl ExternalUrl {
    /// Messages do not repeat the URL: there may be a password in it.
    pub(super) fn parse(text: &str) -> Verdict<Self> {
        let url = Url::parse(text).map_err(|error| {
            format!(
                "not a URL ({}); write an absolute one, such as {EXAMPLE}",
                error.to_string().to_lowercase()
            )
        })?;
        let host =
            url.host_str().filter(|_| matches!(url.scheme(), "https" | "http") && text.contains("://"));
        let Some(host) = host else {
            return Err(format!("not an absolute http or https URL; write one, such as {EXAMPLE}"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("contains a user or a password; remove it: the URL is published".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment; remove what follows the ? or #".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        check_path(&path)?;
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            origin: url.origin().ascii_serialization(),
            host: host.to_owned(),
            path,
        })
    }

    /// The URL without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, as browsers send them in `Origin`: without the default port of the scheme.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host in lower case, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The prefix of all paths: empty, or with a leading slash and no trailing one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Other characters could be encoded differently by each proxy, and `/-/` and `/api/` are also served without prefix.
fn check_path(path: &str) -> Verdict<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    if !path.bytes().all(is_plain) || path.contains("//") {
        return Err("the path may only have letters, digits, . _ ~ - and single slashes".to_owned());
    }
    if matches!(path.split('/').nth(1), Some("-" | "api")) {
        return Err(
            "the path begins with /-/ or /api/, which are served already; choose another path".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_is_removed_and_the_parts_are_normalized() {
        for (text, url, origin, host, path) in [
            ("https://m.example.com", "https://m.example.com", "https://m.example.com", "m.example.com", ""),
            ("https://m.example.com/", "https://m.example.com", "https://m.example.com", "m.example.com", ""),
            (
                "HTTPS://M.example.com:443/clumio/",
                "https://m.example.com/clumio",
                "https://m.example.com",
                "m.example.com",
                "/clumio",
            ),
            (
                "http://[::1]:8080/a/b.c_~-//",
                "http://[::1]:8080/a/b.c_~-",
                "http://[::1]:8080",
                "[::1]",
                "/a/b.c_~-",
            ),
        ] {
            let parsed = ExternalUrl::parse(text).expect("the URL must be valid");
            assert_eq!(parsed.as_str(), url);
            assert_eq!((parsed.origin(), parsed.host(), parsed.path()), (origin, host, path), "{text}");
        }
    }
}
