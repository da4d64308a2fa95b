//! The registry of open connections, which decides which one is closed when there are too many.
//!
//! When the limit is reached, it closes the connection that has gone longest without a complete request. When all slots are
//! occupied, it closes the connection whose client has read nothing of its response for longest. A client that sends nothing,
//! or sends bytes without end, therefore only loses its own connections.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::slots::{Slot, SlotKind};

/// Open connections. Half of the file descriptors that a process usually has.
const MAX_CONNECTIONS: usize = 512;

/// Open connections from one address. Behind a proxy, all clients have one.
const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 2;

/// How long a client reads nothing of its response before its connection can be closed for another client.
const MIN_STALL: Duration = Duration::from_millis(300);

/// The open connections of a server.
#[derive(Debug, Default)]
pub(super) struct ConnectionRegistry {
    open: Mutex<HashMap<u64, Arc<RegisteredConnection>>>,
    /// Connections so far.
    total: AtomicU64,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct RegisteredConnection {
    source: IpAddr,
    close: CancellationToken,
    traffic: Mutex<Traffic>,
}

/// The source of a request, in its extensions: see [`source`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Source(pub(super) IpAddr);

/// Keeps a connection in the registry until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    number: u64,
    connection: Arc<RegisteredConnection>,
    all: Arc<ConnectionRegistry>,
}

#[derive(Debug)]
struct Traffic {
    /// When the last complete request came, or else the connection.
    last_request: Instant,
    /// The responses that are being sent, oldest first.
    responses: VecDeque<UnsentResponse>,
}

/// What a response that is being sent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldResource {
    /// A slot of this kind.
    Slot(SlotKind),
    /// Room among the responses that are not sent.
    Room,
}

/// A response that is being sent.
#[derive(Debug)]
struct UnsentResponse {
    /// When bytes of it were last accepted, or else its begin.
    progressed: Instant,
    /// Whether all of it was written, but perhaps not flushed.
    is_written: bool,
    slot: Option<Slot>,
    has_room: bool,
}

/// What counts as one source of connections: an IPv4 address, or the network of an IPv6 address, which one host has whole.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

// === impl ConnectionRegistry ===

impl ConnectionRegistry {
    /// Adds a connection; it closes another one if there are too many.
    pub(super) fn add(self: &Arc<Self>, address: IpAddr) -> ConnectionGuard {
        let source = source(address);
        let connection = Arc::new(RegisteredConnection::new(source));
        let mut open = self.open();
        let is_same = |other: &RegisteredConnection| other.source == source;
        if open.values().filter(|other| is_same(other)).count() >= MAX_PER_ADDRESS {
            close_first(&mut open, |other| is_same(other).then(|| other.last_request()));
        } else if open.len() >= MAX_CONNECTIONS {
            close_first(&mut open, |other| Some(other.last_request()));
        }
        let number = self.total.fetch_add(1, Ordering::Relaxed);
        open.insert(number, Arc::clone(&connection));
        drop(open);
        ConnectionGuard { number, connection, all: Arc::clone(self) }
    }

    /// Closes the connection whose client has not read its response for longest, of those that hold this; whether there was
    /// one.
    pub(super) fn close_stalled(&self, holding: HeldResource) -> bool {
        let latest = Instant::now().checked_sub(MIN_STALL);
        let is_stalled = |progressed: &Instant| latest.is_some_and(|latest| *progressed <= latest);
        close_first(&mut self.open(), |other| other.progressed(holding).filter(is_stalled))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<RegisteredConnection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connection with the earliest time, of those that have one; whether there was one.
fn close_first(
    open: &mut HashMap<u64, Arc<RegisteredConnection>>,
    time: impl Fn(&RegisteredConnection) -> Option<Instant>,
) -> bool {
    let times = open.iter().filter_map(|(number, connection)| Some((time(connection)?, *number)));
    let Some((_, number)) = times.min() else { return false };
    if let Some(connection) = open.remove(&number) {
        connection.close.cancel();
    }
    true
}

// === impl RegisteredConnection ===

impl RegisteredConnection {
    fn new(source: IpAddr) -> Self {
        let traffic = Traffic { last_request: Instant::now(), responses: VecDeque::new() };
        Self { source, close: CancellationToken::new(), traffic: Mutex::new(traffic) }
    }

    pub(super) fn source(&self) -> Source {
        Source(self.source)
    }

    /// A complete request has come.
    pub(super) fn note_request(&self) {
        self.traffic().last_request = Instant::now();
    }

    /// Its response is being sent; the slot is held until it is sent.
    pub(super) fn begin_response(&self, slot: Option<Slot>, has_room: bool) {
        let response = UnsentResponse { progressed: Instant::now(), is_written: false, slot, has_room };
        self.traffic().responses.push_back(response);
    }

    /// Bytes of the responses were accepted.
    pub(super) fn note_progress(&self) {
        let now = Instant::now();
        self.traffic().responses.iter_mut().for_each(|response| response.progressed = now);
    }

    /// All of the oldest unwritten response was handed over for writing.
    pub(super) fn end_response(&self) {
        if let Some(response) = self.traffic().responses.iter_mut().find(|response| !response.is_written) {
            response.is_written = true;
        }
    }

    /// All that was handed over for writing was sent.
    pub(super) fn note_flush(&self) {
        let mut traffic = self.traffic();
        while traffic.responses.front().is_some_and(|response| response.is_written) {
            traffic.responses.pop_front();
        }
    }

    fn last_request(&self) -> Instant {
        self.traffic().last_request
    }

    fn progressed(&self, holding: HeldResource) -> Option<Instant> {
        let traffic = self.traffic();
        let holds = |response: &&UnsentResponse| match holding {
            HeldResource::Slot(kind) => response.slot.as_ref().is_some_and(|slot| slot.kind() == kind),
            HeldResource::Room => response.has_room,
        };
        traffic.responses.iter().find(holds).map(|response| response.progressed)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ConnectionGuard ===

impl ConnectionGuard {
    pub(super) fn connection(&self) -> &Arc<RegisteredConnection> {
        &self.connection
    }

    /// Completes when the registry closes the connection for another one.
    pub(super) async fn evicted(&self) {
        self.connection.close.cancelled().await;
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        // An evicted connection is no longer in it.
        self.all.open().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::super::slots::Slots;
    use super::*;

    fn address(number: usize) -> IpAddr {
        let [.., a, b] = number.to_be_bytes();
        IpAddr::from([10, 0, a, b])
    }

    fn is_closed(guard: &ConnectionGuard) -> bool {
        guard.connection.close.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_gone_longest_without_a_request_makes_room() {
        let all = Arc::<ConnectionRegistry>::default();
        let mut guards = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            guards.push(all.add(address(number)));
            advance(Duration::from_millis(1)).await;
        }
        guards[0].connection().note_request();
        let _more = [all.add(address(9_000)), all.add(address(9_001))];
        let closed: Vec<_> = (0..MAX_CONNECTIONS).filter(|number| is_closed(&guards[*number])).collect();
        assert_eq!(closed, [1, 2]);
        guards.truncate(10);
        assert_eq!(all.open().len(), 8 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_closes_its_own_connections_alone() {
        let all = Arc::<ConnectionRegistry>::default();
        let other = all.add(address(1));
        advance(Duration::from_secs(1)).await;
        let guards: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| all.add(address(2))).collect();
        assert!(!is_closed(&other));
        assert_eq!(guards.iter().filter(|guard| !is_closed(guard)).count(), MAX_PER_ADDRESS);
        assert_eq!(all.open().len(), MAX_PER_ADDRESS + 1);
        drop(guards);
        assert_eq!(all.open().len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| source(text.parse().expect("it must be an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_response_that_is_not_read_for_longest_makes_room_for_another() {
        let all = Arc::<ConnectionRegistry>::default();
        let slots = Slots::new(SlotKind::Scrape, 2, Arc::clone(&all));
        let [reading, unread, page] = [1, 2, 3].map(|number| all.add(address(number)));
        page.connection().begin_response(None, true);
        for guard in [&unread, &reading] {
            let slot = slots.take(guard.connection().source().0).await;
            guard.connection().begin_response(slot, false);
        }
        advance(MIN_STALL).await;
        reading.connection().note_progress();
        // The task of a connection that is closed drops its guard and what it was sending.
        let (slot, ()) = tokio::join!(slots.take(address(4)), async {
            unread.evicted().await;
            drop(unread);
        });
        assert!(slot.is_some() && !is_closed(&reading) && !is_closed(&page));
        reading.connection().end_response();
        reading.connection().note_flush();
        assert!(slots.take(address(5)).await.is_some(), "the response was sent");
    }
}
