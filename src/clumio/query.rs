//! What a request asks: the query of one page, and how errors and logs name it.
//!
//! The filter is one JSON object on one field, written by `serde_json`, so that an id with a quote in it stays
//! an id. Two conditions on that one field are what the vendor's own SDKs send.

use std::fmt;

use serde::Serialize;

use super::Filter;
use crate::task::{Status, TaskId};
use crate::time::Timestamp;

/// One page of one listing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) filter: &'a Filter,
    /// Counted from 1.
    pub(super) number: u64,
    /// Rows a page.
    pub(super) limit: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Field<'a> {
    Status(OneOf<&'a str>),
    CreatedTimestamp(Between),
    Id(OneOf<&'a str>),
}

#[derive(Serialize)]
struct OneOf<T> {
    #[serde(rename = "$in")]
    values: Vec<T>,
}

#[derive(Serialize)]
struct Between {
    #[serde(rename = "$gte")]
    from: String,
    #[serde(rename = "$lte", skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// The whole second at or before `at`.
fn second_before(at: Timestamp) -> Timestamp {
    let second = at.as_nanosecond().div_euclid(1_000_000_000);
    whole_second(second).unwrap_or(at)
}

/// The whole second at or after `at`.
fn second_after(at: Timestamp) -> Timestamp {
    let second = -(-at.as_nanosecond()).div_euclid(1_000_000_000);
    whole_second(second).unwrap_or(at)
}

/// None beyond the ends of time, where there is no task either.
fn whole_second(second: i128) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(second).ok()?).ok()
}

// === impl Query ===

impl Query<'_> {
    /// The parameters in the order in which they are sent, not yet percent-encoded.
    pub(super) fn parameters(&self) -> [(&'static str, String); 3] {
        [("limit", self.limit.to_string()), ("start", self.number.to_string()), ("filter", self.filter())]
    }

    fn filter(&self) -> String {
        let field = match self.filter {
            Filter::Open => {
                Field::Status(OneOf { values: Status::OPEN.iter().map(Status::as_str).collect() })
            }
            Filter::Created { from, to } => Field::CreatedTimestamp(Between {
                from: second_before(*from).to_string(),
                to: to.map(|to| second_after(to).to_string()),
            }),
            Filter::Ids(ids) => Field::Id(OneOf { values: ids.iter().map(TaskId::as_str).collect() }),
        };
        serde_json::to_string(&field).expect("an object of strings must be JSON")
    }
}

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.filter {
            Filter::Open => f.write_str("listing open tasks")?,
            Filter::Created { from, to: None } => write!(f, "listing tasks created since {from}")?,
            Filter::Created { from, to: Some(to) } => {
                write!(f, "listing tasks created from {from} to {to}")?;
            }
            Filter::Ids(ids) => write!(f, "looking up {} tasks by id", ids.len())?,
        }
        write!(f, ", page {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(filter: &Filter) -> String {
        Query { filter, number: 1, limit: 100 }.filter()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("the timestamp must be valid")
    }

    #[test]
    fn open_tasks_are_asked_for_by_the_three_open_statuses() {
        assert_eq!(filter(&Filter::Open), r#"{"status":{"$in":["queued","in_progress","aborting"]}}"#);
    }

    #[test]
    fn a_range_is_rounded_outwards_to_whole_seconds() {
        let range =
            Filter::Created { from: at("2026-11-01T00:00:00.9Z"), to: Some(at("2026-11-02T00:00:00.1Z")) };
        assert_eq!(
            filter(&range),
            r#"{"created_timestamp":{"$gte":"2026-11-01T00:00:00Z","$lte":"2026-11-02T00:00:01Z"}}"#
        );
        let early =
            Filter::Created { from: at("1969-12-31T23:59:58.5Z"), to: Some(at("1969-12-31T23:59:58.5Z")) };
        assert_eq!(
            filter(&early),
            r#"{"created_timestamp":{"$gte":"1969-12-31T23:59:58Z","$lte":"1969-12-31T23:59:59Z"}}"#
        );
    }

    #[test]
    fn whole_seconds_stay_and_an_open_end_is_left_out() {
        let since = Filter::Created { from: at("2026-11-01T00:00:00Z"), to: None };
        assert_eq!(filter(&since), r#"{"created_timestamp":{"$gte":"2026-11-01T00:00:00Z"}}"#);
        assert_eq!(second_after(at("2026-11-01T00:00:00Z")), at("2026-11-01T00:00:00Z"));
    }

    #[test]
    fn the_ends_of_time_are_no_trap() {
        assert_eq!(second_before(Timestamp::MIN), Timestamp::MIN);
        assert_eq!(second_after(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn an_id_stays_an_id_whatever_is_in_it() {
        let ids = ["101", r#"a"b\c"#, "é&=+ %"].map(|id| TaskId::new(id).expect("the id must be valid"));
        assert_eq!(filter(&Filter::Ids(ids.to_vec())), r#"{"id":{"$in":["101","a\"b\\c","é&=+ %"]}}"#);
    }

    #[test]
    fn a_query_says_what_it_asks() {
        let ids = Filter::Ids(vec![TaskId::new("7").expect("the id must be valid"); 3]);
        let query = Query { filter: &ids, number: 2, limit: 50 };
        assert_eq!(query.to_string(), "looking up 3 tasks by id, page 2");
    }
}
