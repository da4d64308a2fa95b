//! The text as YAML.
//!
//! The parser's own messages may repeat what stands in the file, which may be a key or a hash: only the place is
//! passed on.

use std::collections::BTreeMap;

use config::{Value, ValueKind};
use serde_saphyr::Error;

use super::super::error::Problems;

/// The mapping at the top level of `file`; if there is none, `problems` says why.
pub(super) fn parse(text: &str, file: &str, problems: &mut Problems) -> BTreeMap<String, Value> {
    // YAML ends a line at a carriage return as well: what stands behind one is no comment.
    let mut lines = text.split(['\n', '\r']);
    if lines.all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return BTreeMap::new();
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) => super::entries("the file", Some(value), file, problems),
        Err(error) => {
            problems.general(explain(&error, file));
            BTreeMap::new()
        }
    }
}

fn explain(error: &Error, file: &str) -> String {
    let error = error.without_snippet();
    // Without one it is about the file as a whole.
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let what = match error {
        Error::DuplicateMappingKey { .. } => "a key comes twice; leave one of them out",
        Error::MultipleDocuments { .. } => "a second document begins; leave one of them out",
        Error::Budget { .. } => "too large or too deep for a web config",
        Error::UnknownAnchor { .. } => "an alias of nothing; name an anchor that is there",
        _ => "not YAML that can be read; mind indentation, colons and quotes",
    };
    format!("{file}:{line}:{column}: {what}")
}

/// Text, or a message that does not repeat what stands there instead.
pub(super) fn secret_text(value: &ValueKind) -> Option<&str> {
    match value {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}
