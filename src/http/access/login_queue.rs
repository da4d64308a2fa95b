//! The queue of logins whose password is to be verified. Addresses take turns, however many logins each of them tries.
//!
//! One login of each address waits for its turn, and the others wait behind it. A client that guesses passwords therefore
//! delays another address by one hash at most, and only its own address is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Logins of one address that wait at most.
pub(super) const MAX_WAITING: usize = 16;

/// The logins that wait, by address.
#[derive(Debug)]
pub(super) struct LoginQueue {
    sources: Mutex<HashMap<IpAddr, SourceQueue>>,
    /// Hashes are computed one at a time.
    turn: Arc<Semaphore>,
}

/// The logins of one address.
#[derive(Debug)]
struct SourceQueue {
    waiting: usize,
    turn: Arc<Semaphore>,
}

/// A login in the queue of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct QueuedLogin {
    queue: Arc<LoginQueue>,
    source: IpAddr,
    source_queue: Arc<Semaphore>,
}

/// The turn of a login: other addresses wait until `all` is dropped, and the own one until `own` is dropped.
#[derive(Debug)]
pub(super) struct LoginTurn {
    pub(super) all: OwnedSemaphorePermit,
    pub(super) own: OwnedSemaphorePermit,
}

// === impl LoginQueue ===

impl LoginQueue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { sources: Mutex::default(), turn: Arc::new(Semaphore::new(1)) })
    }

    /// Adds a login to the queue of its address; none if too many wait there.
    pub(super) fn wait(self: &Arc<Self>, source: IpAddr) -> Option<QueuedLogin> {
        let mut sources = self.sources();
        let source_queue = sources
            .entry(source)
            .or_insert_with(|| SourceQueue { waiting: 0, turn: Arc::new(Semaphore::new(1)) });
        if source_queue.waiting >= MAX_WAITING {
            return None;
        }
        source_queue.waiting += 1;
        Some(QueuedLogin { queue: Arc::clone(self), source, source_queue: Arc::clone(&source_queue.turn) })
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<IpAddr, SourceQueue>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn of_all(&self) -> &Arc<Semaphore> {
        &self.turn
    }
}

// === impl QueuedLogin ===

impl QueuedLogin {
    pub(super) async fn turn(&self) -> LoginTurn {
        let acquire = async |turn: &Arc<Semaphore>| {
            let permit = Arc::clone(turn).acquire_owned().await;
            permit.expect("the semaphore must never be closed")
        };
        let own = acquire(&self.source_queue).await;
        LoginTurn { all: acquire(&self.queue.turn).await, own }
    }
}

impl Drop for QueuedLogin {
    fn drop(&mut self) {
        let mut sources = self.queue.sources();
        if let Some(source_queue) = sources.get_mut(&self.source) {
            source_queue.waiting -= 1;
            if source_queue.waiting == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::FutureExt;

    use super::*;

    fn address(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    #[tokio::test]
    async fn addresses_take_turns_however_many_logins_they_try() {
        let queue = LoginQueue::new();
        let guesses: Vec<_> =
            (0..MAX_WAITING).map(|_| queue.wait(address(1)).expect("there must be room")).collect();
        assert!(queue.wait(address(1)).is_none(), "its queue is full");
        let first = guesses[0].turn().await;
        let mut second = Box::pin(guesses[1].turn());
        assert!(second.as_mut().now_or_never().is_none());

        let other = queue.wait(address(2)).expect("other addresses have queues of their own");
        let mut turn_of_other = Box::pin(other.turn());
        assert!(turn_of_other.as_mut().now_or_never().is_none());
        drop(first);
        assert!(
            turn_of_other.as_mut().now_or_never().is_some(),
            "it is next, before the second of the other address"
        );
        assert!(second.as_mut().now_or_never().is_some());
        drop(second);
        drop(turn_of_other);
        drop(guesses);
        drop(other);
        assert!(queue.sources().is_empty());
    }
}
