//! Where tokens are read, when they are read again, and what they say of their end.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::clumio::Reason;
use crate::task::Defect;

/// Is told nothing that matters here.
struct Nobody;

impl Observer for Nobody {
    fn request(&self, _: Option<u16>, _: Duration) {}
    fn retry(&self, _: Reason) {}
    fn rows(&self, _: u64) {}
    fn defect(&self, _: Defect) {}
}

fn token(source: TokenSource) -> Token {
    Token::new(source, Arc::new(Nobody))
}

async fn held(token: &Token) -> String {
    token.current().await.expect("there must be a token").expose_secret().to_owned()
}

fn file_with(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let path = folder.path().join("token");
    std::fs::write(&path, text).expect("the token must be written");
    (folder, path)
}

#[tokio::test]
async fn a_file_is_read_without_the_white_space_around_the_token() {
    let (_folder, path) = file_with(b" \r\n abc.def-_ \n\n");
    assert_eq!(held(&token(TokenSource::File(path))).await, "abc.def-_");
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_an_unreadable_one_is_not_missed() {
    let (_folder, path) = file_with(b"first");
    let token = token(TokenSource::File(path.clone()));
    assert_eq!(held(&token).await, "first");
    std::fs::write(&path, "second").expect("the token must be written");
    assert_eq!(held(&token).await, "second");
    std::fs::remove_file(&path).expect("the token must be removed");
    assert_eq!(held(&token).await, "second");
    std::fs::write(&path, "").expect("the token must be written");
    assert_eq!(held(&token).await, "second");
    std::fs::write(&path, "third").expect("the token must be written");
    assert_eq!(held(&token).await, "third");
}

#[tokio::test]
async fn a_secret_that_is_swapped_behind_a_symlink_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let at = |name: &str| folder.path().join(name);
    for (generation, text) in [("a", "aaaa"), ("b", "bbbb")] {
        std::fs::create_dir(at(generation)).expect("a folder must be made");
        std::fs::write(at(generation).join("token"), text).expect("the token must be written");
    }
    std::os::unix::fs::symlink("a", at("..data")).expect("a link must be made");
    let token = token(TokenSource::File(at("..data").join("token")));
    assert_eq!(held(&token).await, "aaaa");
    std::os::unix::fs::symlink("b", at("..next")).expect("a link must be made");
    std::fs::rename(at("..next"), at("..data")).expect("the link must be swapped");
    assert_eq!(held(&token).await, "bbbb");
}

#[tokio::test]
async fn what_cannot_be_a_token_is_refused_without_being_shown() {
    for (text, problem) in [
        (&b""[..], "empty"),
        (b" \r\n", "empty"),
        (b"Bearer s3cret", "`Bearer`"),
        (b"\"s3cret\"\n", "in quotes"),
        (b"{\"token\": \"s3cret\"}", "JSON"),
        (b"s3cret\r\ns3cret", "white space"),
        (b"s\x003\x00c\x00r\x00e\x00t\x00", "UTF-16"),
        ("s3cret\u{e9}".as_bytes(), "visible ASCII"),
        (b"s3\xffcret", "visible ASCII"),
    ] {
        let (_folder, path) = file_with(text);
        let why = token(TokenSource::File(path)).current().await.expect_err("it must be refused");
        assert!(why.starts_with("cannot read the token file /") && why.contains(problem), "{why}");
        assert!(!why.contains("cret"), "{why}");
    }
    for text in ["\u{feff}s3cret\r\n", "s3cret", " s3cret\t"] {
        let (_folder, path) = file_with(text.as_bytes());
        assert_eq!(held(&token(TokenSource::File(path))).await, "s3cret");
    }
    let (_folder, path) = file_with(&b"x".repeat(64 * 1024 + 1));
    let why = token(TokenSource::File(path)).current().await.expect_err("it must be refused");
    assert!(why.ends_with("larger than 65536 bytes"), "{why}");
}

#[tokio::test]
async fn a_folder_a_missing_file_and_a_missing_variable_are_named() {
    let folder = tempfile::tempdir().expect("a folder must be had");
    let why = async |source| token(source).current().await.expect_err("there must be no token");
    assert!(why(TokenSource::File(folder.path().into())).await.ends_with(": a directory"));
    assert!(why(TokenSource::File(folder.path().join("no"))).await.contains("no such file"));
    assert_eq!(
        why(TokenSource::Env("CLUMIO_NO_SUCH".into())).await,
        "cannot read the token in the environment variable CLUMIO_NO_SUCH: it is not set"
    );
}

#[tokio::test]
async fn the_environment_is_a_source_and_debug_shows_no_token() {
    // Set by cargo for every test.
    let token = token(TokenSource::Env("CARGO_PKG_NAME".into()));
    assert_eq!(held(&token).await, "clumio-exporter");
    let held = format!("{:?}", token.reading);
    assert!(!held.contains("clumio-exporter"), "{held}");
}

/// A call that waits for the test stands for a file system that hangs.
#[tokio::test]
async fn whoever_stops_waiting_leaves_one_call_behind_and_no_other_begins() {
    let (_folder, path) = file_with(b"late");
    let token = token(TokenSource::File(path));
    let (go, wait) = mpsc::channel::<()>();
    let hanging = spawn_blocking(move || {
        wait.recv().expect("the test must let it go");
        (Held { secret: Some("stale".into()), ..Held::default() }, Ok("stale".into()))
    });
    token.reading.lock().await.call = Some(hanging);
    for _ in 0..3 {
        let patience = Duration::from_millis(10);
        assert!(tokio::time::timeout(patience, token.current()).await.is_err(), "it must wait");
    }
    go.send(()).expect("the call must be waiting");
    assert_eq!(held(&token).await, "late", "what the call brought is not trusted unseen");
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
