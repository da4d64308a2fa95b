//! The list of assets as a page.

use askama::Template;

use super::text::{Moment, ago, visible};
use super::{Choice, Layout, links};
use crate::report::{AssetReport, AssetsReport, count, words_of};
use crate::store::AssetState;
use crate::time::Timestamp;

#[derive(Template)]
#[template(path = "assets.html", config = "src/http/askama.toml")]
struct AssetsPage<'a> {
    layout: Layout<'a>,
    heading: String,
    accounts: Vec<Choice>,
    states: Vec<Choice>,
    categories: Vec<Choice>,
    asset_types: Vec<Choice>,
    failing: Vec<Choice>,
    text: &'a str,
    sort: &'a str,
    columns: Vec<Column>,
    rows: Vec<AssetView>,
    has_accounts: bool,
    pages: Pages,
    api: String,
}

/// What the page is about, besides the assets.
pub(in super::super) struct AssetsView<'a> {
    /// The parameters of the request that select and sort, in the order of the form.
    pub(in super::super) parameters: Vec<(&'static str, String)>,
    /// The accounts that there are.
    pub(in super::super) accounts: Vec<String>,
    /// The categories that there are.
    pub(in super::super) categories: Vec<String>,
    /// The types of assets that there are.
    pub(in super::super) asset_types: Vec<String>,
    /// The number of this page, from 1.
    pub(in super::super) page: usize,
    /// Assets of a page.
    pub(in super::super) page_size: usize,
    /// Where the metrics are.
    pub(in super::super) telemetry_path: &'a str,
    /// The time on this machine's clock.
    pub(in super::super) now: Timestamp,
}

/// The head of a column by which can be sorted.
struct Column {
    text: &'static str,
    href: String,
    /// The value of `aria-sort`.
    sorted: &'static str,
}

/// Links to the neighbouring pages.
struct Pages {
    text: String,
    previous: Option<String>,
    next: Option<String>,
}

/// One asset of a table.
pub(super) struct AssetView {
    pub(super) account: String,
    pub(super) name: String,
    pub(super) href: String,
    pub(super) asset_type: String,
    pub(super) category: String,
    pub(super) parent: String,
    pub(super) state: &'static str,
    pub(super) failing_since: Option<Moment>,
    pub(super) failing_types: String,
    pub(super) completed: Option<Moment>,
    pub(super) since: Moment,
    pub(super) due: Option<Moment>,
    pub(super) max_age: String,
}

/// The values of `sort` with the heads of their columns.
const COLUMNS: [(&str, &str); 7] = [
    ("name", "Asset"),
    ("account", "Account"),
    ("asset_type", "Type"),
    ("state", "State"),
    ("failing_since", "Failing since"),
    ("last_completed", "Last completed"),
    ("late_from", "Late from"),
];

/// Values of `state` besides the states themselves.
const CONDITIONS: [&str; 3] = ["unprotected", "failing", "late"];

/// The page of a list of assets.
pub(in super::super) fn assets_page(list: &AssetsReport, view: &AssetsView<'_>) -> Option<String> {
    let asked = |name: &str| view.asked(name);
    let has_accounts = view.accounts.len() > 1;
    let states = CONDITIONS.into_iter().chain(AssetState::ALL.map(AssetState::as_str));
    let columns = COLUMNS.into_iter().filter(|(name, _)| *name != "account" || has_accounts);
    let heading = match list.total {
        1 => "1 asset".to_owned(),
        total => format!("{} assets", count(total)),
    };
    let page = AssetsPage {
        layout: Layout::new(format!("{heading} - clumio-exporter"), view.telemetry_path),
        heading,
        accounts: Choice::list("all", view.accounts.iter().map(String::as_str), asked("account")),
        states: Choice::list("all", states, asked("state")),
        categories: Choice::list("all", view.categories.iter().map(String::as_str), asked("category")),
        asset_types: Choice::list("all", view.asset_types.iter().map(String::as_str), asked("asset_type")),
        failing: Choice::list("all", ["yes", "no"], asked("failing")),
        text: asked("q").unwrap_or_default(),
        sort: asked("sort").unwrap_or_default(),
        columns: columns.map(|(name, text)| view.column(name, text)).collect(),
        rows: list.assets.iter().map(|asset| AssetView::new(asset, view.now)).collect(),
        has_accounts,
        pages: view.pages(list),
        api: view.link("api/v1/assets", &[("page", &view.later_page())]),
    };
    page.render().ok()
}

// === impl AssetsView ===

impl AssetsView<'_> {
    fn asked(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(parameter, _)| *parameter == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A link with the parameters of the request, but for the given ones.
    fn link(&self, page: &str, changed: &[(&str, &str)]) -> String {
        let is_changed = |name: &str| changed.iter().any(|(other, _)| *other == name);
        let kept = self.parameters.iter().filter(|(name, _)| !is_changed(name));
        links::link(page, kept.map(|(name, value)| (*name, value.as_str())).chain(changed.iter().copied()))
    }

    fn column(&self, name: &'static str, text: &'static str) -> Column {
        let descending = format!("-{name}");
        let sorted = match self.asked("sort") {
            Some(sort) if sort == name => "ascending",
            Some(sort) if sort == descending => "descending",
            _ => "none",
        };
        let next = if sorted == "ascending" { descending.as_str() } else { name };
        Column { text, href: self.link("assets", &[("sort", next)]), sorted }
    }

    /// The number of the page, unless it is the first.
    fn later_page(&self) -> String {
        if self.page > 1 { self.page.to_string() } else { String::new() }
    }

    fn pages(&self, list: &AssetsReport) -> Pages {
        let skipped = (self.page - 1) * self.page_size;
        let end = skipped + list.assets.len();
        let to = |page: usize| self.link("assets", &[("page", &page.to_string())]);
        let pages = usize::try_from(list.total).unwrap_or(usize::MAX).div_ceil(self.page_size);
        let is_filtered = self.parameters.iter().any(|(name, value)| *name != "sort" && !value.is_empty());
        Pages {
            text: match list.assets.len() {
                0 if list.total > 0 => format!("There is no page {}; the last one is {pages}.", self.page),
                0 if is_filtered => "No asset matches the filter.".to_owned(),
                0 => "No asset is known.".to_owned(),
                _ => {
                    format!("{} to {} of {}", count(skipped as u64 + 1), count(end as u64), count(list.total))
                }
            },
            previous: (self.page > 1).then(|| to((self.page - 1).min(pages).max(1))),
            next: (list.total > end as u64 && !list.assets.is_empty()).then(|| to(self.page + 1)),
        }
    }
}

// === impl AssetView ===

impl AssetView {
    pub(super) fn new(asset: &AssetReport, now: Timestamp) -> Self {
        let words = |text: &str| visible(text).into_owned();
        let types: Vec<_> = asset.failing_types.iter().map(|it| words(it.as_str())).collect();
        let max_age = asset.max_age_seconds.map(std::time::Duration::from_secs);
        Self {
            account: asset.account.clone(),
            name: words(&asset.name),
            href: links::asset(&asset.account, &asset.id),
            asset_type: words(asset.asset_type.as_str()),
            category: words(asset.category.as_str()),
            parent: words(asset.parent.as_deref().unwrap_or_default()),
            state: asset.state,
            failing_since: asset.failing_since.map(|at| ago(at, now)),
            failing_types: types.join(", "),
            completed: asset.last_completed.map(|at| ago(at, now)),
            since: ago(asset.unprotected_since, now),
            due: asset.late_from.map(|at| ago(at, now)),
            max_age: max_age.map_or_else(|| "none".to_owned(), words_of),
        }
    }
}
