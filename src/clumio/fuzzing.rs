//! What holds of every body that an API can answer, whatever its bytes: for the fuzzer (`tests/fuzz`), whose corpus
//! is tried with the other tests as well.
//!
//! It is built for fuzzing and for tests alone.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::exchange::Answered;
use super::wire::{self, RowKey, Rows};
use super::{client, redact};
use crate::task::{Defect, ID_BYTES, LABEL_BYTES, Label, Name, Task};
use crate::time::{Moment, Timestamp};

/// What stands for the token in a body: only whole tokens get into one, so that a part of one in a message has leaked.
const PLACEHOLDER: &[u8] = b"TOKEN";

const TOKEN: &str = "s3cr3t-0f-an-acc0unt.that-n0-message-ever-sh0ws.n0t-even-in-part";

/// As much of the token as no message may have.
const PART: usize = 12;

/// How many rows are asked for.
const ASKED: u32 = 100;

/// The longest message about an answer, in characters: three texts of 200, in which a quote or a backslash takes two,
/// and the words between them.
const LONGEST_MESSAGE: usize = 1_400;

/// Reads the body as that of an answer with status 200, and as that of an error: no panic, no row lost, nothing
/// longer than its bound, and no token in a message.
///
/// # Panics
/// If any of it does not hold.
pub fn page(body: &[u8]) {
    if body.windows(PART).any(|part| part == &TOKEN.as_bytes()[..PART]) {
        return;
    }
    let body = with_token(body);
    let token = SecretString::from(TOKEN);
    let answered = Answered {
        date: None,
        received: Moment { wall: Timestamp::UNIX_EPOCH, steady: Duration::ZERO },
        content_type: String::from_utf8_lossy(&body).into_owned(),
        body,
    };
    match client::read(&answered, ASKED, &token) {
        Ok(page) => {
            assert!(u32::try_from(page.total).is_ok(), "the total is {}", page.total);
            assert!(page.limit > 0, "the limit must not be 0");
            check_rows(&page.rows);
        }
        Err(fault) => check_message(&fault.to_string()),
    }
    if let Some(said) = redact::server_message(&answered.body, &token) {
        check_message(&said);
    }
}

/// Compares the reading with that of a tree of JSON, which takes more memory: what is a page to one is a page to the
/// other, with as many rows.
///
/// # Panics
/// If it is not.
pub fn page_as_a_tree(body: &[u8]) {
    let Ok(Value::Object(tree)) = serde_json::from_slice(body) else { return };
    let items = match tree.get("_embedded") {
        None | Some(Value::Null) => Some(0),
        Some(Value::Object(embedded)) => match embedded.get("items") {
            None | Some(Value::Null) => Some(0),
            Some(Value::Array(items)) => Some(items.len() as u64),
            Some(_) => None,
        },
        Some(_) => None,
    };
    // A name that comes twice can be refused; written from the tree, each comes once.
    let read = |body: &[u8]| wire::read(body).ok().map(|answer| answer.into_rows().len());
    assert!(read(body).is_none_or(|rows| Some(rows) == items), "the rows are not the {items:?} of the tree");
    assert_eq!(read(Value::Object(tree).to_string().as_bytes()), items);
}

/// Reads a page with a name of these bytes: whatever they are, the page is read and its other parts are unharmed. A
/// backslash starts an escape of the two bytes after it; what would end the string is left out.
///
/// # Panics
/// If that does not hold.
pub fn page_with_a_name(bytes: &[u8]) {
    let (mut json, mut expected) = (Vec::new(), String::new());
    let (mut units, mut raw) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, rest) {
            (b'\\', [high, low, after @ ..]) => {
                expected.push_str(&String::from_utf8_lossy(&std::mem::take(&mut raw)));
                let unit = u16::from_be_bytes([*high, *low]);
                units.push(unit);
                json.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                rest = after;
            }
            (b'\\' | b'"' | ..0x20, _) => {}
            _ => {
                expected.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
                raw.push(*byte);
                json.push(*byte);
            }
        }
    }
    // At most one of them has anything.
    expected.push_str(&String::from_utf16_lossy(&units));
    expected.push_str(&String::from_utf8_lossy(&raw));
    let start =
        br#"{"total_count":1,"_embedded":{"items":[{"id":"1","status":"failed","primary_entity":{"value":""#;
    let page = [start, json.as_slice(), br#"","type":"\\ud800"}}]}}"#].concat();
    let rows = wire::read(&page).expect("the page must be read").into_rows();
    let entity = rows.tasks[0].primary.as_ref().expect("the entity must be read");
    assert_eq!(entity.entity_type.as_ref().map(Label::as_str), Some("\\ud800"));
    let expected = (!expected.is_empty()).then(|| Name::new(&expected));
    assert!(entity.name == expected, "the name is {:?}", entity.name.as_ref().map(Name::as_str));
}

fn with_token(body: &[u8]) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::new(), body);
    while let Some(at) = rest.windows(PLACEHOLDER.len()).position(|part| part == PLACEHOLDER) {
        whole.extend_from_slice(&rest[..at]);
        whole.extend_from_slice(TOKEN.as_bytes());
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    whole.extend_from_slice(rest);
    whole
}

fn check_rows(rows: &Rows) {
    let counted = rows.tasks.len() + rows.without_status.len() + rows.without_id.len();
    assert_eq!(rows.len(), counted as u64);
    rows.tasks.iter().for_each(check_task);
    rows.without_status.iter().for_each(|id| check_id(id.as_str()));
    assert!(rows.corrected.len() <= rows.tasks.len());
    for (defect, row) in rows.defects() {
        assert_eq!(matches!(row, RowKey::Id(_)), defect != Defect::NoId, "{defect:?}");
    }
}

fn check_task(task: &Task) {
    check_id(task.id.as_str());
    for label in [task.category.as_str(), task.task_type.as_str(), task.status.as_str()] {
        assert!(!label.is_empty() && label.len() <= LABEL_BYTES, "the label is {label:?}");
    }
    for at in [task.created, task.started, task.ended].into_iter().flatten() {
        assert!(at > Timestamp::UNIX_EPOCH, "the time is {at}");
    }
}

fn check_id(id: &str) {
    assert!(!id.is_empty() && id.len() <= ID_BYTES, "the id is {id:?}");
}

fn check_message(message: &str) {
    assert!(!message.is_empty(), "the message must say something");
    assert!(message.chars().count() <= LONGEST_MESSAGE, "the message is too long: {message}");
    assert!(!message.chars().any(char::is_control), "the message has control characters: {message:?}");
    assert!(!message.contains(&TOKEN[..PART]), "the message has the token: {message}");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_page_of_the_corpus_holds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/page");
        let mut pages = 0;
        for entry in fs::read_dir(folder).expect("the corpus must be readable") {
            let path = entry.expect("the entry must be readable").path();
            let body = fs::read(path).expect("the page must be readable");
            page(&body);
            page_as_a_tree(&body);
            page_with_a_name(&body);
            pages += 1;
        }
        assert!(pages > 10, "the corpus must be found");
    }

    proptest! {
        #[test]
        fn any_name_is_read(bytes in any::<Vec<u8>>()) {
            page_with_a_name(&bytes);
        }

        #[test]
        fn any_escapes_are_read(units in proptest::collection::vec(0xd7_u8..=0xe0, 0..8)) {
            let escapes: Vec<u8> = units.iter().flat_map(|high| [b'\\', *high, 0x41]).collect();
            page_with_a_name(&escapes);
        }
    }

    #[test]
    #[should_panic(expected = "the message has the token")]
    fn a_token_in_a_message_is_found() {
        check_message(&format!("it said {}", &TOKEN[..PART]));
    }
}
