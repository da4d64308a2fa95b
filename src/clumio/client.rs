//! One page of the task list, read well: an attempt, what it brought, and whether another one follows.
//!
//! A page is all or nothing. What could not be had is an error that says what was asked of whom, what came back
//! and what to do about it; what is wrong in a single row is corrected or skipped, and told to the observer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use secrecy::SecretString;
use tokio::time::sleep;
use url::Url;

use super::counted::CountedDefects;
use super::exchange::{Answered, Exchange};
use super::fault::{Fault, Next};
use super::limit::RateLimit;
use super::query::Query;
use super::token::{self, Token};
use super::token_mask::TokenMask;
use super::wire::{self, RowKey, Rows};
use super::{Error, Filter, Observer, Page, SetupError, TaskList, redact, retry};
use crate::config::TokenSource;
use crate::task::Defect;
use crate::time::{Clock, Timestamp};

/// How much of a task's id is logged, in characters. The API's own have a dozen.
const SHOWN_ID: usize = 64;

/// How an account is polled, as far as single requests go.
#[derive(Debug, Clone)]
pub struct Options {
    /// The API, without `/tasks`. A path is kept as a prefix; credentials and a query in it are not sent.
    pub base_url: Url,
    /// Where the bearer token is.
    pub token: TokenSource,
    /// The organizational unit whose tasks, and those of the units below it, are asked for; the token's own if
    /// none.
    pub organizational_unit: Option<String>,
    /// The longest `Retry-After` that is waited for: the interval of the polls.
    pub interval: Duration,
    /// The most requests a second, evenly spaced; 0 for no limit.
    pub requests_per_second: f64,
    /// The longest time from a request to the end of its answer.
    pub request_timeout: Duration,
    /// The largest answer that is read, decompressed.
    pub max_response_bytes: u64,
}

/// The task list of one account over HTTP. Several pages can be asked for at once.
pub struct Client {
    exchange: Exchange,
    token: Arc<Token>,
    limit: RateLimit,
    interval: Duration,
    backoff: ExponentialBuilder,
    observer: Arc<dyn Observer>,
    counted: CountedDefects,
    /// The defects that the log has, one bit each.
    logged: AtomicU8,
}

/// The body of an answer that is a page.
#[derive(Debug)]
pub(super) struct PageBody {
    /// How many rows the listing has, over all its pages.
    pub(super) total: u64,
    /// How many rows a page of it has.
    pub(super) limit: u32,
    pub(super) has_next: bool,
    pub(super) rows: Rows,
}

/// Reads the body of an answer to a request for a page of `asked` rows.
///
/// # Errors
/// If it is not a page.
pub(super) fn read(answered: &Answered, asked: u32, token: &SecretString) -> Result<PageBody, Fault> {
    let answer = wire::read(&answered.body).map_err(|e| unreadable(&e, answered, token))?;
    let total = answer.total().map_err(Fault::NotAPage)?;
    let limit = answer.limit(asked).map_err(Fault::NotAPage)?;
    let has_next = answer.has_next();
    let mut rows = answer.into_rows();
    let mask = TokenMask::of(token);
    if mask.may_be_in(&answered.body) {
        mask.apply(&mut rows);
    }
    Ok(PageBody { total, limit, has_next, rows })
}

/// The fault of a body that is no page. Its text is shortened, for it can quote the body.
fn unreadable(error: &serde_json::Error, answered: &Answered, token: &SecretString) -> Fault {
    let why = redact::redacted(&error.to_string(), token);
    if error.is_data() {
        return Fault::NotAPage(why);
    }
    let looks = redact::summary(&answered.body, token);
    let declared = redact::redacted(&answered.content_type, token);
    Fault::NotJson(format!("{looks}, of content type {declared:?}: {why}"))
}

// === impl Client ===

impl Client {
    /// A client over the connections of `http`, which a [`Transports`](super::Transports) made. It sends nothing
    /// yet and does not read the token either.
    ///
    /// # Errors
    /// If the organizational unit cannot be sent.
    pub fn new(
        options: &Options,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            limit: RateLimit::new(options.requests_per_second),
            interval: options.interval,
            token: Arc::new(Token::new(options.token.clone(), Arc::clone(&observer))),
            exchange: Exchange::new(options, http, clock, Arc::clone(&observer))?,
            backoff: retry::backoff(),
            observer,
            counted: CountedDefects::default(),
            logged: AtomicU8::new(0),
        })
    }

    /// When the token says that it expires: the `exp` claim, read and not verified. None where it has none, is
    /// not a JWT, or cannot be read.
    pub async fn token_expiry(&self) -> Option<Timestamp> {
        token::expiry(&self.token.current().await.ok()?)
    }

    /// Reads the token before a request needs it, so that the observer knows when it expires.
    pub fn read_token(&self) -> impl Future<Output = ()> + Send + use<> {
        let token = Arc::clone(&self.token);
        async move {
            // Whether there is one is for requests to say.
            let _ = token.current().await;
        }
    }

    async fn attempt(&self, query: &Query<'_>) -> Result<Page, Fault> {
        self.limit.turn(|wait| self.observer.waits(wait)).await;
        let token = self.token.current().await.map_err(Fault::NoToken)?;
        let answered = self.exchange.get(query, &token).await?;
        let PageBody { total, limit, has_next, rows } = read(&answered, query.limit, &token)?;
        self.tell(&rows);
        Ok(Page {
            tasks: rows.tasks,
            without_status: rows.without_status,
            without_id: rows.without_id.len() as u64,
            total,
            limit,
            has_next,
            date: answered.date,
            received: answered.received,
        })
    }

    fn tell(&self, rows: &Rows) {
        self.observer.rows(rows.len());
        for (defect, row) in rows.defects().filter(|(defect, row)| self.counted.is_first(*defect, *row)) {
            self.observer.defect(defect);
            if !self.has_logged(defect) {
                let id = match row {
                    RowKey::Id(id) => Some(id.as_str().chars().take(SHOWN_ID).collect::<String>()),
                    RowKey::Content(_) => None,
                };
                tracing::warn!(
                    defect = defect.as_str(),
                    id = id.map(tracing::field::debug),
                    "a task was skipped or corrected; further ones are only counted"
                );
            }
        }
    }

    /// Whether the log has this defect already; from now on it has.
    fn has_logged(&self, defect: Defect) -> bool {
        let bit = match defect {
            Defect::NoId => 1,
            Defect::NoStatus => 2,
            Defect::BadTimestamp => 4,
        };
        self.logged.fetch_or(bit, Ordering::Relaxed) & bit != 0
    }

    fn error(&self, query: &Query<'_>, fault: &Fault, attempts: u32) -> Error {
        let origin = self.exchange.origin();
        let asked = fault.asked().filter(|asked| *asked > self.interval).map(|asked| {
            let (asked, interval) = (asked.as_secs(), self.interval);
            format!(", asking to wait {asked} s, longer than the interval of {interval:?}")
        });
        let asked = asked.unwrap_or_default();
        let tried = if attempts > 1 { format!(", tried {attempts} times") } else { String::new() };
        let remedy = fault.remedy(self.token.source());
        let error =
            Error::new(fault.reason(), format!("{query}, of {origin}: {fault}{asked}{tried}{remedy}"));
        match fault {
            Fault::Status { status, .. } => error.with_status(*status),
            _ => error,
        }
    }
}

impl TaskList for Client {
    async fn page(&self, filter: &Filter, number: u64, limit: u32) -> Result<Page, Error> {
        let query = Query { filter, number, limit };
        let mut delays = self.backoff.build();
        let mut token_was_renewed = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let fault = match self.attempt(&query).await {
                Ok(page) => return Ok(page),
                Err(fault) => fault,
            };
            let wait = match fault.next() {
                Next::NewToken if !token_was_renewed => {
                    token_was_renewed = true;
                    self.token.distrust();
                    Some(Duration::ZERO)
                }
                Next::Again => {
                    delays.next().and_then(|delay| retry::wait(delay, fault.asked(), self.interval))
                }
                Next::NewToken | Next::GiveUp => None,
            };
            let Some(wait) = wait else { return Err(self.error(&query, &fault, attempts)) };
            tracing::debug!("{query}: {fault}; trying again in {wait:?}");
            self.observer.retry(fault.reason());
            self.observer.waits(wait);
            sleep(wait).await;
        }
    }
}
