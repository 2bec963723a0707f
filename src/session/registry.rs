//! Who is connected: one session per router, the holds of routers that are gone, and the sockets to wake at a stop.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::RouterId;

/// A session from another address keeps its router while it delivered bytes this recently.
const FRESH: Duration = Duration::from_secs(30);

/// Losses within this time count as one event, for the question who is cut off.
const MASS_LOSS_WINDOW: Duration = Duration::from_secs(10);

/// So many sessions must be lost at once before the collector takes itself for cut off.
const MASS_LOSS_MIN: usize = 3;

/// Only sessions that lasted so long count for that: one that never holds says nothing of how we are connected.
const LASTED_MIN: Duration = Duration::from_secs(60);

/// How long a session whose router has come back may go on reading, milliseconds.
const LAST_WORDS_MAX_MILLIS: u64 = 10_000;

/// How long a session waits for older ones from its address that have not said yet which router they are.
const UNNAMED_MAX: Duration = Duration::from_secs(10);

/// How often a session that waits for its router looks whether it still wants it.
const WAIT: Duration = Duration::from_millis(200);

/// One connection, shared by its own thread and by those that may have to end it.
#[derive(Debug)]
pub struct Connection {
    /// The router's address, IPv4-mapped ones unmapped.
    pub source: IpAddr,
    /// In the order in which the connections were accepted.
    number: u64,
    /// `None` where spooled input of an earlier process takes its place.
    socket: Option<TcpStream>,
    superseded: AtomicBool,
    /// Milliseconds from `born` to when a newer session asked for the router.
    superseded_at: AtomicU64,
    /// Milliseconds from `born` to the last byte.
    last_byte: AtomicU64,
    born: Instant,
}

impl Connection {
    /// Notes that bytes came.
    pub fn touch(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_byte.store(millis, Ordering::Relaxed);
    }

    /// The router's bytes. Shared with those that end the session: one file descriptor per router.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// Its place among the sessions: higher than that of every earlier one and of every stream that an earlier process
    /// left in the spool.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether a newer session has taken this one's router.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    fn is_fresh(&self) -> bool {
        let last = Duration::from_millis(self.last_byte.load(Ordering::Relaxed));
        self.socket.is_some() && self.born.elapsed().saturating_sub(last) < FRESH
    }

    /// What the router sent before it came back may still be on its way: the session ends itself when nothing more comes.
    /// One that goes on and on is cut off.
    fn supersede(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !self.superseded.load(Ordering::Acquire) {
            self.superseded_at.store(now, Ordering::Release);
            self.superseded.store(true, Ordering::Release);
        } else if now.saturating_sub(self.superseded_at.load(Ordering::Acquire)) >= LAST_WORDS_MAX_MILLIS {
            let _ = self.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Both));
        }
    }
}

/// All connections and holds of this collector.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    /// Told when a router may have become free.
    freed: Condvar,
    /// How long stale tables stay; zero: not at all, whatever happens.
    hold: Duration,
    isolation_hold: Duration,
    /// [`LASTED_MIN`].
    lasted_min: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    next_number: u64,
    connections: HashMap<u64, Arc<Connection>>,
    routers: HashMap<RouterId, Arc<Connection>>,
    /// By address, the numbers of those that have not said yet which router they are, and may have sent it.
    unnamed: HashMap<IpAddr, BTreeSet<u64>>,
    /// Identifiers that the database has for a source address.
    known: HashMap<IpAddr, Vec<RouterId>>,
    /// Sessions that wait for a router, by their numbers: the first is next.
    waiting: HashMap<RouterId, BTreeSet<u64>>,
    /// What earlier processes left in the spool: the router if it was known, and its address.
    spooled: Vec<(Option<RouterId>, IpAddr)>,
    /// When a router was lost last; a router that comes and goes is one.
    losses: HashMap<RouterId, Instant>,
    isolated: Option<Isolation>,
}

/// Most sessions vanished at once.
#[derive(Clone, Copy, Debug)]
struct Isolation {
    until: Instant,
    /// So many routers must be connected again before holds count.
    sessions: usize,
}

/// What became of a lost session's router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its rows are held.
    Held,
    /// Its rows are held, and so are all others': the collector seems cut off.
    Isolated {
        /// How many sessions were lost within seconds.
        lost: usize,
    },
    /// Another session has the router already.
    Replaced,
}

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Of all routers together.
    pub sessions: usize,
    /// Of those from one source address.
    pub per_address: usize,
}

/// Which bound of [`Most`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// That of all routers together.
    Sessions,
    /// That of the source address.
    Address,
}

impl Full {
    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Full::Sessions => "max_sessions",
            Full::Address => "max_sessions_per_address",
        }
    }
}

/// Why a session does not get its router.
#[derive(Debug, PartialEq, Eq)]
pub enum NoClaim {
    /// Another session has it and keeps it.
    Conflict {
        /// Where the other session comes from.
        holder: IpAddr,
    },
    /// A newer session from the same address has it.
    Superseded,
    /// It was waited for, but the session is over.
    GaveUp,
}

/// Whether a session gets its router now.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// It has it.
    Taken,
    /// What came before it is still being applied.
    Wait,
    /// Another session has it and keeps it.
    Conflict(IpAddr),
    /// A newer session from the same address has it.
    Superseded,
}

impl Registry {
    /// No sessions; `hold` is how long rows of a lost router stay, `isolation_hold` how long when most are lost at once.
    /// Sessions are numbered from `first_number`.
    pub fn new(hold: Duration, isolation_hold: Duration, first_number: u64) -> Registry {
        let inner = Mutex::new(Inner { next_number: first_number, ..Inner::default() });
        Registry { inner, freed: Condvar::new(), hold, isolation_hold, lasted_min: LASTED_MIN }
    }

    /// Tells what the database knows: identifiers by source address.
    pub fn preload(&self, known: impl IntoIterator<Item = (IpAddr, RouterId)>) {
        let mut inner = self.lock();
        for (address, router) in known {
            inner.known.entry(address).or_default().push(router);
        }
    }

    /// A connection was accepted.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn connect(&self, source: IpAddr, socket: TcpStream, most: Most) -> Result<Arc<Connection>, Full> {
        let mut inner = self.lock();
        if inner.connections.len() >= most.sessions {
            return Err(Full::Sessions);
        }
        if inner.connections.values().filter(|connection| connection.source == source).count() >= most.per_address {
            return Err(Full::Address);
        }
        let number = inner.next_number;
        inner.next_number += 1;
        let connection = Arc::new(Connection {
            source,
            number,
            socket: Some(socket),
            superseded: AtomicBool::new(false),
            superseded_at: AtomicU64::new(0),
            last_byte: AtomicU64::new(0),
            born: Instant::now(),
        });
        inner.connections.insert(number, Arc::clone(&connection));
        inner.unnamed.entry(source).or_default().insert(number);
        Ok(connection)
    }

    /// The identifiers known for a source address.
    pub fn known(&self, source: IpAddr) -> Vec<RouterId> {
        self.lock().known.get(&source).cloned().unwrap_or_default()
    }

    /// The router that is known at a source address, if it is the only one and has no session now: a session that names
    /// nobody is taken for its.
    pub fn absent(&self, source: IpAddr) -> Option<RouterId> {
        let inner = self.lock();
        match inner.known.get(&source).map(Vec::as_slice) {
            Some([only]) if !inner.routers.contains_key(only) => Some(only.clone()),
            _ => None,
        }
    }

    /// Spooled input of earlier processes is going to be applied: its routers' new sessions wait for that.
    pub fn expect_spooled(&self, spooled: Vec<(Option<RouterId>, IpAddr)>) {
        self.lock().spooled = spooled;
    }

    /// A session that is applied from the spool, where it has this number.
    pub fn connect_spooled(&self, number: u64, source: IpAddr) -> Arc<Connection> {
        let (superseded, superseded_at) = (AtomicBool::new(false), AtomicU64::new(0));
        let (last_byte, born) = (AtomicU64::new(0), Instant::now());
        Arc::new(Connection { source, number, socket: None, superseded, superseded_at, last_byte, born })
    }

    /// One of those that [`Registry::expect_spooled`] named is applied.
    pub fn spooled_applied(&self, router: Option<&RouterId>, source: IpAddr) {
        let mut inner = self.lock();
        if let Some(i) = inner.spooled.iter().position(|(id, from)| id.as_ref() == router && *from == source) {
            inner.spooled.remove(i);
        }
        self.freed.notify_all();
    }

    /// A session has read all that came, and does not know its router by that: newer ones need not wait for it.
    pub fn heard_out(&self, connection: &Connection) {
        if self.lock().forget_unnamed(connection) {
            self.freed.notify_all();
        }
    }

    /// A session says which router it is, and waits until everything that came before it is applied.
    ///
    /// From the address of the older session, the newer wins and the older is closed: what was read of it is applied, the
    /// rest is not read. Which one is older is a matter of the connections, not of the threads that read them. From
    /// another address the older stays while it is alive. `is_over` says whether the session need not wait any more.
    ///
    /// # Errors
    /// The older session stays, or waiting was given up.
    pub fn claim(
        &self,
        router: &RouterId,
        connection: &Arc<Connection>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), NoClaim> {
        let since = Instant::now();
        let mut inner = self.lock();
        inner.forget_unnamed(connection);
        inner.waiting.entry(router.clone()).or_default().insert(connection.number);
        let result = loop {
            match inner.try_claim(router, connection, since.elapsed() < UNNAMED_MAX) {
                Turn::Taken => break Ok(()),
                Turn::Conflict(holder) => break Err(NoClaim::Conflict { holder }),
                Turn::Superseded => break Err(NoClaim::Superseded),
                Turn::Wait if is_over() => break Err(NoClaim::GaveUp),
                Turn::Wait => {
                    inner = self.freed.wait_timeout(inner, WAIT).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        };
        if let Some(waiting) = inner.waiting.get_mut(router) {
            waiting.remove(&connection.number);
            if waiting.is_empty() {
                inner.waiting.remove(router);
            }
        }
        self.freed.notify_all();
        result
    }

    /// A session was lost without a word: its router's hold begins.
    pub fn lose(&self, router: &RouterId, connection: &Connection) -> Loss {
        let mut inner = self.lock();
        if self.hold(&mut inner, router, connection) == Loss::Replaced {
            return Loss::Replaced;
        }
        if connection.socket.is_none() || connection.born.elapsed() < self.lasted_min {
            // It was lost before we were started, or never held: that says nothing of how we are connected.
            return Loss::Held;
        }
        let now = Instant::now();
        inner.losses.retain(|_, at| now.duration_since(*at) < MASS_LOSS_WINDOW);
        inner.losses.insert(router.clone(), now);
        let lost = inner.losses.len();
        let lasted = |holder: &&Arc<Connection>| holder.born.elapsed() >= self.lasted_min;
        let before = lost + inner.routers.values().filter(lasted).count();
        if inner.isolated.is_none() && !self.hold.is_zero() && lost >= MASS_LOSS_MIN && lost * 2 > before {
            inner.isolated = Some(Isolation { until: now + self.isolation_hold, sessions: before.div_ceil(2) });
            return Loss::Isolated { lost };
        }
        Loss::Held
    }

    /// The same where it was us who ended the session, which says nothing of how we are connected either.
    pub fn close(&self, router: &RouterId, connection: &Connection) -> Loss {
        self.hold(&mut self.lock(), router, connection)
    }

    fn hold(&self, inner: &mut Inner, router: &RouterId, connection: &Connection) -> Loss {
        if !inner.release(router, connection) {
            return Loss::Replaced;
        }
        self.freed.notify_all();
        Loss::Held
    }

    /// A session ended and leaves nothing to hold.
    pub fn leave(&self, router: &RouterId, connection: &Connection) {
        self.lock().release(router, connection);
        self.freed.notify_all();
    }

    /// The connection is closed, and no router is its any more.
    pub fn disconnect(&self, connection: &Connection) {
        let mut inner = self.lock();
        inner.connections.remove(&connection.number);
        inner.forget_unnamed(connection);
        inner.routers.retain(|_, holder| holder.number != connection.number);
        self.freed.notify_all();
    }

    /// Whether most sessions were lost at once, so that nothing that is stale may go for now.
    pub fn is_isolated(&self) -> bool {
        let mut inner = self.lock();
        inner.isolated = inner.isolated.filter(|isolation| Instant::now() < isolation.until);
        inner.isolated.is_some()
    }

    /// Whether input of the router that an earlier process left waits to be applied.
    pub fn is_spooled(&self, router: &RouterId) -> bool {
        self.lock().spooled.iter().any(|(id, _)| id.as_ref() == Some(router))
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// Ends the reading of every socket; what was read is still written.
    pub fn stop_reading(&self) {
        for connection in self.lock().connections.values() {
            // A socket that is closed already needs no waking.
            let _ = connection.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Read));
        }
    }

    /// A panic elsewhere leaves these maps whole: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn try_claim(&mut self, router: &RouterId, connection: &Arc<Connection>, waits_for_unnamed: bool) -> Turn {
        if let Some(holder) = self.routers.get(router)
            && holder.number != connection.number
        {
            if holder.source != connection.source && holder.is_fresh() {
                return Turn::Conflict(holder.source);
            }
            if holder.source == connection.source && holder.number > connection.number {
                return Turn::Superseded;
            }
            holder.supersede();
            return Turn::Wait;
        }
        let is_first = |waiting: &BTreeSet<u64>| waiting.first().is_none_or(|first| *first >= connection.number);
        let comes_before = |(id, source): &(Option<RouterId>, IpAddr)| match id {
            Some(id) => id == router,
            None => *source == connection.source,
        };
        let first_unnamed = self.unnamed.get(&connection.source).and_then(BTreeSet::first);
        let may_be_older = first_unnamed.is_some_and(|number| *number < connection.number);
        if !self.waiting.get(router).is_none_or(is_first)
            || connection.socket.is_some()
                && (self.spooled.iter().any(comes_before) || waits_for_unnamed && may_be_older)
        {
            return Turn::Wait;
        }
        self.routers.insert(router.clone(), Arc::clone(connection));
        let known = self.known.entry(connection.source).or_default();
        if !known.contains(router) {
            known.push(router.clone());
        }
        if self.isolated.is_some_and(|isolation| self.routers.len() >= isolation.sessions) {
            self.isolated = None;
        }
        Turn::Taken
    }

    /// Whether it was one of those.
    fn forget_unnamed(&mut self, connection: &Connection) -> bool {
        let Some(numbers) = self.unnamed.get_mut(&connection.source) else { return false };
        let was = numbers.remove(&connection.number);
        if numbers.is_empty() {
            self.unnamed.remove(&connection.source);
        }
        was
    }

    fn release(&mut self, router: &RouterId, connection: &Connection) -> bool {
        let ours = self.routers.get(router).is_some_and(|holder| holder.number == connection.number);
        if ours {
            self.routers.remove(router);
        }
        ours
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
