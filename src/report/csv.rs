//! Rows as CSV (RFC 4180), safe to open in a spreadsheet.
//!
//! Cells are the values of the JSON form, so that both always agree. Lists are separated by spaces.

use serde::Serialize;
use serde_json::Value;

/// What a spreadsheet takes for the beginning of a formula:
/// <https://owasp.org/www-community/attacks/CSV_Injection>.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The rows with a header; none if a row is not an object.
#[must_use]
pub fn csv(columns: &[&str], rows: &[impl Serialize]) -> Option<String> {
    let mut text = columns.join(",") + "\r\n";
    for row in rows {
        let row = serde_json::to_value(row).ok()?;
        let cells = columns.iter().map(|column| row.get(column).map(cell));
        text += &cells.collect::<Option<Vec<_>>>()?.join(",");
        text += "\r\n";
    }
    Some(text)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let words =
                values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            quoted(&words.collect::<Vec<_>>().join(" "))
        }
        other => quoted(&other.to_string()),
    }
}

/// The text as a cell. An apostrophe keeps it from being a formula.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(FORMULA) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_not_run() {
        for (value, expected) in [
            (json!("plain text"), "plain text"),
            (json!("a,b"), "\"a,b\""),
            (json!("a\"b"), "\"a\"\"b\""),
            (json!("a\r\nb"), "\"a\r\nb\""),
            (json!("=HYPERLINK(\"http://x\")"), "\"'=HYPERLINK(\"\"http://x\"\")\""),
            (json!("@SUM(1)"), "'@SUM(1)"),
            (json!("-2+3"), "'-2+3"),
            (json!("\t=1"), "'\t=1"),
            (json!(-5), "-5"),
            (json!(null), ""),
            (json!(true), "true"),
            (json!(["=a", "b"]), "'=a b"),
        ] {
            assert_eq!(cell(&value), expected, "{value}");
        }
    }

    #[test]
    fn rows_follow_the_columns() {
        let rows = [json!({"b": 1, "a": "x"}), json!({"a": null, "b": [2]})];
        assert_eq!(csv(&["a", "b"], &rows).as_deref(), Some("a,b\r\nx,1\r\n,2\r\n"));
        assert_eq!(csv(&["a", "c"], &rows), None);
    }
}
