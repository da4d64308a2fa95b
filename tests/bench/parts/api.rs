//! The wire types of the client, compiled in from its own source, for they are private to it.
#![allow(dead_code)]

#[path = "../../../src/clumio/lenient.rs"]
mod lenient;
#[path = "../../../src/clumio/row.rs"]
mod row;
#[path = "../../../src/clumio/unicode.rs"]
mod unicode;
#[path = "../../../src/clumio/wire.rs"]
mod wire;

use serde::Deserialize;

// The bound is that of a row, which is borrowed from the very text that is read.

/// A page in which nothing but the rows is read, and every row is kept as it came.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'a: 'de"))]
struct Page<'a> {
    #[serde(rename = "_embedded", borrow)]
    embedded: Embedded<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'a: 'de"))]
struct Embedded<'a> {
    #[serde(borrow)]
    items: Vec<row::Row<'a>>,
}

/// Reads a page as the client does; gives the number of its tasks.
pub fn read(body: &[u8]) -> Result<usize, serde_json::Error> {
    Ok(wire::read(body)?.into_rows().tasks.len())
}

/// Reads the rows of a page into the same wire type, and does nothing else; gives their number.
pub fn deserialize(body: &[u8]) -> Result<usize, serde_json::Error> {
    Ok(serde_json::from_slice::<Page<'_>>(body)?.embedded.items.len())
}
