//! The two resources: a page of the task list, and one task.

use std::time::Duration;

use url::form_urlencoded;

use super::answer::Answer;
use super::chance::up_to;
use super::faults::Fault;
use super::filter::Filter;
use super::listing::{Cut, Order};
use super::options::Options;
use super::refusal::Refusal;
use super::row::{Emptiness, Frame, GLOBAL_UNIT, row};
use super::{Luck, Simulator, lock};
use crate::time::{Timestamp, earlier};

/// The page size where a request names none. The documentation has both 10 and 20.
const DEFAULT_LIMIT: u32 = 20;
/// How old a stale answer is: at least this, and up to [`STALE_MOST`] more.
const STALE_LEAST: Duration = Duration::from_secs(5);
const STALE_MOST: Duration = Duration::from_secs(295);
/// How many rows a listing drifts by, at most.
const DRIFT_MOST: i32 = 5;

/// The parameters of a listing.
#[derive(Debug)]
struct Query {
    cut: Cut,
    filter: Filter,
}

// === impl Query ===

impl Query {
    /// Reads a query. An empty parameter is an absent one, and unknown ones are ignored.
    fn read(query: &str, options: &Options, now: Timestamp) -> Result<Self, Refusal> {
        let parameter = |name: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.into_owned())
        };
        let number = |name: &str, default: u64| match parameter(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(Refusal::bad_request(format!("{name} must be a whole number from 1 on"))),
            },
        };
        let limit = u32::try_from(number("limit", DEFAULT_LIMIT.into())?).unwrap_or(u32::MAX);
        if let Some(largest) = options.reject_limit_above.filter(|largest| limit > *largest) {
            return Err(Refusal::bad_request(format!("limit must be at most {largest}")));
        }
        let cut = Cut { number: number("start", 1)?, limit: limit.min(options.max_limit.max(1)), drift: 0 };
        Ok(Self { cut, filter: Filter::parse(&parameter("filter").unwrap_or_default(), now)? })
    }
}

/// `GET /tasks`.
pub(super) fn list(
    simulator: &Simulator,
    luck: &mut Luck,
    now: Timestamp,
    unit: Option<&str>,
    query: &str,
) -> Result<Answer, Refusal> {
    let options = simulator.options();
    let Query { mut cut, filter } = Query::read(query, options, now)?;
    if luck.drawn.has(Fault::Drift) && cut.number > 1 {
        let rows = luck.rng.i32(1..=DRIFT_MOST);
        cut.drift = if luck.rng.bool() { rows } else { -rows };
    }
    let order = if luck.drawn.has(Fault::Unstable) { Order::Unstable } else { options.order };
    let salt = if order == Order::Unstable { luck.rng.u64(..) } else { options.seed };
    let at = stale(luck, now);
    let view = lock(&simulator.0.access).view().clone();
    let world = simulator.world_at(now);
    let mut slots = world.matching(&filter, at);
    if !view.is_everything() {
        slots.retain(|slot| view.shows(world.task(*slot)));
    }
    let total = cut.total(slots.len());
    let page = order.page(&world, slots, cut.range(), salt);
    let rows = page.iter().map(|slot| row(world.task(*slot), world.seen_at(*slot, at))).collect::<Vec<_>>();
    drop(world);
    let emptiness = match luck.rng.bool() {
        _ if luck.drawn.has(Fault::NullEmpty) => Emptiness::NullEmbedded,
        true => Emptiness::NullItems,
        false => Emptiness::EmptyItems,
    };
    let frame = Frame { cut, total, filter: &filter, unit: unit.unwrap_or(GLOBAL_UNIT), emptiness };
    Ok(Answer::ok(&frame.page(&rows)))
}

/// `GET /tasks/{id}`.
pub(super) fn one(
    simulator: &Simulator,
    luck: &mut Luck,
    now: Timestamp,
    id: &str,
) -> Result<Answer, Refusal> {
    let at = stale(luck, now);
    let view = lock(&simulator.0.access).view().clone();
    let world = simulator.world_at(now);
    let number = id.parse().ok().filter(|number: &u64| number.to_string() == id);
    let slot = number.and_then(|number| world.find(number, at));
    let slot = slot.filter(|slot| view.shows(world.task(*slot)));
    let slot = slot.ok_or_else(|| Refusal::not_found(&format!("task {id}")))?;
    Ok(Answer::ok(&row(world.task(slot), world.seen_at(slot, at))))
}

/// The instant that is looked at.
fn stale(luck: &mut Luck, now: Timestamp) -> Timestamp {
    let age = STALE_LEAST + up_to(&mut luck.rng, STALE_MOST);
    if luck.drawn.has(Fault::Stale) { earlier(now, age) } else { now }
}
