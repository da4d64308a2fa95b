//! Invalid Unicode in JSON. One broken name must not fail the page that it is on, and `serde_json` accepts
//! neither invalid UTF-8 nor the escape of a lone surrogate.

use std::borrow::Cow;

/// The replacement character, U+FFFD, as the four hexadecimal digits of an escape.
const REPLACEMENT: [u8; 4] = *b"fffd";

/// The text with U+FFFD in place of each invalid UTF-8 sequence and each escape of a lone surrogate; none if there is
/// neither.
///
/// It does not tell strings from the rest: a backslash or a byte above 127 outside a string is an error before and after.
pub(super) fn repaired(json: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(json);
    let is_valid = matches!(text, Cow::Borrowed(_));
    let mut text = text.into_owned().into_bytes();
    let has_lone = replace_lone_surrogates(&mut text);
    (!is_valid || has_lone).then_some(text)
}

/// Whether there were any.
fn replace_lone_surrogates(json: &mut [u8]) -> bool {
    let (mut at, mut has_lone) = (0, false);
    while let Some(backslash) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += backslash;
        match unit(json, at) {
            Some(0xd800..=0xdbff) if matches!(unit(json, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                json[at + 2..at + 6].copy_from_slice(&REPLACEMENT);
                (at, has_lone) = (at + 6, true);
            }
            // The character after a backslash belongs to its escape, even if it is another backslash.
            _ => at = json.len().min(at + 2),
        }
    }
    has_lone
}

/// The UTF-16 code unit of the escape `\uXXXX` that starts at `at`; none if there is no such escape.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix(br"\u")?;
    let digit = |value, digit: &u8| Some(value << 4 | char::from(*digit).to_digit(16)?);
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON string of these bytes, as it is read after a repair; none if it needs none.
    fn repair(string: &[u8]) -> Option<String> {
        let json = [b"\"", string, b"\""].concat();
        let repaired = repaired(&json)?;
        Some(serde_json::from_slice(&repaired).expect("what is repaired must be JSON"))
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (string, expected) in [
            (r"a\ud800b", "a\u{fffd}b"),
            (r"a\uDFFFb", "a\u{fffd}b"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n\ude00", "\u{fffd}\n\u{fffd}"),
            (r"\\\ud800", "\\\u{fffd}"),
            (r"\ud800", "\u{fffd}"),
        ] {
            assert_eq!(repair(string.as_bytes()).as_deref(), Some(expected), "{string}");
        }
    }

    #[test]
    fn invalid_utf8_becomes_the_replacement_character() {
        assert_eq!(repair(b"caf\xe9").as_deref(), Some("caf\u{fffd}"));
        assert_eq!(repair(b"\xf0\x9f\x98").as_deref(), Some("\u{fffd}"));
        assert_eq!(repair(b"\xff\\udc00\xff").as_deref(), Some("\u{fffd}\u{fffd}\u{fffd}"));
    }

    #[test]
    fn valid_text_is_left_alone() {
        for string in
            [r"\ud83d\ude00", r"\\ud800", r"\\\\udc00", r"\u0041\n", "é", r"\", r"\u", r"\ud8", r"\ud80x"]
        {
            assert_eq!(repaired(string.as_bytes()), None, "{string}");
        }
    }
}
