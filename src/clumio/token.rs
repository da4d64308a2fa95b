//! The bearer token of one account: where it is read, and when it is read again.
//!
//! There is no call that refreshes a token; it rotates by its file changing on disk. So a request compares the
//! file's identity with the one that was read, through the symlinks of a mounted Kubernetes secret, and reads
//! it again only when that changed. What the comparison cannot see (a rewrite within one tick of the file
//! system's clock), an answer of 401 repairs.
//!
//! A file can be on a network file system that hangs, and such a call can be neither waited for on a thread that
//! serves nor given up. So files are read on threads of their own, one call at a time for an account: whoever stops
//! waiting leaves the call behind, and the next one waits for it instead of adding another.

#[cfg(test)]
mod tests;

use std::fs::Metadata;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Observer;
use crate::config::TokenSource;
use crate::files;
use crate::time::Timestamp;

/// The largest file that is taken for a token, in bytes. Tokens of this API have about a thousand.
const MAX_BYTES: u64 = 64 * 1024;

/// The token, as last read.
pub(super) struct Token {
    source: TokenSource,
    /// Whether the API refused it, so that it is to be read again.
    is_distrusted: AtomicBool,
    reading: Mutex<Reading>,
    observer: Arc<dyn Observer>,
}

/// What was read, and the call that reads it again, which has it meanwhile.
#[derive(Debug, Default)]
struct Reading {
    held: Held,
    call: Option<JoinHandle<(Held, Outcome)>>,
}

/// The token, or why there is none.
type Outcome = Result<SecretString, String>;

#[derive(Debug, Default)]
struct Held {
    secret: Option<SecretString>,
    /// What the secret was read from; none if it is to be read again.
    stamp: Option<Stamp>,
    /// Whether the log has that the source cannot be read any more.
    warned: bool,
    /// What the log is to have: whoever waits for the call knows the account.
    warning: Option<String>,
}

/// What tells one content of a source from another without reading it.
#[derive(Debug, PartialEq, Eq)]
enum Stamp {
    File {
        device: u64,
        inode: u64,
        bytes: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// The environment of a process does not change from outside.
    Fixed,
}

/// The claims of a token that matter (RFC 7519, section 4.1).
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
}

/// The mark with which some editors begin a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The text without the white space around it, if it can be a bearer token: visible ASCII (RFC 6750, section
/// 2.1, allows still less). The error never has any of it.
fn bearer(text: &[u8]) -> Result<SecretString, String> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
    let token = str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_graphic));
    let begins_with_scheme = text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
    let problem = match (text, token) {
        ([], _) => "it is empty",
        ([b'"' | b'\'' | b'`', ..], _) => "it is in quotes; write the token without them",
        ([b'{' | b'[', ..], _) => "it is JSON; write only the token that is in it",
        _ if text.contains(&0) => "it is UTF-16, or no text; save it as UTF-8",
        (_, None) if begins_with_scheme => "it begins with `Bearer`; write the token alone",
        (_, None) if text.iter().any(u8::is_ascii_whitespace) => {
            "it has white space inside; write the token alone, on one line"
        }
        (_, None) => "it has characters that no token has; write the token alone, in visible ASCII",
        (_, Some(token)) => return Ok(token.into()),
    };
    Err(problem.into())
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    bearer(&files::read(path, MAX_BYTES).map_err(|error| error.to_string())?)
}

// === impl TokenSource ===

impl TokenSource {
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::File(path) => path.metadata().ok().as_ref().map(Stamp::of_file),
            Self::Env(_) | Self::Given(_) => Some(Stamp::Fixed),
        }
    }

    fn token(&self) -> Result<SecretString, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => match std::env::var_os(name) {
                Some(text) => bearer(text.as_encoded_bytes()),
                None => Err("it is not set".into()),
            },
            Self::Given(token) => bearer(token.as_bytes()),
        }
    }
}

// === impl Token ===

impl Token {
    pub(super) fn new(source: TokenSource, observer: Arc<dyn Observer>) -> Self {
        Self { source, is_distrusted: AtomicBool::new(false), reading: Mutex::default(), observer }
    }

    pub(super) fn source(&self) -> &TokenSource {
        &self.source
    }

    /// The token, read again if its source changed. One that cannot be read any more is used as long as the API
    /// takes it: a secret that is being replaced is missing or half written for a moment.
    ///
    /// # Errors
    /// Why there is none, if there never was one.
    pub(super) async fn current(&self) -> Outcome {
        let mut reading = self.reading.lock().await;
        // One that somebody stopped waiting for. What it brings may be out of date by now.
        reading.finish().await;
        if self.is_distrusted.swap(false, Ordering::Relaxed) {
            reading.held.stamp = None;
        }
        let outcome = match &self.source {
            TokenSource::File(_) => {
                reading.begin(self.source.clone());
                reading.finish().await.expect("a call must be under way")
            }
            TokenSource::Env(_) | TokenSource::Given(_) => reading.held.current(&self.source),
        };
        if let Some(warning) = reading.held.warning.take() {
            tracing::warn!("{warning}");
        }
        self.observer.token(outcome.as_ref().ok().and_then(expiry));
        outcome
    }

    /// Has the token read again at the next request, because the API refused it.
    pub(super) fn distrust(&self) {
        self.is_distrusted.store(true, Ordering::Relaxed);
    }
}

// === impl Reading ===

impl Reading {
    fn begin(&mut self, source: TokenSource) {
        let mut held = mem::take(&mut self.held);
        self.call = Some(spawn_blocking(move || {
            let outcome = held.current(&source);
            (held, outcome)
        }));
    }

    /// Waits for the call that is under way, if there is one. It goes on when nobody waits.
    async fn finish(&mut self) -> Option<Outcome> {
        let ended = self.call.as_mut()?.await;
        self.call = None;
        // Nothing stops a call but the end of the process.
        let stopped = |_| (Held::default(), Err("the token was not read: the exporter stops".to_owned()));
        let (held, outcome) = ended.unwrap_or_else(stopped);
        self.held = held;
        Some(outcome)
    }
}

// === impl Held ===

impl Held {
    fn current(&mut self, source: &TokenSource) -> Outcome {
        // Taken before the content is read: a change in between is then seen at the next request.
        let stamp = source.stamp();
        match &self.secret {
            Some(secret) if stamp.is_some() && stamp == self.stamp => Ok(secret.clone()),
            _ => self.replace(source, stamp),
        }
    }

    fn replace(&mut self, source: &TokenSource, stamp: Option<Stamp>) -> Outcome {
        match (source.token(), &self.secret) {
            (Ok(secret), _) => {
                *self = Self { secret: Some(secret.clone()), stamp, ..Self::default() };
                Ok(secret)
            }
            (Err(why), Some(older)) => {
                if !self.warned {
                    self.warning =
                        Some(format!("cannot read {source} again: {why}; the one read before is used"));
                }
                self.warned = true;
                self.stamp = None;
                Ok(older.clone())
            }
            (Err(why), None) => Err(format!("cannot read {source}: {why}")),
        }
    }
}

// === impl Stamp ===

impl Stamp {
    fn of_file(file: &Metadata) -> Self {
        Self::File {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// When the token says that it expires: the `exp` claim of a JWT (RFC 7519, section 4.1.4), which is read, not
/// verified. None if it has none or is not a JWT.
pub(super) fn expiry(token: &SecretString) -> Option<Timestamp> {
    let claims = token.expose_secret().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let exp = serde_json::from_slice::<Claims>(&claims).ok()?.exp?;
    // The cast saturates, and what is then no instant is none.
    #[expect(clippy::cast_possible_truncation, reason = "claims are whole seconds, or nearly")]
    Timestamp::from_second(exp as i64).ok()
}
