//! `[poll]`: how the API is polled. Some keys are the default of each account's own.

use std::time::Duration;

use super::table::Table;
use super::values::{days, duration, minutes, number, seconds, show, whole};

/// How the API is polled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poll {
    /// From the start of one poll to the start of the next, where an account has no interval of its own.
    pub interval: Duration,
    /// For how long a task is counted in `clumio_tasks` after it ended; at most the lookback, and so the retention.
    pub window: Duration,
    /// How far back by creation the initial sync reads; at least the window, and the overlap.
    pub lookback: Duration,
    /// How late a task may appear in the API's list.
    pub overlap: Duration,
    /// For how long a new or restored counter stands still, so that `increase()` sees where it starts.
    pub counter_hold: Duration,
    /// How often the API's own count of tasks is compared with the exporter's; zero: never.
    pub audit_interval: Duration,
    /// How many tasks are asked for at once, where an account has no page size of its own.
    pub page_size: u32,
    /// How many tasks are looked up by id in one request.
    pub id_batch_size: u32,
    /// How many requests a second are sent for an account that has no rate of its own; 0: no limit.
    pub requests_per_second: f64,
    /// For how long one request may take, from the connection to the end of the answer.
    pub request_timeout: Duration,
}

/// The keys that `[poll]` and each account share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    pub(super) page_size: u32,
    pub(super) requests_per_second: f64,
}

// === impl Poll ===

impl Poll {
    // The API shows tasks of the last six months (its `created_timestamp` filter): hence the longest lookback.
    // `state.retention` has the same bound, so that it can cover any window.
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let before = table.problems();
        let pace = Pace { interval: seconds(60), page_size: 100, requests_per_second: 5.0 };
        let pace = Pace::read(&mut table, pace);
        let poll = Self {
            interval: pace.interval,
            window: table.or("window", days(1), duration(minutes(1)..=days(180))),
            lookback: table.or("lookback", days(7), duration(minutes(1)..=days(180))),
            overlap: table.or("overlap", minutes(10), duration(minutes(1)..=days(1))),
            counter_hold: table.or("counter_hold", minutes(2), duration(seconds(0)..=days(1))),
            audit_interval: table.or("audit_interval", minutes(15), duration(seconds(0)..=days(1))),
            page_size: pace.page_size,
            id_batch_size: table.or("id_batch_size", 50, whole(1..=1_000)),
            requests_per_second: pace.requests_per_second,
            request_timeout: table.or("request_timeout", seconds(30), duration(seconds(1)..=minutes(10))),
        };
        // A default that stands in for a wrong value must not be blamed.
        if table.problems() == before {
            poll.check_lookback(&mut table);
        }
        table.close();
        poll
    }

    /// A window longer than the lookback would be half empty after a start. An overlap longer than it would count
    /// old tasks as new: a task in the overlap that the initial sync did not read is taken as just created.
    fn check_lookback(&self, table: &mut Table<'_>) {
        for (key, least) in [("window", self.window), ("overlap", self.overlap)] {
            if self.lookback < least {
                let (lookback, least) = (show(self.lookback), show(least));
                let blamed = if table.has("lookback") { "lookback" } else { key };
                let message = format!(
                    "the lookback ({lookback}) is shorter than the {key} ({least}); \
                     set poll.lookback to {least} or more"
                );
                table.complain(blamed, &message);
            }
        }
    }
}

// === impl Pace ===

impl Pace {
    // The API allows an organisation 100 requests a second, shared with everything else that calls it. The largest
    // page that it serves is unknown, so that the bound only stops what must be a mistake.
    pub(super) fn read(table: &mut Table<'_>, default: Self) -> Self {
        let rate = number(0.0..=100.0, "0: no limit");
        Self {
            interval: table.or("interval", default.interval, duration(seconds(1)..=days(1))),
            page_size: table.or("page_size", default.page_size, whole(1..=10_000)),
            requests_per_second: table.or("requests_per_second", default.requests_per_second, rate),
        }
    }
}

impl From<&Poll> for Pace {
    fn from(poll: &Poll) -> Self {
        Self {
            interval: poll.interval,
            page_size: poll.page_size,
            requests_per_second: poll.requests_per_second,
        }
    }
}
