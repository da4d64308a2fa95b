//! The client against real sockets: small servers that answer from a script and note what they were asked.
//!
//! They run on the client's own runtime under a paused clock, so that waits cost nothing and can be measured
//! exactly. (A server in another thread would not do: the paused clock would not wait for it.)

mod cost;
mod faults;
mod logs;
mod observer;
mod pages;
mod tokens;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Client, Error, Filter, Observer, Options, Page, Reason, TaskList, Transports};
use crate::config::TokenSource;
use crate::task::Defect;
use crate::time::{Clock, Moment, Timestamp};

/// Set by cargo for every test, and as good a token as any.
const TOKEN_VARIABLE: &str = "CARGO_PKG_NAME";
const TOKEN: &str = env!("CARGO_PKG_NAME");

type Reply = Response<Body>;

/// A server that gives each request the next of its replies, and 418 when there is none left.
struct Api {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Clone)]
struct Seen {
    /// The path and the query, encoded.
    target: String,
    headers: HeaderMap,
    /// The client's end of the connection.
    client: SocketAddr,
    at: Instant,
}

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Request(Option<u16>),
    Retry(Reason),
    Rows(u64),
    Defect(Defect),
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

/// A clock that stands still.
struct Noon;

fn noon() -> Moment {
    let wall = "2026-11-01T12:00:00Z".parse().expect("the timestamp must be valid");
    Moment { wall, steady: Duration::from_secs(7) }
}

/// A reply with this status, these headers and this body.
fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(body.into()).expect("the reply must be valid")
}

fn ok(page: &Value) -> Reply {
    reply(200, &[("content-type", "application/api.clumio.tasks=v1+json")], page.to_string())
}

fn empty_page() -> Reply {
    ok(&json!({"limit": 100, "total_count": 0, "_embedded": {"items": []}}))
}

/// A reply whose head and start come, and whose rest never does.
fn hanging() -> Reply {
    let start = stream::once(async { io::Result::Ok(Bytes::from_static(b"{")) });
    reply(200, &[], Body::from_stream(start.chain(stream::pending())))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(text).expect("a vector must take it");
    writer.finish().expect("a vector must take it")
}

/// An instant, written down.
fn at(text: &str) -> Timestamp {
    text.parse().expect("the timestamp must be valid")
}

/// Options for this server, with no rate limit.
fn options(api: &Api) -> Options {
    options_for(api.address)
}

fn options_at(listener: &TcpListener) -> Options {
    options_for(listener.local_addr().expect("a listener must have an address"))
}

fn options_for(address: SocketAddr) -> Options {
    Options {
        base_url: format!("http://{address}").parse().expect("the URL must be valid"),
        token: TokenSource::Env(TOKEN_VARIABLE.into()),
        organizational_unit: None,
        interval: Duration::from_mins(1),
        requests_per_second: 0.0,
        request_timeout: Duration::from_secs(30),
        max_response_bytes: 4 << 20,
    }
}

fn client(options: &Options, observer: &Arc<Recorder>) -> Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Transports::new()
        .client(None, &options.base_url, options.request_timeout)
        .expect("the transport must be made");
    Client::new(options, http, Arc::new(Noon), Arc::clone(observer) as _).expect("the client must be made")
}

/// Asks this server for the first page of open tasks; what came of it, and what the observer was told.
async fn ask(api: &Api) -> (Result<Page, Error>, Vec<Event>) {
    ask_with(&options(api)).await
}

async fn ask_with(options: &Options) -> (Result<Page, Error>, Vec<Event>) {
    let observer = Arc::default();
    let page = client(options, &observer).page(&Filter::Open, 1, 100).await;
    (page, observer.events())
}

/// The error that a script of replies leads to, with its text.
async fn error(replies: impl IntoIterator<Item = Reply>) -> (Reason, String) {
    let (page, _) = ask(&Api::start(replies).await).await;
    let error = page.expect_err("the page must fail");
    let text = error.to_string();
    assert!(!text.contains(TOKEN), "{text}");
    (error.reason(), text)
}

// === impl Api ===

impl Api {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: VecDeque<_> = replies.into_iter().collect();
        let replies = Arc::new(Mutex::new(replies));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let app = Router::new().fallback(async move |ConnectInfo(client), request: Request| {
            let (target, headers) = (request.uri().to_string(), request.headers().clone());
            let seen = Seen { target, headers, client, at: Instant::now() };
            notes.lock().expect("no test panics here").push(seen);
            let next = replies.lock().expect("no test panics here").pop_front();
            next.unwrap_or_else(|| reply(StatusCode::IM_A_TEAPOT.as_u16(), &[], ""))
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port must be free");
        let address = listener.local_addr().expect("a listener must have an address");
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics here").clone()
    }

    /// The whole seconds between the requests.
    fn pauses(&self) -> Vec<u64> {
        self.seen().windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs()).collect()
    }
}

// === impl Recorder ===

impl Recorder {
    fn note(&self, event: Event) {
        self.0.lock().expect("no test panics here").push(event);
    }

    fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no test panics here").clone()
    }
}

impl Observer for Recorder {
    fn request(&self, status: Option<u16>, _: Duration) {
        self.note(Event::Request(status));
    }

    fn retry(&self, reason: Reason) {
        self.note(Event::Retry(reason));
    }

    fn rows(&self, rows: u64) {
        self.note(Event::Rows(rows));
    }

    fn defect(&self, defect: Defect) {
        self.note(Event::Defect(defect));
    }
}

// === impl Noon ===

impl Clock for Noon {
    fn now(&self) -> Moment {
        noon()
    }
}
