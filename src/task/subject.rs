//! What a task is about, in the API's words: shown to people, and in no label and no log.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Label;

/// The longest name of an entity that is kept, in bytes. Longer ones are cut, on a character boundary.
pub const NAME_BYTES: usize = 256;

/// A thing that a task is about, such as a volume.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The API's word for the sort of thing, such as `aws_ebs_volume`.
    #[serde(rename = "type")]
    pub entity_type: Option<Label>,
    /// Its name.
    #[serde(rename = "value")]
    pub name: Option<Name>,
}

/// The name of an entity: at most [`NAME_BYTES`] long.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Cow<str>")]
pub struct Name(Box<str>);

/// What a task is about, and where that belongs. Administrative tasks have neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The thing itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Entity>,
}

// === impl Entity ===

/// Without the name: a log may hold what derives `Debug`.
impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity").field("entity_type", &self.entity_type).finish_non_exhaustive()
    }
}

// === impl Name ===

impl Name {
    /// The name, cut to [`NAME_BYTES`] on a character boundary.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(NAME_BYTES)].into())
    }

    /// The name.
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

// === impl Subject ===

impl Subject {
    /// Whether nothing is known of what the task is about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entity.is_none() && self.parent.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_on_a_character_boundary_wherever_it_is_from() {
        let (long, cut) = (format!("{}é", "a".repeat(NAME_BYTES - 1)), "a".repeat(NAME_BYTES - 1));
        assert_eq!(Name::new(&long).as_str(), cut);
        let read: Entity = serde_json::from_value(serde_json::json!({"type": null, "value": long}))
            .expect("it must be read");
        assert_eq!(read.name.as_ref().map(Name::as_str), Some(&*cut));
    }

    #[test]
    fn a_name_is_not_in_what_a_log_could_show() {
        let entity = Entity { entity_type: Some(Label::new("volume")), name: Some(Name::new("vol-1")) };
        let shown = format!("{:?}", Subject { entity: Some(entity), parent: None });
        assert!(shown.contains("volume") && !shown.contains("vol-1"), "{shown}");
    }
}
