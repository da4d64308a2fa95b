//! A page as the API answers it: the counts that it cannot do without, and its rows.
//!
//! Rows become tasks while they are read: neither the rows nor a tree of the JSON are ever held, so that memory
//! follows the tasks and not what a broken server pads them with.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lenient::{Fields, object};
use super::row::{Row, Text};
use super::unicode;
use crate::task::{Defect, Status, Task, TaskId};

/// The largest `limit` and `total_count` that are believed. Four thousand million tasks take months to read.
const MOST_ROWS: u64 = u32::MAX as u64;

/// A page as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    limit: Count,
    total_count: Count,
    #[serde(rename = "_embedded")]
    embedded: Option<Object<Embedded>>,
    #[serde(rename = "_links")]
    links: Links,
}

/// The links to other pages.
#[derive(Debug, Default)]
struct Links {
    next: Link,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum LinksField {
    #[serde(rename = "_next")]
    Next,
    #[serde(other)]
    Other,
}

/// A link, of which only its presence counts.
#[derive(Debug, Default)]
struct Link {
    has_href: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum LinkField {
    Href,
    #[serde(other)]
    Other,
}

/// What is an object of JSON and nothing else: serde takes a list for a struct, its values in the order of the fields.
#[derive(Debug)]
struct Object<T>(T);

/// A number that the page cannot do without, or what stands in its place.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Count {
    #[default]
    Absent,
    Whole(i128),
    /// A fraction, or no number at all.
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Embedded {
    items: Option<Rows>,
}

/// The rows of a page.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Those that are tasks.
    pub(super) tasks: Vec<Task>,
    /// The ids of those without a status.
    pub(super) without_status: Vec<TaskId>,
    /// Hashes of the fields of those without an id.
    pub(super) without_id: Vec<u64>,
    /// The ids of the tasks with an invalid timestamp.
    pub(super) corrected: Vec<TaskId>,
}

/// What tells an invalid row from others, in this page and in later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowKey<'a> {
    Id(&'a TaskId),
    /// The hash of the fields that are read, of a row without an id.
    Content(u64),
}

/// Reads a page. Invalid Unicode is U+FFFD.
///
/// # Errors
/// If it is not JSON, or not an object in which `_embedded.items` is a list or null.
pub(super) fn read(body: &[u8]) -> Result<Answer, serde_json::Error> {
    let answer = serde_json::from_slice(body).or_else(|error| match unicode::repaired(body) {
        Some(body) if error.is_syntax() => serde_json::from_slice(&body),
        _ => Err(error),
    });
    answer.map(|Object(answer)| answer)
}

/// The hash of the fields of a row, the same in every poll.
fn hash(row: &Row<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

// === impl Answer ===

impl Answer {
    /// How many rows the listing has.
    ///
    /// # Errors
    /// In words, if that cannot be.
    pub(super) fn total(&self) -> Result<u64, String> {
        match self.total_count {
            Count::Whole(n) => match u64::try_from(n) {
                Ok(total) if total <= MOST_ROWS => Ok(total),
                _ => Err(format!("its total_count is {n}")),
            },
            Count::Absent => Err("its total_count is missing or null".into()),
            Count::Other => Err("its total_count is not a whole number".into()),
        }
    }

    /// How many rows a page has: what the server says, else what it was `asked` for.
    ///
    /// # Errors
    /// In words, if that cannot be.
    pub(super) fn limit(&self, asked: u32) -> Result<u32, String> {
        match self.limit {
            Count::Absent => Ok(asked),
            Count::Whole(n) => match u32::try_from(n) {
                Ok(limit) if limit > 0 => Ok(limit),
                _ => Err(format!("its limit is {n}")),
            },
            Count::Other => Err("its limit is not a whole number".into()),
        }
    }

    /// Whether it links to a next page.
    pub(super) fn has_next(&self) -> bool {
        self.links.next.has_href
    }

    /// Its rows: none where the API writes null for an empty list.
    pub(super) fn into_rows(self) -> Rows {
        self.embedded.and_then(|Object(embedded)| embedded.items).unwrap_or_default()
    }
}

// === impl Links ===

impl<'de> Deserialize<'de> for Links {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for Links {
    type Name = LinksField;

    fn read<A: MapAccess<'de>>(&mut self, name: LinksField, map: &mut A) -> Result<(), A::Error> {
        match name {
            LinksField::Next => self.next = map.next_value()?,
            LinksField::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

// === impl Link ===

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for Link {
    type Name = LinkField;

    fn read<A: MapAccess<'de>>(&mut self, name: LinkField, map: &mut A) -> Result<(), A::Error> {
        match name {
            LinkField::Href => self.has_href = map.next_value::<Text<'_>>()?.word().is_some(),
            LinkField::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

// === impl Object ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

// === impl Count ===

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Text::deserialize(deserializer)? {
            Text::Absent => Self::Absent,
            Text::Whole(n) => Self::Whole(n),
            Text::Word(_) | Text::Other => Self::Other,
        })
    }
}

// === impl Rows ===

impl Rows {
    /// How many there are, of every kind.
    pub(super) fn len(&self) -> u64 {
        (self.tasks.len() + self.without_status.len() + self.without_id.len()) as u64
    }

    fn push(&mut self, row: &Row<'_>) {
        let Some(id) = row.id() else {
            self.without_id.push(hash(row));
            return;
        };
        let Some(status) = row.status.word() else {
            self.without_status.push(id);
            return;
        };
        let (created, started, ended) = (row.created.time(), row.started.time(), row.ended.time());
        if created.is_err() || started.is_err() || ended.is_err() {
            self.corrected.push(id.clone());
        }
        self.tasks.push(Task {
            id,
            category: row.category.label(),
            task_type: row.task_type.label(),
            status: Status::from_word(status),
            created: created.unwrap_or_default(),
            started: started.unwrap_or_default(),
            ended: ended.unwrap_or_default(),
            progress: row.progress.0,
            primary: row.primary.entity(),
            parent: row.parent.entity(),
        });
    }

    /// The invalid rows, with what is wrong with them.
    pub(super) fn defects(&self) -> impl Iterator<Item = (Defect, RowKey<'_>)> {
        let no_id = self.without_id.iter().map(|hash| (Defect::NoId, RowKey::Content(*hash)));
        let no_status = self.without_status.iter().map(|id| (Defect::NoStatus, RowKey::Id(id)));
        let corrected = self.corrected.iter().map(|id| (Defect::BadTimestamp, RowKey::Id(id)));
        no_id.chain(no_status).chain(corrected)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor;

        impl<'de> Visitor<'de> for RowsVisitor {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tasks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
                let mut rows = Rows::default();
                while let Some(row) = list.next_element()? {
                    rows.push(&row);
                }
                Ok(rows)
            }
        }

        deserializer.deserialize_seq(RowsVisitor)
    }
}

#[cfg(test)]
mod tests;
