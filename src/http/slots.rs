//! How many requests are answered at once. A request occupies its slot until its response is sent.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::open::OpenConnections;

/// How long a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How often a request that waits looks for a response that is slow.
const PAUSE: Duration = Duration::from_millis(100);

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotKind {
    /// `/metrics`.
    Scrape,
    /// Pages for people, and the API.
    Page,
}

/// The slots of one kind.
#[derive(Debug)]
pub(super) struct Slots {
    kind: SlotKind,
    free: Arc<Semaphore>,
    connections: Arc<OpenConnections>,
}

/// A slot that is occupied until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    kind: SlotKind,
    _permit: Arc<OwnedSemaphorePermit>,
}

// === impl Slots ===

impl Slots {
    pub(super) fn new(kind: SlotKind, number: usize, connections: Arc<OpenConnections>) -> Self {
        Self { kind, free: Arc::new(Semaphore::new(number)), connections }
    }

    /// A slot, for which requests wait in turn; none if it is not free in time. A client that does not read its response
    /// loses its slot to another one.
    pub(super) async fn take(&self) -> Option<Slot> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout(MAX_WAIT, self.wait()).await.ok()??,
        };
        Some(Slot { kind: self.kind, _permit: Arc::new(permit) })
    }

    /// Waits for its turn. A response becomes slow while others wait.
    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let mut turn = pin!(Arc::clone(&self.free).acquire_owned());
        loop {
            self.connections.close_slowest(Some(self.kind));
            if let Ok(permit) = timeout(PAUSE, turn.as_mut()).await {
                return permit.ok();
            }
        }
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
