//! Routers that listen: the collector connects to them (RFC 7854 section 3.2), again and again with growing pauses. Once
//! connected, their sessions are as all others. A router's thread is that of its session while there is one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use log::{debug, warn};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::Connection;
use super::registry::ConnectionLimits;
use super::shared::Shared;
use super::target::Target;
use super::{listener, md5, run};
use crate::config::ConnectTarget;
use crate::stop::{Backoff, Stop};
use crate::tls::Connector;

/// The longest time for the TCP connection to one address.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The interval at which a thread that waits for a connection checks whether the collector stops.
const TICK: Duration = Duration::from_millis(200);

/// The first pause between two tries; it doubles.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A session that lasted this long makes the next pause a short one.
const LASTED_MIN: Duration = Duration::from_secs(10);

/// Returns the key for TCP MD5 signatures of a router at this address, if it has one.
pub type KeyOf = Arc<dyn Fn(IpAddr) -> Option<Vec<u8>> + Send + Sync>;

/// One router that listens.
pub struct Dialer {
    to: ConnectTarget,
    target: Arc<Target>,
    /// Its TLS configuration, where it uses TLS.
    tls: Option<Arc<Connector>>,
    key_of: KeyOf,
    most: ConnectionLimits,
}

impl Dialer {
    /// Returns the dialer of one router. It is given `tls` if it uses TLS.
    pub fn new(to: ConnectTarget, tls: Option<Arc<Connector>>, key_of: KeyOf, most: ConnectionLimits) -> Dialer {
        let target = Arc::new(Target::new(to.to_string()));
        Dialer { to, target, tls, key_of, most }
    }

    /// Returns the state that it keeps.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Connects, lets the session run, and connects again, until the collector stops.
    pub fn run(&self, shared: &Arc<Shared>) {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        while !shared.stop.is_stopping() {
            self.target.begin_try(&shared.meters);
            match self.connect(&shared.stop) {
                Err(Missed::Stop) => return,
                Err(Missed::Because(why)) => self.fail(why),
                Ok(socket) => match self.session(socket, shared) {
                    Err(why) => self.fail(why),
                    Ok(lasted) => {
                        self.target.lost();
                        if lasted >= LASTED_MIN {
                            backoff.reset();
                        }
                    }
                },
            }
            shared.stop.wait(Instant::now() + pause(&mut backoff), || false);
        }
    }

    fn fail(&self, why: String) {
        debug!("router at {}: {why}", self.target.name());
        self.target.failed(why);
    }

    /// Runs a session. Returns how long it lasted, or why the router was not reached.
    fn session(&self, socket: TcpStream, shared: &Arc<Shared>) -> Result<Duration, String> {
        let source = socket.peer_addr().map_err(|error| error.to_string())?.ip().to_canonical();
        if let Err(error) = Connection::keep_alive(&socket) {
            warn!("router at {source}: no TCP keepalive: {error}");
        }
        let tls = self.tls.as_ref().map(|connector| connector.connect(&self.to.host)).transpose();
        let tls = tls.map_err(|error| format!("TLS: {error}"))?;
        let connection = shared.registry.dial(source, socket, self.most).map_err(|full| {
            shared.meters.refused.count(full.label());
            listener::remedy_for(full, self.most)
        })?;
        self.target.connected(&connection);
        run::run(shared, &connection, tls);
        if connection.is_named() {
            return Ok(connection.age());
        }
        Err(connection.unnamed_end().unwrap_or_else(|| "the session ended".to_owned()))
    }

    /// Resolves the name and connects to the first of its addresses that accepts, in a thread that is abandoned if the
    /// collector stops: a resolver may take its time.
    fn connect(&self, stop: &Stop) -> Result<TcpStream, Missed> {
        let (to, key_of) = (self.to.clone(), Arc::clone(&self.key_of));
        let (reply, answer) = bounded(1);
        let dial = move || {
            // Nobody waits for it after a stop.
            let _ = reply.send(connect(&to.host, to.port, &key_of));
        };
        let thread = thread::Builder::new().name("dial".to_owned()).spawn(dial);
        thread.map_err(|error| Missed::Because(format!("cannot start a thread: {error}")))?;
        loop {
            match answer.recv_timeout(TICK) {
                Ok(result) => return result.map_err(Missed::Because),
                Err(RecvTimeoutError::Disconnected) => return Err(Missed::Because("internal error".to_owned())),
                Err(RecvTimeoutError::Timeout) if stop.is_stopping() => return Err(Missed::Stop),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// The reason why there is no connection.
enum Missed {
    /// The collector stops.
    Stop,
    /// The router or its name, in words.
    Because(String),
}

fn connect(host: &str, port: u16, key_of: &KeyOf) -> Result<TcpStream, String> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|error| error.to_string())?.collect();
    connect_to_one(&addresses, key_of)
}

fn connect_to_one(addresses: &[SocketAddr], key_of: &KeyOf) -> Result<TcpStream, String> {
    let mut failures: Vec<String> = Vec::new();
    for address in addresses {
        match connect_to(*address, key_of(address.ip())) {
            Ok(socket) => return Ok(socket),
            Err(error) if addresses.len() == 1 => return Err(error.to_string()),
            Err(error) => failures.push(format!("{}: {error}", address.ip())),
        }
    }
    Err(if failures.is_empty() { "the name has no address".to_owned() } else { failures.join("; ") })
}

fn connect_to(address: SocketAddr, key: Option<Vec<u8>>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(key) = key {
        md5::set_key(&socket, address.ip(), address.ip().into(), &key)
            .map_err(|error| io::Error::other(format!("TCP MD5 signature: {}", error.desc())))?;
    }
    socket.connect_timeout(&address.into(), CONNECT_MAX)?;
    Ok(socket.into())
}

/// Returns the next pause: up to a quarter less than that of the back-off, so that routers are not tried in step.
fn pause(backoff: &mut Backoff) -> Duration {
    let percent = 75 + u32::try_from(RandomState::new().hash_one(()) % 26).unwrap_or(25);
    backoff.take() * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        let pauses = || {
            let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
            [(); 12].map(|()| pause(&mut backoff))
        };
        let all: Vec<_> = (0..50).map(|_| pauses()).collect();
        for (i, whole) in [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60].into_iter().enumerate() {
            let (least, most) = (Duration::from_millis(whole * 750), Duration::from_secs(whole));
            assert!(all.iter().all(|pauses| (least..=most).contains(&pauses[i])), "pause {i}");
        }
        assert!(all.iter().any(|pauses| *pauses != all[0]));
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        let none: KeyOf = Arc::new(|_| None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = ["127.0.0.2", "127.0.0.1", "127.0.0.3"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
        assert_eq!(connect_to_one(&addresses, &none).unwrap().peer_addr().unwrap(), addresses[1]);
        assert_eq!(connect("localhost", port, &none).unwrap().peer_addr().unwrap().port(), port);
        drop(listener);
        let failed = connect_to_one(&addresses[..2], &none).unwrap_err();
        assert!(failed.starts_with("127.0.0.2: Connection refused") && failed.contains("; 127.0.0.1: "), "{failed}");
        assert_eq!(connect_to_one(&[], &none).unwrap_err(), "the name has no address");
        assert!(connect("127.0.0.1", port, &none).unwrap_err().contains("refused"));
        assert!(connect("no-such-host.invalid", port, &none).unwrap_err().contains("lookup"));
    }
}
