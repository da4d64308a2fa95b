//! One row of the list, read leniently: a bad one never costs a good page.
//!
//! Every field is nullable in the vendor's SDKs, so each is taken whatever it is, and judged when all are read.
//! The visitors are written by hand because `serde(untagged)` would copy every value first.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lenient::{Fields, object};
use crate::task::{Entity, Label, Name, TaskId};
use crate::time::Timestamp;

/// The fields of a row that the numbers need.
#[derive(Default, Hash)]
pub(super) struct Row<'a> {
    pub(super) id: Text<'a>,
    pub(super) category: Text<'a>,
    pub(super) task_type: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) created: Text<'a>,
    pub(super) started: Text<'a>,
    pub(super) ended: Text<'a>,
    pub(super) progress: Progress,
    pub(super) primary: EntityRow<'a>,
    pub(super) parent: EntityRow<'a>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Field {
    Id,
    Category,
    Type,
    Status,
    CreatedTimestamp,
    StartTimestamp,
    EndTimestamp,
    ProgressPercentage,
    PrimaryEntity,
    ParentEntity,
    #[serde(other)]
    Other,
}

/// A field that should be an entity.
#[derive(Default, Hash)]
pub(super) struct EntityRow<'a> {
    entity_type: Text<'a>,
    id: Text<'a>,
    name: Text<'a>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum EntityField {
    Type,
    Id,
    Value,
    #[serde(other)]
    Other,
}

/// A field that should be text.
#[derive(Default, Hash)]
pub(super) enum Text<'a> {
    #[default]
    Absent,
    Word(Cow<'a, str>),
    Whole(i128),
    /// Any other JSON.
    Other,
}

/// A field that should be a percentage; none if it is anything else.
#[derive(Default)]
pub(super) struct Progress(pub(super) Option<u8>);

struct TextVisitor;

/// A timestamp that is none.
#[derive(Debug)]
pub(super) struct Unreadable;

// === impl Row ===

impl Row<'_> {
    /// The id, unless it is missing or too long.
    pub(super) fn id(&self) -> Option<TaskId> {
        TaskId::new(&self.id.id()?)
    }
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for Row<'de> {
    type Name = Field;

    fn read<A: MapAccess<'de>>(&mut self, name: Field, map: &mut A) -> Result<(), A::Error> {
        let text = match name {
            Field::Id => &mut self.id,
            Field::Category => &mut self.category,
            Field::Type => &mut self.task_type,
            Field::Status => &mut self.status,
            Field::CreatedTimestamp => &mut self.created,
            Field::StartTimestamp => &mut self.started,
            Field::EndTimestamp => &mut self.ended,
            Field::ProgressPercentage => {
                self.progress = map.next_value()?;
                return Ok(());
            }
            Field::PrimaryEntity => {
                self.primary = map.next_value()?;
                return Ok(());
            }
            Field::ParentEntity => {
                self.parent = map.next_value()?;
                return Ok(());
            }
            Field::Other => return map.next_value::<IgnoredAny>().map(|_| ()),
        };
        *text = map.next_value()?;
        Ok(())
    }
}

// === impl EntityRow ===

impl EntityRow<'_> {
    /// The entity; none if it has no part that is text.
    pub(super) fn entity(&self) -> Option<Box<Entity>> {
        let entity_type = self.entity_type.word().map(Label::new);
        let id = self.id.id().map(|id| Name::new(&id));
        Entity::new(entity_type, id, self.name.word().map(Name::new)).map(Box::new)
    }
}

impl<'de> Deserialize<'de> for EntityRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for EntityRow<'de> {
    type Name = EntityField;

    fn read<A: MapAccess<'de>>(&mut self, name: EntityField, map: &mut A) -> Result<(), A::Error> {
        match name {
            EntityField::Type => self.entity_type = map.next_value()?,
            EntityField::Id => self.id = map.next_value()?,
            EntityField::Value => self.name = map.next_value()?,
            EntityField::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

// === impl Progress ===

impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Text::deserialize(deserializer)? {
            Text::Whole(percent) => u8::try_from(percent).ok().filter(|percent| *percent <= 100),
            _ => None,
        }))
    }
}

/// A row without an id is recognized by its hash, which must not change while its task runs.
impl Hash for Progress {
    fn hash<H: Hasher>(&self, _: &mut H) {}
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

    /// The text of an id. A number is taken for its digits: ids are decimal so far.
    fn id(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Whole(n) => Some(Cow::Owned(n.to_string())),
            other => other.word().map(Cow::Borrowed),
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
