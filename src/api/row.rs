//! One row of the list, read leniently: a bad one never costs a good page.
//!
//! Every field is nullable in the vendor's SDKs, so each is taken whatever it is, and judged when all are read.
//! The visitors are written by hand because `serde(untagged)` would copy every value first.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::tasks::{Label, TaskId};
use crate::time::Timestamp;

/// The fields of a row that the numbers need.
#[derive(Default)]
pub(super) struct Row<'a> {
    pub(super) id: Text<'a>,
    pub(super) category: Text<'a>,
    pub(super) task_type: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) created: Text<'a>,
    pub(super) started: Text<'a>,
    pub(super) ended: Text<'a>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Id,
    Category,
    Type,
    Status,
    CreatedTimestamp,
    StartTimestamp,
    EndTimestamp,
    #[serde(other)]
    Other,
}

/// A field that should be text.
#[derive(Default)]
pub(super) enum Text<'a> {
    #[default]
    Absent,
    Word(Cow<'a, str>),
    Whole(i128),
    /// Any other JSON.
    Other,
}

struct RowVisitor;

struct TextVisitor;

/// A timestamp that is none.
#[derive(Debug)]
pub(super) struct Unreadable;

// === impl Row ===

impl Row<'_> {
    /// The id. A number is taken for the text that it is written as: ids are decimal digits so far.
    pub(super) fn id(&self) -> Option<TaskId> {
        match &self.id {
            Text::Word(word) => TaskId::new(word),
            Text::Whole(n) => TaskId::new(&n.to_string()),
            Text::Absent | Text::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowVisitor)
    }
}

/// What is not an object is a row without fields.
impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let mut row = Row::default();
        while let Some(field) = map.next_key()? {
            let text = match field {
                Field::Id => &mut row.id,
                Field::Category => &mut row.category,
                Field::Type => &mut row.task_type,
                Field::Status => &mut row.status,
                Field::CreatedTimestamp => &mut row.created,
                Field::StartTimestamp => &mut row.started,
                Field::EndTimestamp => &mut row.ended,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *text = map.next_value()?;
        }
        Ok(row)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Row<'de>, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Row::default())
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Row<'de>, E> {
        Ok(Row::default())
    }
}

// === impl Text ===

impl Text<'_> {
    /// The word; an empty one is none, for an empty label would be no label to Prometheus.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) if !word.is_empty() => Some(word),
            _ => None,
        }
    }

    pub(super) fn label(&self) -> Label {
        self.word().map_or_else(Label::unknown, Label::new)
    }

    /// The instant. One up to the beginning of 1970 is some program's zero, not the time of a backup.
    pub(super) fn time(&self) -> Result<Option<Timestamp>, Unreadable> {
        match self {
            Self::Absent => Ok(None),
            Self::Word(word) => match word.parse() {
                Ok(at) if at > Timestamp::UNIX_EPOCH => Ok(Some(at)),
                _ => Err(Unreadable),
            },
            Self::Whole(_) | Self::Other => Err(Unreadable),
        }
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, word: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::Word(Cow::Borrowed(word)))
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Text<'de>, E> {
        Ok(Text::Word(Cow::Owned(word.to_owned())))
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Text<'de>, E> {
        Ok(Text::Whole(n.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Text<'de>, E> {
        Ok(Text::Whole(n.into()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::Absent)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Text<'de>, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Text::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Text::Other)
    }
}
