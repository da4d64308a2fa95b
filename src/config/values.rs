//! Rules that several keys share: durations, sizes, numbers, words, with bounds.
//!
//! A number may also be written as text, because in the environment everything is.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::ValueKind;

use super::error::{either, quote};
use super::table::Verdict;

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// So many seconds.
pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
pub(super) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// So many hours.
pub(super) const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// So many days of 24 hours.
pub(super) const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// So many mebibytes, in bytes.
pub(super) const fn mebibytes(count: u64) -> u64 {
    count << 20
}

/// Text that is not empty.
pub(super) fn text(value: &ValueKind) -> Verdict<String> {
    match value {
        ValueKind::String(text) if text.is_empty() => {
            Err("is empty; write a value, or leave the key out".to_owned())
        }
        ValueKind::String(text) => Ok(text.clone()),
        other => Err(format!("{} is not text; put it in quotes", found(other))),
    }
}

/// A list of texts that are not empty; in the environment, with commas between them.
pub(super) fn texts(value: &ValueKind) -> Verdict<Vec<String>> {
    let texts: Vec<String> = match value {
        ValueKind::Array(list) => list.iter().map(|value| text(&value.kind)).collect::<Verdict<_>>()?,
        ValueKind::String(list) => list.split(',').map(|part| part.trim().to_owned()).collect(),
        other => return Err(format!("{} is not a list; write [\"...\", \"...\"]", found(other))),
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(
            "is empty or has an empty entry; write one value or more, or leave the key out".to_owned()
        );
    }
    Ok(texts)
}

/// `true` or `false`.
pub(super) fn flag(value: &ValueKind) -> Verdict<bool> {
    match value {
        ValueKind::Boolean(flag) => Ok(*flag),
        ValueKind::String(text) if text == "true" => Ok(true),
        ValueKind::String(text) if text == "false" => Ok(false),
        other => Err(format!("{} is neither yes nor no; write true or false", found(other))),
    }
}

/// One of these words, each of which stands for a value.
pub(super) fn word<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> impl FnOnce(&ValueKind) -> Verdict<T> {
    move |value| {
        let given = text(value)?;
        all.iter().copied().find(|one| name(*one) == given).ok_or_else(|| {
            let words: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            format!("{} is not known; write {}", quote(&given), either(&words))
        })
    }
}

/// A whole number in this range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl FnOnce(&ValueKind) -> Verdict<T>
where
    T: Copy + PartialOrd + Display + TryFrom<i64>,
{
    move |value| {
        let number = match value {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        let problem = if number.is_some() { "is out of range" } else { "is not a whole number" };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("{} {problem}; write a whole number from {least} to {most}", found(value))
        })
    }
}

/// A number in this range, with a fraction or without; `note` says what a message should add.
pub(super) fn number(range: RangeInclusive<f64>, note: &str) -> impl FnOnce(&ValueKind) -> Verdict<f64> {
    move |value| {
        let number = match value {
            ValueKind::I64(number) => Some(*number as f64),
            ValueKind::Float(number) => Some(*number),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        let problem = if number.is_some() { "is out of range" } else { "is not a number" };
        // A NaN is in no range.
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("{} {problem}; write a number from {least} to {most} ({note})", found(value))
        })
    }
}

/// A length of time in this range, written with units: `90s`, `1h 30m`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl FnOnce(&ValueKind) -> Verdict<Duration> {
    move |value| {
        let text = match value {
            ValueKind::String(text) => text.trim().to_owned(),
            ValueKind::I64(_) | ValueKind::Float(_) => found(value),
            other => return Err(not_a_duration(other)),
        };
        if text.parse::<f64>().is_ok_and(f64::is_finite) && !text.starts_with(['-', '+']) {
            return Err(format!(
                "{} has no unit; write \"{text}s\", \"{text}m\", \"{text}h\" or \"{text}d\"",
                found(value)
            ));
        }
        let duration = humantime::parse_duration(&text).map_err(|_| not_a_duration(value))?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let (least, most) = (show(*range.start()), show(*range.end()));
        Err(format!("{} is out of range; write a duration from {least} to {most}", found(value)))
    }
}

/// A number of bytes in this range, plain or with a unit: `4194304`, `4MiB`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl FnOnce(&ValueKind) -> Verdict<u64> {
    move |value| {
        let bytes = match value {
            ValueKind::I64(number) => u64::try_from(*number).ok(),
            ValueKind::String(text) => parse_size(text),
            _ => None,
        };
        let Some(bytes) = bytes else {
            return Err(format!(
                "{} is not a size; write a whole number and a unit, such as \"4MiB\"",
                found(value)
            ));
        };
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (show_size(*range.start()), show_size(*range.end()));
        Err(format!("{} is out of range; write a size from {least} to {most}", found(value)))
    }
}

/// A duration as short as the rule reads it: `7d`, `90m`, `1.5s`.
pub(super) fn show(duration: Duration) -> String {
    let whole = duration.as_secs();
    let unit =
        [(86_400, "d"), (3_600, "h"), (60, "m")].into_iter().find(|(unit, _)| whole.is_multiple_of(*unit));
    match unit {
        Some((unit, letter)) if whole > 0 && duration.subsec_nanos() == 0 => {
            format!("{}{letter}", whole / unit)
        }
        _ => format!("{}s", duration.as_secs_f64()),
    }
}

fn show_size(bytes: u64) -> String {
    let unit = UNITS[4..].iter().rev().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn not_a_duration(value: &ValueKind) -> String {
    format!("{} is not a duration; write numbers with units, such as \"90s\" or \"1h 30m\"", found(value))
}

/// What stands where something else should.
fn found(value: &ValueKind) -> String {
    match value {
        ValueKind::String(text) => quote(text),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}
