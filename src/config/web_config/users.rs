//! `basic_auth_users`: who may log in, each with the bcrypt hash of a password.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use bcrypt::HashParts;
use config::Value;

use super::super::error::Problems;
use super::yaml::secret_text;

/// Costs that are taken. Each step doubles the time; the last one here takes seconds, which one login after another
/// has to wait.
const COSTS: RangeInclusive<u32> = 4..=16;

/// The bcrypt hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    cost: u32,
}

/// The users with their hashes. Wrong ones are left out.
pub(super) fn read(
    users: BTreeMap<String, Value>,
    file: &str,
    problems: &mut Problems,
) -> BTreeMap<String, PasswordHash> {
    let mut read = BTreeMap::new();
    for (name, value) in users {
        let shown = format!("basic_auth_users.{name:?}");
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            problems.at(file, &shown, "cannot log in; write a name without colons and control characters");
            continue;
        }
        match secret_text(&value.kind).ok_or(NOT_A_HASH.to_owned()).and_then(PasswordHash::parse) {
            Ok(hash) => {
                read.insert(name, hash);
            }
            Err(message) => problems.at(file, &shown, &message),
        }
    }
    read
}

const NOT_A_HASH: &str = "is not a bcrypt hash (it is not shown); make one by: htpasswd -nBC 10 \"\"";

// === impl PasswordHash ===

impl PasswordHash {
    fn parse(text: &str) -> Result<Self, String> {
        let parts: HashParts = text.parse().map_err(|_| NOT_A_HASH.to_owned())?;
        let cost = parts.get_cost();
        if COSTS.contains(&cost) {
            return Ok(Self { text: text.to_owned(), cost });
        }
        let (least, most) = (COSTS.start(), COSTS.end());
        Err(format!(
            "its cost of {cost} is not from {least} to {most}; hash the password anew with a cost of 10"
        ))
    }

    /// The hash as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The logarithm of the time that it takes.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }
}

/// A hash can be tried at leisure, so it is not for logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash(cost {})", self.cost)
    }
}
