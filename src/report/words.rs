//! Lengths of time and counts, as people read them.

use std::time::Duration;

/// A length of time in its two largest units at most.
#[must_use]
pub fn words_of(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = parts.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(parts.len() - 1);
    let (unit, name) = parts[first];
    let words = format!("{} {name}", seconds / unit);
    // Seconds beside minutes do not matter.
    let rest = parts[..3].get(first + 1).map(|(next, name)| (seconds % unit / next, name));
    rest.filter(|(n, _)| *n > 0).map_or(words.clone(), |(n, name)| format!("{words} {n} {name}"))
}

/// A count with commas between thousands.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, such as "1 asset" or "1,208 assets".
pub(super) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (119, "1 min"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
            (864_059, "10 d"),
        ] {
            assert_eq!(words_of(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2_000].map(|n| counted(n, "asset")), ["1 asset", "2,000 assets"]);
    }
}
