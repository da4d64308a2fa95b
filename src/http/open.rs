//! Which connections are open, and which of them is closed when another one needs its place.
//!
//! Nobody can keep others out by holding connections: when there are too many, the one is closed that has gone longest
//! without a complete request, and when all slots are taken by responses that their clients do not read, the oldest of these.
//! A client that sends nothing, or bytes without end, thus only closes its own connections in time.

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
pub(super) struct OpenConnections {
    open: Mutex<HashMap<u64, Arc<OpenConnection>>>,
    /// Connections so far.
    total: AtomicU64,
}

/// A connection, until its [`Place`] is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection {
    source: IpAddr,
    close: CancellationToken,
    traffic: Mutex<Traffic>,
}

/// What a request comes from, as a part of it: see [`source`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Source(pub(super) IpAddr);

/// The place of a connection among the open ones.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    connection: Arc<OpenConnection>,
    all: Arc<OpenConnections>,
}

#[derive(Debug)]
struct Traffic {
    /// When the last complete request came, or else the connection.
    last_request: Instant,
    /// The responses that are being sent, oldest first.
    responses: VecDeque<Sending>,
}

/// What a response that is being sent holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// A slot of this kind.
    Slot(SlotKind),
    /// Room among the responses that are not sent.
    Room,
}

/// A response that is being sent.
#[derive(Debug)]
struct Sending {
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

// === impl OpenConnections ===

impl OpenConnections {
    /// Adds a connection; it closes another one if there are too many.
    pub(super) fn add(self: &Arc<Self>, address: IpAddr) -> Place {
        let source = source(address);
        let connection = Arc::new(OpenConnection::new(source));
        let mut open = self.open();
        let is_same = |other: &OpenConnection| other.source == source;
        if open.values().filter(|other| is_same(other)).count() >= MAX_PER_ADDRESS {
            close_first(&mut open, |other| is_same(other).then(|| other.last_request()));
        } else if open.len() >= MAX_CONNECTIONS {
            close_first(&mut open, |other| Some(other.last_request()));
        }
        let number = self.total.fetch_add(1, Ordering::Relaxed);
        open.insert(number, Arc::clone(&connection));
        drop(open);
        Place { number, connection, all: Arc::clone(self) }
    }

    /// Closes the connection whose client has not read its response for longest, of those that hold this; whether there was
    /// one.
    pub(super) fn close_stalled(&self, holding: Holding) -> bool {
        let latest = Instant::now().checked_sub(MIN_STALL);
        let is_stalled = |progressed: &Instant| latest.is_some_and(|latest| *progressed <= latest);
        close_first(&mut self.open(), |other| other.progressed(holding).filter(is_stalled))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<OpenConnection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connection with the earliest time, of those that have one; whether there was one.
fn close_first(
    open: &mut HashMap<u64, Arc<OpenConnection>>,
    time: impl Fn(&OpenConnection) -> Option<Instant>,
) -> bool {
    let times = open.iter().filter_map(|(number, connection)| Some((time(connection)?, *number)));
    let Some((_, number)) = times.min() else { return false };
    if let Some(connection) = open.remove(&number) {
        connection.close.cancel();
    }
    true
}

// === impl OpenConnection ===

impl OpenConnection {
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
        let sending = Sending { progressed: Instant::now(), is_written: false, slot, has_room };
        self.traffic().responses.push_back(sending);
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

    fn progressed(&self, holding: Holding) -> Option<Instant> {
        let traffic = self.traffic();
        let holds = |response: &&Sending| match holding {
            Holding::Slot(kind) => response.slot.as_ref().is_some_and(|slot| slot.kind() == kind),
            Holding::Room => response.has_room,
        };
        traffic.responses.iter().find(holds).map(|response| response.progressed)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    pub(super) fn connection(&self) -> &Arc<OpenConnection> {
        &self.connection
    }

    /// Is done when the connection must be closed for another one.
    pub(super) async fn lost(&self) {
        self.connection.close.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is not there if it was closed for another one.
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

    fn is_closed(place: &Place) -> bool {
        place.connection.close.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_has_gone_longest_without_a_request_makes_room() {
        let all = Arc::<OpenConnections>::default();
        let mut places = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            places.push(all.add(address(number)));
            advance(Duration::from_millis(1)).await;
        }
        places[0].connection().note_request();
        let _more = [all.add(address(9_000)), all.add(address(9_001))];
        let closed: Vec<_> = (0..MAX_CONNECTIONS).filter(|number| is_closed(&places[*number])).collect();
        assert_eq!(closed, [1, 2]);
        places.truncate(10);
        assert_eq!(all.open().len(), 8 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_closes_its_own_connections_alone() {
        let all = Arc::<OpenConnections>::default();
        let other = all.add(address(1));
        advance(Duration::from_secs(1)).await;
        let places: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| all.add(address(2))).collect();
        assert!(!is_closed(&other));
        assert_eq!(places.iter().filter(|place| !is_closed(place)).count(), MAX_PER_ADDRESS);
        assert_eq!(all.open().len(), MAX_PER_ADDRESS + 1);
        drop(places);
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
        let all = Arc::<OpenConnections>::default();
        let slots = Slots::new(SlotKind::Scrape, 2, Arc::clone(&all));
        let [reading, unread, page] = [1, 2, 3].map(|number| all.add(address(number)));
        page.connection().begin_response(None, true);
        for place in [&unread, &reading] {
            let slot = slots.take(place.connection().source().0).await;
            place.connection().begin_response(slot, false);
        }
        advance(MIN_STALL).await;
        reading.connection().note_progress();
        // The task of a connection that is closed drops its place and what it was sending.
        let (slot, ()) = tokio::join!(slots.take(address(4)), async {
            unread.lost().await;
            drop(unread);
        });
        assert!(slot.is_some() && !is_closed(&reading) && !is_closed(&page));
        reading.connection().end_response();
        reading.connection().note_flush();
        assert!(slots.take(address(5)).await.is_some(), "the response was sent");
    }
}
