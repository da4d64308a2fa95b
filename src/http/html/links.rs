//! Relative links between the pages.

use url::form_urlencoded::Serializer;

/// A link to a page with parameters; empty ones are left out.
pub(super) fn link<'a>(page: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
}

/// The page of one asset.
pub(super) fn asset(account: &str, id: &str) -> String {
    link("asset", [("account", account), ("id", id)])
}

/// The metrics.
pub(super) fn metrics(telemetry_path: &str) -> &str {
    telemetry_path.trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_encoded() {
        assert_eq!(asset("prod", "a b&c/\"<é"), "asset?account=prod&id=a+b%26c%2F%22%3C%C3%A9");
        assert_eq!(link("assets", [("state", "")]), "assets");
        assert_eq!(metrics("/m/x"), "m/x");
    }
}
