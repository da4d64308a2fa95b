//! The server of the exporter with nothing behind it: it answers every request with the same bytes.

use std::convert::Infallible;
use std::fs;
use std::future::ready;
use std::io::{self, Write};
use std::path::Path;

use axum::body::Bytes;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use clumio_exporter::metrics;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves `plain`, and `gzip` to who takes that, until the process is killed.
pub fn run(plain: &Path, gzip: &Path) -> io::Result<()> {
    let (plain, gzip) = (Bytes::from(fs::read(plain)?), Bytes::from(fs::read(gzip)?));
    let service = service_fn(move |request: Request<Incoming>| {
        ready(Ok::<_, Infallible>(answer(request.headers(), &plain, &gzip)))
    });
    // As many threads as the exporter has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stderr(), "address={}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
        }
    })
}

fn answer(headers: &HeaderMap, plain: &Bytes, gzip: &Bytes) -> Response {
    let about = [(CONTENT_TYPE, metrics::CONTENT_TYPE)];
    if headers.contains_key(ACCEPT_ENCODING) {
        return (about, [(CONTENT_ENCODING, "gzip")], gzip.clone()).into_response();
    }
    (about, plain.clone()).into_response()
}
