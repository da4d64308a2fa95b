//! The rate limit of one account: every request waits its turn, retries included.
//!
//! Turns are spaced evenly and never saved up. An idle poll of three requests would be over sooner with a small
//! burst, but nobody waits for a poll, and without bursts the rate holds over every span of time, which is what
//! the other clients of the organisation's shared quota feel.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Longer than any sane spacing, and short enough to be added to any instant.
const LONGEST_SPACING: Duration = Duration::from_hours(24);

/// Hands out turns.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// None where there is no limit.
    turns: Option<Turns>,
}

#[derive(Debug)]
struct Turns {
    spacing: Duration,
    /// The earliest instant of the next turn. The lock is held while waiting: it is first come, first served,
    /// and whoever gives up while waiting takes no turn away from the others.
    next: Mutex<Instant>,
}

// === impl RateLimit ===

impl RateLimit {
    /// At most so many turns a second; no limit if that is zero (or no rate at all).
    pub(super) fn new(per_second: f64) -> Self {
        let limited = per_second.is_finite() && per_second > 0.0;
        let spacing = || {
            Duration::try_from_secs_f64(per_second.recip())
                .map_or(LONGEST_SPACING, |s| s.min(LONGEST_SPACING))
        };
        Self { turns: limited.then(|| Turns { spacing: spacing(), next: Mutex::new(Instant::now()) }) }
    }

    /// Waits for a turn. `waits` is told for how long, once it is the next one: until then others wait, and tell.
    pub(super) async fn turn(&self, waits: impl FnOnce(Duration)) {
        let Some(turns) = &self.turns else { return };
        let mut next = turns.next.lock().await;
        waits(next.saturating_duration_since(Instant::now()));
        sleep_until(*next).await;
        *next = Instant::now() + turns.spacing;
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    /// How long after the start each of `turns` turns came, all asked for at once.
    async fn spread(limit: &RateLimit, turns: usize) -> Vec<Duration> {
        let start = Instant::now();
        join_all((0..turns).map(|_| async {
            limit.turn(|_| {}).await;
            start.elapsed()
        }))
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_spaced_evenly_and_come_in_order() {
        let turns = spread(&RateLimit::new(5.0), 4).await;
        assert_eq!(turns, [0, 200, 400, 600].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_nobody_took_are_not_saved_up() {
        let limit = RateLimit::new(5.0);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(spread(&limit, 3).await, [0, 200, 400].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_takes_no_turn() {
        let limit = RateLimit::new(5.0);
        limit.turn(|_| {}).await;
        let patience = Duration::from_millis(10);
        for _ in 0..10 {
            assert!(tokio::time::timeout(patience, limit.turn(|_| {})).await.is_err());
        }
        assert_eq!(spread(&limit, 1).await, [Duration::from_millis(100)]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_that_is_next_says_for_how_long_it_waits() {
        let (limit, told) = (RateLimit::new(5.0), Mutex::new(Vec::new()));
        let turn = || limit.turn(|wait| told.try_lock().expect("one is next at a time").push(wait));
        join_all([turn(), turn(), turn()]).await;
        assert_eq!(told.into_inner(), [0, 200, 200].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit_and_odd_rates_do_no_harm() {
        assert_eq!(spread(&RateLimit::new(0.0), 100).await, vec![Duration::ZERO; 100]);
        assert_eq!(spread(&RateLimit::new(f64::NAN), 2).await, vec![Duration::ZERO; 2]);
        assert_eq!(spread(&RateLimit::new(1e-300), 2).await, [Duration::ZERO, LONGEST_SPACING]);
    }
}
