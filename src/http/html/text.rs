//! How instants and words of the API are written for people.

use std::borrow::Cow;
use std::fmt::Write;

use crate::report::words_of;
use crate::time::{Timestamp, elapsed};

/// An instant, for people and for programs.
#[derive(Debug)]
pub(super) struct Instant {
    pub(super) datetime: String,
    pub(super) text: String,
}

/// An instant with its distance from now in words.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) text: String,
}

// === impl Instant ===

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self {
            datetime: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }
}

/// The text with what cannot be seen, or would put what follows out of order, as an escape: a name must not look like
/// another one.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_invisible) {
        return text.into();
    }
    text.chars()
        .fold(String::with_capacity(text.len()), |mut shown, c| {
            if is_invisible(c) {
                write!(shown, "{}", c.escape_unicode()).expect("writing to memory must not fail");
            } else {
                shown.push(c);
            }
            shown
        })
        .into()
}

/// Whether it is a control character, or one of those that only direct how others are written.
fn is_invisible(c: char) -> bool {
    let directs = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || directs
}

/// An instant and how long ago it was, or in how long it will be.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Moment {
    let (past, future) = (elapsed(at, now), elapsed(now, at));
    let text =
        if future.is_zero() { format!("{} ago", words_of(past)) } else { format!("in {}", words_of(future)) };
    Moment { at: at.into(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_as_an_escape() {
        assert_eq!(visible("vol-1 ü 東"), "vol-1 ü 東");
        assert_eq!(visible("a\u{202e}b\n\0\u{200f}"), "a\\u{202e}b\\u{a}\\u{0}\\u{200f}");
    }
}
