//! How tasks and pages are written: every field of the vendor's schema, with null where the schema has it.
//!
//! Where the documentation leaves a choice (the form of a timestamp, null or nothing for a link) the simulator
//! takes both in turn, so that no client comes to rely on one.

use jiff::tz::Offset;
use serde_json::{Value, json};

use super::chance::mix;
use super::filter::Filter;
use super::listing::Cut;
use super::task::{Entity, State, Task};
use crate::time::Timestamp;

/// The organisational unit that the system filters by when a request names none.
pub(super) const GLOBAL_UNIT: &str = "00000000-0000-0000-0000-000000000000";

/// What a page says apart from its rows.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) cut: Cut,
    /// Over all pages.
    pub(super) total: u64,
    pub(super) filter: &'a Filter,
    pub(super) unit: &'a str,
    pub(super) emptiness: Emptiness,
}

/// How a page without rows says so: the schema allows for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptiness {
    /// Null for `_embedded`.
    NullEmbedded,
    /// Null for the items in it.
    NullItems,
    /// A list without items.
    EmptyItems,
}

// === impl Frame ===

impl Frame<'_> {
    /// The page of these rows.
    pub(super) fn page(&self, rows: &[Value]) -> Value {
        let pages = self.total.div_ceil(u64::from(self.cut.limit.max(1)));
        let number = self.cut.number;
        let embedded = match self.emptiness {
            Emptiness::NullEmbedded if rows.is_empty() => Value::Null,
            Emptiness::NullItems if rows.is_empty() => json!({"items": null}),
            _ => json!({"items": rows}),
        };
        let mut links = json!({
            "_self": page_link(number),
            "_first": page_link(1),
            "_last": page_link(pages.max(1)),
        });
        for (name, other, exists) in [
            ("_prev", number.saturating_sub(1), number > 1),
            ("_next", number.saturating_add(1), number < pages),
        ] {
            if exists {
                links[name] = page_link(other);
            } else if self.total.is_multiple_of(2) {
                links[name] = Value::Null;
            }
        }
        json!({
            "_embedded": embedded,
            "_links": links,
            "current_count": rows.len(),
            "filter_applied": self.filter.applied(self.unit),
            "limit": self.cut.limit,
            "start": number.to_string(),
            "total_count": self.total,
            "total_pages_count": pages,
        })
    }
}

/// The row of `task` at `at`.
pub(super) fn row(task: &Task, at: Timestamp) -> Value {
    let state = task.state(at);
    let progress = task.progress(at);
    let id = task.id.to_string();
    let abortable = matches!(state, State::Queued | State::InProgress) && task.kind.can_be_aborted();
    let etag = state.word().bytes().fold(task.id, |hash, byte| mix(hash ^ u64::from(byte)));
    let mut row = json!({
        "_etag": format!("{:016x}", mix(etag ^ u64::from(progress))),
        "_links": {
            "_self": link(&format!("/tasks/{id}"), "get"),
            "read-organizational-unit": link(&format!("/organizational-units/{GLOBAL_UNIT}"), "get"),
            "update-task": if abortable { link(&format!("/tasks/{id}"), "patch") } else { Value::Null },
        },
        "category": task.kind.category,
        "created_timestamp": written(task.created, task.id),
        "end_timestamp": task.ended_by(at).map(|ended| written(ended, task.id)),
        "genre": task.kind.genre(),
        "id": id,
        "is_abortable": abortable,
        "parent_entity": task.subject.parent.as_deref().map(entity),
        "primary_entity": task.subject.primary.as_ref().map(entity),
        "progress_percentage": progress,
        "start_timestamp": task.started_by(at).map(|started| written(started, task.id)),
        "status": state.word(),
        "type": task.kind.task_type,
    });
    for (name, value) in task.fields.iter().flat_map(|fields| fields.iter()) {
        row[name] = value.clone();
    }
    row
}

/// One of the forms of RFC 3339, all of the same instant: which one depends on the task.
fn written(at: Timestamp, id: u64) -> String {
    match id % 8 {
        3 => at.display_with_offset(Offset::UTC).to_string(),
        6 => at.display_with_offset(Offset::constant(-7)).to_string(),
        _ => at.to_string(),
    }
}

fn entity(entity: &Entity) -> Value {
    json!({"id": entity.id, "type": entity.entity_type, "value": entity.value})
}

/// A link to another page, as the documentation shows it: relative, and without `limit` and `filter`.
fn page_link(number: u64) -> Value {
    link(&format!("/tasks?start={number}"), "get")
}

fn link(href: &str, method: &str) -> Value {
    json!({"href": href, "templated": false, "type": method})
}

#[cfg(test)]
mod tests {
    use super::super::task::Outcome;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("the instant must be valid")
    }

    #[test]
    fn a_row_has_every_field_of_the_schema() {
        let row = row(&Task::new(8, at(0)).started(at(5)).ended(at(9), Outcome::Failed), at(7));
        let fields = row.as_object().expect("a row must be an object").keys().collect::<Vec<_>>();
        let expected = [
            "_etag",
            "_links",
            "category",
            "created_timestamp",
            "end_timestamp",
            "genre",
            "id",
            "is_abortable",
            "parent_entity",
            "primary_entity",
            "progress_percentage",
            "start_timestamp",
            "status",
            "type",
        ];
        assert_eq!(fields, expected);
        assert_eq!(row["status"], "in_progress");
        assert_eq!(row["start_timestamp"], "2023-11-14T22:13:25Z");
        assert_eq!(row["end_timestamp"], Value::Null);
        assert_eq!(row["primary_entity"], Value::Null);
        assert_eq!(row["progress_percentage"], 50);
    }

    #[test]
    fn every_form_of_a_timestamp_is_the_same_instant() {
        assert_eq!(written(at(0), 3), "2023-11-14T22:13:20+00:00");
        assert_eq!(written(at(0), 6), "2023-11-14T15:13:20-07:00");
        for id in 0..8 {
            assert_eq!(written(at(0), id).parse().ok(), Some(at(0)));
        }
    }

    #[test]
    fn a_field_can_be_scripted_over() {
        let task = Task::new(1, at(0)).field("status", Value::Null).field("surprise", 7);
        let row = row(&task, at(1));
        assert_eq!((&row["status"], &row["surprise"]), (&Value::Null, &json!(7)));
        assert_eq!(task.truth(at(1)).status, "queued");
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let filter = Filter::default();
        let page = |number, total, emptiness| {
            let cut = Cut { number, limit: 10, drift: 0 };
            Frame { cut, total, filter: &filter, unit: GLOBAL_UNIT, emptiness }.page(&[])
        };
        assert_eq!(page(1, 11, Emptiness::EmptyItems)["_links"]["_next"]["href"], "/tasks?start=2");
        assert_eq!(page(2, 11, Emptiness::EmptyItems)["_links"].get("_next"), None);
        assert_eq!(page(2, 12, Emptiness::EmptyItems)["_links"].get("_next"), Some(&Value::Null));
        assert_eq!(page(2, 12, Emptiness::EmptyItems)["total_pages_count"], 2);
        assert_eq!(page(1, 0, Emptiness::NullEmbedded)["_embedded"], Value::Null);
        assert_eq!(page(1, 0, Emptiness::NullItems)["_embedded"], json!({"items": null}));
        assert_eq!(page(1, 0, Emptiness::EmptyItems)["_embedded"], json!({"items": []}));
    }
}
