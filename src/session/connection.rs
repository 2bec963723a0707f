//! One connection: shared by its own thread, by those that may have to end it, and by newer sessions of its router.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};
use socket2::{SockRef, TcpKeepalive};

use super::held::Origin;
use super::peers::PeerId;
use crate::model::TableKey;

/// How long a session whose router has come back may go on reading.
const LAST_WORDS_MAX: Duration = Duration::from_secs(10);

/// A session that was given nothing for so long has been given all that its router had sent.
const QUIET: Duration = Duration::from_millis(500);

/// How long a session that goes on after a chunk waits for one that wants a peer of it.
const YIELD_MAX: Duration = Duration::from_secs(1);

/// A dead peer is found after 60 s + 6 times 10 s of silence on the wire.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// The same while a newer session claims the router.
const PROBE: (Duration, Duration, u32) = (Duration::from_secs(1), Duration::from_secs(1), 5);

/// How long a probe takes at most.
pub const PROBE_MAX: Duration = Duration::from_secs(10);

/// The kernel counts in steps of some milliseconds.
const PROBE_GRAIN: Duration = Duration::from_millis(50);

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`: the router has not closed it, and answers as far as is known.
const ESTABLISHED: u8 = 1;

sockopt_impl!(
    /// What the kernel knows of a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// Whether a router is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It has answered the probe.
    Alive,
    /// It has closed the connection, or does not answer.
    Dead,
    /// It has not answered yet.
    Unknown,
}

/// The tables that a session has begun, by their peers.
pub type Begun = Mutex<HashMap<PeerId, BTreeMap<TableKey, Origin>>>;

/// One connection.
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
    /// Whether any byte came.
    has_spoken: AtomicBool,
    born: Instant,
    probed_since: Mutex<Option<Instant>>,
    work: Mutex<Work>,
    /// Told when nobody wants a peer of it any more.
    yielded: Condvar,
    begun: std::sync::Arc<Begun>,
    /// In tests: nobody is at the other end.
    #[cfg(test)]
    pub(super) is_dead: AtomicBool,
}

#[derive(Debug)]
struct Work {
    /// Whether its thread applies something. Otherwise all that was read is applied and passed on.
    is_busy: bool,
    /// Since when nothing has come.
    quiet_since: Instant,
    /// Whether a newer session waits for the end of what is being applied.
    is_wanted: bool,
}

impl Connection {
    /// A connection from `source`, or spooled input in its place.
    pub(super) fn new(source: IpAddr, number: u64, socket: Option<TcpStream>) -> Connection {
        let born = Instant::now();
        Connection {
            source,
            number,
            socket,
            superseded: AtomicBool::new(false),
            superseded_at: AtomicU64::new(0),
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

    /// Asks a dead peer out: the keepalive that every connection has.
    ///
    /// # Errors
    /// As the system reports.
    pub(super) fn keep_alive(socket: &TcpStream) -> std::io::Result<()> {
        set_keepalive(socket, KEEPALIVE)
    }

    /// Notes that bytes came.
    pub fn touch(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Whether it is a socket, and not a byte came out of it.
    pub(super) fn is_without_a_byte(&self) -> bool {
        self.socket.is_some() && !self.has_spoken.load(Ordering::Relaxed)
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

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// The tables that its session has begun.
    pub fn begun(&self) -> &std::sync::Arc<Begun> {
        &self.begun
    }

    /// Whether a newer session has taken this one's router.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// What the router sent before it came back may still be on its way: the session ends itself when nothing more comes.
    /// One that goes on and on is cut off.
    pub(super) fn supersede(&self) {
        if !self.superseded.load(Ordering::Acquire) {
            self.superseded_at.store(self.millis(), Ordering::Release);
            self.superseded.store(true, Ordering::Release);
        } else if self.since(&self.superseded_at) >= LAST_WORDS_MAX {
            self.shut(Shutdown::Both);
        }
    }

    pub(super) fn shut(&self, how: Shutdown) {
        // A socket that is closed already needs no waking.
        let _ = self.socket.as_ref().map(|socket| socket.shutdown(how));
    }

    /// Whether the router has closed its end, whatever of it is still to be read.
    pub(super) fn is_closed_by_router(&self) -> bool {
        self.socket
            .as_ref()
            .is_none_or(|socket| getsockopt(socket, TcpInfo).is_ok_and(|info| info.tcpi_state != ESTABLISHED))
    }

    /// Begins to ask the router whether it is there, unless that is being done.
    pub(super) fn probe(&self) {
        let mut since = lock(&self.probed_since);
        if since.is_none() {
            *since = Some(Instant::now());
            // Without it the answer comes later.
            let _ = self.socket.as_ref().map(|socket| set_keepalive(socket, PROBE));
        }
    }

    /// What the probe has found so far.
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

    /// Ends a probe whose time is over.
    pub(super) fn end_probe(&self) {
        let mut since = lock(&self.probed_since);
        if since.is_some_and(|since| since.elapsed() >= PROBE_MAX) {
            *since = None;
            let _ = self.socket.as_ref().map(Connection::keep_alive);
        }
    }

    /// Its thread has something to apply. Waits for a newer session that wants a peer of it.
    pub fn begin_work(&self) {
        let mut work = lock(&self.work);
        if work.is_wanted {
            let wanted = |work: &mut Work| work.is_wanted;
            work = self.yielded.wait_timeout_while(work, YIELD_MAX, wanted).unwrap_or_else(PoisonError::into_inner).0;
            work.is_wanted = false;
        }
        work.is_busy = true;
    }

    /// All that its thread was given is applied and passed on; `had_input`: that was not nothing.
    pub fn end_work(&self, had_input: bool) {
        let mut work = lock(&self.work);
        work.is_busy = false;
        if had_input {
            work.quiet_since = Instant::now();
        }
        drop(work);
        self.end_probe();
    }

    /// Does `take` while its thread waits for input, if all that its router had sent is applied; or, in a hurry, all that
    /// was read.
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

/// A panic elsewhere leaves these whole: every change is a single assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
