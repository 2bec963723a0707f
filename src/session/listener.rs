//! The BMP port: accepts connections, checks the allow-list and the limits, and starts a thread for each router. What a
//! load balancer connects begins with a header that says whose it is ([`balancer`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipnet::IpNet;
use log::{debug, error, info, warn};
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::balancer::{self, Arrival, Balancers};
use super::connection::Connection;
use super::reader::is_silence;
use super::registry::{ConnectionLimits, LimitReached};
use super::shared::Shared;
use super::{md5, run};
use crate::tls::Acceptor;

/// The most connections that the kernel queues while the listener is busy.
const BACKLOG: i32 = 1_024;

/// A pause after an accept error, so that a lasting one (EMFILE) does not cause a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// The interval at which a waiting accept checks whether the collector stops.
const ACCEPT_TICK: Duration = Duration::from_millis(500);

/// The longest time for one round of the listener; it waits for nothing but [`ACCEPT_TICK`].
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

/// The routers that may connect, and how many.
pub struct Limits {
    /// Returns true if a source address is allowed.
    pub allows: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The most sessions that may be open at the same time.
    pub most: ConnectionLimits,
    /// The load balancers that routers may connect through.
    pub balancers: Arc<Balancers>,
    /// The TLS acceptor, if routers must use TLS.
    pub tls: Option<Arc<Acceptor>>,
}

/// The bound BMP port.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    address: SocketAddr,
}

impl Listener {
    /// Binds the port. `[::]` accepts IPv4 too, and falls back to `0.0.0.0` on a host without IPv6.
    ///
    /// # Errors
    /// The system's error from the last attempt.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        match bind(address) {
            Err(error) if address.is_ipv6() && address.ip().is_unspecified() && lacks_ipv6(&error) => {
                bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
            }
            result => result,
        }
    }

    /// Requires TCP MD5 signatures (RFC 2385) with this key from routers in this network, or none if the key is empty.
    /// A network that cannot reach this port is skipped.
    ///
    /// # Errors
    /// The system's error, in words.
    pub(crate) fn ask_for_signatures(&self, network: IpNet, key: &[u8]) -> Result<(), String> {
        if !md5::is_reached_by(self.address.ip(), network) {
            return Ok(());
        }
        md5::set_key(&self.socket, self.address.ip(), network, key).map_err(|error| match error {
            Errno::ENOMEM => "too many keys: raise the system's net.core.optmem_max".to_owned(),
            Errno::ENOPROTOOPT => "the system does not support TCP MD5 signatures".to_owned(),
            _ => error.desc().to_owned(),
        })
    }

    /// Accepts until the collector stops, then waits for the sessions' threads.
    pub fn run(&self, name: &str, shared: &Arc<Shared>, limits: &Arc<Limits>) {
        let with = if limits.tls.is_some() { " with TLS" } else { "" };
        info!("listener: waiting for routers{with} on {}", self.address);
        let mut sessions: Vec<JoinHandle<()>> = Vec::new();
        let heartbeat = shared.meters.heartbeat(name, STANDSTILL_MAX);
        while !shared.stop.is_stopping() {
            heartbeat.progress();
            sessions.retain(|session| !session.is_finished());
            match self.socket.accept() {
                Ok((socket, _)) => sessions.extend(admit(socket.into(), shared, limits)),
                Err(error) if is_silence(&error) => {}
                Err(error) => {
                    error!("listener: accept failed, trying again: {error}");
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
        // From here on the listener waits for the sessions' threads.
        heartbeat.idle();
        shared.registry.stop_reading();
        for session in sessions {
            // A session's panic was caught and reported inside its thread.
            let _ = session.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // On Linux the receive time-out bounds accept as well.
    socket.set_read_timeout(Some(ACCEPT_TICK))?;
    let address = socket.local_addr()?.as_socket().expect("a TCP socket has an IP address");
    Ok(Listener { socket, address })
}

/// Checks one connection and starts a thread for it.
fn admit(socket: TcpStream, shared: &Arc<Shared>, limits: &Arc<Limits>) -> Option<JoinHandle<()>> {
    let Ok(peer) = socket.peer_addr() else {
        // Reset before it was accepted, as some health checks do.
        shared.meters.process.silent_connections.add(1);
        return None;
    };
    let source = peer.ip().to_canonical();
    if limits.balancers.has(source) {
        return receive(socket, source, shared, limits);
    }
    let (connection, tls) = enter(socket, source, shared, limits)?;
    let (for_thread, its) = (Arc::clone(shared), Arc::clone(&connection));
    let session = spawn(source, move || run::run(&for_thread, &its, tls));
    if session.is_none() {
        shared.registry.disconnect(&connection);
    }
    session
}

/// Starts a thread that waits for a load balancer's header, and then is the thread of the router's session.
fn receive(socket: TcpStream, balancer: IpAddr, shared: &Arc<Shared>, limits: &Arc<Limits>) -> Option<JoinHandle<()>> {
    let refuse = move |shared: &Shared, why: &str| {
        shared.meters.refused.count("proxy_header");
        shared.refusals.refuse(&shared.pipeline, balancer, why);
    };
    let Some(waiting) = limits.balancers.wait() else {
        refuse(shared, "too many of its connections have sent no header of the PROXY protocol yet");
        return None;
    };
    let (shared, limits) = (Arc::clone(shared), Arc::clone(limits));
    spawn(balancer, move || {
        let arrival = balancer::receive(&socket, balancer, shared.options.message_time_max, &shared.stop);
        drop(waiting);
        match arrival {
            Ok(Arrival::Router(source)) => {
                debug!("router at {source}: connects through the load balancer at {balancer}");
                if let Some((connection, tls)) = enter(socket, source, &shared, &limits) {
                    run::run(&shared, &connection, tls);
                }
            }
            Ok(Arrival::Nobody) => {
                shared.meters.process.silent_connections.add(1);
                debug!("load balancer at {balancer}: connected and closed without a router");
            }
            Err(why) => refuse(&shared, &why),
        }
    })
}

/// Admits a connection from this address, unless the allow-list or a limit refuses it.
fn enter(
    socket: TcpStream,
    source: IpAddr,
    shared: &Shared,
    limits: &Limits,
) -> Option<(Arc<Connection>, Option<rustls::Connection>)> {
    if !(limits.allows)(source) {
        let width = if source.is_ipv4() { 32 } else { 128 };
        let remedy = format!("not in the allow-list; to admit it add {source}/{width} to RIB_INGESTER_ALLOW");
        shared.meters.refused.count("allow_list");
        shared.refusals.refuse(&shared.pipeline, source, &remedy);
        return None;
    }
    if let Err(error) = Connection::keep_alive(&socket) {
        warn!("router at {source}: no TCP keepalive: {error}");
    }
    let tls = match limits.tls.as_ref().map(|acceptor| acceptor.accept()).transpose() {
        Ok(tls) => tls,
        Err(error) => {
            warn!("router at {source}: closed: TLS: {error}");
            return None;
        }
    };
    match shared.registry.connect(source, socket, limits.most) {
        Ok(connection) => Some((connection, tls)),
        Err(full) => {
            shared.meters.refused.count(full.label());
            shared.refusals.refuse(&shared.pipeline, source, &remedy_for(full, limits.most));
            None
        }
    }
}

fn spawn(source: IpAddr, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    match thread::Builder::new().name(format!("bmp-{source}")).spawn(work) {
        Ok(session) => Some(session),
        Err(error) => {
            error!("router at {source}: closed: cannot start a thread: {error}");
            None
        }
    }
}

/// Returns which setting admits more.
pub(super) fn remedy_for(full: LimitReached, most: ConnectionLimits) -> String {
    match full {
        LimitReached::Sessions => {
            format!("{} sessions are open: RIB_INGESTER_MAX_SESSIONS is reached", most.sessions)
        }
        LimitReached::Address => format!(
            "{} sessions from this address are open: RIB_INGESTER_MAX_SESSIONS_PER_ADDRESS is reached",
            most.per_address
        ),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(97 /* EAFNOSUPPORT */)
}
