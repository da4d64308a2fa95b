//! What the figures of `tests/bench` are compared with, and the parts of the exporter that they are about:
//!
//! - `bench-parts fixed PLAIN GZIP` serves the bytes of two files.
//! - `bench-parts world KINDS` serves a simulated API with so many kinds of tasks more.
//! - `bench-parts assets NUMBER` serves a simulated API with so many assets.
//! - `bench-parts read PAGE TIMES` reads a page of the API so often, as the client does.
//! - `bench-parts deserialize PAGE TIMES` has `serde_json` read its rows into the client's wire type.

mod api;
mod server;
mod world;

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

// What the wire types import.
use clumio_exporter::{task, time};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fixed", plain, gzip] => Ok(server::run(Path::new(plain), Path::new(gzip))?),
        ["world", kinds] => Ok(world::run(kinds.parse()?)?),
        ["assets", number] => Ok(world::assets(number.parse()?)?),
        ["read", page, times] => repeat(page, times, api::read),
        ["deserialize", page, times] => repeat(page, times, api::deserialize),
        _ => Err("unknown arguments; see the head of tests/bench/parts/main.rs".into()),
    }
}

fn repeat(
    page: &str,
    times: &str,
    read: impl Fn(&[u8]) -> Result<usize, serde_json::Error>,
) -> Result<(), Box<dyn Error>> {
    let page = std::fs::read(page)?;
    for _ in 0..times.parse()? {
        black_box(read(black_box(&page))?);
    }
    Ok(())
}
