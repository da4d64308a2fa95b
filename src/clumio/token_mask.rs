//! Masks the token in rows: a server that reflects requests could send it back as a category, a type, a name or an id, and
//! all of these are published.
//!
//! Texts of rows are cut when they are read, so a text is masked that has the beginning of the token; what may remain of a
//! token whose beginning was cut as well is a part of its first bytes, which in a JWT are the same for all tokens.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use memchr::memmem::Finder;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::byte_serialize;

use super::wire::Rows;
use crate::task::{Entity, Label, Name, Status, Task, TaskId};

/// What replaces a text.
const MASK: &str = "[token]";

/// The beginning of a token that is looked for, in bytes. Base64 does not pad a multiple of three.
const PREFIX: usize = 24;

/// A shorter token could be a part of any text.
const MIN_TOKEN: usize = 8;

/// The beginning of the token, in each of its encodings.
pub(super) struct TokenMask(Vec<Finder<'static>>);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

// === impl TokenMask ===

impl TokenMask {
    pub(super) fn of(token: &SecretString) -> Self {
        let token = token.expose_secret().as_bytes();
        if token.len() < MIN_TOKEN {
            return Self(Vec::new());
        }
        let prefix = &token[..PREFIX.min(token.len())];
        // Base64 depends on where the token begins in a group of three bytes; of each group, all are needed.
        let groups = [0, 1, 2].map(|offset| &prefix[offset..offset + (prefix.len() - offset) / 3 * 3]);
        let mut encodings = vec![
            String::from_utf8_lossy(prefix).into_owned(),
            byte_serialize(prefix).collect(),
            hex(prefix).to_uppercase(),
            hex(prefix),
        ];
        encodings.extend(groups.iter().flat_map(|group| [STANDARD.encode(group), URL_SAFE.encode(group)]));
        encodings.sort_unstable();
        encodings.dedup();
        Self(encodings.iter().map(|encoding| Finder::new(encoding).into_owned()).collect())
    }

    /// Whether a text of this page can have the token. Searching each text would cost more than reading the rows; only an
    /// escape can hide it from a search of the page.
    pub(super) fn may_be_in(&self, page: &[u8]) -> bool {
        memchr::memchr(b'\\', page).is_some() || self.0.iter().any(|encoding| encoding.find(page).is_some())
    }

    /// Masks texts that have the token. A row whose id has it counts as one without an id.
    pub(super) fn apply(&self, rows: &mut Rows) {
        let Rows { tasks, without_status, without_id, corrected } = rows;
        for task in &mut *tasks {
            self.mask_task(task);
        }
        let mut keep = |id: &TaskId| {
            let is_kept = !self.is_in(id.as_str());
            if !is_kept {
                let mut hasher = DefaultHasher::new();
                id.hash(&mut hasher);
                without_id.push(hasher.finish());
            }
            is_kept
        };
        tasks.retain(|task| keep(&task.id));
        without_status.retain(|id| keep(id));
        corrected.retain(|id| !self.is_in(id.as_str()));
    }

    fn mask_task(&self, task: &mut Task) {
        for label in [&mut task.category, &mut task.task_type] {
            self.mask_label(label);
        }
        if let Status::Other(word) = &mut task.status {
            self.mask_label(word);
        }
        for Entity { entity_type, id, name } in
            [&mut task.primary, &mut task.parent].into_iter().flatten().map(|it| &mut **it)
        {
            if let Some(label) = entity_type {
                self.mask_label(label);
            }
            for text in [id, name].into_iter().flatten().filter(|text| self.is_in(text.as_str())) {
                *text = Name::new(MASK);
            }
        }
    }

    fn mask_label(&self, label: &mut Label) {
        if self.is_in(label.as_str()) {
            *label = Label::new(MASK);
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|encoding| encoding.find(text.as_bytes()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wire;
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0+/x=.c2lnbmF0dXJl";

    fn masked(item: &serde_json::Value) -> Rows {
        let page = json!({"limit": 1, "total_count": 1, "_embedded": {"items": [item]}}).to_string();
        let mut rows = wire::read(page.as_bytes()).expect("it must be a page").into_rows();
        TokenMask::of(&TOKEN.into()).apply(&mut rows);
        rows
    }

    #[test]
    fn a_reflected_token_is_masked_in_every_field_and_encoding() {
        let encodings = [
            TOKEN.to_owned(),
            format!("Bearer {TOKEN}"),
            STANDARD.encode(TOKEN),
            URL_SAFE.encode(TOKEN),
            STANDARD.encode(format!("Bearer {TOKEN}")),
            STANDARD.encode(format!("user:{TOKEN}")),
            byte_serialize(TOKEN.as_bytes()).collect(),
            hex(TOKEN.as_bytes()),
            hex(TOKEN.as_bytes()).to_uppercase(),
        ];
        for text in &encodings {
            let entity = json!({"id": text, "type": text, "value": text});
            let row = json!({
                "id": "1", "category": text, "type": text, "status": text,
                "primary_entity": entity, "parent_entity": entity,
            });
            let rows = masked(&row);
            let task = &rows.tasks[0];
            assert_eq!(
                [task.category.as_str(), task.task_type.as_str(), task.status.as_str()],
                [MASK; 3],
                "{text}"
            );
            for entity in [&task.primary, &task.parent] {
                let entity = entity.as_deref().expect("it must be there");
                let texts = [entity.id.as_ref(), entity.name.as_ref()].map(|name| name.map(Name::as_str));
                assert_eq!(
                    (texts, entity.entity_type.as_ref().map(Label::as_str)),
                    ([Some(MASK); 2], Some(MASK))
                );
            }
            let rows = masked(&json!({"id": text, "status": "queued", "created_timestamp": "no"}));
            assert_eq!((rows.tasks.len(), rows.without_id.len(), rows.corrected.len()), (0, 1, 0), "{text}");
            let rows = masked(&json!({"id": text}));
            assert_eq!((rows.without_status.len(), rows.without_id.len(), rows.len()), (0, 1, 1), "{text}");
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        let row = json!({"id": "eyJ", "category": "backup", "type": "aws_ebs_volume_incremental_backup", "status": "x"});
        let task = &masked(&row).tasks[0];
        assert_eq!([task.id.as_str(), task.category.as_str(), task.status.as_str()], ["eyJ", "backup", "x"]);
        assert!(!TokenMask::of(&"short".into()).is_in("a short text"));
        let mask = TokenMask::of(&TOKEN.into());
        for (page, expected) in [
            (format!("{{\"id\": \"{TOKEN}\"}}"), true),
            (STANDARD.encode(format!("Bearer {TOKEN}")), true),
            (TOKEN.replace('/', "\\/").replace("eyJ", "\\u0065yJ"), true),
            ("{\"id\": \"eyJ\"}".to_owned(), false),
        ] {
            assert_eq!(mask.may_be_in(page.as_bytes()), expected, "{page}");
        }
    }
}
