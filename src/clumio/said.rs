//! What may be shown of what a server said.
//!
//! Answers of strangers end up in logs and on a status page: short, on one line, and never with the token, which
//! a server that reflects requests could send back.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// How much of a server's words is shown, in characters.
const SHOWN: usize = 200;

/// What is shown in place of the token.
const MASK: &str = "[token]";

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

/// The text without the token and without what is no plain character, cut to a length that a log line bears.
///
/// The token is taken out of what is shown, however long both are: a part of it is as bad as all of it.
pub(super) fn shown(text: &str, token: &SecretString) -> String {
    let token = token.expose_secret();
    let (mut shown, mut rest, mut count) = (String::new(), text, 0);
    while let Some(first) = rest.chars().next() {
        if count >= SHOWN {
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

/// The character, or what stands for one that garbles a line or makes it many times longer when it is escaped.
fn plain(c: char) -> char {
    if c.is_control() {
        ' '
    } else if c.escape_debug().len() > 2 {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
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

/// What a body looks like that should have been JSON. The start of a page that broke off has names of assets in it, which
/// are in no log.
pub(super) fn looks(body: &[u8], token: &SecretString) -> String {
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
    format!("{:?}", shown(&String::from_utf8_lossy(body), token))
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
    fn a_token_longer_than_what_is_shown_is_no_more_shown_than_a_short_one() {
        let long = "t0ken.".repeat(10_000);
        for body in [long.clone(), format!("a{long}"), long.repeat(3)] {
            let looks = looks(body.as_bytes(), &long.as_str().into());
            assert!(!looks.contains("t0ken") && looks.len() < 250, "{looks}");
        }
    }

    #[test]
    fn what_has_no_form_of_its_own_is_replaced_and_not_written_as_many_characters() {
        assert_eq!(shown("a\u{202e}b\u{e000}\u{ad}", &token()), "a\u{fffd}b\u{fffd}\u{fffd}");
        let looks = looks("\u{10ffff}".repeat(300).as_bytes(), &token());
        assert_eq!(looks.chars().count(), 205);
        assert_eq!(shown("naïve 日本 \"x\" \\", &token()), "naïve 日本 \"x\" \\");
    }

    #[test]
    fn a_body_is_described_in_a_few_words() {
        assert_eq!(looks(b" \n", &token()), "an empty body");
        assert_eq!(looks(b"\n<!DOCTYPE html><html>secret</html>", &token()), "an HTML page");
        assert_eq!(looks(b" {\"value\":\"private", &token()), "broken JSON of 17 bytes");
        assert_eq!(looks(b"it \xff works\x07", &token()), "\"it \u{fffd} works \"");
    }
}
