//! The status page, `/`, and the same as JSON, or as CSV with a row for each account, `/api/v1/status`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::Site;
use super::format::{self, PageError};
use super::html::status_page;
use super::parameters::Parameters;
use crate::report::{Account, Details, Report, Scope};
use crate::time::Timestamp;

/// The page.
pub(super) async fn page(State(site): State<Arc<Site>>, Query(parameters): Query<Parameters>) -> Response {
    let report = report(&site, &parameters).await;
    format::render(move || {
        let report = report?;
        format::html(status_page(&report, &site.telemetry_path))
    })
    .await
}

/// The same for programs.
pub(super) async fn api(
    State(site): State<Arc<Site>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let report = report(&site, &parameters).await;
    format::render(move || {
        let report = report?;
        format::data(&headers, None, &report, (&Account::COLUMNS, &report.accounts))
    })
    .await
}

async fn report(site: &Site, parameters: &Parameters) -> Result<Report, PageError> {
    parameters.only(&["account"])?;
    let scope = Scope { account: parameters.get("account").map(str::to_owned) };
    let details = Details::read(&(site.explorer)(), &site.exposition, &scope, Timestamp::now()).await;
    let report = Report::new(&site.exposition, details, &scope, Timestamp::now());
    if scope.account.is_some() && report.accounts.is_empty() {
        return Err(PageError::NotFound("there is no such account; the status page has all of them"));
    }
    Ok(report)
}
