//! `/tasks` and `/api/v1/tasks`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::Site;
use super::format::{self, PageError};
use super::html::{TasksView, tasks_page};
use super::parameters::{BadParameter, PAGE_SIZE, Parameters};
use crate::report::TasksReport;
use crate::time::Timestamp;

/// The list of tasks.
pub(super) async fn page(State(site): State<Arc<Site>>, Query(parameters): Query<Parameters>) -> Response {
    let list = list(&site, &parameters, Ok(PAGE_SIZE)).await;
    format::render(move || {
        let list = list?;
        let [categories, types, statuses] = words(&site);
        let view = TasksView {
            parameters: parameters.kept(&Parameters::TASKS),
            after: parameters.get("after").map(str::to_owned),
            accounts: site.exposition.accounts(),
            categories,
            types,
            statuses,
            telemetry_path: &site.telemetry_path,
            now: Timestamp::now(),
        };
        format::html(tasks_page(&list, &view))
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
        let list = list?;
        let next = list.next.as_deref().map(|next| parameters.link_with("after", next));
        format::data(&headers, next, &list, (&TasksReport::COLUMNS, &list.tasks))
    })
    .await
}

async fn list(
    site: &Site,
    parameters: &Parameters,
    limit: Result<usize, BadParameter>,
) -> Result<TasksReport, PageError> {
    let filter = parameters.tasks(limit?)?;
    let list = (site.explorer)().tasks(filter).await;
    Ok(TasksReport::from(list?))
}

/// The categories, types and statuses of tasks that there are.
fn words(site: &Site) -> [Vec<String>; 3] {
    let mut words = [(); 3].map(|()| BTreeSet::new());
    for snapshot in site.exposition.snapshots() {
        for kind in &snapshot.kinds {
            words[0].insert(kind.category.to_string());
            words[1].insert(kind.task_type.to_string());
            words[2].extend(kind.statuses.iter().map(|sample| sample.status.as_str().to_owned()));
        }
    }
    words.map(|words| words.into_iter().collect())
}
