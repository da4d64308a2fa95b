//! The `filter` parameter: parsed as strictly as the documentation allows, so that a client's mistake is
//! refused here and not silently answered with every task.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::task::{State, Task};
use crate::time::{Timestamp, earlier};

/// How far back `created_timestamp` may ask: six months, of which the longest have 184 days, and a day of
/// grace for clocks.
const OLDEST_BOUND: std::time::Duration = std::time::Duration::from_hours(185 * 24);

/// Which tasks a listing asks for: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filter {
    /// Created at this instant or later.
    pub(super) from: Option<Timestamp>,
    /// Created at this instant or earlier.
    pub(super) to: Option<Timestamp>,
    words: Vec<(Field, Vec<String>)>,
    names: Vec<(Part, bool, String)>,
    /// As it was sent.
    source: Map<String, Value>,
}

/// A field that is compared with a list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Type,
    Category,
    Genre,
    Status,
}

/// A part of the primary entity, compared with a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Id,
    Value,
}

// === impl Filter ===

impl Filter {
    /// The filter that `text` says; an empty text is no filter.
    ///
    /// # Errors
    /// 400 where it is no JSON object, a field, an operation or a value is not one of those documented, or a
    /// creation is asked for that lies more than six months before `now`.
    pub(super) fn parse(text: &str, now: Timestamp) -> Result<Self, Refusal> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let source: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Refusal::bad_request(format!("filter is not a JSON object: {error}")))?;
        let mut filter = Self { source: source.clone(), ..Self::default() };
        for (field, operations) in &source {
            let operations = operations
                .as_object()
                .filter(|operations| !operations.is_empty())
                .ok_or_else(|| Refusal::bad_request(format!("filter of {field} has no operation")))?;
            for (operation, value) in operations {
                filter.add(field, operation, value, now)?;
            }
        }
        Ok(filter)
    }

    /// The filter as the answer tells it, with what the system added.
    pub(super) fn applied(&self, organizational_unit: &str) -> String {
        let mut applied = self.source.clone();
        applied.insert("organizational_unit_id".to_owned(), json!({"$in": [organizational_unit]}));
        Value::Object(applied).to_string()
    }

    /// Whether `task`, which at `at` is in `state`, meets every condition.
    pub(super) fn matches(&self, task: &Task, state: State) -> bool {
        self.from.is_none_or(|from| task.created >= from)
            && self.to.is_none_or(|to| task.created <= to)
            && self.words.iter().all(|(field, words)| field.is_one_of(words, task, state))
            && self.names.iter().all(|(part, whole, text)| part.is_like(text, *whole, task))
    }

    /// Whether nothing but the creation is asked for.
    pub(super) fn is_about_creation(&self) -> bool {
        self.words.is_empty() && self.names.is_empty()
    }

    /// Whether only open tasks can meet it.
    pub(super) fn is_about_open(&self) -> bool {
        self.words.iter().any(|(field, words)| {
            *field == Field::Status && words.iter().all(|word| State::OPEN_WORDS.contains(&word.as_str()))
        })
    }

    /// The only ids that can meet it, if it names some.
    pub(super) fn ids(&self) -> Option<Vec<u64>> {
        let (_, words) = self.words.iter().find(|(field, _)| *field == Field::Id)?;
        Some(words.iter().filter_map(|word| read_id(word)).collect())
    }

    fn add(&mut self, field: &str, operation: &str, value: &Value, now: Timestamp) -> Result<(), Refusal> {
        let word = match field {
            "id" => Field::Id,
            "type" => Field::Type,
            "category" => Field::Category,
            "genre" => Field::Genre,
            "status" => Field::Status,
            "created_timestamp" => return self.add_creation(operation, value, now),
            "primary_entity.id" => return self.add_name(Part::Id, field, operation, value),
            "primary_entity.value" => return self.add_name(Part::Value, field, operation, value),
            other => return Err(Refusal::bad_request(format!("{other} cannot be filtered by"))),
        };
        if bare(operation) != "in" {
            return Err(unsupported(field, operation));
        }
        let words = value
            .as_array()
            .filter(|words| !words.is_empty())
            .and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect())
            .ok_or_else(|| Refusal::bad_request(format!("{field} must be in a list of texts")))?;
        self.words.push((word, words));
        Ok(())
    }

    fn add_creation(&mut self, operation: &str, value: &Value, now: Timestamp) -> Result<(), Refusal> {
        let bound = value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
            .ok_or_else(|| Refusal::bad_request("created_timestamp is not an RFC 3339 timestamp"))?;
        if bound < earlier(now, OLDEST_BOUND) {
            return Err(Refusal::bad_request("created_timestamp cannot exceed the last 6 months"));
        }
        match bare(operation) {
            "gte" => self.from = Some(self.from.map_or(bound, |from| from.max(bound))),
            "lte" => self.to = Some(self.to.map_or(bound, |to| to.min(bound))),
            _ => return Err(unsupported("created_timestamp", operation)),
        }
        Ok(())
    }

    fn add_name(&mut self, part: Part, field: &str, operation: &str, value: &Value) -> Result<(), Refusal> {
        let text = value.as_str().ok_or_else(|| Refusal::bad_request(format!("{field} must be a text")))?;
        let whole = match bare(operation) {
            "contains" => false,
            // Not in the table of operations, but in the documentation's own example.
            "eq" if part == Part::Id => true,
            _ => return Err(unsupported(field, operation)),
        };
        self.names.push((part, whole, text.to_owned()));
        Ok(())
    }
}

// === impl Field ===

impl Field {
    fn is_one_of(self, words: &[String], task: &Task, state: State) -> bool {
        let has = |what: &str| words.iter().any(|word| word == what);
        match self {
            Self::Id => words.iter().any(|word| read_id(word) == Some(task.id)),
            Self::Type => has(&task.kind.task_type),
            Self::Category => has(&task.kind.category),
            Self::Genre => has(task.kind.genre()),
            Self::Status => has(task.word(state)),
        }
    }
}

// === impl Part ===

impl Part {
    fn is_like(self, text: &str, whole: bool, task: &Task) -> bool {
        task.subject.primary.as_ref().is_some_and(|entity| {
            let has = if self == Self::Id { &entity.id } else { &entity.value };
            if whole { has == text } else { has.contains(text) }
        })
    }
}

/// The operation's name: the documentation writes some with the `$` and some without.
fn bare(operation: &str) -> &str {
    operation.strip_prefix('$').unwrap_or(operation)
}

/// The number that an id is written for; ids are text, so `007` is not `7`.
fn read_id(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|id| id.to_string() == text)
}

fn unsupported(field: &str, operation: &str) -> Refusal {
    Refusal::bad_request(format!("{field} does not support the operation {operation}"))
}

#[cfg(test)]
mod tests {
    use super::super::task::{Entity, Outcome, Subject};
    use super::*;

    const NOW: &str = "2026-11-02T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("the instant must be valid")
    }

    fn task() -> Task {
        let primary = Entity {
            id: "c8011712-9e16-11eb-bb8f-0a06889d7896".to_owned(),
            entity_type: "aws_ebs_volume",
            value: "ubuntu-bbp-medium-01".to_owned(),
        };
        Task::new(101, at("2026-11-01T12:00:00Z"))
            .subject(Subject { primary: Some(primary), parent: None })
            .ended(at("2026-11-01T13:00:00Z"), Outcome::Failed)
    }

    fn meets(filter: &str) -> bool {
        let filter = Filter::parse(filter, at(NOW)).expect("the filter must be valid");
        filter.matches(&task(), task().state(at(NOW)))
    }

    fn refusal(filter: &str) -> String {
        let refusal = Filter::parse(filter, at(NOW)).expect_err("the filter must be refused");
        assert_eq!(refusal.status, 400);
        refusal.message
    }

    #[test]
    fn every_documented_condition_is_understood() {
        for (filter, expected) in [
            ("", true),
            ("{}", true),
            (r#"{"primary_entity.value":{"$contains":"bbp"}}"#, true),
            (r#"{"primary_entity.value":{"$contains":"windows"}}"#, false),
            (r#"{"primary_entity.id":{"$contains":"9e16"}}"#, true),
            (r#"{"primary_entity.id":{"eq":"c8011712-9e16-11eb-bb8f-0a06889d7896"}}"#, true),
            (r#"{"primary_entity.id":{"eq":"c8011712"}}"#, false),
            (r#"{"created_timestamp":{"$gte":"2026-11-01T12:00:00Z","$lte":"2026-11-01T12:00:00Z"}}"#, true),
            (r#"{"created_timestamp":{"$gte":"2026-11-01T14:00:00+02:00"}}"#, true),
            (r#"{"created_timestamp":{"$gte":"2026-11-01T12:00:00.001Z"}}"#, false),
            (r#"{"created_timestamp":{"$lte":"2026-11-01T11:59:59Z"}}"#, false),
            (r#"{"type":{"$in":["x","aws_ebs_volume_incremental_backup"]}}"#, true),
            (r#"{"type":{"$in":["aws_ebs_volume"]}}"#, false),
            (r#"{"category":{"$in":["backup"]}}"#, true),
            (r#"{"genre":{"$in":["administrative"]}}"#, false),
            (r#"{"status":{"$in":["failed","aborted"]}}"#, true),
            (r#"{"status":{"$in":["queued"]}}"#, false),
            (r#"{"id":{"in":["101","114"]}}"#, true),
            (r#"{"id":{"$in":["0101"]}}"#, false),
        ] {
            assert_eq!(meets(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_status_of_no_document_is_found_by_its_own_word() {
        let paused = task().field("status", "paused");
        let meets =
            |filter| Filter::parse(filter, at(NOW)).map(|filter| filter.matches(&paused, State::Queued));
        assert_eq!(meets(r#"{"status":{"$in":["queued"]}}"#), Ok(false));
        assert_eq!(meets(r#"{"status":{"$in":["paused"]}}"#), Ok(true));
        assert_eq!(paused.truth(at(NOW)).status, "paused");
    }

    #[test]
    fn conditions_are_joined_by_and() {
        assert!(meets(r#"{"status":{"$in":["failed"]},"category":{"$in":["backup"]}}"#));
        assert!(!meets(r#"{"status":{"$in":["failed"]},"category":{"$in":["restore"]}}"#));
    }

    #[test]
    fn what_is_not_documented_is_refused() {
        assert_eq!(refusal(r#"{"end_timestamp":{"$gte":"x"}}"#), "end_timestamp cannot be filtered by");
        assert_eq!(refusal(r#"{"status":{"$eq":"failed"}}"#), "status does not support the operation $eq");
        assert_eq!(refusal(r#"{"status":{"$in":"failed"}}"#), "status must be in a list of texts");
        assert_eq!(refusal(r#"{"id":{"$in":[101]}}"#), "id must be in a list of texts");
        assert_eq!(refusal(r#"{"id":{}}"#), "filter of id has no operation");
        let timestamp = "created_timestamp is not an RFC 3339 timestamp";
        assert_eq!(refusal(r#"{"created_timestamp":{"$gte":"yesterday"}}"#), timestamp);
        let old = "created_timestamp cannot exceed the last 6 months";
        assert_eq!(refusal(r#"{"created_timestamp":{"$gte":"2020-09-13T00:00:00Z"}}"#), old);
        assert!(refusal("[1]").starts_with("filter is not a JSON object"));
        assert!(refusal("{").starts_with("filter is not a JSON object"));
    }

    #[test]
    fn the_answer_tells_the_filter_and_what_the_system_added() {
        let filter = Filter::parse(r#"{"id":{"$in":["1"]}}"#, at(NOW)).expect("the filter must be valid");
        assert_eq!(filter.applied("ou"), r#"{"id":{"$in":["1"]},"organizational_unit_id":{"$in":["ou"]}}"#);
    }
}
