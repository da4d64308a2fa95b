//! What a task is about, in the API's words. Names are in no log, and in labels unless `assets.names` is false.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Label;

/// The longest name or id of an entity that is kept, in bytes. Longer ones are cut, on a character boundary.
pub const NAME_BYTES: usize = 256;

/// Something that a task is about, such as a volume.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The API's `type`, such as `aws_ebs_volume`.
    #[serde(rename = "type")]
    pub entity_type: Option<Label>,
    /// The API's `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Name>,
    /// The API's `value`: the name that people know.
    #[serde(rename = "value")]
    pub name: Option<Name>,
}

/// The name or id of an entity: at most [`NAME_BYTES`] long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Cow<str>")]
pub struct Name(Box<str>);

// === impl Entity ===

impl Entity {
    /// An entity of these parts; none if all of them are missing.
    #[must_use]
    pub fn new(entity_type: Option<Label>, id: Option<Name>, name: Option<Name>) -> Option<Self> {
        let entity = Self { entity_type, id, name };
        let is_empty = entity.entity_type.is_none() && entity.id.is_none() && entity.name.is_none();
        (!is_empty).then_some(entity)
    }
}

/// Without id and name: what derives `Debug` may be logged.
impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity").field("entity_type", &self.entity_type).finish_non_exhaustive()
    }
}

// === impl Name ===

impl Name {
    /// The text, cut to [`NAME_BYTES`] on a character boundary.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(NAME_BYTES)].into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Cow<'_, str>> for Name {
    fn from(text: Cow<'_, str>) -> Self {
        Self::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_on_a_character_boundary_from_any_source() {
        let (long, cut) = (format!("{}é", "a".repeat(NAME_BYTES - 1)), "a".repeat(NAME_BYTES - 1));
        assert_eq!(Name::new(&long).as_str(), cut);
        let read: Entity = serde_json::from_value(serde_json::json!({"type": null, "value": long}))
            .expect("it must be read");
        assert_eq!(read.name.as_ref().map(Name::as_str), Some(&*cut));
    }

    #[test]
    fn debug_output_has_neither_id_nor_name() {
        let name = |text| Some(Name::new(text));
        let entity = Entity::new(Some(Label::new("volume")), name("id-1"), name("vol-1"));
        let output = format!("{entity:?}");
        assert!(output.contains("volume") && !output.contains("-1"), "{output}");
    }

    #[test]
    fn an_entity_without_any_part_is_none() {
        assert_eq!(Entity::new(None, None, None), None);
        assert!(Entity::new(None, Some(Name::new("1")), None).is_some());
    }
}
