//! When a request is tried again, and after which wait.
//!
//! Three retries over some ten seconds outlast a blip; what lasts longer is the next poll's. The server's own
//! `Retry-After` is honoured up to the interval of the polls: whoever asks for more is asked again by a later poll.

use std::time::{Duration, SystemTime};

use backon::ExponentialBuilder;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Reason;
use crate::time::{Timestamp, elapsed};

/// How often one page is tried again.
const RETRIES: usize = 3;
/// The wait before the first of them, which then doubles.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The waits between the attempts. Jitter adds up to as much again, so that accounts that failed together do
/// not come back together.
pub(super) fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_factor(2.0)
        .with_max_times(RETRIES)
        .with_jitter()
}

/// What an answer with this status is called.
pub(super) fn reason(status: u16) -> Reason {
    match status {
        401 | 403 => Reason::Auth,
        429 => Reason::Throttled,
        400..=499 => Reason::Rejected,
        500..=599 => Reason::Server,
        _ => Reason::Protocol,
    }
}

/// Whether an answer with this status can be another one a moment later.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(reason(status), Reason::Throttled | Reason::Server)
}

/// How long to wait: what the server `asked` for, but no less than the backoff's own `delay`; none if it asked
/// for more than `longest`.
pub(super) fn wait(delay: Duration, asked: Option<Duration>, longest: Duration) -> Option<Duration> {
    match asked {
        Some(asked) if asked > longest => None,
        asked => Some(delay.max(asked.unwrap_or_default())),
    }
}

/// The `Retry-After` of an answer (RFC 9110, section 10.2.3): seconds, or a date that is compared with `now`,
/// the answer's own `Date` where there is one. One that cannot be read is none.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // All digits and yet not a number: more seconds than there are.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    http_date(text).map(|at| elapsed(now, at))
}

/// A date in one of the three forms of RFC 9110, section 5.6.7.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let at: SystemTime = httpdate::parse_http_date(text).ok()?;
    at.try_into().ok()
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn asked(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("the header must be valid"))]);
        retry_after(&headers, http_date("Sun, 01 Nov 2026 00:00:00 GMT").expect("the date must be valid"))
    }

    #[test]
    fn three_waits_double_with_up_to_as_much_jitter() {
        for _ in 0..100 {
            let waits: Vec<_> = backoff().build().collect();
            assert_eq!(waits.len(), 3);
            for (wait, least) in waits.into_iter().zip([1, 2, 4]) {
                let least = Duration::from_secs(least);
                assert!(wait >= least && wait <= least * 2, "{wait:?}");
            }
        }
    }

    #[test]
    fn statuses_have_their_reasons() {
        for (status, name, transient) in [
            (401, Reason::Auth, false),
            (403, Reason::Auth, false),
            (429, Reason::Throttled, true),
            (400, Reason::Rejected, false),
            (404, Reason::Rejected, false),
            (412, Reason::Rejected, false),
            (500, Reason::Server, true),
            (502, Reason::Server, true),
            (599, Reason::Server, true),
            (204, Reason::Protocol, false),
            (302, Reason::Protocol, false),
            (999, Reason::Protocol, false),
        ] {
            assert_eq!((reason(status), is_transient(status)), (name, transient), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked("60"), Some(MINUTE));
        assert_eq!(asked("99999999999999999999999"), Some(Duration::MAX));
        assert_eq!(asked("Sun, 01 Nov 2026 00:01:00 GMT"), Some(MINUTE));
        assert_eq!(asked("Sunday, 01-Nov-26 00:01:00 GMT"), Some(MINUTE));
        assert_eq!(asked("Sun Nov  1 00:01:00 2026"), Some(MINUTE));
        assert_eq!(asked("Sun, 01 Nov 2020 00:00:00 GMT"), Some(Duration::ZERO));
        for unreadable in ["", "soon", "-5", "1.5", "1s"] {
            assert_eq!(asked(unreadable), None, "{unreadable}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn the_longer_wait_wins_up_to_the_interval() {
        let second = Duration::from_secs(1);
        assert_eq!(wait(second, None, MINUTE), Some(second));
        assert_eq!(wait(second, Some(Duration::ZERO), MINUTE), Some(second));
        assert_eq!(wait(second, Some(MINUTE), MINUTE), Some(MINUTE));
        assert_eq!(wait(second, Some(MINUTE + second), MINUTE), None);
    }
}
