//! The bearer token of one account: where it is read, and when it is read again.
//!
//! There is no call that refreshes a token; it rotates by its file changing on disk. So a request compares the
//! file's identity with the one that was read, through the symlinks of a mounted Kubernetes secret, and reads
//! it again only when that changed. What the comparison cannot see (a rewrite within one tick of the file
//! system's clock), an answer of 401 repairs.
//!
//! The calls block, on purpose: a few hundred bytes on a local or memory file system are read sooner than
//! another thread is asked to.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::settings::TokenSource;
use crate::time::Timestamp;

/// The largest file that is taken for a token, in bytes. Tokens of this API have about a thousand.
const MAX_BYTES: u64 = 64 * 1024;

/// The token, as last read.
#[derive(Debug)]
pub(super) struct Token {
    source: TokenSource,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    secret: Option<SecretString>,
    /// What the secret was read from; none if it is to be read again.
    stamp: Option<Stamp>,
    /// Whether the log has that the source cannot be read any more.
    warned: bool,
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

/// The text without the white space around it, if it can be a bearer token: visible ASCII (RFC 6750, section
/// 2.1, allows still less).
fn bearer(text: &[u8]) -> Result<SecretString, String> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("it is empty".into());
    }
    match str::from_utf8(text) {
        Ok(token) if text.iter().all(u8::is_ascii_graphic) => Ok(token.into()),
        _ => Err("it must hold the token alone, in visible ASCII, without `Bearer`".into()),
    }
}

fn read_file(path: &Path) -> Result<SecretString, String> {
    // Opening a pipe would block until somebody writes to it.
    if !path.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is not a file".into());
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    bearer(&text)
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
    pub(super) fn new(source: TokenSource) -> Self {
        Self { source, held: Mutex::default() }
    }

    pub(super) fn source(&self) -> &TokenSource {
        &self.source
    }

    /// The token, read again if its source changed. One that cannot be read any more is used as long as the API
    /// takes it: a secret that is being replaced is missing or half written for a moment.
    ///
    /// # Errors
    /// Why there is none, if there never was one.
    pub(super) fn current(&self) -> Result<SecretString, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the content is read: a change in between is then seen at the next request.
        let stamp = self.source.stamp();
        match &held.secret {
            Some(secret) if stamp.is_some() && stamp == held.stamp => Ok(secret.clone()),
            _ => held.replace(&self.source, stamp),
        }
    }

    /// Has the token read again at the next request, because the API refused it.
    pub(super) fn distrust(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stamp = None;
    }
}

// === impl Held ===

impl Held {
    fn replace(&mut self, source: &TokenSource, stamp: Option<Stamp>) -> Result<SecretString, String> {
        match (source.token(), &self.secret) {
            (Ok(secret), _) => {
                *self = Self { secret: Some(secret.clone()), stamp, warned: false };
                Ok(secret)
            }
            (Err(why), Some(older)) => {
                if !self.warned {
                    tracing::warn!("cannot read {source} again: {why}; the one read before is used");
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn held(token: &Token) -> String {
        token.current().expect("there must be a token").expose_secret().to_owned()
    }

    fn file_with(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let path = folder.path().join("token");
        std::fs::write(&path, text).expect("the token must be written");
        (folder, path)
    }

    #[test]
    fn a_file_is_read_without_the_white_space_around_the_token() {
        let (_folder, path) = file_with(b" \r\n abc.def-_ \n\n");
        assert_eq!(held(&Token::new(TokenSource::File(path))), "abc.def-_");
    }

    #[test]
    fn a_changed_file_is_read_again_and_an_unreadable_one_is_not_missed() {
        let (_folder, path) = file_with(b"first");
        let token = Token::new(TokenSource::File(path.clone()));
        assert_eq!(held(&token), "first");
        std::fs::write(&path, "second").expect("the token must be written");
        assert_eq!(held(&token), "second");
        std::fs::remove_file(&path).expect("the token must be removed");
        assert_eq!(held(&token), "second");
        std::fs::write(&path, "").expect("the token must be written");
        assert_eq!(held(&token), "second");
        std::fs::write(&path, "third").expect("the token must be written");
        assert_eq!(held(&token), "third");
    }

    #[test]
    fn a_secret_that_is_swapped_behind_a_symlink_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let at = |name: &str| folder.path().join(name);
        for (generation, text) in [("a", "aaaa"), ("b", "bbbb")] {
            std::fs::create_dir(at(generation)).expect("a folder must be made");
            std::fs::write(at(generation).join("token"), text).expect("the token must be written");
        }
        std::os::unix::fs::symlink("a", at("..data")).expect("a link must be made");
        let token = Token::new(TokenSource::File(at("..data").join("token")));
        assert_eq!(held(&token), "aaaa");
        std::os::unix::fs::symlink("b", at("..next")).expect("a link must be made");
        std::fs::rename(at("..next"), at("..data")).expect("the link must be swapped");
        assert_eq!(held(&token), "bbbb");
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_without_being_shown() {
        for text in [&b""[..], b" \n", b"Bearer s3cret", "s3cret\u{e9}".as_bytes(), b"s3\xffcret"] {
            let (_folder, path) = file_with(text);
            let why = Token::new(TokenSource::File(path)).current().expect_err("it must be refused");
            assert!(why.starts_with("cannot read the token file /"), "{why}");
            assert!(!why.contains("s3"), "{why}");
        }
        let (_folder, path) = file_with(&b"x".repeat(64 * 1024 + 1));
        let why = Token::new(TokenSource::File(path)).current().expect_err("it must be refused");
        assert!(why.ends_with("it is larger than 65536 bytes"), "{why}");
    }

    #[test]
    fn a_folder_a_missing_file_and_a_missing_variable_are_named() {
        let folder = tempfile::tempdir().expect("a folder must be had");
        let why = |source| Token::new(source).current().expect_err("there must be no token");
        assert!(why(TokenSource::File(folder.path().into())).ends_with(": it is not a file"));
        assert!(why(TokenSource::File(folder.path().join("no"))).contains("No such file"));
        assert_eq!(
            why(TokenSource::Env("CLUMIO_NO_SUCH".into())),
            "cannot read the token in the environment variable CLUMIO_NO_SUCH: it is not set"
        );
    }

    #[test]
    fn the_environment_is_a_source_and_debug_shows_no_token() {
        // Set by cargo for every test.
        let token = Token::new(TokenSource::Env("CARGO_PKG_NAME".into()));
        assert_eq!(held(&token), "clumio-exporter");
        let held = format!("{:?}", token.held);
        assert!(!held.contains("clumio-exporter"), "{held}");
    }

    #[test]
    fn the_expiry_is_read_from_the_claims_of_a_jwt() {
        let jwt = |claims: &str| SecretString::from(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)));
        assert_eq!(
            expiry(&jwt(r#"{"sub":"x","exp":1893456000}"#)),
            Some(Timestamp::from_second(1_893_456_000).expect("the instant must exist"))
        );
        for claims in [r#"{"sub":"x"}"#, r#"{"exp":"soon"}"#, r#"{"exp":1e300}"#, "no"] {
            assert_eq!(expiry(&jwt(claims)), None);
        }
        assert_eq!(expiry(&SecretString::from("opaque")), None);
    }
}
