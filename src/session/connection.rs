//! One connection: shared by its own thread, by the threads that may have to end it, and by newer sessions of its
//! router.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};
use socket2::{SockRef, TcpKeepalive};

use super::earlier_tables::TableOrigin;
use super::end::SessionEnd;
use super::peer_id::PeerId;
use crate::model::TableKey;

/// The longest time that a session may keep reading after its router has reconnected.
const LAST_WORDS_MAX: Duration = Duration::from_secs(10);

/// A session that received nothing for this long has received everything that its router had sent.
const QUIET: Duration = Duration::from_millis(500);

/// The longest time that a session waits before its next chunk for a newer session that wants one of its peers.
const YIELD_MAX: Duration = Duration::from_secs(1);

/// A dead router is detected after 60 s + 6 times 10 s of silence on the wire.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// The same while a newer session claims the router: 1 s + 5 times 1 s.
const PROBE: (Duration, Duration, u32) = (Duration::from_secs(1), Duration::from_secs(1), 5);

/// The longest duration of a probe.
pub(crate) const PROBE_MAX: Duration = Duration::from_secs(10);

/// The tolerance when a probe is evaluated: the kernel counts in steps of some milliseconds.
const PROBE_GRAIN: Duration = Duration::from_millis(50);

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`: the router has not closed the connection, and is not known to be
/// dead.
const ESTABLISHED: u8 = 1;

sockopt_impl!(
    /// The kernel's information about a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// The state of the router at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It has answered the probe.
    Alive,
    /// It has closed the connection, or does not answer.
    Dead,
    /// It has not answered yet.
    Unknown,
}

/// The tables that a session has begun, by peer.
pub(crate) type Begun = Mutex<HashMap<PeerId, BTreeMap<TableKey, TableOrigin>>>;

/// A connection from a router, or replayed input in its place.
#[derive(Debug)]
pub struct Connection {
    /// The router's address, IPv4-mapped ones unmapped.
    pub source: IpAddr,
    /// Its place in the order in which connections were accepted.
    number: u64,
    /// `None` for replayed input of an earlier process.
    socket: Option<TcpStream>,
    superseded: AtomicBool,
    /// Milliseconds from `born` to when a newer session claimed the router.
    superseded_at: AtomicU64,
    /// The end that another thread has asked for.
    asked: OnceLock<SessionEnd>,
    /// True once the router has said which one it is.
    is_named: AtomicBool,
    /// The end of a connection that the collector made and whose router has not been named; `None` of one that a router
    /// made.
    unnamed_end: Option<OnceLock<String>>,
    /// True once a byte has arrived.
    has_spoken: AtomicBool,
    born: Instant,
    probed_since: Mutex<Option<Instant>>,
    work: Mutex<Work>,
    /// Notified when no newer session waits for one of its peers any more.
    yielded: Condvar,
    begun: std::sync::Arc<Begun>,
    /// In tests: simulates a router that is dead.
    #[cfg(test)]
    pub(super) is_dead: AtomicBool,
}

#[derive(Debug)]
struct Work {
    /// True while its thread applies input. Otherwise everything that was read is applied and passed on.
    is_busy: bool,
    /// When input last arrived, or the connection began.
    quiet_since: Instant,
    /// True while a newer session waits for the thread to finish the current input.
    is_wanted: bool,
}

impl Connection {
    /// Creates a connection from `source`, or one for replayed input in its place.
    pub(super) fn new(source: IpAddr, number: u64, socket: Option<TcpStream>) -> Connection {
        let born = Instant::now();
        Connection {
            source,
            number,
            socket,
            superseded: AtomicBool::new(false),
            superseded_at: AtomicU64::new(0),
            asked: OnceLock::new(),
            is_named: AtomicBool::new(false),
            unnamed_end: None,
            has_spoken: AtomicBool::new(false),
            born,
            probed_since: Mutex::default(),
            work: Mutex::new(Work { is_busy: true, quiet_since: born, is_wanted: false }),
            yielded: Condvar::new(),
            begun: std::sync::Arc::default(),
            #[cfg(test)]
            is_dead: AtomicBool::new(false),
        }
    }

    /// Creates a connection that the collector has made.
    pub(super) fn made(source: IpAddr, number: u64, socket: TcpStream) -> Connection {
        Connection { unnamed_end: Some(OnceLock::new()), ..Connection::new(source, number, Some(socket)) }
    }

    /// Records that the router has said which one it is.
    pub(super) fn note_named(&self) {
        self.is_named.store(true, Ordering::Relaxed);
    }

    /// Returns true once the router has said which one it is.
    pub(super) fn is_named(&self) -> bool {
        self.is_named.load(Ordering::Relaxed)
    }

    /// Records how the session ends. Returns true if the collector made the connection and the router has not been named:
    /// who made it reports that.
    pub(super) fn end_unnamed(&self, end: &SessionEnd) -> bool {
        let Some(noted) = self.unnamed_end.as_ref().filter(|_| !self.is_named()) else { return false };
        noted.get_or_init(|| end.to_string());
        true
    }

    /// Returns how the session has ended of a router that has not been named.
    pub(super) fn unnamed_end(&self) -> Option<String> {
        self.unnamed_end.as_ref().and_then(|end| end.get().cloned())
    }

    /// Sets the TCP keepalive of every connection, which detects a dead router.
    ///
    /// # Errors
    /// When the system rejects the socket options.
    pub(super) fn keep_alive(socket: &TcpStream) -> std::io::Result<()> {
        set_keepalive(socket, KEEPALIVE)
    }

    /// Records that bytes have arrived.
    pub fn touch(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Returns true if it is a socket from which not a single byte has arrived.
    pub(super) fn is_without_a_byte(&self) -> bool {
        self.socket.is_some() && !self.has_spoken.load(Ordering::Relaxed)
    }

    /// Returns the socket. It is shared with the threads that may end the session: one file descriptor per router.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// Returns its place among the sessions: higher than that of every earlier session and of every stream that an
    /// earlier process left in the journal.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns how long it has existed.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Returns the tables that its session has begun.
    pub fn begun(&self) -> &std::sync::Arc<Begun> {
        &self.begun
    }

    /// Returns true if a newer session has taken over this one's router.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Marks the session as superseded. Data that the router sent before it reconnected may still be in flight: the
    /// session ends itself when nothing more arrives. One that still reads after 10 s is cut off.
    pub(super) fn supersede(&self) {
        if !self.superseded.load(Ordering::Acquire) {
            self.superseded_at.store(self.millis(), Ordering::Release);
            self.superseded.store(true, Ordering::Release);
        } else if self.since(&self.superseded_at) >= LAST_WORDS_MAX {
            self.shut(Shutdown::Both);
        }
    }

    /// Asks the session to end so: nothing more is read, what was read is applied.
    pub(crate) fn ask_to_end(&self, end: SessionEnd) {
        if self.asked.set(end).is_ok() {
            self.shut(Shutdown::Read);
        }
    }

    /// Returns the end that was asked for.
    pub(super) fn asked_to_end(&self) -> Option<SessionEnd> {
        self.asked.get().cloned()
    }

    /// Ends the connection for both sides.
    pub(super) fn close(&self) {
        self.shut(Shutdown::Both);
    }

    pub(super) fn shut(&self, how: Shutdown) {
        // A socket that is already closed need not be woken.
        let _ = self.socket.as_ref().map(|socket| socket.shutdown(how));
    }

    /// Returns true if the router has closed its end, even if data remains to be read.
    pub(super) fn is_closed_by_router(&self) -> bool {
        self.socket
            .as_ref()
            .is_none_or(|socket| getsockopt(socket, TcpInfo).is_ok_and(|info| info.tcpi_state != ESTABLISHED))
    }

    /// Begins to probe whether the router is alive, unless a probe is running.
    pub(crate) fn probe(&self) {
        let mut since = lock(&self.probed_since);
        if since.is_none() {
            *since = Some(Instant::now());
            // If this fails, the answer only arrives later.
            let _ = self.socket.as_ref().map(|socket| set_keepalive(socket, PROBE));
        }
    }

    /// Returns the result of the probe so far.
    pub(super) fn liveness(&self) -> Liveness {
        #[cfg(test)]
        if self.is_dead.load(Ordering::Acquire) {
            return Liveness::Dead;
        }
        let Some(since) = *lock(&self.probed_since) else { return Liveness::Unknown };
        let Some(info) = self.socket.as_ref().and_then(|socket| getsockopt(socket, TcpInfo).ok()) else {
            return Liveness::Unknown;
        };
        if info.tcpi_state != ESTABLISHED {
            return Liveness::Dead;
        }
        let heard = Duration::from_millis(info.tcpi_last_ack_recv.min(info.tcpi_last_data_recv).into());
        if heard + PROBE_GRAIN < since.elapsed() { Liveness::Alive } else { Liveness::Unknown }
    }

    /// Ends a probe that has lasted its longest time.
    pub(super) fn end_probe(&self) {
        let mut since = lock(&self.probed_since);
        if since.is_some_and(|since| since.elapsed() >= PROBE_MAX) {
            *since = None;
            let _ = self.socket.as_ref().map(Connection::keep_alive);
        }
    }

    /// Marks that its thread has input to apply. First waits, at most 1 s, for a newer session that wants one of its
    /// peers.
    pub(crate) fn begin_work(&self) {
        let mut work = lock(&self.work);
        if work.is_wanted {
            let wanted = |work: &mut Work| work.is_wanted;
            work = self.yielded.wait_timeout_while(work, YIELD_MAX, wanted).unwrap_or_else(PoisonError::into_inner).0;
            work.is_wanted = false;
        }
        work.is_busy = true;
    }

    /// Marks that all input of its thread is applied and passed on; `had_input` is true if there was any.
    pub(crate) fn end_work(&self, had_input: bool) {
        let mut work = lock(&self.work);
        work.is_busy = false;
        if had_input {
            work.quiet_since = Instant::now();
        }
        drop(work);
        self.end_probe();
    }

    /// Calls `take` while its thread waits for input, provided that everything its router had sent is applied; if
    /// `is_hurried`, it is enough that everything read so far is. Returns `None` if that is not the case.
    pub(super) fn yield_to<T>(&self, is_hurried: bool, take: impl FnOnce() -> T) -> Option<T> {
        let mut work = lock(&self.work);
        if work.is_busy || !is_hurried && work.quiet_since.elapsed() < QUIET {
            work.is_wanted = is_hurried;
            return None;
        }
        let taken = take();
        work.is_wanted = false;
        self.yielded.notify_all();
        Some(taken)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, at: &AtomicU64) -> Duration {
        Duration::from_millis(self.millis().saturating_sub(at.load(Ordering::Acquire)))
    }
}

fn set_keepalive(socket: &TcpStream, (idle, interval, probes): (Duration, Duration, u32)) -> std::io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Locks, even after a panic elsewhere: every change is a single assignment, so the contents are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
