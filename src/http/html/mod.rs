//! The pages as HTML: templates, and the values that they show of a report.
//!
//! Templates escape everything that is put into them. Pages have no script and load nothing else: their policy forbids
//! all but their own style, which it names by a digest. Links are relative, so that pages work behind a path prefix.

mod asset;
mod assets;
mod chart;
mod links;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::digest::{SHA256, digest};

pub(super) use asset::{AssetSection, asset_page};
pub(super) use assets::{AssetsView, assets_page};
pub(super) use status::status_page;
pub(super) use tasks::{TasksView, tasks_page};

use links::metrics;

/// The style is in each page, so that one request is enough.
const STYLE: &str = include_str!("style.css");

/// The Content-Security-Policy of every page.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

/// What every page has.
struct Layout<'a> {
    style: &'static str,
    version: &'static str,
    /// The link to the metrics.
    metrics: &'a str,
    title: String,
}

/// One choice of a filter.
struct Choice {
    value: String,
    text: String,
    is_selected: bool,
}

// === impl Layout ===

impl<'a> Layout<'a> {
    fn new(title: String, telemetry_path: &'a str) -> Self {
        Self { style: STYLE, version: env!("CARGO_PKG_VERSION"), metrics: metrics(telemetry_path), title }
    }
}

// === impl Choice ===

impl Choice {
    /// Choices with what is selected, which is added if it is not among them; the first one selects everything.
    fn list<'v>(all: &str, values: impl IntoIterator<Item = &'v str>, selected: Option<&str>) -> Vec<Self> {
        let mut choices =
            vec![Self { value: String::new(), text: all.to_owned(), is_selected: selected.is_none() }];
        for value in values {
            let is_selected = selected == Some(value);
            choices.push(Self {
                value: value.to_owned(),
                text: text::visible(value).into_owned(),
                is_selected,
            });
        }
        if let Some(selected) = selected.filter(|_| !choices.iter().any(|choice| choice.is_selected)) {
            let text = text::visible(selected).into_owned();
            choices.push(Self { value: selected.to_owned(), text, is_selected: true });
        }
        choices
    }
}
