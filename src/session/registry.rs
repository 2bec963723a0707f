//! The open connections: the sessions of each router, the peers that they own, and the sockets to wake at a stop.
//!
//! Sessions of one router from one address coexist, as long as they report different peers. A session from another
//! address does not get the router while the older session's TCP connection is alive, which a probe finds out.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Connection, Liveness, PROBE_MAX};
use super::peer_id::PeerId;
use super::peer_owners::{Sessions, Speech};
use crate::model::{RouterId, Timestamp};

/// Losses within this time count as one event, to decide whether the collector is cut off.
const MASS_LOSS_WINDOW: Duration = Duration::from_secs(10);

/// The number of sessions that must be lost within [`MASS_LOSS_WINDOW`] before the collector considers itself cut off.
const MASS_LOSS_MIN: usize = 3;

/// Only sessions that lasted this long count for that: one that never stays up says nothing about the collector's
/// network.
const LASTED_MIN: Duration = Duration::from_secs(60);

/// The time that a session waits for older ones from its address that are not identified yet.
const UNNAMED_MAX: Duration = Duration::from_secs(10);

/// The interval at which a session that waits for its router checks whether it still has to wait.
const WAIT: Duration = Duration::from_millis(200);

/// The time that a session that reports a peer waits for the older owner to receive all that its router has sent; after
/// that it only waits for what the owner has already read.
const PEER_WAIT_MAX: Duration = Duration::from_secs(10);

/// The interval at which it retries in the meantime.
const PEER_WAIT: Duration = Duration::from_millis(50);

/// All connections of this collector.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<RegistryState>,
    /// Notified when a router may have become free.
    freed: Condvar,
    /// The time that stale tables are kept; zero means not at all, not even after a mass loss.
    stale_time: Duration,
    mass_loss_stale: Duration,
    /// [`LASTED_MIN`].
    lasted_min: Duration,
}

#[derive(Debug, Default)]
struct RegistryState {
    next_number: u64,
    connections: HashMap<u64, Arc<Connection>>,
    routers: HashMap<RouterId, Sessions>,
    /// Peers that no session reports since one was lost, with the time until which their routes are kept.
    gone: Vec<LostPeers>,
    /// By address, the numbers of the sessions that are not identified yet and may have unread input that identifies
    /// them.
    unnamed: HashMap<IpAddr, BTreeSet<u64>>,
    /// The router identifiers in the database, by source address.
    known: HashMap<IpAddr, Vec<RouterId>>,
    /// The numbers of the sessions that wait for a router; the first is next.
    waiting: HashMap<RouterId, BTreeSet<u64>>,
    /// Replayed input of earlier processes: the router if it was known, and its address.
    replayed: Vec<(Option<RouterId>, IpAddr)>,
    /// The time of each router's latest loss; a router that flaps counts once.
    losses: HashMap<RouterId, Instant>,
    isolated: Option<Isolation>,
}

/// A mass loss: most sessions were lost at once.
#[derive(Clone, Copy, Debug)]
struct Isolation {
    until: Instant,
    /// The number of routers that must be connected again before stale routes expire.
    sessions: usize,
}

/// The outcome for the router of a lost session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its rows are kept as stale.
    Stale,
    /// Its rows are kept as stale, and so are those of all others: the collector seems cut off.
    Isolated {
        /// The number of sessions lost within seconds.
        lost: usize,
    },
    /// Another session has the router already.
    Replaced,
}

/// Peers of a session that was lost while other sessions of its router are alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LostPeers {
    /// The router.
    pub router: RouterId,
    /// The peers.
    pub peers: Vec<PeerId>,
    at: Instant,
}

/// The information that a session receives when it gets its router.
#[derive(Debug)]
pub struct Joined {
    /// Changes when the session has to check for peers that a newer one took over, and whether it is now the oldest.
    pub generation: Arc<AtomicU64>,
    /// The start time of the oldest other session of the router; `None` if there is none.
    pub others_since: Option<Timestamp>,
}

/// Limits on the number of simultaneous connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// For all routers together.
    pub sessions: usize,
    /// For one source address.
    pub per_address: usize,
}

/// The limit of [`ConnectionLimits`] that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// The limit for all routers together.
    Sessions,
    /// The limit for the source address.
    Address,
}

impl LimitReached {
    /// Returns its label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            LimitReached::Sessions => "max_sessions",
            LimitReached::Address => "max_sessions_per_address",
        }
    }
}

/// The reason that a session does not get its router.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Another session has it and keeps it.
    Conflict {
        /// The source address of the other session.
        holder: IpAddr,
    },
    /// The session gave up waiting because it is over.
    GaveUp,
}

/// The result of one attempt to get a router.
#[derive(Debug, PartialEq, Eq)]
enum ClaimState {
    /// The session has the router.
    Taken,
    /// Earlier input of the router is still being applied, or the older session is being probed.
    Wait,
    /// Another session has it and keeps it.
    Conflict(IpAddr),
}

impl Registry {
    /// Returns a registry without sessions. Rows of a lost router are kept for `stale_time`, or for `mass_loss_stale`
    /// when most routers are lost at once. Sessions are numbered from `first_number`.
    pub fn new(stale_time: Duration, mass_loss_stale: Duration, first_number: u64) -> Registry {
        let inner = Mutex::new(RegistryState { next_number: first_number, ..RegistryState::default() });
        Registry { inner, freed: Condvar::new(), stale_time, mass_loss_stale, lasted_min: LASTED_MIN }
    }

    /// Loads the router identifiers that the database has, by source address.
    pub(crate) fn preload(&self, known: impl IntoIterator<Item = (IpAddr, RouterId)>) {
        let mut inner = self.lock();
        for (address, router) in known {
            inner.known.entry(address).or_default().push(router);
        }
    }

    /// Registers an accepted connection.
    ///
    /// # Errors
    /// A limit in `most` is reached.
    pub fn connect(
        &self,
        source: IpAddr,
        socket: TcpStream,
        most: ConnectionLimits,
    ) -> Result<Arc<Connection>, LimitReached> {
        self.add(source, most, |number| Connection::new(source, number, Some(socket)))
    }

    /// Registers a connection that the collector has made.
    ///
    /// # Errors
    /// A limit in `most` is reached.
    pub(super) fn dial(
        &self,
        source: IpAddr,
        socket: TcpStream,
        most: ConnectionLimits,
    ) -> Result<Arc<Connection>, LimitReached> {
        self.add(source, most, |number| Connection::made(source, number, socket))
    }

    fn add(
        &self,
        source: IpAddr,
        most: ConnectionLimits,
        make: impl FnOnce(u64) -> Connection,
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
        let connection = Arc::new(make(number));
        inner.connections.insert(number, Arc::clone(&connection));
        inner.unnamed.entry(source).or_default().insert(number);
        Ok(connection)
    }

    /// Returns the router identifiers known for a source address.
    pub fn known(&self, source: IpAddr) -> Vec<RouterId> {
        self.lock().known.get(&source).cloned().unwrap_or_default()
    }

    /// Returns the router known at a source address, if it is the only one and has no session now: a session that names
    /// no router is attributed to it.
    pub fn absent(&self, source: IpAddr) -> Option<RouterId> {
        let inner = self.lock();
        match inner.known.get(&source).map(Vec::as_slice) {
            Some([only]) if !inner.routers.contains_key(only) => Some(only.clone()),
            _ => None,
        }
    }

    /// Registers the replayed input of earlier processes, for whose application new sessions of its routers wait.
    pub(crate) fn expect_replays(&self, replayed: Vec<(Option<RouterId>, IpAddr)>) {
        self.lock().replayed = replayed;
    }

    /// Returns the connection of a session that is applied from the journal, where it has this number.
    pub(crate) fn connect_replay(&self, number: u64, source: IpAddr) -> Arc<Connection> {
        Arc::new(Connection::new(source, number, None))
    }

    /// Notes that one of the inputs given to [`Registry::expect_replays`] is applied.
    pub(crate) fn replay_is_over(&self, router: Option<&RouterId>, source: IpAddr) {
        let mut inner = self.lock();
        if let Some(i) = inner.replayed.iter().position(|(id, from)| id.as_ref() == router && *from == source) {
            inner.replayed.remove(i);
        }
        self.freed.notify_all();
    }

    /// Notes that a session has read all that has arrived and still cannot identify its router: newer sessions need not
    /// wait for it.
    pub(crate) fn stop_waiting_for(&self, connection: &Connection) {
        if self.lock().forget_unnamed(connection) {
            self.freed.notify_all();
        }
    }

    /// Claims a router for a session, and waits until all earlier input of the router is applied.
    ///
    /// If the older session has the same address, both coexist; but if its router has closed it, the claim waits until
    /// what was read from it is applied. The order is that of the connections, not of the threads that read them. If
    /// the older session has another address, it keeps the router while its connection is alive, which is probed.
    /// `is_over` returns true when the session need not wait any longer.
    ///
    /// # Errors
    /// An older session keeps the router, or `is_over` ended the wait.
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

    /// Notes the start time of the session, by the database's clock, once the database has answered its claim.
    pub fn begin(&self, router: &RouterId, connection: &Connection, began: Timestamp) {
        if let Some(live) = self.lock().live(router, connection) {
            live.began = Some(began);
        }
        self.freed.notify_all();
    }

    /// Claims a peer for a session that reports it, and waits until an older owner has applied its input about the
    /// peer.
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

    /// Returns whether a newer session of the router owns the peer.
    pub(crate) fn is_of_newer(&self, router: &RouterId, connection: &Connection, peer: &PeerId) -> bool {
        self.lock().routers.get(router).is_some_and(|sessions| sessions.is_of_newer(connection.number(), peer))
    }

    /// Releases a peer of the session that went down.
    pub(crate) fn forget_peer(&self, router: &RouterId, connection: &Connection, peer: &PeerId) {
        if let Some(sessions) = self.lock().routers.get_mut(router) {
            sessions.forget(connection.number(), peer);
        }
    }

    /// Returns the peers that newer sessions have taken over from this one since the last call.
    pub fn take_lost(&self, router: &RouterId, connection: &Connection) -> Vec<PeerId> {
        let mut inner = self.lock();
        inner.routers.get_mut(router).map(|sessions| sessions.take_lost(connection.number())).unwrap_or_default()
    }

    /// Returns whether it is the oldest session of its router: that one records the router's own data.
    pub(crate) fn is_oldest(&self, router: &RouterId, connection: &Connection) -> bool {
        self.lock().routers.get(router).is_some_and(|sessions| sessions.is_oldest(connection.number()))
    }

    /// Returns the peers that the session owns, and whether its router has no other session.
    pub fn own(&self, router: &RouterId, connection: &Connection) -> (Vec<PeerId>, bool) {
        let inner = self.lock();
        let sessions = inner.routers.get(router);
        sessions.map_or((Vec::new(), true), |sessions| (sessions.own(connection.number()), sessions.live.len() <= 1))
    }

    /// Returns the peers whose session was lost longer ago than the stale time and that no other session of their
    /// router has reported.
    pub(crate) fn take_gone(&self) -> Vec<LostPeers> {
        let now = Instant::now();
        let mut inner = self.lock();
        let RegistryState { gone, routers, .. } = &mut *inner;
        let mut due: Vec<LostPeers> = gone.extract_if(.., |gone| gone.at <= now).collect();
        for one in &mut due {
            one.peers.retain(|peer| routers.get(&one.router).is_none_or(|sessions| !sessions.speaks(peer)));
        }
        due.retain(|one| !one.peers.is_empty());
        due
    }

    /// Puts back peers whose removal could not be passed on: they are due again.
    pub(crate) fn put_back_gone(&self, gone: LostPeers) {
        self.lock().gone.push(gone);
    }

    /// Notes that a session was lost without a Termination.
    pub(crate) fn lose(&self, router: &RouterId, connection: &Connection) -> Loss {
        let mut inner = self.lock();
        let loss = self.release(&mut inner, router, connection);
        let has_others = inner.routers.contains_key(router);
        if loss == Loss::Replaced || has_others || connection.socket().is_none() || connection.age() < self.lasted_min {
            // The router has other sessions, was lost before the collector started, or never stayed up: that says
            // nothing about the collector's network.
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
        Loss::Stale
    }

    /// Notes that the collector closed a session, which says nothing about its network: otherwise as
    /// `Registry::lose`.
    pub fn close(&self, router: &RouterId, connection: &Connection) -> Loss {
        self.release(&mut self.lock(), router, connection)
    }

    fn release(&self, inner: &mut RegistryState, router: &RouterId, connection: &Connection) -> Loss {
        let Some(peers) = inner.release(router, connection) else { return Loss::Replaced };
        if !peers.is_empty() && inner.routers.contains_key(router) {
            inner.gone.push(LostPeers { router: router.clone(), peers, at: Instant::now() + self.stale_time });
        }
        self.freed.notify_all();
        Loss::Stale
    }

    /// Notes that a session ended and leaves no stale routes.
    pub fn leave(&self, router: &RouterId, connection: &Connection) {
        self.lock().release(router, connection);
        self.freed.notify_all();
    }

    /// Removes a closed connection and releases its router.
    pub fn disconnect(&self, connection: &Connection) {
        let mut inner = self.lock();
        inner.connections.remove(&connection.number());
        inner.forget_unnamed(connection);
        let left: Vec<RouterId> = inner.routers.keys().cloned().collect();
        left.iter().for_each(|router| drop(inner.release(router, connection)));
        self.freed.notify_all();
    }

    /// Returns whether most sessions were lost at once, so no stale routes may expire for now.
    pub(crate) fn is_isolated(&self) -> bool {
        let mut inner = self.lock();
        inner.isolated = inner.isolated.filter(|isolation| Instant::now() < isolation.until);
        inner.isolated.is_some()
    }

    /// Returns whether replayed input of the router from an earlier process waits to be applied.
    pub fn has_replay(&self, router: &RouterId) -> bool {
        self.lock().replayed.iter().any(|(id, _)| id.as_ref() == Some(router))
    }

    /// Returns the routers that are known by an address and have no session.
    pub fn remembered(&self) -> Vec<RouterId> {
        let inner = self.lock();
        let known: BTreeSet<&RouterId> = inner.known.values().flatten().collect();
        known.into_iter().filter(|router| !inner.routers.contains_key(*router)).cloned().collect()
    }

    /// Forgets a router that was removed from the database. Returns false, and forgets nothing, if it has a session or
    /// input that waits.
    pub fn forget(&self, router: &RouterId) -> bool {
        let mut inner = self.lock();
        let is_wanted = inner.routers.contains_key(router)
            || inner.waiting.contains_key(router)
            || inner.replayed.iter().any(|(id, _)| id.as_ref() == Some(router));
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

    /// Returns the connections of a router's sessions.
    pub(crate) fn connections_of(&self, router: &RouterId) -> Vec<Arc<Connection>> {
        let inner = self.lock();
        let live = inner.routers.get(router).into_iter().flat_map(|sessions| sessions.live.values());
        live.map(|live| Arc::clone(&live.connection)).collect()
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// Shuts down reading on every socket; what was read is still written.
    pub(crate) fn stop_reading(&self) {
        for connection in self.lock().connections.values() {
            connection.shut(Shutdown::Read);
        }
    }

    /// A panic elsewhere leaves these maps consistent: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegistryState {
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
            // A session that its router has closed, or a replayed one, is about to end. One that has just joined is not
            // known to the database yet.
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
                && (self.replayed.iter().any(comes_before) || waited < UNNAMED_MAX && may_be_older)
        {
            return ClaimState::Wait;
        }
        let sessions = self.routers.entry(router.clone()).or_default();
        // The older session may be dead: the probe finds out sooner than the usual keepalive.
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

    fn live(&mut self, router: &RouterId, connection: &Connection) -> Option<&mut super::peer_owners::LiveSession> {
        self.routers.get_mut(router)?.live.get_mut(&connection.number())
    }

    /// Returns whether the connection was unidentified until now.
    fn forget_unnamed(&mut self, connection: &Connection) -> bool {
        let Some(numbers) = self.unnamed.get_mut(&connection.source) else { return false };
        let was = numbers.remove(&connection.number());
        if numbers.is_empty() {
            self.unnamed.remove(&connection.source);
        }
        was
    }

    /// Removes the session from the router. Returns the peers that it owned; `None` if it is not one of the router's
    /// sessions.
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
