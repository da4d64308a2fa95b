//! The parameters of pages and of the API: what they may be, and the filters that they make.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::store::{
    AssetCondition, AssetFilter, AssetOrder, AssetState, MAX_OFFSET, MAX_ROWS, TaskFilter, TaskStatus,
};
use crate::task::Status;
use crate::time::Timestamp;

/// Rows of a page.
pub(super) const PAGE_SIZE: usize = 50;

/// The last page of a list of assets; filters reach the others.
const MAX_PAGE: usize = 2_000;

/// Characters of the name of an unknown parameter that the answer repeats.
const MAX_NAME: usize = 40;

/// The parameters of a request. An empty one is as good as none, because forms send them.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Parameters(HashMap<String, String>);

/// A parameter that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadParameter {
    name: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

// === impl BadParameter ===

impl BadParameter {
    const fn new(name: &'static str, remedy: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), remedy: Cow::Borrowed(remedy) }
    }
}

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.remedy)
    }
}

// === impl Parameters ===

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Refuses every other parameter: a filter that is misspelled would select too much.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), BadParameter> {
        let Some(unknown) = self.0.keys().filter(|name| !names.contains(&name.as_str())).min() else {
            return Ok(());
        };
        let name: String = unknown.chars().take(MAX_NAME).collect();
        let remedy = format!("there is no such parameter: write {}", names.join(", "));
        Err(BadParameter { name: name.into(), remedy: remedy.into() })
    }

    /// These parameters as they were given, for links that keep them.
    pub(super) fn kept(&self, names: &[&'static str]) -> Vec<(&'static str, String)> {
        names.iter().filter_map(|name| Some((*name, self.get(name)?.to_owned()))).collect()
    }

    /// A link that is relative to the request, with these parameters but for one.
    pub(super) fn link_with(&self, name: &str, value: &str) -> String {
        let mut kept: Vec<_> = self.0.iter().filter(|(other, _)| *other != name).collect();
        kept.sort_unstable();
        let mut query = Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(name, value);
        format!("?{}", query.finish())
    }

    /// The number of the page, from 1.
    pub(super) fn page(&self) -> Result<usize, BadParameter> {
        self.number("page", 1, MAX_PAGE, "write a number from 1 to 2000")
    }

    /// Rows of one answer of the API.
    pub(super) fn limit(&self) -> Result<usize, BadParameter> {
        self.number("limit", PAGE_SIZE, MAX_ROWS, "write a number from 1 to 1000")
    }

    /// The parameters that select and sort assets.
    pub(super) const ASSETS: [&'static str; 7] =
        ["account", "state", "failing", "category", "asset_type", "q", "sort"];

    /// The assets that are asked for, `page_size` on each page.
    pub(super) fn assets(&self, page_size: usize) -> Result<AssetFilter, BadParameter> {
        self.only(&[&Self::ASSETS[..], &["page", "limit"]].concat())?;
        let owned = |name| self.get(name).map(str::to_owned);
        let (order, is_descending) = self.order()?;
        let offset = (self.page()? - 1) * page_size;
        if offset > MAX_OFFSET {
            return Err(BadParameter::new("page", "rows after the first 100000 need a narrower filter"));
        }
        Ok(AssetFilter {
            account: owned("account"),
            category: owned("category"),
            asset_type: owned("asset_type"),
            condition: self.get("state").map(condition).transpose()?,
            is_failing: self.get("failing").map(flag).transpose()?,
            text: owned("q"),
            order,
            is_descending,
            offset,
            limit: page_size,
        })
    }

    /// The parameters that select tasks.
    pub(super) const TASKS: [&'static str; 7] =
        ["account", "status", "category", "type", "asset", "from", "to"];

    /// The tasks that are asked for.
    pub(super) fn tasks(&self, page_size: usize) -> Result<TaskFilter, BadParameter> {
        self.only(&[&Self::TASKS[..], &["after", "limit"]].concat())?;
        let owned = |name| self.get(name).map(str::to_owned);
        let time = |name| self.get(name).map(|text| time(name, text)).transpose();
        let remedy = "write the value of `next` from the answer before";
        let after =
            self.get("after").map(|text| text.parse().map_err(|_| BadParameter::new("after", remedy)));
        Ok(TaskFilter {
            account: owned("account"),
            status: self.get("status").map(status),
            category: owned("category"),
            task_type: owned("type"),
            asset: owned("asset"),
            from: time("from")?,
            to: time("to")?,
            after: after.transpose()?,
            limit: page_size,
        })
    }

    fn number(
        &self,
        name: &'static str,
        default: usize,
        most: usize,
        remedy: &'static str,
    ) -> Result<usize, BadParameter> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or(BadParameter::new(name, remedy))
    }

    fn order(&self) -> Result<(AssetOrder, bool), BadParameter> {
        let Some(text) = self.get("sort") else { return Ok((AssetOrder::Attention, false)) };
        let (name, is_descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let order = match name {
            "attention" => AssetOrder::Attention,
            "account" => AssetOrder::Account,
            "name" => AssetOrder::Name,
            "asset_type" => AssetOrder::AssetType,
            "state" => AssetOrder::State,
            "failing_since" => AssetOrder::FailingSince,
            "last_completed" => AssetOrder::Completed,
            "late_from" => AssetOrder::Due,
            _ => {
                let remedy = "write attention, account, name, asset_type, state, failing_since, last_completed or \
                              late_from, with a - before it for the other way around";
                return Err(BadParameter::new("sort", remedy));
            }
        };
        Ok((order, is_descending))
    }
}

fn condition(text: &str) -> Result<AssetCondition, BadParameter> {
    let state = AssetState::ALL.into_iter().find(|state| state.as_str() == text);
    let condition = match text {
        "failing" => Some(AssetCondition::Failing),
        "late" => Some(AssetCondition::Late),
        "unprotected" => Some(AssetCondition::Unprotected),
        _ => state.map(AssetCondition::Is),
    };
    let remedy = "write ok, overdue, silent, unjudged, ignored, failing, late or unprotected";
    condition.ok_or(BadParameter::new("state", remedy))
}

fn flag(text: &str) -> Result<bool, BadParameter> {
    match text {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(BadParameter::new("failing", "write yes or no")),
    }
}

fn status(text: &str) -> TaskStatus {
    match text {
        "open" => TaskStatus::Open,
        "unsuccessful" => TaskStatus::Unsuccessful,
        word => TaskStatus::Is(Status::from_word(word)),
    }
}

/// An instant, or a date and time or a date in UTC.
fn time(name: &'static str, text: &str) -> Result<Timestamp, BadParameter> {
    let civil = |at: DateTime| TimeZone::UTC.to_timestamp(at).ok();
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| text.parse::<DateTime>().ok().and_then(civil));
    let time = time.or_else(|| civil(text.parse::<Date>().ok()?.at(0, 0, 0, 0)));
    let remedy = "write a date or a time in UTC, such as 2026-11-28 or 2026-11-28T21:00:00Z";
    time.ok_or(BadParameter::new(name, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(given: &[(&str, &str)]) -> Parameters {
        Parameters(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_value_that_a_page_offers_is_taken() {
        for state in
            AssetState::ALL.map(AssetState::as_str).into_iter().chain(["failing", "late", "unprotected"])
        {
            assert!(
                parameters(&[("state", state)]).assets(50).is_ok_and(|it| it.condition.is_some()),
                "{state}"
            );
        }
        let asked =
            parameters(&[("page", "3"), ("sort", "-last_completed"), ("failing", "no"), ("account", " ")]);
        let filter = asked.assets(50).expect("it must be taken");
        let expected = AssetFilter {
            order: AssetOrder::Completed,
            is_descending: true,
            is_failing: Some(false),
            offset: 100,
            limit: 50,
            ..AssetFilter::default()
        };
        assert_eq!(filter, expected);
    }

    #[test]
    fn times_are_in_utc() {
        for text in ["2026-11-28", "2026-11-28T00:00", "2026-11-28T00:00:00Z", "2026-11-28T01:00:00+01:00"] {
            let at = parameters(&[("from", text)]).tasks(1).expect("it must be taken").from;
            assert_eq!(at.map(|at| at.to_string()).as_deref(), Some("2026-11-28T00:00:00Z"), "{text}");
        }
    }

    #[test]
    fn a_bad_value_is_named() {
        for (name, value) in
            [("state", "bad"), ("page", "0"), ("page", "2001"), ("sort", "size"), ("failing", "x")]
        {
            assert_eq!(parameters(&[(name, value)]).assets(50).map_err(|bad| bad.name), Err(name.into()));
        }
        assert!(parameters(&[("page", "101")]).assets(MAX_ROWS).is_ok());
        assert!(parameters(&[("page", "102")]).assets(MAX_ROWS).is_err());
        for (name, value) in [("from", "yesterday"), ("to", "13"), ("after", "1")] {
            assert_eq!(parameters(&[(name, value)]).tasks(50).map_err(|bad| bad.name), Err(name.into()));
        }
        assert_eq!(parameters(&[("limit", "1001")]).limit().map_err(|bad| bad.name), Err("limit".into()));
    }

    #[test]
    fn a_link_keeps_the_other_parameters() {
        let asked = parameters(&[("q", "a b&c"), ("page", "2"), ("limit", "9")]);
        assert_eq!(asked.link_with("page", "3"), "?limit=9&q=a+b%26c&page=3");
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let bad = parameters(&[("acount", "prod")]).assets(50).map(drop).map_err(|bad| bad.to_string());
        let message = "acount: there is no such parameter: write account, state, failing, category, asset_type, q, \
                       sort, page, limit";
        assert_eq!(bad, Err(message.to_owned()));
        assert!(parameters(&[("acount", "prod")]).tasks(50).is_err());
    }
}
