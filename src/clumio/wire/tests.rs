//! What is read of an answer, and that nothing in one can break the reading.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::task::{Entity, Label, Name};
use crate::time::Timestamp;

fn page(items: &Value) -> Answer {
    let page = json!({"limit": 10, "total_count": 1, "_embedded": {"items": items}});
    read(page.to_string().as_bytes()).expect("the page must be readable")
}

fn rows(items: &Value) -> Rows {
    page(items).into_rows()
}

#[test]
fn every_row_has_its_entities() {
    let parts = |entity: Option<&Entity>| {
        let entity = entity?;
        let label = entity.entity_type.as_ref().map(|label| label.as_str().to_owned());
        let text = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned());
        Some((label, text(&entity.id), text(&entity.name)))
    };
    let row = |status: &str, entity: &Value| json!({"id": "1", "status": status, "primary_entity": entity, "parent_entity": entity});
    let text = |text: &str| Some(text.to_owned());
    for (entity, expected) in [
        (
            json!({"id": "x", "type": "t", "value": "v", "more": [{}]}),
            Some((text("t"), text("x"), text("v"))),
        ),
        (json!({"id": 7, "type": 7, "value": {"a": 1}}), Some((None, text("7"), None))),
        (json!({"type": "t", "id": null, "value": ""}), Some((text("t"), None, None))),
        (json!({"id": null, "type": null, "value": null}), None),
        (json!({}), None),
        (Value::Null, None),
        (json!([1]), None),
        (json!("x"), None),
        (json!(1.5), None),
        (json!(true), None),
    ] {
        for status in ["queued", "completed", "failed", "skipped"] {
            let task = only_task(row(status, &entity));
            assert_eq!(parts(task.primary.as_deref()), expected, "{entity}");
            assert_eq!(parts(task.parent.as_deref()), expected, "{entity}");
        }
    }
}

fn only_task(item: Value) -> Task {
    let mut rows = rows(&Value::Array(vec![item]));
    assert_eq!((rows.len(), rows.tasks.len()), (1, 1));
    rows.tasks.remove(0)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("the timestamp must be valid")
}

#[test]
fn a_whole_row_is_read() {
    let task = only_task(json!({
        "_etag": "x", "_links": {"_self": {"href": "/tasks/1"}}, "id": "1", "category": "backup",
        "type": "aws_ebs_volume_incremental_backup", "status": "completed", "genre": "operational",
        "created_timestamp": "2026-11-01T00:00:00Z", "start_timestamp": "2026-11-01T00:00:01.25Z",
        "end_timestamp": "2026-11-01T02:00:02+02:00", "progress_percentage": 100,
        "primary_entity": {"id": "v", "type": "aws_ebs_volume", "value": "vol-1"}, "parent_entity": null,
    }));
    assert_eq!(task.id.as_str(), "1");
    assert_eq!(task.category, Label::new("backup"));
    assert_eq!(task.task_type, Label::new("aws_ebs_volume_incremental_backup"));
    assert_eq!(task.status, Status::Completed);
    assert_eq!(task.created, Some(at("2026-11-01T00:00:00Z")));
    assert_eq!(task.started, Some(at("2026-11-01T00:00:01.25Z")));
    assert_eq!(task.ended, Some(at("2026-11-01T00:00:02Z")));
}

#[test]
fn null_missing_and_empty_words_are_unknown() {
    for item in [
        json!({"id": "1", "status": "queued", "category": null, "type": ""}),
        json!({"id": "1", "status": "queued", "category": {"a": [1]}, "type": 7}),
        json!({"id": "1", "status": "queued"}),
    ] {
        let task = only_task(item);
        assert_eq!((task.category, task.task_type), (Label::unknown(), Label::unknown()));
    }
}

#[test]
fn an_id_that_is_a_number_is_its_digits_and_escapes_are_undone() {
    assert_eq!(only_task(json!({"id": 114, "status": "queued"})).id.as_str(), "114");
    assert_eq!(only_task(json!({"id": "a\"\u{e9}\n", "status": "queued"})).id.as_str(), "a\"\u{e9}\n");
}

#[test]
fn rows_without_an_id_are_counted_and_cost_nothing_else() {
    let items = json!([
        null, true, 1, -1, 1.5, "text", [{"id": "x"}], {}, {"id": null, "status": "failed"}, {"id": ""},
        {"id": 1.5}, {"id": {"id": "1"}}, {"id": "x".repeat(257)}, {"id": "kept", "status": "failed"},
    ]);
    let rows = rows(&items);
    assert_eq!((rows.without_id.len(), rows.tasks.len(), rows.len()), (13, 1, 14));
}

#[test]
fn rows_without_an_id_are_told_apart_by_what_is_read_of_them() {
    let keys = |items: Value| rows(&items).without_id;
    let [first, other] = ["2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z"]
        .map(|created| json!({"status": "failed", "created_timestamp": created, "_etag": created}));
    let read = keys(json!([first, other, first]));
    assert_eq!((read[0], read[0] == read[1]), (read[2], false));
    assert_eq!(keys(json!([first])), [read[0]], "the same row must have the same hash in a later page");
}

#[test]
fn rows_without_a_status_keep_their_ids() {
    let items = json!([
        {"id": "1"}, {"id": "2", "status": null}, {"id": "3", "status": ""}, {"id": "4", "status": 4},
    ]);
    let rows = rows(&items);
    let ids: Vec<_> = rows.without_status.iter().map(TaskId::as_str).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert!(rows.corrected.is_empty());
}

#[test]
fn a_bad_timestamp_is_none_and_the_row_is_counted_once() {
    for bad in [
        json!("soon"),
        json!(""),
        json!("2026-11-01"),
        json!("2026-11-01T00:00:00"),
        json!(1),
        json!({}),
        json!("0001-01-01T00:00:00Z"),
        json!("20260-11-01T00:00:00Z"),
        json!("2026-13-01T00:00:00Z"),
    ] {
        let item = json!({"id": "1", "status": "failed", "created_timestamp": bad, "start_timestamp": bad,
            "end_timestamp": "2026-11-01T00:00:00Z"});
        let rows = rows(&json!([item]));
        assert_eq!(rows.corrected.iter().map(TaskId::as_str).collect::<Vec<_>>(), ["1"], "{bad}");
        assert_eq!((rows.tasks[0].created, rows.tasks[0].started), (None, None));
        assert_eq!(rows.tasks[0].ended, Some(at("2026-11-01T00:00:00Z")));
    }
}

#[test]
fn a_field_that_comes_twice_does_not_cost_the_page() {
    let body = br#"{"total_count":1,"_embedded":{"items":[{"id":"1","id":"2","status":"failed"}]}}"#;
    let answer = read(body).expect("the page must be readable");
    assert_eq!(answer.into_rows().tasks[0].id.as_str(), "2");
}

#[test]
fn an_empty_list_can_be_null_or_missing() {
    for body in [
        r#"{"total_count":0}"#,
        r#"{"total_count":0,"_embedded":null,"_links":null}"#,
        r#"{"total_count":0,"_embedded":{}}"#,
        r#"{"total_count":0,"_embedded":{"items":null}}"#,
        r#" {"total_count":0,"_embedded":{"items":[]},"filter_applied":"{}"}"#,
    ] {
        let answer = read(body.as_bytes()).expect("the page must be readable");
        assert_eq!(answer.total(), Ok(0));
        assert_eq!(answer.limit(25), Ok(25));
        assert_eq!(answer.into_rows().len(), 0);
    }
}

#[test]
fn invalid_unicode_in_a_name_fails_neither_the_page_nor_other_names() {
    let body = |name: &[u8]| {
        let item = |id: &str, name: &[u8]| {
            let start = format!(r#"{{"id":"{id}","status":"failed","primary_entity":{{"value":""#);
            [start.as_bytes(), name, br#""}}"#].concat()
        };
        let items = [item("1", "é".as_bytes()), item("2", name), item("3", br"\\ud800\ud83d\ude00")];
        [br#"{"total_count":3,"_embedded":{"items":["#, items.join(&b',').as_slice(), b"]}}"].concat()
    };
    let name = |task: &Task| Some(task.primary.as_ref()?.name.as_ref()?.as_str().to_owned());
    for (invalid, expected) in [
        (&br"a\ud800"[..], "a\u{fffd}"),
        (br"\udc00b", "\u{fffd}b"),
        (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (b"a\xffb", "a\u{fffd}b"),
    ] {
        let rows = read(&body(invalid)).expect("the page must be readable").into_rows();
        let names: Vec<_> = rows.tasks.iter().map(name).collect();
        let expected = ["é", expected, "\\ud800\u{1f600}"].map(|name| Some(name.to_owned()));
        assert_eq!(names, expected);
    }
    assert!(read(b"{\"total_count\":\xff}").is_err(), "outside a string it is not JSON");
}

#[test]
fn a_page_has_a_next_one_if_the_link_has_an_href() {
    let has_next = |links: &str| {
        let body = format!(r#"{{"total_count":0,"_links":{links}}}"#);
        read(body.as_bytes()).expect("the page must be readable").has_next()
    };
    for links in [
        r#"{"_next":{"href":"/tasks?start=2"}}"#,
        r#"{"_self":{"href":"/tasks"},"_next":{"templated":false,"href":"https://elsewhere.example/"}}"#,
    ] {
        assert!(has_next(links), "{links}");
    }
    for links in [
        "null",
        "{}",
        "[]",
        "1",
        r#"{"_next":null}"#,
        r#"{"_next":{}}"#,
        r#"{"_next":"/tasks?start=2"}"#,
        r#"{"_next":{"href":null}}"#,
        r#"{"_next":{"href":""}}"#,
        r#"{"_next":{"href":2}}"#,
        r#"{"_self":{"href":"/tasks"}}"#,
    ] {
        assert!(!has_next(links), "{links}");
    }
    assert!(!read(br#"{"total_count":0}"#).expect("the page must be readable").has_next());
}

#[test]
fn a_total_or_limit_that_cannot_be_is_refused() {
    let with = |total: &str, limit: &str| {
        read(format!(r#"{{"total_count":{total},"limit":{limit}}}"#).as_bytes()).expect("it must be JSON")
    };
    for bad in ["-1", "null", "\"3\"", "1.5", "4294967296", "18446744073709551615", "1e300", "[]", "true"] {
        assert!(with(bad, "10").total().is_err(), "{bad}");
    }
    for bad in ["0", "-1", "\"3\"", "1.5", "4294967296", "{}"] {
        assert!(with("0", bad).limit(10).is_err(), "{bad}");
    }
    assert_eq!(with("3", "null").limit(10), Ok(10));
    assert_eq!(with("4294967295", "20").total(), Ok(4_294_967_295));
    assert_eq!(with("3", "20").limit(100), Ok(20));
    assert_eq!(with("-7", "1").total(), Err("its total_count is -7".into()));
}

#[test]
fn what_is_not_a_page_is_refused() {
    for body in [
        "",
        "null",
        "[]",
        "[1,2]",
        "3",
        "\"x\"",
        "<html>",
        "{\"total_count\":1",
        "{}x",
        r#"{"_embedded":[[]],"total_count":0}{"#,
        r#"{"_embedded":{"items":{}}}"#,
        r#"{"_embedded":"x"}"#,
        r#"{"_embedded":[]}"#,
        r#"{"_embedded":[[]]}"#,
    ] {
        assert!(read(body.as_bytes()).is_err(), "{body}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:.+Zz-]{0,20}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "id",
            "status",
            "category",
            "type",
            "created_timestamp",
            "start_timestamp",
            "end_timestamp",
            "items",
            "_embedded",
            "_links",
            "_next",
            "href",
            "limit",
            "total_count",
        ])
        .prop_map(String::from),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_rows_are_read_and_every_one_is_accounted_for(
        items in prop::collection::vec(any_json(), 0..20)
    ) {
        let rows = rows(&Value::from(items.clone()));
        prop_assert_eq!(rows.len(), items.len() as u64);
        prop_assert!(rows.corrected.len() <= rows.tasks.len());
    }

    #[test]
    fn any_json_is_a_page_or_an_error(body in any_json()) {
        if let Ok(answer) = read(body.to_string().as_bytes()) {
            let _ = (answer.total(), answer.limit(1), answer.into_rows());
        }
    }

    #[test]
    fn any_bytes_are_a_page_or_an_error(body in any::<Vec<u8>>()) {
        let _ = read(&body);
    }
}
