//! The environment as an argument, so that tests own it, and the variables that are keys.
//!
//! `CLUMIO_EXPORTER__POLL__INTERVAL` is `poll.interval`. Only names with the double underscore are read: for a
//! Service called `clumio-exporter`, Kubernetes sets `CLUMIO_EXPORTER_PORT` and its like in every Pod. Values stay
//! the text that they are until the key's own rule reads them: guessing types would make `0012345` a number.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::error::{Problems, has_token};
use super::layers;

/// What the name of every variable that is a key begins with.
pub(super) const PREFIX: &str = "CLUMIO_EXPORTER__";

const SEPARATOR: &str = "__";

/// Environment variables by name. It cannot be printed: it holds secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// The key that a variable with the prefix stands for: `poll.interval`.
pub(super) fn key(variable: &str) -> Option<String> {
    Some(variable.strip_prefix(PREFIX)?.to_ascii_lowercase().replacen(SEPARATOR, ".", 1))
}

/// The variable that stands for this key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', SEPARATOR))
}

// === impl Environment ===

impl Environment {
    /// The environment of this process. Names that are not Unicode are left out; of such values, what is not
    /// Unicode is replaced.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os();
        variables
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect()
    }

    /// The same environment, but with this variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The value of a variable. An empty one counts as not set: a manifest has no better way to unset it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variables with the prefix, as a layer; empty ones are not set. One whose name cannot be a key is a problem.
    pub(super) fn layer(&self, problems: &mut Problems) -> Map<String, Value> {
        let mut values = Vec::new();
        for (name, value) in &self.0 {
            let Some(key) = key(name) else { continue };
            if value.is_empty() {
                continue;
            }
            match key.split_once('.') {
                Some(("accounts", _)) => problems.at(
                    name,
                    "accounts",
                    "accounts cannot be set by variables of this prefix; write them in the file that \
                     --config.file names, or set CLUMIO_API_TOKEN and CLUMIO_API_BASE_URL for a single one",
                ),
                Some((table, leaf)) if is_table(table) && *name == variable(&key) => {
                    let value = Value::new(Some(name), ValueKind::String(value.clone()));
                    values.push((table.to_owned(), leaf.to_owned(), value));
                }
                // A token is one in lower case too.
                _ if has_token(name) => problems.unknown(name, name, &key),
                _ => problems.unknown(name, &key, &key),
            }
        }
        layers::layer(values)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

fn is_table(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
