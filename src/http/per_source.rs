//! A limit for each source of connections, so that one of them leaves room for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits for each source.
#[derive(Debug)]
pub(super) struct PerSource {
    limit: usize,
    /// Of those sources that hold or wait for one.
    sources: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

// === impl PerSource ===

impl PerSource {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), sources: Mutex::default() }
    }

    /// One of the permits of the source, for which its requests wait in turn.
    pub(super) async fn acquire(&self, source: IpAddr) -> OwnedSemaphorePermit {
        let permits = self.permits(source);
        permits.acquire_owned().await.expect("the semaphore must never be closed")
    }

    fn permits(&self, source: IpAddr) -> Arc<Semaphore> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Requests that hold or await a permit have a reference to their semaphore.
        sources.retain(|other, permits| *other == source || Arc::strong_count(permits) > 1);
        Arc::clone(sources.entry(source).or_insert_with(|| Arc::new(Semaphore::new(self.limit))))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_source_leaves_room_for_others_and_is_forgotten_when_it_ends() {
        let limits = PerSource::new(2);
        let [one, other] = [1, 2].map(|number| IpAddr::from(Ipv4Addr::new(10, 0, 0, number)));
        let held = [limits.acquire(one).await, limits.acquire(one).await];
        assert!(limits.acquire(one).now_or_never().is_none());
        assert!(limits.acquire(other).now_or_never().is_some());
        drop(held);
        assert!(limits.acquire(other).now_or_never().is_some());
        assert_eq!(limits.sources.lock().expect("it must not panic").len(), 1);
    }
}
