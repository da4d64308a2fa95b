//! How the simulated API and the exporter's process behave in one schedule.

use proptest::prelude::*;

use crate::account::{SECOND, Trouble};
use crate::schedule::Setup;

/// The order of rows in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
    /// The same for every request, but new rows land anywhere.
    Scattered,
    /// Another for every request.
    Unstable,
}

/// How the API and the process behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub order: Order,
    /// The largest page that the API returns.
    pub max_limit: u32,
    /// A larger `limit` is rejected with status 400.
    pub max_accepted_limit: Option<u32>,
    /// The largest `total_count`, though there may be more rows.
    pub count_cap: Option<u64>,
    /// The probability that a request fails.
    pub failing: f64,
    /// The probability that the process ends at a request or after its response.
    pub crashing: f64,
    /// The probability that the next poll is due at a request between polls.
    pub stopping: f64,
    /// The probability that the commits of a poll fail.
    pub failing_commits: f64,
    /// The probability that the `Date` of a response is off, by two minutes to 300 days.
    pub wrong_date: f64,
    /// Whether responses have a `Date`; otherwise the exporter uses its own clock.
    pub has_date: bool,
    /// How far API replicas lag behind, in microseconds; one response in eight comes from one.
    pub stale_by: i64,
    /// Whether rows of tasks whose end was committed may be days old.
    pub forgetful: bool,
    /// Whether the API compares creations in whole seconds.
    pub is_coarse: bool,
    /// The longest that half a request takes, in microseconds.
    pub slowest: i64,
    pub seed: u64,
}

// === impl Behaviour ===

impl Behaviour {
    /// An API without faults, with pages of 100 rows.
    pub fn well() -> Self {
        Self {
            order: Order::NewestFirst,
            max_limit: 100,
            max_accepted_limit: None,
            count_cap: None,
            failing: 0.0,
            crashing: 0.0,
            stopping: 0.0,
            failing_commits: 0.0,
            wrong_date: 0.0,
            has_date: true,
            stale_by: 0,
            forgetful: false,
            is_coarse: false,
            slowest: 0,
            seed: 0,
        }
    }

    /// The same without what would take a schedule out of what is promised.
    pub fn within(self, setup: &Setup) -> Self {
        let mut within = Self { stale_by: setup.stale_by, ..self };
        // A row that is gone and that a lagging replica still shows makes up for one that slipped.
        let hides_rows =
            matches!(setup.trouble, Trouble::Vanishing | Trouble::Masked | Trouble::PermissionLost);
        if hides_rows && (setup.stale_by > 0 || within.count_cap.is_some()) && within.order == Order::Unstable
        {
            within.order = Order::Scattered;
        }
        within
    }
}

/// Every way to behave.
pub fn behaviours() -> impl Strategy<Value = Behaviour> {
    let order = prop_oneof![
        Just(Order::NewestFirst),
        Just(Order::OldestFirst),
        Just(Order::Scattered),
        Just(Order::Unstable),
    ];
    let rejects = proptest::option::weighted(0.2, 1..40_u32);
    let cap = proptest::option::weighted(0.2, 1..20_u64);
    let failing = prop_oneof![2 => Just(0.0), 1 => Just(0.05), 1 => 0.0..0.3];
    let crashing = prop_oneof![3 => Just(0.0), 1 => 0.0..0.05];
    let stopping = prop_oneof![1 => Just(0.0), 1 => 0.0..0.2];
    let failing_commits = prop_oneof![3 => Just(0.0), 1 => 0.0..0.6];
    let wrong_date = prop_oneof![3 => Just(0.0), 1 => Just(0.05)];
    let slowest = prop_oneof![Just(0), 1..SECOND, 1..(20 * SECOND)];
    let faults = (failing, crashing, stopping, failing_commits, wrong_date);
    let paging = (order, 2..40_u32, rejects, cap);
    let flags = (any::<bool>(), proptest::bool::weighted(0.8), proptest::bool::weighted(0.3));
    (paging, faults, flags, slowest, any::<u64>()).prop_map(|(paging, faults, flags, slowest, seed)| {
        let (order, max_limit, max_accepted_limit, count_cap) = paging;
        let (failing, crashing, stopping, failing_commits, wrong_date) = faults;
        let (is_coarse, has_date, forgetful) = flags;
        Behaviour {
            order,
            max_limit,
            max_accepted_limit,
            count_cap,
            failing,
            crashing,
            stopping,
            failing_commits,
            wrong_date,
            has_date,
            stale_by: 0,
            forgetful,
            is_coarse,
            slowest,
            seed,
        }
    })
}
