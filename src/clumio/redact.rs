//! Redacts text from a server before it is logged or shown.
//!
//! Responses of untrusted servers end up in logs and on the status page: short, on one line, and never with the token,
//! which a server that reflects requests could send back.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The longest redacted text, in characters.
const MAX_CHARACTERS: usize = 200;

/// What replaces the token.
const MASK: &str = "[token]";

/// Clumio's error response, `{"errors":[{"error_code":402,"error_message":"..."}]}`.
#[derive(Deserialize)]
struct Errors<'a> {
    #[serde(borrow)]
    errors: Vec<OneError<'a>>,
}

#[derive(Deserialize)]
struct OneError<'a> {
    /// Not the HTTP status.
    error_code: Option<i64>,
    #[serde(borrow)]
    error_message: Option<std::borrow::Cow<'a, str>>,
}

/// The text on one line, with the token replaced and cut to [`MAX_CHARACTERS`].
///
/// The token is replaced before the text is cut, so that no part of it remains.
pub(super) fn redacted(text: &str, token: &SecretString) -> String {
    let token = token.expose_secret();
    let (mut shown, mut rest, mut count) = (String::new(), text, 0);
    while let Some(first) = rest.chars().next() {
        if count >= MAX_CHARACTERS {
            shown.push_str("...");
            break;
        }
        if let Some(after) = rest.strip_prefix(token).filter(|_| !token.is_empty()) {
            shown.push_str(MASK);
            (rest, count) = (after, count + MASK.len());
        } else {
            shown.push(plain(first));
            (rest, count) = (&rest[first.len_utf8()..], count + 1);
        }
    }
    shown
}

/// The character, or a replacement if it would garble a line or be many times longer when it is escaped.
fn plain(c: char) -> char {
    if c.is_control() {
        ' '
    } else if c.escape_debug().len() > 2 {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

/// The message of Clumio's error response; none if the body is anything else, such as a gateway's HTML.
pub(super) fn server_message(body: &[u8], token: &SecretString) -> Option<String> {
    let first = serde_json::from_slice::<Errors<'_>>(body).ok()?.errors.into_iter().next()?;
    let words = first.error_message.map(|words| redacted(&words, token)).filter(|words| !words.is_empty());
    match (first.error_code, words) {
        (Some(code), Some(words)) => Some(format!("error {code}, {words:?}")),
        (Some(code), None) => Some(format!("error {code}")),
        (None, Some(words)) => Some(format!("{words:?}")),
        (None, None) => None,
    }
}

/// A short description of a body that should have been JSON. A truncated page contains asset names, which must not be
/// logged.
pub(super) fn summary(body: &[u8], token: &SecretString) -> String {
    let body = body.trim_ascii();
    if body.is_empty() {
        return "an empty body".into();
    }
    if body.starts_with(b"<") {
        return "an HTML page".into();
    }
    if body.starts_with(b"{") || body.starts_with(b"[") {
        return format!("broken JSON of {} bytes", body.len());
    }
    format!("{:?}", redacted(&String::from_utf8_lossy(body), token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> SecretString {
        "s3cret".into()
    }

    #[test]
    fn clumios_error_is_reported_with_its_code() {
        let message = |body: &str| server_message(body.as_bytes(), &token());
        assert_eq!(
            message(r#"{"errors":[{"error_code":402,"error_message":"not\nauthorised"},{"error_code":1}]}"#),
            Some(r#"error 402, "not authorised""#.into())
        );
        assert_eq!(message(r#"{"errors":[{"error_code":359}]}"#), Some("error 359".into()));
        assert_eq!(message(r#"{"errors":[{"error_message":"\u001b[31mx"}]}"#), Some(r#"" [31mx""#.into()));
        for none in [r#"{"errors":[]}"#, r#"{"errors":[{}]}"#, r#"{"errors":null}"#, "<html>502</html>", ""] {
            assert_eq!(message(none), None, "{none}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_the_token_is_never_in_it() {
        assert_eq!(redacted(&"é".repeat(201), &token()), format!("{}...", "é".repeat(200)));
        assert_eq!(redacted(&"é".repeat(200), &token()), "é".repeat(200));
        assert_eq!(redacted("Bearer s3cret s3cret", &token()), "Bearer [token] [token]");
        let split = format!("{}s3cret", "x".repeat(197));
        assert!(!redacted(&split, &token()).contains("s3"));
    }

    #[test]
    fn a_token_longer_than_the_limit_is_redacted_completely() {
        let long = "t0ken.".repeat(10_000);
        for body in [long.clone(), format!("a{long}"), long.repeat(3)] {
            let described = summary(body.as_bytes(), &long.as_str().into());
            assert!(!described.contains("t0ken") && described.len() < 250, "{described}");
        }
    }

    #[test]
    fn invisible_characters_are_replaced_instead_of_escaped() {
        assert_eq!(redacted("a\u{202e}b\u{e000}\u{ad}", &token()), "a\u{fffd}b\u{fffd}\u{fffd}");
        let described = summary("\u{10ffff}".repeat(300).as_bytes(), &token());
        assert_eq!(described.chars().count(), 205);
        assert_eq!(redacted("naïve 日本 \"x\" \\", &token()), "naïve 日本 \"x\" \\");
    }

    #[test]
    fn a_body_is_described_in_a_few_words() {
        assert_eq!(summary(b" \n", &token()), "an empty body");
        assert_eq!(summary(b"\n<!DOCTYPE html><html>secret</html>", &token()), "an HTML page");
        assert_eq!(summary(b" {\"value\":\"private", &token()), "broken JSON of 17 bytes");
        assert_eq!(summary(b"it \xff works\x07", &token()), "\"it \u{fffd} works \"");
    }
}
