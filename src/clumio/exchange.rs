//! One request and its answer: what is sent, and how much of what comes back is read.
//!
//! An answer is bounded in time and in bytes, and every request is told to the observer however it ends, even
//! when the caller loses interest half-way.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use super::fault::Fault;
use super::query::Query;
use super::{Observer, Options, SetupError, redact, retry};
use crate::time::{Clock, Moment, Timestamp};

/// The version of the answer. Without it the newest one answers, whatever that will be.
const MEDIA_TYPE: &str = "application/api.clumio.tasks=v1+json";
const UNIT: &str = "X-Clumio-OrganizationalUnit-Context";

/// How much of the body of an error is read, in bytes. The vendor's own are a few hundred.
const ERROR_BYTES: u64 = 16 * 1024;

/// Sends requests for one account.
pub(super) struct Exchange {
    http: reqwest::Client,
    url: Url,
    unit: Option<HeaderValue>,
    timeout: Duration,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

/// An answer with status 200, whole and decompressed.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) date: Option<Timestamp>,
    /// When the head arrived.
    pub(super) received: Moment,
    /// Empty where there is none.
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// A request under way. Dropping it tells the observer.
struct Sent<'a> {
    observer: &'a dyn Observer,
    at: Instant,
    status: Option<u16>,
}

/// Why a body was not read to its end.
enum Unread {
    Broken(reqwest::Error),
    TooLarge,
}

/// The URL of the list: the path of the base URL is a prefix, and nothing else of it is kept.
fn list_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/tasks", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    // They fail only for URLs that cannot carry credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn authorization(token: &SecretString) -> HeaderValue {
    let text = format!("Bearer {}", token.expose_secret());
    let mut value = HeaderValue::from_str(&text).expect("a token must be visible ASCII");
    value.set_sensitive(true);
    value
}

/// The answer's `Date` (RFC 9110, section 6.6.1).
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    retry::http_date(headers.get(DATE)?.to_str().ok()?)
}

async fn read(mut answer: Response, max_bytes: u64) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Unread::Broken)? {
        if (body.len() + chunk.len()) as u64 > max_bytes {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

// === impl Exchange ===

impl Exchange {
    /// # Errors
    /// If the organizational unit cannot be sent.
    pub(super) fn new(
        options: &Options,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SetupError> {
        // A server treats an empty unit as none.
        let unit = options.organizational_unit.as_deref().filter(|unit| !unit.is_empty());
        let header =
            |unit| HeaderValue::from_str(unit).map_err(|_| SetupError::OrganizationalUnit(unit.to_owned()));
        Ok(Self {
            http,
            url: list_url(&options.base_url),
            unit: unit.map(header).transpose()?,
            timeout: options.request_timeout,
            max_bytes: options.max_response_bytes,
            clock,
            observer,
        })
    }

    /// Whom requests are sent to, as errors name it.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Asks for a page and reads the answer.
    ///
    /// # Errors
    /// If there is no answer with status 200 that is whole, in time and not too large.
    pub(super) async fn get(&self, query: &Query<'_>, token: &SecretString) -> Result<Answered, Fault> {
        let mut sent = Sent { observer: &*self.observer, at: Instant::now(), status: None };
        // A connection must not be reused after a timeout or an error. Nothing more is needed for that: hyper closes an
        // HTTP/1.1 connection when a request or the rest of its response is dropped. reqwest's TCP keep-alive closes
        // idle connections that the network has lost.
        let outcome = timeout(self.timeout, self.exchange(query, token, &mut sent)).await;
        self.observer.finished();
        outcome.unwrap_or(Err(Fault::TimedOut(self.timeout)))
    }

    async fn exchange(
        &self,
        query: &Query<'_>,
        token: &SecretString,
        sent: &mut Sent<'_>,
    ) -> Result<Answered, Fault> {
        let answer = self.request(query, token).send().await.map_err(Fault::unreachable)?;
        let received = self.clock.now();
        sent.status = Some(answer.status().as_u16());
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer, received, token).await);
        }
        let date = date(answer.headers());
        let content_type = answer.headers().get(CONTENT_TYPE);
        let content_type = content_type
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default();
        let body = read(answer, self.max_bytes).await.map_err(|unread| match unread {
            Unread::Broken(error) => Fault::broken(error),
            Unread::TooLarge => Fault::TooLarge(self.max_bytes),
        })?;
        Ok(Answered { date, received, content_type, body })
    }

    fn request(&self, query: &Query<'_>, token: &SecretString) -> reqwest::RequestBuilder {
        let request = self
            .http
            .get(self.url.clone())
            .query(&query.parameters())
            .header(ACCEPT, MEDIA_TYPE)
            .header(AUTHORIZATION, authorization(token));
        match &self.unit {
            Some(unit) => request.header(UNIT, unit),
            None => request,
        }
    }

    /// The fault of an answer with another status. The status is known, so a body that does not come must not
    /// use up the time and hide it.
    async fn refused(&self, answer: Response, received: Moment, token: &SecretString) -> Fault {
        let status = answer.status().as_u16();
        let now = date(answer.headers()).unwrap_or(received.wall);
        let asked = retry::retry_after(answer.headers(), now);
        let said = match timeout(self.timeout / 4, read(answer, ERROR_BYTES)).await {
            Ok(Ok(body)) => redact::server_message(&body, token),
            Ok(Err(_)) | Err(_) => None,
        };
        Fault::Status { status, said, asked }
    }
}

// === impl Sent ===

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.observer.request(self.status, self.at.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_base_url_is_a_prefix_and_the_rest_is_not_sent() {
        for (base, list) in [
            ("https://us-west-2.api.clumio.com", "https://us-west-2.api.clumio.com/tasks"),
            ("https://us-west-2.api.clumio.com/", "https://us-west-2.api.clumio.com/tasks"),
            ("http://127.0.0.1:8080/a%20b/clumio//", "http://127.0.0.1:8080/a%20b/clumio/tasks"),
            ("https://user:word@host/v1?x=1#y", "https://host/v1/tasks"),
        ] {
            assert_eq!(list_url(&base.parse().expect("the URL must be valid")).as_str(), list);
        }
    }

    #[test]
    fn the_token_is_not_in_the_debug_output_of_the_header() {
        assert_eq!(format!("{:?}", authorization(&"s3cret".into())), "Sensitive");
    }
}
