//! What may be shown of what a server said.
//!
//! Answers of strangers end up in logs and on a status page: short, on one line, and never with the token, which
//! a server that reflects requests could send back.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// How much of a server's words is shown, in characters.
const SHOWN: usize = 200;

/// The vendor's error answer, `{"errors":[{"error_code":402,"error_message":"..."}]}`.
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

/// The text without the token and without control characters, cut to a length that a log line bears.
pub(super) fn shown(text: &str, token: &SecretString) -> String {
    let text = text.replace(token.expose_secret(), "[token]");
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// What the body of an error says, if it is the vendor's. A gateway's is HTML, and is not shown.
pub(super) fn error(body: &[u8], token: &SecretString) -> Option<String> {
    let first = serde_json::from_slice::<Errors<'_>>(body).ok()?.errors.into_iter().next()?;
    let words = first.error_message.map(|words| shown(&words, token)).filter(|words| !words.is_empty());
    match (first.error_code, words) {
        (Some(code), Some(words)) => Some(format!("error {code}, {words:?}")),
        (Some(code), None) => Some(format!("error {code}")),
        (None, Some(words)) => Some(format!("{words:?}")),
        (None, None) => None,
    }
}

/// What a body looks like that should have been JSON.
pub(super) fn looks(body: &[u8], token: &SecretString) -> String {
    let body = body.trim_ascii();
    if body.is_empty() {
        return "an empty body".into();
    }
    if body.starts_with(b"<") {
        return "an HTML page".into();
    }
    // Enough for the cut, and for a token that the cut would split.
    let start = &body[..body.len().min(16 * 1024)];
    format!("{:?}", shown(&String::from_utf8_lossy(start), token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> SecretString {
        "s3cret".into()
    }

    #[test]
    fn the_vendors_error_is_told_with_its_code() {
        let said = |body: &str| error(body.as_bytes(), &token());
        assert_eq!(
            said(r#"{"errors":[{"error_code":402,"error_message":"not\nauthorised"},{"error_code":1}]}"#),
            Some(r#"error 402, "not authorised""#.into())
        );
        assert_eq!(said(r#"{"errors":[{"error_code":359}]}"#), Some("error 359".into()));
        assert_eq!(said(r#"{"errors":[{"error_message":"\u001b[31mx"}]}"#), Some(r#"" [31mx""#.into()));
        for none in [r#"{"errors":[]}"#, r#"{"errors":[{}]}"#, r#"{"errors":null}"#, "<html>502</html>", ""] {
            assert_eq!(said(none), None, "{none}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_the_token_is_never_in_it() {
        assert_eq!(shown(&"é".repeat(201), &token()), format!("{}...", "é".repeat(200)));
        assert_eq!(shown(&"é".repeat(200), &token()), "é".repeat(200));
        assert_eq!(shown("Bearer s3cret s3cret", &token()), "Bearer [token] [token]");
        let split = format!("{}s3cret", "x".repeat(197));
        assert!(!shown(&split, &token()).contains("s3"));
    }

    #[test]
    fn a_body_is_described_in_a_few_words() {
        assert_eq!(looks(b" \n", &token()), "an empty body");
        assert_eq!(looks(b"\n<!DOCTYPE html><html>secret</html>", &token()), "an HTML page");
        assert_eq!(looks(b"it \xff works\x07", &token()), "\"it \u{fffd} works \"");
    }
}
