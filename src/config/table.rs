//! One table of the configuration, read key by key.
//!
//! Asking for a key is what makes it known. What was never asked for is an unknown key when the table is closed.

use std::collections::{BTreeMap, BTreeSet};

use config::{Value, ValueKind};

use super::error::Problems;

/// A table that is being read.
pub(super) struct Table<'a> {
    /// What messages call it: `accounts."prod"`.
    shown: String,
    /// What the set of known keys calls it: `accounts`.
    name: &'static str,
    /// The file, where a key that is missing should have been.
    origin: String,
    entries: BTreeMap<String, Value>,
    asked: BTreeSet<&'static str>,
    problems: &'a mut Problems,
}

/// What a rule makes of a value: the value, or what is wrong with it and the remedy.
pub(super) type Verdict<T> = Result<T, String>;

// === impl Table ===

impl<'a> Table<'a> {
    /// A table of the top level, as the layers were merged; none is an empty one. `file` is the config file.
    pub(super) fn top(
        name: &'static str,
        value: Option<Value>,
        file: &str,
        problems: &'a mut Problems,
    ) -> Self {
        let entries = match value.map(|value| value.kind) {
            Some(ValueKind::Table(table)) => table.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        Self::new(name.to_owned(), name, file.to_owned(), entries, problems)
    }

    /// A table that messages call `shown`, and the set of known keys `name`.
    pub(super) fn new(
        shown: String,
        name: &'static str,
        origin: String,
        entries: BTreeMap<String, Value>,
        problems: &'a mut Problems,
    ) -> Self {
        problems.know(name.to_owned());
        Self { shown, name, origin, entries, asked: BTreeSet::new(), problems }
    }

    /// From now on messages call the table this.
    pub(super) fn rename(&mut self, shown: String) {
        self.shown = shown;
    }

    /// The value of `key` under `rule`; none if it is not there, or is wrong.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        rule: impl FnOnce(&ValueKind) -> Verdict<T>,
    ) -> Option<T> {
        self.asked.insert(key);
        match rule(&self.entries.get(key)?.kind) {
            Ok(value) => Some(value),
            Err(message) => {
                self.complain(key, &message);
                None
            }
        }
    }

    /// The value of `key` under `rule`, or its default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        rule: impl FnOnce(&ValueKind) -> Verdict<T>,
    ) -> T {
        self.optional(key, rule).unwrap_or(default)
    }

    /// The value of `key` under `rule`; without one, `missing` is the problem.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        missing: &str,
        rule: impl FnOnce(&ValueKind) -> Verdict<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.complain(key, missing);
        }
        self.optional(key, rule)
    }

    /// Whether `key` is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether there is no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `key` is this text.
    pub(super) fn is(&self, key: &str, text: &str) -> bool {
        let value = self.entries.get(key).map(|value| &value.kind);
        matches!(value, Some(ValueKind::String(found)) if found == text)
    }

    /// Something is wrong with `key`.
    pub(super) fn complain(&mut self, key: &str, message: &str) {
        let origin = self.entries.get(key).and_then(Value::origin).unwrap_or(&self.origin);
        self.problems.at(origin, &format!("{}.{key}", self.shown), message);
    }

    /// How many problems there are so far, in this table or before it.
    pub(super) fn problems(&self) -> usize {
        self.problems.count()
    }

    /// Ends the reading: the keys that nobody asked for are problems.
    pub(super) fn close(self) {
        for key in &self.asked {
            self.problems.know(format!("{}.{key}", self.name));
        }
        for (key, value) in &self.entries {
            if !self.asked.contains(key.as_str()) {
                let shown = format!("{}.{key}", self.shown);
                self.problems.unknown_value(&self.origin, &shown, &format!("{}.{key}", self.name), value);
            }
        }
    }
}
