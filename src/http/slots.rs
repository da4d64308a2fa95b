//! How many requests are answered at once. A request occupies its slot until its response is sent.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::per_source::PerSource;
use super::registry::{ConnectionRegistry, HeldResource};

/// How long a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How often requests that wait look for a response that is not read.
const PAUSE: Duration = Duration::from_millis(50);

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotKind {
    /// `/metrics`.
    Scrape,
    /// Pages for people, and the API.
    Page,
}

/// The slots of one kind, half of which one source can occupy.
#[derive(Debug)]
pub(super) struct Slots {
    kind: SlotKind,
    free: Arc<Semaphore>,
    per_source: PerSource,
    connections: Arc<ConnectionRegistry>,
    /// When stalled responses were last looked for.
    last_check: Mutex<Option<Instant>>,
}

/// A slot that is occupied until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    kind: SlotKind,
    _permits: Arc<[OwnedSemaphorePermit; 2]>,
}

// === impl Slots ===

impl Slots {
    pub(super) fn new(kind: SlotKind, number: usize, connections: Arc<ConnectionRegistry>) -> Self {
        let (free, per_source) = (Arc::new(Semaphore::new(number)), PerSource::new(number / 2));
        Self { kind, free, per_source, connections, last_check: Mutex::default() }
    }

    /// A slot, for which requests wait in turn; none if it is not free in time. A client that does not read its response
    /// loses its slot to another one.
    pub(super) async fn take(&self, source: IpAddr) -> Option<Slot> {
        let permits = timeout(MAX_WAIT, self.wait(source)).await.ok()?;
        Some(Slot { kind: self.kind, _permits: Arc::new(permits) })
    }

    async fn wait(&self, source: IpAddr) -> [OwnedSemaphorePermit; 2] {
        let mut turn = pin!(async {
            let of_source = self.per_source.acquire(source).await;
            let of_all = Arc::clone(&self.free).acquire_owned().await;
            [of_source, of_all.expect("the semaphore must never be closed")]
        });
        loop {
            if let Ok(permits) = timeout(PAUSE, turn.as_mut()).await {
                return permits;
            }
            // One of the waiting requests checks for all of them.
            if self.is_check_due() {
                self.connections.close_stalled(HeldResource::Slot(self.kind));
            }
        }
    }

    fn is_check_due(&self) -> bool {
        let mut last_check = self.last_check.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = last_check.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if is_due {
            *last_check = Some(now);
        }
        is_due
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> &Arc<Semaphore> {
        &self.free
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn kind(&self) -> SlotKind {
        self.kind
    }
}
