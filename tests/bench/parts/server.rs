//! The server of the exporter with nothing behind it: it answers every request with the same bytes.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clumio_exporter::metrics;

/// Serves `plain`, and `gzip` to who takes that, until the process is killed.
pub fn run(plain: &Path, gzip: &Path) -> io::Result<()> {
    let (plain, gzip) = (Bytes::from(fs::read(plain)?), Bytes::from(fs::read(gzip)?));
    let answer = async move |headers: HeaderMap| answer(&headers, &plain, &gzip);
    // As many threads as the exporter has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        writeln!(io::stderr(), "address={}", listener.local_addr()?)?;
        let router = Router::new().route("/metrics", get(answer));
        axum_server::from_tcp(listener)?.serve(router.into_make_service()).await
    })
}

fn answer(headers: &HeaderMap, plain: &Bytes, gzip: &Bytes) -> Response {
    let about = [(CONTENT_TYPE, metrics::CONTENT_TYPE)];
    if headers.contains_key(ACCEPT_ENCODING) {
        return (about, [(CONTENT_ENCODING, "gzip")], gzip.clone()).into_response();
    }
    (about, plain.clone()).into_response()
}
