//! The last minutes of a session that stands by: the events that it would have sent, by their times of receipt. When it
//! takes its router over, they say what the router's routes have become and how.
//!
//! Only what is in the window has its attributes; of older routes the session has fingerprints alone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::downs::HeardDown;
use crate::model::{Nlri, Table, Timestamp};
use crate::pipeline::{RouteChange, RouteEvent};

/// The memory of the window of one session, bytes. Beyond that it is shorter than it should be.
const SESSION_BYTES_MAX: usize = 64 << 20;

/// The memory of all windows of a collector, bytes. Beyond that the largest ones give way, each when it is looked at next,
/// which is once a second at least: until then they may take more.
const ALL_BYTES_MAX: usize = 512 << 20;

/// The change of the memory of all windows after which it is determined anew how much each may take, bytes.
const LEVEL_STEP: usize = 8 << 20;

/// The maximum number of Peer Downs in a window; the first ones are forgotten.
const DOWNS_MAX: usize = 4_096;

/// The memory that all windows of a collector take, bytes.
#[derive(Debug, Default)]
pub(crate) struct WindowMemory {
    all: AtomicUsize,
    /// The size to which larger windows shrink while there is no room, bytes.
    level: AtomicUsize,
    /// The memory of all windows when the level was determined, bytes.
    all_at_level: AtomicUsize,
    /// That of each window.
    windows: Mutex<Vec<Arc<AtomicUsize>>>,
}

/// The window of one session.
#[derive(Debug)]
pub(crate) struct Window {
    /// The time that it reaches back.
    length: Duration,
    /// In order, each with the bytes that it takes.
    events: VecDeque<(RouteEvent, usize)>,
    bytes: Arc<AtomicUsize>,
    memory: Arc<WindowMemory>,
    downs: VecDeque<HeardDown>,
    /// The address of the attribute set that was counted last.
    weighed: Option<usize>,
}

/// The events of each key of a table, in their order.
pub(super) type EventsByKey = HashMap<Nlri, Vec<RouteEvent>>;

impl WindowMemory {
    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn add_window(&self) -> Arc<AtomicUsize> {
        let own = Arc::default();
        self.lock().push(Arc::clone(&own));
        own
    }

    fn remove_window(&self, own: &Arc<AtomicUsize>) {
        self.lock().retain(|window| !Arc::ptr_eq(window, own));
    }

    fn sizes(&self) -> Vec<usize> {
        self.lock().iter().map(|window| window.load(Ordering::Relaxed)).collect()
    }

    /// Returns the size to which larger windows have to shrink; `usize::MAX` while there is room. The sizes are looked
    /// at once per [`LEVEL_STEP`], not at every event.
    fn level(&self) -> usize {
        let all = self.bytes();
        if all <= ALL_BYTES_MAX {
            return usize::MAX;
        }
        if all.abs_diff(self.all_at_level.load(Ordering::Acquire)) >= LEVEL_STEP {
            // A little more, so that the next events need none of this.
            self.level.store(level(self.sizes(), ALL_BYTES_MAX / 8 * 7), Ordering::Relaxed);
            self.all_at_level.store(all, Ordering::Release);
        }
        self.level.load(Ordering::Relaxed)
    }

    /// A panic elsewhere leaves the list consistent: every change is a single push or retain.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<AtomicUsize>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the size to which the larger windows of these sizes have to shrink, so that all together take at most `max`.
fn level(mut sizes: Vec<usize>, max: usize) -> usize {
    sizes.sort_unstable();
    let (mut left, mut others) = (max, sizes.len());
    for size in sizes {
        let share = left / others;
        if size > share {
            return share;
        }
        (left, others) = (left - size, others - 1);
    }
    usize::MAX
}

impl Window {
    /// Returns one that is empty.
    pub fn new(length: Duration, memory: &Arc<WindowMemory>) -> Window {
        Window {
            length,
            events: VecDeque::new(),
            bytes: memory.add_window(),
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
        self.shorten();
    }

    /// Adds the Peer Down of a peer.
    pub fn push_down(&mut self, down: HeardDown) {
        self.forget_before(down.received_at);
        if self.downs.len() >= DOWNS_MAX {
            self.pop_down();
        }
        self.add(bytes_of_down(&down));
        self.downs.push_back(down);
        self.shorten();
    }

    /// Lets go of what is older than the window at this time.
    pub fn forget_before(&mut self, now: Timestamp) {
        let length = i64::try_from(self.length.as_micros()).unwrap_or(i64::MAX);
        let begin = now.unix_micros().saturating_sub(length);
        while self.events.front().is_some_and(|(event, _)| event.received_at.unix_micros() < begin) {
            self.pop();
        }
        while self.downs.front().is_some_and(|down| down.received_at.unix_micros() < begin) {
            self.pop_down();
        }
        self.shorten();
    }

    /// Lets go of what there is no room for: the first events, then the first Peer Downs.
    fn shorten(&mut self) {
        let max = SESSION_BYTES_MAX.min(self.memory.level());
        while self.bytes() > max && (self.pop() || self.pop_down()) {}
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the Peer Downs, in their order.
    pub fn take_downs(&mut self) -> Vec<HeardDown> {
        self.remove(self.downs.iter().map(bytes_of_down).sum());
        std::mem::take(&mut self.downs).into()
    }

    /// Returns the events of each table, which is known by its address.
    pub fn take_events(&mut self) -> HashMap<usize, EventsByKey> {
        let mut all: HashMap<usize, EventsByKey> = HashMap::new();
        for (event, bytes) in std::mem::take(&mut self.events) {
            self.remove(bytes);
            all.entry(place_of(&event.table)).or_default().entry(event.nlri).or_default().push(event);
        }
        all
    }

    /// Returns the bytes of attributes that an event does not share with the one before it.
    fn attributes_of(&mut self, event: &RouteEvent) -> usize {
        let raw = event.raw.as_ref().map_or(0, |raw| raw.len());
        let RouteChange::Announce(route) = &event.change else { return raw };
        let is_shared = self.weighed.replace(route.shared_at()) == Some(route.shared_at());
        raw + if is_shared { route.own_size() } else { route.size() }
    }

    /// Lets go of the first event; returns false if there is none.
    fn pop(&mut self) -> bool {
        let first = self.events.pop_front();
        self.remove(first.as_ref().map_or(0, |(_, bytes)| *bytes));
        first.is_some()
    }

    /// Lets go of the first Peer Down; returns false if there is none.
    fn pop_down(&mut self) -> bool {
        let first = self.downs.pop_front();
        self.remove(first.as_ref().map_or(0, bytes_of_down));
        first.is_some()
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.memory.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.remove(self.bytes());
        self.memory.remove_window(&self.bytes);
    }
}

/// Returns the bytes that a Peer Down takes.
fn bytes_of_down(down: &HeardDown) -> usize {
    size_of::<HeardDown>() + size_of_val(&*down.tables) + down.message.len()
}

/// Returns the address of a table, which identifies it as long as it is referenced.
pub(super) fn place_of(table: &Arc<Table>) -> usize {
    Arc::as_ptr(table).addr()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::{Afi, Asn, PathAttributes, Prefix, RouterId};
    use crate::session::peer_id::PeerId;
    use crate::session::peer_records;
    use crate::store::copy_encoding::EncodedRoute;
    use crate::wire::bmp::peer::{PeerKey, PeerKind};

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

    fn down(second: i64, octets: usize) -> HeardDown {
        let (address, asn, bgp_id) = (IpAddr::from([192, 0, 2, 1]), Asn(64_501), Ipv4Addr::UNSPECIFIED);
        let key = PeerKey { kind: PeerKind::Global, address, asn, bgp_id };
        let (peer, name, message) = (PeerId::of(&key), peer_records::name(&key), vec![0; octets].into());
        HeardDown { peer, name, was_up: true, tables: vec![], received_at: at(second), message }
    }

    #[test]
    fn peer_downs_take_memory_and_go_last() {
        let (memory, router) = (Arc::default(), RouterId::new("r"));
        let table = Arc::new(Table::loc_rib(router, "one", Afi::Ipv4));
        let mut window = Window::new(Duration::from_secs(10), &memory);
        window.push(event(&table, 1, 1));
        (0..4).for_each(|_| window.push_down(down(1, SESSION_BYTES_MAX / 8)));
        assert!(memory.bytes() > SESSION_BYTES_MAX / 2 && window.events.len() == 1);
        (0..6).for_each(|_| window.push_down(down(2, SESSION_BYTES_MAX / 8)));
        assert!(memory.bytes() <= SESSION_BYTES_MAX);
        assert_eq!((window.events.len(), window.downs.len()), (0, 7));
        window.push(event(&table, 1, 2));
        window.forget_before(at(12));
        assert_eq!((window.events.len(), window.take_downs().len(), window.take_events().len()), (1, 6, 1));
        assert_eq!(memory.bytes(), 0);
        // A sum that is wrong lets go of all there is, and no more.
        window.add(2 * ALL_BYTES_MAX);
        window.push(event(&table, 1, 13));
        assert_eq!(window.events.len(), 0);
    }

    #[test]
    fn the_largest_window_gives_way() {
        assert_eq!(level(vec![5, 1, 9, 9], 100), usize::MAX);
        assert_eq!(level(vec![5, 1, 9, 9], 20), 7);
        assert_eq!(level(vec![5, 1, 9, 9], 8), 2);
        let (memory, router) = (Arc::new(WindowMemory::default()), RouterId::new("r"));
        let table = Arc::new(Table::loc_rib(router, "one", Afi::Ipv4));
        let window = || Window::new(Duration::from_secs(10), &memory);
        let (mut large, mut small, mut idle) = ([(); 9].map(|()| window()), window(), window());
        let add = |window: &mut Window, count: usize| {
            for _ in 0..count {
                window.add(1 << 20);
                window.push(event(&table, 1, 1));
                window.events.back_mut().unwrap().1 += 1 << 20;
            }
        };
        large[..8].iter_mut().for_each(|window| add(window, 60));
        add(&mut small, 10);
        add(&mut large[8], 60);
        // There is no room for more, and a small one that gets an event gives nothing up, and looks at no other.
        assert!(memory.bytes() > ALL_BYTES_MAX);
        memory.all_at_level.store(memory.bytes(), Ordering::Relaxed);
        let levels = || (memory.level(), memory.all_at_level.load(Ordering::Relaxed));
        let before = levels();
        add(&mut small, 1);
        assert_eq!(levels(), before);
        idle.forget_before(at(1));
        // The large ones do when they are looked at.
        large.iter_mut().for_each(|window| window.forget_before(at(1)));
        assert!(memory.bytes() <= ALL_BYTES_MAX && memory.bytes() > ALL_BYTES_MAX / 8 * 7 - (1 << 20));
        assert!(large.iter().all(|window| window.events.len() >= 45), "{large:?}");
        assert_eq!((small.events.len(), idle.events.len()), (11, 0));
        drop((large, small));
        assert_eq!((memory.bytes(), memory.sizes().len()), (0, 1));
    }
}
