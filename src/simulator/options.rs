//! What a simulated API is like.

use std::time::Duration;

use jiff::SignedDuration;

use super::faults::Faults;
use super::listing::Order;

/// What a simulated API is like. The default is the demo: a week of a middling account.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What the world, its faults and its disorder are drawn from.
    pub seed: u64,
    /// The bearer token that is right at first.
    pub token: String,
    /// How much has happened before the simulator starts.
    pub history: Duration,
    /// About how many tasks are generated each day; with 0 the world is what is added to it.
    pub tasks_per_day: u32,
    /// How far the simulator's clock is ahead of this machine's: below zero, behind it.
    pub clock_offset: SignedDuration,
    /// The order of the rows of a listing.
    pub order: Order,
    /// The most rows that a page has, whatever a request asks for; 0 is taken as 1.
    pub max_limit: u32,
    /// The largest `limit` that is not rejected with 400; none: any is accepted, and clamped to `max_limit`.
    pub reject_limit_above: Option<u32>,
    /// Whether answers are never compressed, whatever a client takes.
    pub plain: bool,
    /// What goes wrong at first.
    pub faults: Faults,
    /// How long a slow answer takes.
    pub slow_for: Duration,
    /// How long after its creation a late task is listed, at most.
    pub late_by: Duration,
}

// === impl Options ===

impl Options {
    /// The bearer token that is right unless another is given.
    pub const TOKEN: &str = "demo-token";
    /// The size of the demo: about two tasks a minute, so that its numbers move while one looks.
    pub const TASKS_PER_DAY: u32 = 2400;
    /// The most rows of a page unless somebody says otherwise. The vendor's own limit is not known.
    pub const MAX_LIMIT: u32 = 100;

    /// A world in which nothing exists but what is added to it.
    #[must_use]
    pub fn scripted() -> Self {
        Self { history: Duration::ZERO, tasks_per_day: 0, ..Self::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            token: Self::TOKEN.to_owned(),
            history: Duration::from_hours(7 * 24),
            tasks_per_day: Self::TASKS_PER_DAY,
            clock_offset: SignedDuration::ZERO,
            order: Order::default(),
            max_limit: Self::MAX_LIMIT,
            reject_limit_above: None,
            plain: false,
            faults: Faults::none(),
            slow_for: Duration::from_secs(5),
            late_by: Duration::from_mins(8),
        }
    }
}
