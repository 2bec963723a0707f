//! The last minutes of a session that stands by: the events that it would have sent, by their times of receipt. When it
//! takes its router over, they say what the router's routes have become and how.
//!
//! Only what is in the window has its attributes; of older routes the session has fingerprints alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::peer_id::PeerId;
use crate::model::{Nlri, Table, Timestamp};
use crate::pipeline::{RouteChange, RouteEvent};

/// The memory of the window of one session, bytes. Beyond that it is shorter than it should be.
const SESSION_BYTES_MAX: usize = 64 << 20;

/// The memory of all windows of a collector, bytes.
const ALL_BYTES_MAX: usize = 512 << 20;

/// The maximum number of Peer Downs in a window; the first ones are forgotten.
const DOWNS_MAX: usize = 4_096;

/// The memory that all windows of a collector take, bytes.
#[derive(Debug, Default)]
pub(crate) struct WindowMemory(AtomicUsize);

/// The window of one session.
#[derive(Debug)]
pub(crate) struct Window {
    /// The time that it reaches back.
    length: Duration,
    /// In order, each with the bytes that it takes.
    events: VecDeque<(RouteEvent, usize)>,
    bytes: usize,
    memory: Arc<WindowMemory>,
    downs: VecDeque<HeardDown>,
    /// The address of the attribute set that was counted last.
    weighed: Option<usize>,
}

/// A Peer Down in a window.
#[derive(Clone, Debug)]
pub(crate) struct HeardDown {
    pub peer: PeerId,
    pub received_at: Timestamp,
    /// The message.
    pub message: Box<[u8]>,
}

/// The events of each key of a table, in their order.
pub(super) type EventsByKey = HashMap<Nlri, Vec<RouteEvent>>;

impl WindowMemory {
    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Window {
    /// Returns one that is empty.
    pub fn new(length: Duration, memory: &Arc<WindowMemory>) -> Window {
        Window {
            length,
            events: VecDeque::new(),
            bytes: 0,
            memory: Arc::clone(memory),
            downs: VecDeque::new(),
            weighed: None,
        }
    }

    /// Adds an event, and lets go of those for which there is no time or room any more.
    pub fn push(&mut self, event: RouteEvent) {
        self.forget_before(event.received_at);
        let bytes = size_of::<(RouteEvent, usize)>() + self.attributes_of(&event);
        self.add(bytes);
        self.events.push_back((event, bytes));
        while self.bytes > SESSION_BYTES_MAX || self.memory.bytes() > ALL_BYTES_MAX && !self.events.is_empty() {
            self.pop();
        }
    }

    /// Adds the Peer Down of a peer.
    pub fn push_down(&mut self, down: HeardDown) {
        self.forget_before(down.received_at);
        if self.downs.len() >= DOWNS_MAX {
            self.downs.pop_front();
        }
        self.downs.push_back(down);
    }

    /// Lets go of what is older than the window at this time.
    pub fn forget_before(&mut self, now: Timestamp) {
        let length = i64::try_from(self.length.as_micros()).unwrap_or(i64::MAX);
        let begin = now.unix_micros().saturating_sub(length);
        while self.events.front().is_some_and(|(event, _)| event.received_at.unix_micros() < begin) {
            self.pop();
        }
        while self.downs.front().is_some_and(|down| down.received_at.unix_micros() < begin) {
            self.downs.pop_front();
        }
    }

    /// Returns the last Peer Down of each peer, in their order.
    pub fn take_downs(&mut self) -> Vec<HeardDown> {
        let all = std::mem::take(&mut self.downs);
        let mut last: HashMap<PeerId, usize> = HashMap::new();
        all.iter().enumerate().for_each(|(place, down)| {
            last.insert(down.peer, place);
        });
        all.into_iter().enumerate().filter(|(place, down)| last[&down.peer] == *place).map(|(_, down)| down).collect()
    }

    /// Returns the events of each table, which is known by its address.
    pub fn take_events(&mut self) -> HashMap<usize, EventsByKey> {
        let mut all: HashMap<usize, EventsByKey> = HashMap::new();
        for (event, _) in std::mem::take(&mut self.events) {
            all.entry(place_of(&event.table)).or_default().entry(event.nlri).or_default().push(event);
        }
        self.release();
        all
    }

    /// Returns the bytes of attributes that an event does not share with the one before it.
    fn attributes_of(&mut self, event: &RouteEvent) -> usize {
        let raw = event.raw.as_ref().map_or(0, |raw| raw.len());
        let RouteChange::Announce(route) = &event.change else { return raw };
        let is_shared = self.weighed.replace(route.shared_at()) == Some(route.shared_at());
        raw + if is_shared { route.own_size() } else { route.size() }
    }

    fn pop(&mut self) {
        if let Some((_, bytes)) = self.events.pop_front() {
            self.bytes -= bytes;
            self.memory.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.memory.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&mut self) {
        self.memory.0.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.release();
    }
}

/// Returns the address of a table, which identifies it as long as it is referenced.
pub(super) fn place_of(table: &Arc<Table>) -> usize {
    Arc::as_ptr(table).addr()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Afi, Asn, PathAttributes, Prefix, RouterId};
    use crate::store::copy_encoding::EncodedRoute;
    use crate::wire::bmp::peer::PeerKind;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    fn event(table: &Arc<Table>, octet: u8, second: i64) -> RouteEvent {
        let route = EncodedRoute::encode(None, &PathAttributes::default(), None);
        RouteEvent {
            id: [0; 32],
            table: Arc::clone(table),
            nlri: Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None },
            change: RouteChange::Announce(route),
            received_at: at(second),
            router_time: None,
            raw: None,
            doubts: Default::default(),
        }
    }

    #[test]
    fn a_window_keeps_its_time_and_gives_memory_back() {
        let (memory, router) = (Arc::default(), RouterId::new("r"));
        let [one, two] = ["one", "two"].map(|name| Arc::new(Table::loc_rib(router.clone(), name, Afi::Ipv4)));
        let mut window = Window::new(Duration::from_secs(10), &memory);
        (0..20).for_each(|second| window.push(event(&one, u8::try_from(second).unwrap() / 2, second)));
        window.push(event(&two, 9, 20));
        let all = memory.bytes();
        assert!(all > 11 * 100 && all < 11 * 1_000, "{all}");
        window.forget_before(at(25));
        assert!(memory.bytes() < all);
        let mut events = window.take_events();
        let of_one = events.remove(&place_of(&one)).unwrap();
        let mut counts: Vec<(u8, usize)> =
            of_one.iter().map(|(nlri, events)| (nlri.prefix.octets()[0], events.len())).collect();
        counts.sort_unstable();
        assert_eq!((counts, events[&place_of(&two)].len()), (vec![(7, 1), (8, 2), (9, 2)], 1));
        assert_eq!(memory.bytes(), 0);
        window.push(event(&two, 9, 30));
        drop(window);
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn the_last_peer_down_of_each_peer_counts() {
        let mut window = Window::new(Duration::from_secs(10), &Arc::default());
        let peer = |asn| PeerId {
            kind: PeerKind::Global,
            address: Some([192, 0, 2, 1].into()),
            asn: Asn(asn),
            bgp_id: Ipv4Addr::UNSPECIFIED,
        };
        for (asn, second) in [(1, 0), (2, 5), (3, 6), (2, 7), (4, 12)] {
            window.push_down(HeardDown { peer: peer(asn), received_at: at(second), message: Box::new([]) });
        }
        let downs: Vec<(u32, Timestamp)> =
            window.take_downs().iter().map(|down| (down.peer.asn.0, down.received_at)).collect();
        assert_eq!(downs, [(3, at(6)), (2, at(7)), (4, at(12))]);
    }
}
