//! The config file: TOML, read whole, its errors placed by line and column.
//!
//! The parser's own message repeats the line that is wrong, which may be the one with the secret: only what it
//! says of that line is passed on.

use std::error::Error as StdError;
use std::path::Path;

use config::{FileFormat, Format, Map, Value, ValueKind};

use super::error::Problems;
use crate::files::{self, FileError};

/// The largest config file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the file; none if it cannot be read, and then `problems` says why.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Option<Map<String, Value>> {
    match text(path) {
        Ok(text) => parse(&text, &path.display().to_string(), problems),
        Err(message) => {
            problems.general(message);
            None
        }
    }
}

/// Reads the text of the file that messages call `origin`; none if it is not TOML, and then `problems` says why.
pub(super) fn parse(text: &str, origin: &str, problems: &mut Problems) -> Option<Map<String, Value>> {
    match FileFormat::Toml.parse(Some(&origin.to_owned()), text) {
        Ok(document) => Some(set_strays_aside(document, origin, problems)),
        Err(error) => {
            problems.general(format!("{origin}{}", syntax(error.as_ref(), text)));
            None
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    if path.as_os_str().is_empty() {
        return Err("--config.file: is empty; name a TOML file, or leave the flag out".to_owned());
    }
    let shown = path.display();
    if let Some(extension) = path.extension().filter(|extension| !extension.eq_ignore_ascii_case("toml")) {
        let extension = extension.to_string_lossy();
        return Err(format!(
            "{shown}: a config file is TOML, not .{extension}; rename it to .toml, and its content too"
        ));
    }
    files::read_text(path, MAX_BYTES).map_err(|error| match error {
        FileError::Denied | FileError::Timeout | FileError::System(_) => format!("{shown}: {error}"),
        _ => format!("{shown}: {error}; --config.file must name a TOML file"),
    })
}

/// Where the text is not TOML, and how.
fn syntax(error: &(dyn StdError + Send + Sync + 'static), text: &str) -> String {
    let Some(error) = error.downcast_ref::<toml::de::Error>() else {
        return ": has a number that does not fit into 64 bits".to_owned();
    };
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return format!(": not TOML: {message}");
    };
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.chars().rev().take_while(|character| *character != '\n').count();
    format!(":{line}:{column}: not TOML: {message}")
}

/// Takes out of the top level what is neither a table nor the list of accounts: see [`super::layers`].
fn set_strays_aside(
    document: Map<String, Value>,
    origin: &str,
    problems: &mut Problems,
) -> Map<String, Value> {
    let (kept, mut strays): (Vec<_>, Vec<_>) = document.into_iter().partition(|(name, value)| {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        name == "accounts" || (is_name && !name.is_empty() && matches!(value.kind, ValueKind::Table(_)))
    });
    strays.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, _) in strays {
        let last = name.rsplit('.').next().unwrap_or_default();
        problems.unknown(origin, &name, last);
    }
    kept.into_iter().collect()
}
