//! Load balancers in front of the BMP port: the header of the PROXY protocol that each of their connections begins with,
//! read octet by octet if need be, and not one octet more.

use std::io::Read;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::proxy_header::{self, Progress, ProxyHeader};
use super::reader::is_silence;
use crate::config::allow;
use crate::stop::Stop;

/// The longest time for a header. A load balancer sends it first, whatever the router does.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// The interval at which a thread that waits for a header checks whether the collector stops.
const TICK: Duration = Duration::from_millis(500);

/// The most connections that may wait for their header: a thread and a file descriptor each.
const WAITING_MAX: usize = 256;

/// The load balancers that routers may connect through.
#[derive(Debug, Default)]
pub struct Balancers {
    networks: Vec<IpNet>,
    waiting: AtomicUsize,
}

/// One connection that waits for its header.
#[derive(Debug)]
pub(super) struct PendingHeader(Arc<Balancers>);

impl Drop for PendingHeader {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Balancers {
    /// Returns the load balancers in these networks.
    pub fn new(networks: Vec<IpNet>) -> Balancers {
        Balancers { networks, waiting: AtomicUsize::new(0) }
    }

    /// Returns true if connections from this address begin with a header.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        allow::contains(&self.networks, address)
    }

    /// Counts a connection that waits for its header; `None` if too many do.
    pub(super) fn wait(self: &Arc<Self>) -> Option<PendingHeader> {
        let waiting = PendingHeader(Arc::clone(self));
        (self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(waiting)
    }
}

/// The reason why a load balancer has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A router at this address has connected to it.
    Router(IpAddr),
    /// Nobody has: a health check, or the collector stops.
    Nobody,
}

/// Reads the header of a connection from `balancer`; what follows it is left in the socket. It may take `time_max`, or ten seconds if
/// that is less.
///
/// # Errors
/// Why the connection is closed: no header, a malformed one, or one that does not say whose connection it is although it
/// is used.
pub(super) fn receive(
    socket: &TcpStream,
    balancer: IpAddr,
    time_max: Duration,
    stop: &Stop,
) -> Result<Arrival, String> {
    let time_max = time_max.min(HEADER_TIME_MAX);
    let end = Instant::now() + time_max;
    let mut octets = Vec::new();
    loop {
        let lacking = match proxy_header::parse(&octets).map_err(|error| error.to_string())? {
            Progress::Lacks(count) => count,
            // The checks of haproxy in version 1 name its own address.
            Progress::Complete(ProxyHeader::For(source)) if source == balancer => break,
            Progress::Complete(ProxyHeader::For(source)) => return Ok(Arrival::Router(source)),
            Progress::Complete(ProxyHeader::Local) => return Ok(Arrival::Nobody),
            Progress::Complete(ProxyHeader::Unnamed) => break,
        };
        match read(socket, lacking, end, stop) {
            Next::Octets(more) => octets.extend(more),
            Next::End if octets.is_empty() => return Ok(Arrival::Nobody),
            Next::End => return Err("the connection ended inside the header of the PROXY protocol".to_owned()),
            Next::Late => return Err(format!("no header of the PROXY protocol within {time_max:?}")),
            Next::Stop => return Ok(Arrival::Nobody),
        }
    }
    // A health check says no more.
    match read(socket, 1, end, stop) {
        Next::Octets(_) => Err("the header of the PROXY protocol does not say the router's address".to_owned()),
        Next::End | Next::Late | Next::Stop => Ok(Arrival::Nobody),
    }
}

enum Next {
    Octets(Vec<u8>),
    End,
    Late,
    Stop,
}

/// Reads at most `count` octets.
fn read(mut socket: &TcpStream, count: usize, end: Instant, stop: &Stop) -> Next {
    let mut buffer = vec![0; count];
    while !stop.is_stopping() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Next::Late;
        }
        // It cannot fail: the time is not zero.
        let _ = socket.set_read_timeout(Some(left.min(TICK)));
        match socket.read(&mut buffer) {
            Ok(0) => return Next::End,
            Ok(length) => {
                buffer.truncate(length);
                return Next::Octets(buffer);
            }
            Err(error) if is_silence(&error) => {}
            Err(_) => return Next::End,
        }
    }
    Next::Stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_without_a_header_are_bounded() {
        let balancers = Arc::new(Balancers::new(vec!["192.0.2.0/24".parse().unwrap()]));
        let has = |address: &str| balancers.has(address.parse().unwrap());
        assert!(has("192.0.2.1") && has("::ffff:192.0.2.1") && !has("198.51.100.1"));
        let mut waiting: Vec<PendingHeader> = (0..WAITING_MAX).map(|_| balancers.wait().unwrap()).collect();
        assert!(balancers.wait().is_none() && balancers.wait().is_none());
        waiting.pop();
        waiting.push(balancers.wait().unwrap());
        drop(waiting);
        assert_eq!(balancers.waiting.load(Ordering::Relaxed), 0);
    }
}
