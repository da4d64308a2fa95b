//! An answer before it is sent, and the answers that are nothing but a fault.

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::Luck;
use super::faults::Fault;
use super::refusal::Refusal;
use super::wire;
use crate::time::{Timestamp, later};

/// The one version of the one resource that is simulated.
pub(super) const TASKS_V1: &str = "application/api.clumio.tasks=v1+json";

/// The longest that a throttled client is asked to wait.
const RETRY_AFTER_LONGEST: u8 = 2;

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: &'static str,
    retry_after: Option<String>,
    body: Bytes,
}

// === impl Answer ===

impl Answer {
    /// 200, with a page or a task.
    pub(super) fn ok(body: &Value) -> Self {
        Self::new(StatusCode::OK, TASKS_V1, body.to_string())
    }

    /// The answer that a fault gives in place of the API, if one was drawn that does.
    pub(super) fn fault(luck: &mut Luck, now: Timestamp) -> Option<Self> {
        let rng = &mut luck.rng;
        let drawn = luck.drawn;
        if drawn.has(Fault::Html) {
            let page = "<html><head><title>502 Bad Gateway</title></head>\n<body>Bad Gateway</body></html>\n";
            Some(Self::new(StatusCode::BAD_GATEWAY, "text/html", page))
        } else if drawn.has(Fault::Server) {
            let status =
                if rng.bool() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::SERVICE_UNAVAILABLE };
            Some(Refusal::new(status, 100, "something went wrong, try again later").into())
        } else if drawn.has(Fault::Throttle) {
            Some(Self::throttled(rng, now))
        } else if drawn.has(Fault::Unauthorised) {
            Some(Refusal::unauthorised().into())
        } else if drawn.has(Fault::Garbled) {
            Some(Self::new(StatusCode::OK, TASKS_V1, r#"{"_embedded":{"items":[{"id":"1","#))
        } else {
            None
        }
    }

    /// The answer as HTTP.
    pub(super) fn send(self, compress: bool, date: Timestamp, cut: bool) -> Response<Body> {
        let mut answer = Response::new(());
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in [(DATE, http_date(date)), (RETRY_AFTER, self.retry_after)] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        let mut body = self.body;
        if let Some(smaller) = compress.then(|| compressed(&body)).flatten() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            body = smaller;
        }
        if cut { wire::cut(answer, &body) } else { answer.map(|()| Body::from(body)) }
    }

    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, retry_after: None, body: body.into() }
    }

    /// 429; half of them say when to come back, in either form.
    fn throttled(rng: &mut Rng, now: Timestamp) -> Self {
        let seconds = rng.u8(1..=RETRY_AFTER_LONGEST);
        let retry_after = match rng.u8(..4) {
            0 => Some(seconds.to_string()),
            1 => http_date(later(now, Duration::from_secs(u64::from(seconds)))),
            _ => None,
        };
        let refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, 429, "too many requests, back off and retry");
        Self { retry_after, ..refusal.into() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, "application/json", refusal.body().to_string())
    }
}

/// The instant as HTTP writes it; none for one so far off that it cannot be written.
fn http_date(at: Timestamp) -> Option<String> {
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// Whether the client takes gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    codings.split(',').any(|coding| coding.trim() == "gzip")
}

fn compressed(body: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
