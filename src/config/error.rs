//! What is wrong with a configuration: where it was read, which key, what, and what to do about it.
//!
//! Unknown keys are judged last, when every reader has said which keys it knows: only then can "did you mean"
//! look everywhere. No message may ever hold a secret, so values are shown through [`quote`] alone, and the value
//! of a key that nobody knows is not shown at all.

use std::collections::BTreeSet;
use std::fmt;

use config::{Value, ValueKind};
use strsim::damerau_levenshtein;

use super::environment::{self, PREFIX};

/// The longest part of a value that a message repeats, in characters.
const SHOWN: usize = 64;

/// What a token begins with, or has after `Bearer`: tokens are JWTs, and this is base64url of `{"`.
pub(super) const TOKEN: &str = "eyJ";

/// How many characters of a token follow what it begins with before any text is taken for one. Fewer stand in names
/// that mean nothing, such as those of temporary folders.
const TOKEN_GOES_ON: usize = 5;

/// What bcrypt hashes and keys in PEM begin with, which a mistake may put where something else belongs.
const SECRETS: [&str; 5] = ["$2a$", "$2b$", "$2x$", "$2y$", "-----BEGIN "];

/// Every problem of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    problems: Vec<String>,
}

/// The problems found so far, and the keys known so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<String>,
    unknown: Vec<Unknown>,
    known: BTreeSet<String>,
}

/// A key that no reader asked for.
#[derive(Debug)]
struct Unknown {
    /// The file, variable or flag.
    origin: String,
    /// The key as messages name it: `accounts."prod".base_ulr`.
    shown: String,
    /// The key as the set of known ones has it: `accounts.base_ulr`.
    key: String,
}

/// The value as messages repeat it: in quotes, cut short, and not at all if it may be a secret.
pub(super) fn quote(text: &str) -> String {
    if has_token(text) {
        return "this value (not shown: it looks like a token)".to_owned();
    }
    if has_secret(text) {
        return "this value (not shown: it looks like a key or the hash of a password)".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A key, or the name of a file or of a variable, as messages repeat it: as it is, unless that could garble a line of
/// the log or show a secret.
fn quote_key(key: &str) -> String {
    let is_plain = !has_token(key) && !has_secret(key) && !key.chars().any(char::is_control);
    if is_plain { key.to_owned() } else { quote(key) }
}

/// Whether some of the text may be a token, or the beginning of one.
pub(super) fn has_token(text: &str) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut tails = text.match_indices(TOKEN).map(|(start, token)| &text[start + token.len()..]);
    tails.any(|tail| tail.bytes().take_while(is_of_token).count() >= TOKEN_GOES_ON)
}

fn has_secret(text: &str) -> bool {
    SECRETS.iter().any(|secret| text.contains(secret))
}

/// Several remedies as a phrase: `a, b or c`.
pub(super) fn either(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn origins(value: &Value, into: &mut BTreeSet<String>) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => table.values().for_each(|value| origins(value, into)),
        _ => into.extend(value.origin().map(str::to_owned)),
    }
}

// === impl Error ===

impl Error {
    /// The problems, one line each: lower case, no full stop, and never with a token in it.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for Error {}

// === impl Problems ===

impl Problems {
    /// Something is wrong that no single key is to blame for.
    pub(super) fn general(&mut self, message: impl Into<String>) {
        self.found.push(message.into());
    }

    /// Something is wrong with `key`, which was read from `origin`.
    pub(super) fn at(&mut self, origin: &str, key: &str, message: &str) {
        self.found.push(format!("{}: {}: {message}", quote_key(origin), quote_key(key)));
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// A reader asks for this key, or table.
    pub(super) fn know(&mut self, key: String) {
        self.known.insert(key);
    }

    /// The keys and tables that readers asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// No reader asked for `key`, which was read from `origin`.
    pub(super) fn unknown(&mut self, origin: &str, shown: &str, key: &str) {
        self.unknown.push(Unknown {
            origin: origin.to_owned(),
            shown: shown.to_owned(),
            key: key.to_owned(),
        });
    }

    /// No reader asked for `key`. A table has as many origins as there are layers that put a value into it; an
    /// empty one has none, and then it is from `file`, because nothing else can hold one.
    pub(super) fn unknown_value(&mut self, file: &str, shown: &str, key: &str, value: &Value) {
        let mut found = BTreeSet::new();
        origins(value, &mut found);
        if found.is_empty() {
            found.insert(file.to_owned());
        }
        for origin in found {
            match environment::key(&origin) {
                Some(variable) => self.unknown(&origin, &variable, &variable),
                None => self.unknown(&origin, shown, key),
            }
        }
    }

    /// All of it as an error, if there is any.
    pub(super) fn into_error(mut self) -> Option<Error> {
        for unknown in &self.unknown {
            self.found.push(unknown.explain(&self.known));
        }
        (!self.found.is_empty()).then_some(Error { problems: self.found })
    }
}

// === impl Unknown ===

impl Unknown {
    fn explain(&self, known: &BTreeSet<String>) -> String {
        let (what, remedy) = if known.contains(&self.key) && !self.is_variable() {
            ("a table, not a value", format!("write its keys below [{}]", self.key))
        } else {
            ("no such key", self.remedy(known))
        };
        format!("{}: {}: {what}; {remedy}", quote_key(&self.origin), quote_key(&self.shown))
    }

    fn remedy(&self, known: &BTreeSet<String>) -> String {
        let near = self.near(known);
        if !near.is_empty() {
            return format!("did you mean {}?", either(&near));
        }
        let (table, leaf) = self.split();
        if leaf.contains("token") {
            return "a token is never written here: name a file that holds it in token_file, \
                    or an environment variable in token_env"
                .to_owned();
        }
        let names: Vec<&str> = known.iter().filter_map(|name| sibling(name, table)).collect();
        match table {
            "" if self.is_variable() => {
                format!(
                    "a variable names a table and a key, such as {}",
                    environment::variable("poll.interval")
                )
            }
            "" => format!("there are {}", names.join(", ")),
            _ if names.is_empty() => "there is no such table either".to_owned(),
            _ => format!("{table} has {}", names.join(", ")),
        }
    }

    /// The names that may have been meant: one like it in its own table, else the same one in other tables.
    fn near(&self, known: &BTreeSet<String>) -> Vec<String> {
        let (table, leaf) = self.split();
        let allowed = 1 + leaf.len() / 4;
        let candidates = known.iter().filter(|name| !self.is_variable() || can_be_variable(name));
        let siblings = candidates.clone().filter_map(|name| Some((sibling(name, table)?, name)));
        let nearest = siblings
            .map(|(leaf_of_it, name)| (damerau_levenshtein(leaf_of_it, leaf), leaf_of_it, name))
            .filter(|(distance, ..)| *distance <= allowed)
            .min();
        match nearest {
            Some((.., name)) if self.is_variable() => vec![environment::variable(name)],
            Some((_, leaf_of_it, _)) => vec![leaf_of_it.to_owned()],
            None => {
                let same =
                    candidates.filter(|name| name.rsplit_once('.').is_some_and(|(_, other)| other == leaf));
                same.map(|n| if self.is_variable() { environment::variable(n) } else { n.clone() }).collect()
            }
        }
    }

    fn split(&self) -> (&str, &str) {
        self.key.rsplit_once('.').unwrap_or(("", &self.key))
    }

    fn is_variable(&self) -> bool {
        self.origin.starts_with(PREFIX)
    }
}

/// Whether a variable can stand for `name`: a key, and not one of an account.
fn can_be_variable(name: &str) -> bool {
    name.split_once('.').is_some_and(|(table, _)| table != "accounts")
}

/// The last part of `name`, if it stands directly in `table`.
fn sibling<'a>(name: &'a str, table: &str) -> Option<&'a str> {
    let (parent, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    (parent == table).then_some(leaf)
}
