//! Who is connected: the sessions of each router, whose peers they speak of, and the sockets to wake at a stop.
//!
//! Sessions of one router from one address live together, as long as they speak of different peers. From another address
//! the one that is there keeps its router while its TCP connection stands, which a probe finds out.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use super::connection::Connection;
use super::connection::{Liveness, PROBE_MAX};
use super::peer_ids::{Sessions, Speech};
use super::peers::PeerId;
use crate::model::{RouterId, Timestamp};

/// Losses within this time count as one event, for the question who is cut off.
const MASS_LOSS_WINDOW: Duration = Duration::from_secs(10);

/// So many sessions must be lost at once before the collector takes itself for cut off.
const MASS_LOSS_MIN: usize = 3;

/// Only sessions that lasted so long count for that: one that never holds says nothing of how we are connected.
const LASTED_MIN: Duration = Duration::from_secs(60);

/// How long a session waits for older ones from its address that have not said yet which router they are.
const UNNAMED_MAX: Duration = Duration::from_secs(10);

/// How often a session that waits for its router looks whether it still wants it.
const WAIT: Duration = Duration::from_millis(200);

/// How long a session that speaks of a peer waits until the older session that has it has nothing more to say.
const PEER_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it looks meanwhile.
const PEER_WAIT: Duration = Duration::from_millis(50);

/// All connections of this collector.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    /// Told when a router may have become free.
    freed: Condvar,
    /// How long stale tables stay; zero: not at all, whatever happens.
    stale_time: Duration,
    mass_loss_stale: Duration,
    /// [`LASTED_MIN`].
    lasted_min: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    next_number: u64,
    connections: HashMap<u64, Arc<Connection>>,
    routers: HashMap<RouterId, Sessions>,
    /// Peers that no session speaks of since one was lost, and until when that is borne.
    gone: Vec<Gone>,
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

/// Peers of a session that was lost while others of its router live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The router.
    pub router: RouterId,
    /// The peers.
    pub peers: Vec<PeerId>,
    at: Instant,
}

/// What a session is told when it gets its router.
#[derive(Debug)]
pub struct Joined {
    /// Moves when the session has to look for peers that a newer one took over, and whether it is the oldest.
    pub generation: Arc<AtomicU64>,
    /// When the oldest other session of the router began; `None`: there is none.
    pub others_since: Option<Timestamp>,
}

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of all routers together.
    pub sessions: usize,
    /// Of those from one source address.
    pub per_address: usize,
}

/// Which bound of [`ConnectionLimits`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// That of all routers together.
    Sessions,
    /// That of the source address.
    Address,
}

impl LimitReached {
    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            LimitReached::Sessions => "max_sessions",
            LimitReached::Address => "max_sessions_per_address",
        }
    }
}

/// Why a session does not get its router.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Another session has it and keeps it.
    Conflict {
        /// Where the other session comes from.
        holder: IpAddr,
    },
    /// It was waited for, but the session is over.
    GaveUp,
}

/// Whether a session gets its router now.
#[derive(Debug, PartialEq, Eq)]
enum ClaimState {
    /// It has it.
    Taken,
    /// What came before it is still being applied.
    Wait,
    /// Another session has it and keeps it.
    Conflict(IpAddr),
}

impl Registry {
    /// No sessions; `stale_time` is how long rows of a lost router stay, `mass_loss_stale` how long when most are lost at once.
    /// Sessions are numbered from `first_number`.
    pub fn new(stale_time: Duration, mass_loss_stale: Duration, first_number: u64) -> Registry {
        let inner = Mutex::new(Inner { next_number: first_number, ..Inner::default() });
        Registry { inner, freed: Condvar::new(), stale_time, mass_loss_stale, lasted_min: LASTED_MIN }
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
    pub fn connect(
        &self,
        source: IpAddr,
        socket: TcpStream,
        most: ConnectionLimits,
    ) -> Result<Arc<Connection>, LimitReached> {
        let mut inner = self.lock();
        if inner.connections.len() >= most.sessions {
            return Err(LimitReached::Sessions);
        }
        if inner.connections.values().filter(|connection| connection.source == source).count() >= most.per_address {
            return Err(LimitReached::Address);
        }
        let number = inner.next_number;
        inner.next_number += 1;
        let connection = Arc::new(Connection::new(source, number, Some(socket)));
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
        Arc::new(Connection::new(source, number, None))
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
    pub fn is_still_unidentified(&self, connection: &Connection) {
        if self.lock().forget_unnamed(connection) {
            self.freed.notify_all();
        }
    }

    /// A session says which router it is, and waits until everything that came before it is applied.
    ///
    /// From the address of an older session, both live; an older one that its router has closed is waited for: what was read
    /// of it is applied. Which one is older is a matter of the connections, not of the threads that read them. From another
    /// address the older stays while its connection stands, which is tried. `is_over` says whether the session need not wait
    /// any more.
    ///
    /// # Errors
    /// The older session stays, or waiting was given up.
    pub fn claim(
        &self,
        router: &RouterId,
        connection: &Arc<Connection>,
        is_over: impl Fn() -> bool,
    ) -> Result<Joined, ClaimError> {
        let since = Instant::now();
        let mut inner = self.lock();
        inner.forget_unnamed(connection);
        inner.waiting.entry(router.clone()).or_default().insert(connection.number());
        let result = loop {
            match inner.try_claim(router, connection, since.elapsed()) {
                ClaimState::Taken => break Ok(inner.joined(router, connection)),
                ClaimState::Conflict(holder) => break Err(ClaimError::Conflict { holder }),
                ClaimState::Wait if is_over() => break Err(ClaimError::GaveUp),
                ClaimState::Wait => {
                    inner = self.freed.wait_timeout(inner, WAIT).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        };
        if let Some(waiting) = inner.waiting.get_mut(router) {
            waiting.remove(&connection.number());
            if waiting.is_empty() {
                inner.waiting.remove(router);
            }
        }
        self.freed.notify_all();
        result
    }

    /// The database has answered the session's claim: it began then, by the database's clock.
    pub fn begin(&self, router: &RouterId, connection: &Connection, began: Timestamp) {
        if let Some(live) = self.lock().live(router, connection) {
            live.began = Some(began);
        }
        self.freed.notify_all();
    }

    /// A session speaks of a peer, and waits until an older one that has it has applied what it had to say of it.
    pub fn speak(
        &self,
        router: &RouterId,
        connection: &Connection,
        peer: PeerId,
        is_over: impl Fn() -> bool,
    ) -> Speech {
        let since = Instant::now();
        let mut inner = self.lock();
        loop {
            let Some(sessions) = inner.routers.get_mut(router) else { return Speech::Own };
            let speech = sessions.speak(connection.number(), peer, since.elapsed() >= PEER_WAIT_MAX);
            if speech != Speech::Wait || is_over() {
                return speech;
            }
            inner = self.freed.wait_timeout(inner, PEER_WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a newer session of the router speaks of the peer.
    pub fn is_of_newer(&self, router: &RouterId, connection: &Connection, peer: &PeerId) -> bool {
        self.lock().routers.get(router).is_some_and(|sessions| sessions.is_of_newer(connection.number(), peer))
    }

    /// A peer of the session went down.
    pub fn forget_peer(&self, router: &RouterId, connection: &Connection, peer: &PeerId) {
        if let Some(sessions) = self.lock().routers.get_mut(router) {
            sessions.forget(connection.number(), peer);
        }
    }

    /// The peers that newer sessions have taken over from this one since it asked last.
    pub fn take_lost(&self, router: &RouterId, connection: &Connection) -> Vec<PeerId> {
        let mut inner = self.lock();
        inner.routers.get_mut(router).map(|sessions| sessions.take_lost(connection.number())).unwrap_or_default()
    }

    /// Whether it is the oldest session of its router, which tells who the router is.
    pub fn is_oldest(&self, router: &RouterId, connection: &Connection) -> bool {
        self.lock().routers.get(router).is_some_and(|sessions| sessions.is_oldest(connection.number()))
    }

    /// The peers that are the session's own, and whether its router has no other session.
    pub fn own(&self, router: &RouterId, connection: &Connection) -> (Vec<PeerId>, bool) {
        let inner = self.lock();
        let sessions = inner.routers.get(router);
        sessions.map_or((Vec::new(), true), |sessions| (sessions.own(connection.number()), sessions.live.len() <= 1))
    }

    /// Peers whose session was lost a stale time ago, and which no other session of their router speaks of.
    pub fn take_gone(&self) -> Vec<Gone> {
        let now = Instant::now();
        let mut inner = self.lock();
        let Inner { gone, routers, .. } = &mut *inner;
        let mut due: Vec<Gone> = gone.extract_if(.., |gone| gone.at <= now).collect();
        for one in &mut due {
            one.peers.retain(|peer| routers.get(&one.router).is_none_or(|sessions| !sessions.speaks(peer)));
        }
        due.retain(|one| !one.peers.is_empty());
        due
    }

    /// They could not be told of: they are due again.
    pub fn put_back_gone(&self, gone: Gone) {
        self.lock().gone.push(gone);
    }

    /// A session was lost without a word.
    pub fn lose(&self, router: &RouterId, connection: &Connection) -> Loss {
        let mut inner = self.lock();
        let loss = self.release(&mut inner, router, connection);
        let has_others = inner.routers.contains_key(router);
        if loss == Loss::Replaced || has_others || connection.socket().is_none() || connection.age() < self.lasted_min {
            // It lives on in others, was lost before we were started, or never held: that says nothing of how we are
            // connected.
            return loss;
        }
        let now = Instant::now();
        inner.losses.retain(|_, at| now.duration_since(*at) < MASS_LOSS_WINDOW);
        inner.losses.insert(router.clone(), now);
        let lost = inner.losses.len();
        let lasted = |sessions: &&Sessions| sessions.live.values().any(|live| live.connection.age() >= self.lasted_min);
        let before = lost + inner.routers.values().filter(lasted).count();
        if inner.isolated.is_none() && !self.stale_time.is_zero() && lost >= MASS_LOSS_MIN && lost * 2 > before {
            inner.isolated = Some(Isolation { until: now + self.mass_loss_stale, sessions: before.div_ceil(2) });
            return Loss::Isolated { lost };
        }
        Loss::Held
    }

    /// The same where it was us who ended the session, which says nothing of how we are connected either.
    pub fn close(&self, router: &RouterId, connection: &Connection) -> Loss {
        self.release(&mut self.lock(), router, connection)
    }

    fn release(&self, inner: &mut Inner, router: &RouterId, connection: &Connection) -> Loss {
        let Some(peers) = inner.release(router, connection) else { return Loss::Replaced };
        if !peers.is_empty() && inner.routers.contains_key(router) {
            inner.gone.push(Gone { router: router.clone(), peers, at: Instant::now() + self.stale_time });
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
        inner.connections.remove(&connection.number());
        inner.forget_unnamed(connection);
        let left: Vec<RouterId> = inner.routers.keys().cloned().collect();
        left.iter().for_each(|router| drop(inner.release(router, connection)));
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

    /// The routers that are known by an address and have no session.
    pub fn remembered(&self) -> Vec<RouterId> {
        let inner = self.lock();
        let known: BTreeSet<&RouterId> = inner.known.values().flatten().collect();
        known.into_iter().filter(|router| !inner.routers.contains_key(*router)).cloned().collect()
    }

    /// A router was removed from the database, unless it has a session or input that waits: nothing is known of it any more.
    /// Whether it is so.
    pub fn forget(&self, router: &RouterId) -> bool {
        let mut inner = self.lock();
        let is_wanted = inner.routers.contains_key(router)
            || inner.waiting.contains_key(router)
            || inner.spooled.iter().any(|(id, _)| id.as_ref() == Some(router));
        if is_wanted {
            return false;
        }
        inner.known.retain(|_, routers| {
            routers.retain(|known| known != router);
            !routers.is_empty()
        });
        inner.gone.retain(|gone| gone.router != *router);
        inner.losses.remove(router);
        true
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// Ends the reading of every socket; what was read is still written.
    pub fn stop_reading(&self) {
        for connection in self.lock().connections.values() {
            connection.shut(Shutdown::Read);
        }
    }

    /// A panic elsewhere leaves these maps whole: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn try_claim(&mut self, router: &RouterId, connection: &Arc<Connection>, waited: Duration) -> ClaimState {
        let (number, source) = (connection.number(), connection.source);
        for live in self.routers.get(router).iter().flat_map(|sessions| sessions.live.values()) {
            let holder = &live.connection;
            let is_same = holder.source == source;
            if !is_same && holder.socket().is_some() && !holder.is_superseded() {
                holder.probe();
                match holder.liveness() {
                    Liveness::Alive => return ClaimState::Conflict(holder.source),
                    Liveness::Unknown if waited >= PROBE_MAX => return ClaimState::Conflict(holder.source),
                    Liveness::Unknown => {}
                    Liveness::Dead => holder.supersede(),
                }
                return ClaimState::Wait;
            }
            // One that its router has closed, or a spooled one, comes to its end; one that has just come is not known to
            // the database yet.
            let is_ending = holder.is_superseded() || holder.is_closed_by_router();
            if !is_same || is_ending && holder.number() < number {
                holder.supersede();
                return ClaimState::Wait;
            }
            if live.began.is_none() {
                return ClaimState::Wait;
            }
        }
        let is_first = |waiting: &BTreeSet<u64>| waiting.first().is_none_or(|first| *first >= number);
        let comes_before = |(id, from): &(Option<RouterId>, IpAddr)| match id {
            Some(id) => id == router,
            None => *from == source,
        };
        let first_unnamed = self.unnamed.get(&source).and_then(BTreeSet::first);
        let may_be_older = first_unnamed.is_some_and(|first| *first < number);
        if !self.waiting.get(router).is_none_or(is_first)
            || connection.socket().is_some()
                && (self.spooled.iter().any(comes_before) || waited < UNNAMED_MAX && may_be_older)
        {
            return ClaimState::Wait;
        }
        let sessions = self.routers.entry(router.clone()).or_default();
        // The older one may be dead: that is found out sooner than usual.
        sessions.live.values().for_each(|live| live.connection.probe());
        sessions.join(connection);
        let known = self.known.entry(source).or_default();
        if !known.contains(router) {
            known.push(router.clone());
        }
        if self.isolated.is_some_and(|isolation| self.routers.len() >= isolation.sessions) {
            self.isolated = None;
        }
        ClaimState::Taken
    }

    fn joined(&self, router: &RouterId, connection: &Connection) -> Joined {
        let Some(sessions) = self.routers.get(router) else { unreachable!("it has just joined") };
        let others = sessions.live.values().filter(|live| live.connection.number() != connection.number());
        Joined {
            generation: Arc::clone(&sessions.generation),
            others_since: others.filter_map(|live| live.began).min(),
        }
    }

    fn live(&mut self, router: &RouterId, connection: &Connection) -> Option<&mut super::peer_ids::Live> {
        self.routers.get_mut(router)?.live.get_mut(&connection.number())
    }

    /// Whether it was one of those.
    fn forget_unnamed(&mut self, connection: &Connection) -> bool {
        let Some(numbers) = self.unnamed.get_mut(&connection.source) else { return false };
        let was = numbers.remove(&connection.number());
        if numbers.is_empty() {
            self.unnamed.remove(&connection.source);
        }
        was
    }

    /// Its own peers, if the session is one of the router's.
    fn release(&mut self, router: &RouterId, connection: &Connection) -> Option<Vec<PeerId>> {
        let sessions = self.routers.get_mut(router)?;
        let own = sessions.leave(connection.number())?;
        if sessions.live.is_empty() {
            self.routers.remove(router);
        }
        Some(own)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
