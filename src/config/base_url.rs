//! Which addresses of the API are accepted: https, or http where nobody can listen.
//!
//! The token goes with every request, so that plain http is for loopback, or for who asks for it by name. No
//! message repeats the address: there may be a password in it.

use url::{Host, Url};

use super::table::Verdict;

/// The regions of the API that are known, by the vendor's documentation. The list grows: it is only an example.
const EXAMPLE: &str = "https://us-west-2.api.clumio.com";

/// The address without its trailing slashes but one, so that [`Url::join`] keeps a path prefix.
pub(super) fn parse(text: &str, allow_http: bool, remedy_for_http: &str) -> Verdict<Url> {
    let url = Url::parse(text).map_err(|error| {
        format!("not a URL ({}); write it whole, such as {EXAMPLE}", error.to_string().to_lowercase())
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("neither https nor http; write it whole, such as {EXAMPLE}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user or a password in it; take it out: the API knows its callers by token".to_owned()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; write it without what follows the ? or #".to_owned());
    }
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err(format!("plain http would show the token to the network; {remedy_for_http}"));
    }
    Ok(with_one_slash(url))
}

/// Whether the URL's host is this machine: `localhost` (RFC 6761, section 6.3) or a loopback address.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn with_one_slash(mut url: Url) -> Url {
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_with_one_slash() {
        for (text, expected) in [
            ("https://us-west-2.api.clumio.com", "https://us-west-2.api.clumio.com/"),
            ("https://gateway.example/clumio", "https://gateway.example/clumio/"),
            ("https://gateway.example:8443/clumio//", "https://gateway.example:8443/clumio/"),
        ] {
            assert_eq!(parse(text, false, "").map(String::from), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for host in
            ["localhost", "LOCALHOST:80", "api.localhost", "127.0.0.1:10318", "127.9.9.9", "[::1]:10318"]
        {
            assert!(parse(&format!("http://{host}"), false, "").is_ok(), "{host}");
        }
        for host in [
            "clumio.example",
            "localhost.example",
            "notlocalhost",
            "0.0.0.0",
            "10.0.0.1",
            "128.0.0.1",
            "[::2]",
        ] {
            assert!(parse(&format!("http://{host}"), false, "").is_err(), "{host}");
            assert!(parse(&format!("http://{host}"), true, "").is_ok(), "{host}");
        }
    }
}
