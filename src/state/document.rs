//! The text of a state file: JSON whose first line holds a digest of all that follows.
//!
//! It is made to be looked at: `jq . prod.json` shows it, and `tail -n +2 prod.json | sha256sum` gives the digest of the
//! first line.

use std::fmt::{self, Write};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Memory;
use super::migrations::{VERSION, migrate};
use crate::ledger::SavedLedger;
use crate::time::Timestamp;

/// What stands before the digest.
const HEAD: &[u8] = b"{\"sha256\":\"";

/// What stands after it.
const NECK: &[u8] = b"\",\n";

/// The length of the digest, in hexadecimal digits.
const DIGITS: usize = 64;

/// Whose state a file is: the numbers of another API or organizational unit are other numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The address of the API.
    pub base_url: String,
    /// The organizational unit whose tasks are read; none: the token's own.
    pub organizational_unit: Option<String>,
}

/// Why a file is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is cut short, or something in it changed, or it is no state file.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A newer version of the exporter wrote it.
    #[error("written by a newer version (its format is {0}, this version knows {VERSION} and older)")]
    Newer(u64),
    /// It is the state of another account.
    #[error("of another account: {0}")]
    Foreign(String),
}

/// What is in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u64,
    written: Timestamp,
    account: Identity,
    first_pass: Option<Vec<(Timestamp, Timestamp)>>,
    ledger: SavedLedger,
}

/// The text of a state file.
///
/// # Panics
/// Never: what is in a document can be written as JSON.
#[must_use]
pub fn encode(identity: &Identity, memory: Memory, written: Timestamp) -> Vec<u8> {
    let Memory { ledger, first_pass } = memory;
    let document = Document { version: VERSION, written, account: identity.clone(), first_pass, ledger };
    let mut body = serde_json::to_vec(&document).expect("a document must have text for keys");
    body.push(b'\n');
    // The opening brace is on the first line, so that the file as a whole is JSON.
    sealed(&body[1..])
}

/// The first line that belongs to a body, and the body.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    [HEAD, hexadecimal(body).as_bytes(), NECK, body].concat()
}

/// Reads a state file: the memory, and when it was written.
///
/// # Errors
/// When it is not the whole state of `identity` in a version that is known.
pub fn decode(text: &[u8], identity: &Identity) -> Result<(Memory, Timestamp), Fault> {
    check_digest(text)?;
    // Nearly every file is of this version: read as it is, a large one does not hold up the start.
    let current = serde_json::from_slice(text).ok().filter(|document: &Document| document.version == VERSION);
    let document = current.map_or_else(|| migrated(text), Ok)?;
    let Document { account, first_pass, ledger, written, .. } = document;
    if account != *identity {
        return Err(Fault::Foreign(account.to_string()));
    }
    Ok((Memory { ledger, first_pass }, written))
}

/// The document of an older version, as one of this version; or what is wrong with it.
fn migrated(text: &[u8]) -> Result<Document, Fault> {
    let damaged = |error: serde_json::Error| Fault::Damaged(error.to_string());
    let mut value: Value = serde_json::from_slice(text).map_err(damaged)?;
    match value.get("version").and_then(Value::as_u64) {
        Some(version @ 1..=VERSION) => migrate(&mut value, version),
        Some(newer) if newer > VERSION => return Err(Fault::Newer(newer)),
        _ => return Err(Fault::Damaged("it has no version".to_owned())),
    }
    serde_json::from_value(value).map_err(damaged)
}

/// Sees that the first line has the digest of what follows it.
fn check_digest(text: &[u8]) -> Result<(), Fault> {
    let damaged = |what: &str| Fault::Damaged(what.to_owned());
    let rest = text.strip_prefix(HEAD).ok_or_else(|| damaged("it does not begin like a state file"))?;
    let (digits, rest) = rest.split_at_checked(DIGITS).ok_or_else(|| damaged("it is cut short"))?;
    let body = rest.strip_prefix(NECK).ok_or_else(|| damaged("its first line is not whole"))?;
    if hexadecimal(body).as_bytes() != digits {
        return Err(damaged("its digest is not that of its content"));
    }
    Ok(())
}

fn hexadecimal(text: &[u8]) -> String {
    let mut digits = String::with_capacity(DIGITS);
    for byte in digest(&SHA256, text).as_ref() {
        write!(digits, "{byte:02x}").expect("writing to memory must not fail");
    }
    digits
}

// === impl Fault ===

impl Fault {
    /// What the file is called when it is set aside.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::Newer(_) => "newer",
            Self::Foreign(_) => "foreign",
        }
    }
}

// === impl Identity ===

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.organizational_unit.as_deref().unwrap_or("the token's own");
        write!(f, "its API is {}, its organizational unit {unit}", self.base_url)
    }
}
