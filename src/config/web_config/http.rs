//! `http_server_config`: response headers from a closed list.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::super::error::{Problems, either, quote};
use super::super::table::Verdict;
use super::super::values::flag;
use super::{entries, table};

/// A header that every answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, one of the toolkit's list.
    pub name: &'static str,
    /// Its value: visible ASCII and spaces, not empty.
    pub value: String,
}

/// The headers that the format has, each with its values; none: any.
pub(super) const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The response headers.
pub(super) fn read(mut http: BTreeMap<String, Value>, file: &str, problems: &mut Problems) -> Vec<Header> {
    const NAME: &str = "http_server_config.headers";
    let headers = entries(NAME, http.remove("headers"), file, problems);
    let mut http = table("http_server_config", http, file, problems);
    // Accepted because files written for the toolkit contain it. HTTP/2 is never offered, whatever the value.
    let _ = http.optional("http2", flag);
    http.close();
    let mut headers = table(NAME, headers, file, problems);
    let found = HEADERS.into_iter().filter_map(|(name, values)| {
        let value =
            headers.optional(name, |value| header(value, values)).filter(|value| !value.is_empty())?;
        Some(Header { name, value })
    });
    let found = found.collect();
    headers.close();
    found
}

/// The value of a header, which is one of `values` where there are any; an empty one leaves the header out.
fn header(value: &ValueKind, values: &[&str]) -> Verdict<String> {
    let text = match value {
        ValueKind::String(text) => text.clone(),
        ValueKind::I64(number) => number.to_string(),
        _ => return Err("is not text; put it in quotes".to_owned()),
    };
    if !values.is_empty() && !values.contains(&text.as_str()) {
        return Err(format!("{} is not known; write {}", quote(&text), either(values)));
    }
    if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(format!("{} cannot be sent in a header; write ASCII in one line", quote(&text)));
    }
    Ok(text.trim().to_owned())
}
