//! The status page, `/`, and the same as JSON, `/api/v1/status`.
//!
//! What failed tasks were about is shown to those who have logged in, or to all where `web.show_entities` says so. The
//! page has no script and asks for nothing else: its policy forbids all but its own style, which it names by a digest.

mod chart;
mod page;
#[cfg(test)]
mod tests;
mod text;

use std::sync::{Arc, LazyLock};

use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use super::Site;
use crate::report::{Report, Scope};
use crate::time::Timestamp;

/// What the page looks like. It stands in the page, so that one request brings all.
const STYLE: &str = include_str!("style.css");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Goes with a request for a page that takes a login, where one is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggedIn;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    account: Option<String>,
}

/// The page for people.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    login: Option<Extension<LoggedIn>>,
    Query(asked): Query<Asked>,
) -> Response {
    let telemetry_path = site.telemetry_path.clone();
    answer(site, login.is_some(), asked, move |report| {
        page::render(report, &telemetry_path).map(|page| Html(page).into_response())
    })
    .await
}

/// The same for programs.
pub(super) async fn json(
    State(site): State<Arc<Site>>,
    login: Option<Extension<LoggedIn>>,
    Query(asked): Query<Asked>,
) -> Response {
    answer(site, login.is_some(), asked, |report| {
        serde_json::to_vec(report).ok().map(|text| ([JSON], text).into_response())
    })
    .await
}

const JSON: (HeaderName, &str) = (axum::http::header::CONTENT_TYPE, "application/json");

/// Makes a report and renders it, which takes milliseconds that other requests need not wait for.
async fn answer(
    site: Arc<Site>,
    has_logged_in: bool,
    Asked { account }: Asked,
    render: impl FnOnce(&Report) -> Option<Response> + Send + 'static,
) -> Response {
    let scope = Scope { account, entities: has_logged_in || site.show_entities };
    let outcomes = (site.outcomes)(Report::shown(&site.exposition, &scope, Timestamp::now())).await;
    let rendered = tokio::task::spawn_blocking(move || {
        let report = Report::new(&site.exposition, &outcomes, &scope, Timestamp::now());
        if scope.account.is_some() && report.accounts.is_empty() {
            return Some(
                (StatusCode::NOT_FOUND, "there is no such account; / has all of them\n").into_response(),
            );
        }
        render(&report)
    });
    let mut answer = rendered.await.ok().flatten().unwrap_or_else(|| {
        (StatusCode::INTERNAL_SERVER_ERROR, "the status could not be rendered; see the log\n").into_response()
    });
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        let value = value.parse().expect("what a header says must be plain text");
        answer.headers_mut().insert(name, value);
    }
    answer
}
