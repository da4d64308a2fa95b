//! The service manager that started the process, such as systemd: it is told when the daemon is ready, and its watchdog
//! is fed.
//!
//! Where there is no `NOTIFY_SOCKET` there is nobody to tell, and nothing here does anything.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::http::Health;

/// The state is restored and the port is bound: what depends on the daemon can start.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins. [`ready`] tells of its end, whatever came of it: the daemon goes on either way.
pub(super) fn reloading() {
    // `Type=notify-reload` takes the message for an old one without the time.
    let Some(now) = told(NotifyState::monotonic_usec_now()) else { return };
    tell(&[NotifyState::Reloading, now]);
}

/// The daemon was told to stop, and does.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog, where there is one, for as long as the process is healthy; never returns then.
pub(super) async fn feed_watchdog(health: Health) {
    if let Some(patience) = sd_notify::watchdog_enabled() {
        feed(patience, health, || tell(&[NotifyState::Watchdog])).await;
    }
}

/// Gives a sign twice within `patience`, as the manager advises. A process that `/-/healthy` would call sick gives
/// none, and neither does one whose tasks no longer run.
async fn feed(patience: Duration, health: Health, sign: impl Fn()) -> ! {
    // An interval of zero would panic.
    let mut turns = interval((patience / 2).max(Duration::from_millis(1)));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_healthy = true;
    loop {
        turns.tick().await;
        let outcome = health();
        match &outcome {
            Ok(()) => sign(),
            Err(complaint) if was_healthy => error!(complaint, "not healthy: the watchdog is not fed"),
            Err(_) => {}
        }
        was_healthy = outcome.is_ok();
    }
}

fn tell(state: &[NotifyState]) {
    told(sd_notify::notify(state));
}

/// A manager that cannot be told gives up on the daemon after a while: the log says why.
fn told<T>(outcome: io::Result<T>) -> Option<T> {
    outcome.inspect_err(|error| warn!(%error, "the service manager (NOTIFY_SOCKET) cannot be told")).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use tokio::time::timeout;

    use super::*;

    /// How many signs are given within the time.
    async fn signs_within(time: Duration, patience: Duration, is_healthy: &Arc<AtomicBool>) -> u32 {
        let is_healthy = Arc::clone(is_healthy);
        let healthy =
            move || if is_healthy.load(Ordering::Relaxed) { Ok(()) } else { Err("sick".to_owned()) };
        let signs = AtomicU32::new(0);
        let sign = || {
            signs.fetch_add(1, Ordering::Relaxed);
        };
        // It never ends by itself.
        let _ = timeout(time, feed(patience, Arc::new(healthy), sign)).await;
        signs.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_twice_as_often_as_it_asks() {
        let (patience, healthy) = (Duration::from_secs(30), Arc::new(AtomicBool::new(true)));
        // The first one at once: the manager counts from the start.
        assert_eq!(signs_within(Duration::from_millis(14_999), patience, &healthy).await, 1);
        assert_eq!(signs_within(Duration::from_millis(60_001), patience, &healthy).await, 5);
        assert!(signs_within(Duration::from_millis(10), Duration::ZERO, &healthy).await > 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sick_process_does_not_feed_the_watchdog_until_it_is_well() {
        let (patience, healthy) = (Duration::from_secs(30), Arc::new(AtomicBool::new(false)));
        assert_eq!(signs_within(Duration::from_mins(10), patience, &healthy).await, 0);
        let recovers = async {
            tokio::time::sleep(Duration::from_mins(5)).await;
            healthy.store(true, Ordering::Relaxed);
        };
        let (signs, ()) =
            tokio::join!(signs_within(Duration::from_millis(330_001), patience, &healthy), recovers);
        assert!((2..=3).contains(&signs), "{signs}");
    }
}
