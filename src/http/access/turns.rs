//! Whose password is verified next: one address after another, however many logins each of them tries.
//!
//! Of each address, one login waits in the line of all addresses, and the others behind it. So a client that guesses
//! passwords delays other addresses by one hash at most, and only its own address is turned away.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Logins of one address that wait at most.
pub(super) const MAX_WAITING: usize = 16;

/// The lines of all addresses.
#[derive(Debug)]
pub(super) struct Turns {
    lines: Mutex<HashMap<IpAddr, Line>>,
    /// Hashes are computed one at a time.
    turn: Arc<Semaphore>,
}

/// The logins of one address.
#[derive(Debug)]
struct Line {
    waiting: usize,
    turn: Arc<Semaphore>,
}

/// A place in the line of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    turns: Arc<Turns>,
    source: IpAddr,
    line: Arc<Semaphore>,
}

/// The turn of a login: other addresses wait until `all` is dropped, and the own one until `own` is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) all: OwnedSemaphorePermit,
    pub(super) own: OwnedSemaphorePermit,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), turn: Arc::new(Semaphore::new(1)) })
    }

    /// A place in the line of an address; none if too many of its logins wait.
    pub(super) fn wait(self: &Arc<Self>, source: IpAddr) -> Option<Waiting> {
        let mut lines = self.lines();
        let line =
            lines.entry(source).or_insert_with(|| Line { waiting: 0, turn: Arc::new(Semaphore::new(1)) });
        if line.waiting >= MAX_WAITING {
            return None;
        }
        line.waiting += 1;
        Some(Waiting { turns: Arc::clone(self), source, line: Arc::clone(&line.turn) })
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<IpAddr, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn of_all(&self) -> &Arc<Semaphore> {
        &self.turn
    }
}

// === impl Waiting ===

impl Waiting {
    pub(super) async fn turn(&self) -> Turn {
        let acquire = async |turn: &Arc<Semaphore>| {
            let permit = Arc::clone(turn).acquire_owned().await;
            permit.expect("the semaphore must never be closed")
        };
        let own = acquire(&self.line).await;
        Turn { all: acquire(&self.turns.turn).await, own }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.source) {
            line.waiting -= 1;
            if line.waiting == 0 {
                lines.remove(&self.source);
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
        let turns = Turns::new();
        let guesses: Vec<_> =
            (0..MAX_WAITING).map(|_| turns.wait(address(1)).expect("there must be room")).collect();
        assert!(turns.wait(address(1)).is_none(), "its line is full");
        let first = guesses[0].turn().await;
        let mut second = Box::pin(guesses[1].turn());
        assert!(second.as_mut().now_or_never().is_none());

        let other = turns.wait(address(2)).expect("other addresses have lines of their own");
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
        assert!(turns.lines().is_empty());
    }
}
