//! The HTTP face: one handler through which every request passes in the same order, so that a fault can befall
//! any of them: arrival, delays, broken connections, faults, who asks, what is asked.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::post;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, TASKS_V1, accepts_gzip};
use super::faults::Fault;
use super::refusal::Refusal;
use super::requests::{Endpoint, Exchange};
use super::wire::{self, Connection};
use super::{Luck, Simulator, breakdown, lock, resources};
use crate::time::Timestamp;

/// How far a wrong `Date` is off at most, in seconds.
const DATE_SKEW: i64 = 3 * 3600;

const UNIT_HEADER: &str = "x-clumio-organizationalunit-context";

#[derive(Debug, Clone)]
struct Face {
    simulator: Simulator,
    /// Ends what never ends by itself.
    stopped: CancellationToken,
}

/// The API of `simulator`, until it is `stopped`.
pub(super) fn router(simulator: Simulator, stopped: CancellationToken) -> Router {
    let control = Router::new()
        .route("/simulator/fail", post(breakdown::fail))
        .route("/simulator/recover", post(breakdown::recover))
        .with_state(simulator.clone());
    Router::new().fallback(answer).with_state(Face { simulator, stopped }).merge(control)
}

async fn answer(State(face): State<Face>, request: Request) -> Response<Body> {
    let Face { simulator, stopped } = face;
    let mut luck = simulator.draw();
    let endpoint = Endpoint::of(request.uri().path());
    let number = arrived(&simulator, &request, endpoint, &luck);
    if luck.drawn.has(Fault::Stall) {
        stopped.cancelled().await;
    } else if luck.drawn.has(Fault::Slow) {
        let delay = tokio::time::sleep(simulator.options().slow_for);
        tokio::select! { () = delay => {} () = stopped.cancelled() => {} }
    }
    if luck.drawn.has(Fault::Stall) || luck.drawn.has(Fault::Reset) {
        lock(&simulator.0.requests).answer(number, endpoint, None, None);
        if let Some(ConnectInfo(connection)) = request.extensions().get::<ConnectInfo<Connection>>() {
            connection.reset_when_dropped();
        }
        return wire::nothing();
    }
    let now = simulator.now();
    let answer = Answer::fault(&mut luck, now)
        .map_or_else(|| asked(&simulator, &mut luck, now, &request, endpoint), Ok)
        .unwrap_or_else(Answer::from);
    let date = date(&mut luck, now);
    lock(&simulator.0.requests).answer(number, endpoint, Some(answer.status.as_u16()), Some(date));
    let compress = !simulator.options().plain && accepts_gzip(request.headers());
    answer.send(compress, date, luck.drawn.has(Fault::Cut))
}

/// Notes the request, and gives its number.
fn arrived(simulator: &Simulator, request: &Request, endpoint: Endpoint, luck: &Luck) -> u64 {
    let uri = request.uri();
    let mut requests = lock(&simulator.0.requests);
    let number = simulator.0.arrivals.fetch_add(1, Ordering::Relaxed);
    requests.arrived(Exchange {
        number,
        at: simulator.now(),
        endpoint,
        target: uri.path_and_query().map_or(uri.path(), |target| target.as_str()).to_owned(),
        status: None,
        date: None,
        faults: luck.drawn.faults(),
    });
    number
}

/// What the API itself answers.
fn asked(
    simulator: &Simulator,
    luck: &mut Luck,
    now: Timestamp,
    request: &Request,
    endpoint: Endpoint,
) -> Result<Answer, Refusal> {
    let headers = request.headers();
    authorised(simulator, headers)?;
    if endpoint == Endpoint::Other {
        return Err(Refusal::not_found("the resource"));
    }
    if request.method() != Method::GET {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, 405, "the simulator can only be read"));
    }
    version(headers)?;
    let unit = organizational_unit(headers)?;
    match (endpoint, request.uri().path().rsplit_once('/')) {
        (Endpoint::Task, Some((_, id))) => resources::one(simulator, luck, now, id),
        _ => resources::list(simulator, luck, now, unit, request.uri().query().unwrap_or_default()),
    }
}

/// 401 without a right bearer token.
fn authorised(simulator: &Simulator, headers: &HeaderMap) -> Result<(), Refusal> {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = sent.and_then(|value| value.split_once(' ')).unwrap_or_default();
    let right = scheme.eq_ignore_ascii_case("bearer") && lock(&simulator.0.access).accepts(token);
    right.then_some(()).ok_or_else(Refusal::unauthorised)
}

/// 406 unless the client takes the one version that there is, or pins none. The vendor's media types are not
/// well-formed ones (`=` in the subtype), so they are compared as text.
fn version(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(accept) = headers.get(ACCEPT).map(|value| value.to_str().unwrap_or("?")) else { return Ok(()) };
    let accepted = [TASKS_V1, "*/*", "application/*", "application/json"];
    let mut types = accept.split(',').map(|item| item.split(';').next().unwrap_or_default().trim());
    if accept.is_empty() || types.any(|item| accepted.contains(&item)) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, 406, format!("{accept} is not a version of this resource")))
}

/// The organisational unit that is asked for: any UUID is one, and an empty text is none.
fn organizational_unit(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(UNIT_HEADER).filter(|value| !value.is_empty()) else { return Ok(None) };
    let is_uuid = |unit: &&str| {
        let parts = unit.split('-').map(str::len);
        parts.eq([8, 4, 4, 4, 12]) && unit.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    };
    let unit = value.to_str().ok().filter(is_uuid);
    unit.map(Some).ok_or_else(|| Refusal::bad_request("the organizational unit is not a UUID"))
}

/// The answer's `Date`, in whole seconds as HTTP writes it.
fn date(luck: &mut Luck, now: Timestamp) -> Timestamp {
    let skew = luck.rng.i64(-DATE_SKEW..=DATE_SKEW);
    let skew = SignedDuration::from_secs(if luck.drawn.has(Fault::Date) { skew } else { 0 });
    let date = now.checked_add(skew).unwrap_or(now);
    Timestamp::from_second(date.as_second()).unwrap_or(date)
}
