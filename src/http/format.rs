//! How pages and their data are sent: as HTML, JSON or CSV, and with headers that forbid everything a page does not need.

use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use super::html::POLICY;
use super::parameters::BadParameter;
use crate::report::csv;
use crate::store;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    /// A parameter cannot be used.
    Parameter(BadParameter),
    /// What is asked for does not exist.
    NotFound(&'static str),
    /// The replica cannot be read.
    Store(store::Error),
    /// The page cannot be rendered, a fault of the exporter.
    Render,
}

/// Builds a response, which can take milliseconds for which other requests need not wait.
pub(super) async fn render(build: impl FnOnce() -> Result<Response, PageError> + Send + 'static) -> Response {
    let outcome = match tokio::task::spawn_blocking(build).await {
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        outcome => outcome.unwrap_or(Err(PageError::Render)),
    };
    let mut response = outcome.unwrap_or_else(IntoResponse::into_response);
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        let value = value.parse().expect("a header must be plain text");
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page.
pub(super) fn html(page: Option<String>) -> Result<Response, PageError> {
    page.map(|page| Html(page).into_response()).ok_or(PageError::Render)
}

/// Data as JSON, or its rows as CSV if the client prefers that. `next` is a relative link to the rows that follow
/// (RFC 8288), which CSV has no place for.
pub(super) fn data(
    headers: &HeaderMap,
    next: Option<String>,
    whole: &impl Serialize,
    (columns, rows): (&[&str], &[impl Serialize]),
) -> Result<Response, PageError> {
    let (content_type, text) = if prefers_csv(headers) {
        ("text/csv; charset=utf-8; header=present", csv(columns, rows))
    } else {
        ("application/json", serde_json::to_string(whole).ok())
    };
    let text = text.ok_or(PageError::Render)?;
    let next = next.map(|next| [(LINK, format!("<{next}>; rel=\"next\""))]);
    Ok(([(CONTENT_TYPE, content_type), (VARY, "accept")], next, text).into_response())
}

/// Whether `text/csv` is named with at least the weight of JSON (RFC 9110, section 12.5.1).
fn prefers_csv(headers: &HeaderMap) -> bool {
    let (mut csv, mut json) = (0.0, 0.0_f64);
    for header in headers.get_all(ACCEPT) {
        for range in header.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f64>);
            let weight = weight.unwrap_or(0.0);
            match media_type.as_str() {
                "text/csv" => csv = weight,
                "application/json" | "application/*" => json = json.max(weight),
                _ => {}
            }
        }
    }
    csv > 0.0 && csv >= json
}

// === impl PageError ===

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Parameter(bad) => (StatusCode::BAD_REQUEST, bad.to_string()),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, message.to_owned()),
            Self::Store(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Self::Render => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered".to_owned()),
        };
        (status, format!("{message}\n")).into_response()
    }
}

impl From<BadParameter> for PageError {
    fn from(bad: BadParameter) -> Self {
        Self::Parameter(bad)
    }
}

impl From<store::Error> for PageError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_sent_to_those_who_name_it() {
        for (value, expected) in [
            ("text/csv", true),
            ("Text/CSV; header=present", true),
            ("text/csv, application/json;q=0.5", true),
            ("text/csv;q=0.5, application/json", false),
            ("text/csv;q=0", false),
            ("*/*", false),
            ("text/*", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, value.parse().expect("the value must be valid"));
            assert_eq!(prefers_csv(&headers), expected, "{value}");
        }
        assert!(!prefers_csv(&HeaderMap::new()));
    }
}
