//! `/assets`, `/asset` and `/api/v1/assets`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::Site;
use super::format::{self, PageError};
use super::html::{AssetSection, AssetsView, asset_page, assets_page};
use super::parameters::{BadParameter, PAGE_SIZE, Parameters};
use crate::report::{AssetsReport, TaskReport};
use crate::store::{self, AssetDetail, Explorer, TaskFilter};
use crate::time::Timestamp;

/// Tasks on the page of an asset, for each category.
const TIMELINE: usize = 30;

/// The list of assets.
pub(super) async fn page(State(site): State<Arc<Site>>, Query(parameters): Query<Parameters>) -> Response {
    let list = list(&site, &parameters, Ok(PAGE_SIZE)).await;
    format::render(move || {
        let (list, page) = (list?, parameters.page()?);
        let (accounts, [categories, asset_types]) = words(&site);
        let view = AssetsView {
            parameters: parameters.kept(&Parameters::ASSETS),
            accounts,
            categories,
            asset_types,
            page,
            page_size: PAGE_SIZE,
            telemetry_path: &site.telemetry_path,
            now: Timestamp::now(),
        };
        format::html(assets_page(&list, &view))
    })
    .await
}

/// The same for programs.
pub(super) async fn api(
    State(site): State<Arc<Site>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let list = list(&site, &parameters, parameters.limit()).await;
    format::render(move || {
        let (list, page, limit) = (list?, parameters.page()?, parameters.limit()?);
        let has_more = list.total > page.saturating_mul(limit) as u64;
        let next = has_more.then(|| parameters.link_with("page", &(page + 1).to_string()));
        format::data(&headers, next, &list, (&AssetsReport::COLUMNS, &list.assets))
    })
    .await
}

/// One asset.
pub(super) async fn one(State(site): State<Arc<Site>>, Query(parameters): Query<Parameters>) -> Response {
    let only_account = || site.exposition.accounts().into_iter().next().unwrap_or_default();
    let account = parameters.get("account").map_or_else(only_account, str::to_owned);
    let id = parameters.get("id").unwrap_or_default().to_owned();
    let sections = sections(&(site.explorer)(), &account, &id).await;
    format::render(move || {
        parameters.only(&["account", "id"])?;
        let sections = sections?;
        if sections.is_empty() {
            let message = "there is no asset with this account and id: it may have been forgotten, because it had no task \
                           within state.retention";
            return Err(PageError::NotFound(message));
        }
        format::html(asset_page(&account, sections, (&site.telemetry_path, Timestamp::now())))
    })
    .await
}

async fn list(
    site: &Site,
    parameters: &Parameters,
    page_size: Result<usize, BadParameter>,
) -> Result<AssetsReport, PageError> {
    let filter = parameters.assets(page_size?)?;
    let list = (site.explorer)().assets(filter).await;
    Ok(AssetsReport::from(list?))
}

/// The asset in each of its categories, with its newest tasks.
async fn sections(explorer: &Explorer, account: &str, id: &str) -> Result<Vec<AssetSection>, store::Error> {
    let details: Vec<AssetDetail> = explorer.asset(account.to_owned(), id.to_owned()).await?;
    let mut sections = Vec::new();
    for detail in details {
        let filter = TaskFilter {
            account: Some(account.to_owned()),
            category: Some(detail.row.category.to_string()),
            asset: Some(id.to_owned()),
            limit: TIMELINE,
            ..TaskFilter::default()
        };
        let list = explorer.tasks(filter).await?;
        let tasks = list.rows.into_iter().map(TaskReport::from).collect();
        sections.push(AssetSection { detail, tasks, has_more: list.next.is_some() });
    }
    Ok(sections)
}

/// The accounts, categories and types of assets that there are.
fn words(site: &Site) -> (Vec<String>, [Vec<String>; 2]) {
    let (mut categories, mut asset_types) = (BTreeSet::new(), BTreeSet::new());
    for snapshot in site.exposition.snapshots() {
        for sample in &snapshot.assets.types {
            categories.insert(sample.category.to_string());
            asset_types.insert(sample.asset_type.to_string());
        }
    }
    (site.exposition.accounts(), [categories, asset_types].map(|words| words.into_iter().collect()))
}
