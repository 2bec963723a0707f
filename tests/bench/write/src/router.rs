//! Routers for the collector: a generated table as a stream, changed where a measurement needs it.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::generate::{self, Options, attribute, update};

/// The BMP common header, octets.
pub const HEADER: usize = 6;

/// Where the BGP message of a Route Monitoring begins.
pub const UPDATE: usize = HEADER + 42;

/// Where the Peer BGP ID stands in a message that has a per-peer header.
const PEER_BGP_ID: usize = HEADER + 30;

/// Where the per-peer timestamp stands.
const TIMESTAMP: usize = HEADER + 34;

/// The address of the peer of an Adj-RIB-In, and its BGP identifier.
const PEER: [u8; 4] = [192, 0, 2, 1];

/// A destination that no generated table has. Its MED tells how far a router has come.
pub const MARKER: [u8; 4] = [24, 240, 0, 1];

/// The marker's destination as text.
pub const MARKER_PREFIX: &str = "240.0.1.0/24";

/// One router's messages.
pub struct Router {
    /// Its `router_id`.
    pub id: String,
    /// Initiation and Peer Up.
    head: Vec<Vec<u8>>,
    /// Route Monitoring, End-of-RIB included.
    body: Vec<Vec<u8>>,
    /// How many of them carry IPv4 routes; they come first.
    ipv4: usize,
    /// How many routes it has, markers not counted.
    routes: usize,
    /// The marker that was sent last.
    marker: u32,
}

impl Router {
    /// Router 10.0.0.`number` with so many IPv4 routes and a fifth as many IPv6 routes.
    pub fn new(number: u8, ipv4: usize) -> io::Result<Router> {
        let mut bytes = Vec::new();
        generate::write_table(&mut bytes, &Options { seed: number.into(), ..Options::full_table(ipv4) })?;
        let mut messages = cut(&bytes);
        for message in messages.iter_mut().filter(|message| message[5] != 4) {
            message[PEER_BGP_ID + 3] = number;
            if message[5] == 3 {
                // Both OPENs: behind the local address and two ports.
                let sent = UPDATE + 20;
                let length = usize::from(u16::from_be_bytes([message[sent + 16], message[sent + 17]]));
                message[sent + 24 + 3] = number;
                message[sent + length + 24 + 3] = number;
            }
        }
        let body = messages.split_off(2);
        let routes = ipv4 + ipv4 / 5;
        let ipv4 = body.iter().take_while(|message| !parts(message).1.is_empty()).count();
        Ok(Router { id: format!("10.0.0.{number}"), head: messages, body, ipv4, routes, marker: 0 })
    }

    /// The same routes, as what a peer at 192.0.2.1 announces to the router and its import policy accepts.
    pub fn into_adj_rib_in(mut self) -> Router {
        for message in self.head.iter_mut().chain(&mut self.body).filter(|message| message[5] != 4) {
            // A global peer, after policy, with an address and a BGP identifier of its own.
            message[HEADER] = 0;
            message[HEADER + 1] = 0x40;
            message[HEADER + 22..HEADER + 26].copy_from_slice(&PEER);
            message[PEER_BGP_ID..PEER_BGP_ID + 4].copy_from_slice(&PEER);
            if message[5] == 3 {
                let sent = UPDATE + 20;
                let received = sent + usize::from(u16::from_be_bytes([message[sent + 16], message[sent + 17]]));
                let end = received + usize::from(u16::from_be_bytes([message[received + 16], message[received + 17]]));
                message[received + 24..received + 28].copy_from_slice(&PEER);
                message[UPDATE + 12..UPDATE + 16].copy_from_slice(&[192, 0, 2, 2]);
                // Without the name of a Loc-RIB's table.
                message.truncate(end);
                let length = u32::try_from(end).expect("shorter than 4 GiB").to_be_bytes();
                message[1..5].copy_from_slice(&length);
            }
        }
        self
    }

    /// How many routes it has, markers not counted.
    pub fn routes(&self) -> usize {
        self.routes
    }

    /// Connects and sends the whole table, with the marker that the collector knows, and a new marker behind it.
    pub fn dump(&mut self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(to)?;
        let known = (self.marker > 0).then(|| self.marker_message()).into_iter();
        let all: Vec<u8> = self.head.iter().cloned().chain(known).chain(self.body.iter().cloned()).flatten().collect();
        stream.write_all(&all)?;
        Ok(stream)
    }

    /// Announces every route with another MED.
    pub fn change_all(&self, stream: &mut TcpStream) -> io::Result<()> {
        let changed: Vec<u8> = self.body.iter().filter_map(|message| with_other_med(message, 0x40)).flatten().collect();
        stream.write_all(&changed)
    }

    /// Announces the marker once more; when its new MED is stored, everything sent before is.
    pub fn mark(&mut self, stream: &mut TcpStream) -> io::Result<u32> {
        self.marker += 1;
        stream.write_all(&self.marker_message())?;
        Ok(self.marker)
    }

    /// The Loc-RIB goes down (RFC 9069 section 5.3: reason 6).
    pub fn peer_down(&self, stream: &mut TcpStream) -> io::Result<()> {
        let per_peer = &self.body[0][HEADER..UPDATE];
        stream.write_all(&bmp(2, &[per_peer, &[6]].concat()))
    }

    /// So many UPDATEs of one route each for a steady stream: `pick` chooses the message, the MED makes it a change.
    /// Every tenth withdraws the route instead. `at` is its per-peer timestamp, since 1970.
    pub fn flap(&self, pick: u64, at: Duration) -> Vec<u8> {
        let index = usize::try_from(pick % u64::try_from(self.ipv4).expect("fits")).expect("below a usize");
        let message = &self.body[index];
        let (attributes, nlri) = parts(message);
        let first = &nlri[..1 + usize::from(nlri[0].div_ceil(8))];
        let head = &message[HEADER..UPDATE];
        let mut message = if pick % 10 == 9 {
            bmp(0, &[head, &withdraw(first)].concat())
        } else {
            let plain = bmp(0, &[head, &update(attributes, first)].concat());
            let med = u8::try_from(pick / 16 % 128).expect("below 128");
            with_other_med(&plain, med).unwrap_or(plain)
        };
        stamp(&mut message, at);
        message
    }

    /// The marker that was sent last.
    pub fn marker(&self) -> u32 {
        self.marker
    }

    fn marker_message(&self) -> Vec<u8> {
        let attributes = [
            attribute(0x40, 1, &[0]),
            attribute(0x40, 2, &[]),
            attribute(0x40, 3, &[192, 0, 2, 1]),
            attribute(0x80, 4, &self.marker.to_be_bytes()),
        ];
        bmp(0, &[&self.body[0][HEADER..UPDATE], &update(&attributes.concat(), &MARKER)].concat())
    }
}

/// Closes a session as a router does that just goes away, once the collector has everything.
pub fn close(stream: TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Both)
}

/// A BMP message of version 3 around its body.
pub fn bmp(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("shorter than 4 GiB").to_be_bytes();
    [&[3][..], &length, &[kind], body].concat()
}

pub fn withdraw(nlri: &[u8]) -> Vec<u8> {
    let length = u16::try_from(nlri.len()).expect("one prefix").to_be_bytes();
    let body = [&length[..], nlri, &[0, 0]].concat();
    let whole = u16::try_from(19 + body.len()).expect("one prefix").to_be_bytes();
    [&[0xff; 16][..], &whole, &[2], &body].concat()
}

/// Attributes and NLRI of a Route Monitoring without withdrawn routes.
pub fn parts(message: &[u8]) -> (&[u8], &[u8]) {
    let length = usize::from(u16::from_be_bytes([message[UPDATE + 21], message[UPDATE + 22]]));
    message[UPDATE + 23..].split_at(length)
}

/// The message with another MED; `None` if it has none.
fn with_other_med(message: &[u8], bits: u8) -> Option<Vec<u8>> {
    let (mut at, end) = (UPDATE + 23, UPDATE + 23 + parts(message).0.len());
    while at < end {
        let long = message[at] & 0x10 != 0;
        let length = if long {
            usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]))
        } else {
            usize::from(message[at + 2])
        };
        let value = at + if long { 4 } else { 3 };
        if message[at + 1] == 4 {
            let mut changed = message.to_vec();
            changed[value] ^= bits;
            return Some(changed);
        }
        at = value + length;
    }
    None
}

/// Writes a time into the per-peer header.
pub fn stamp(message: &mut [u8], at: Duration) {
    let seconds = u32::try_from(at.as_secs()).expect("before 2106");
    message[TIMESTAMP..TIMESTAMP + 4].copy_from_slice(&seconds.to_be_bytes());
    message[TIMESTAMP + 4..TIMESTAMP + 8].copy_from_slice(&at.subsec_micros().to_be_bytes());
}

pub fn cut(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(length) = bytes.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().expect("four octets"));
        let (message, rest) = bytes.split_at(usize::try_from(length).expect("below a usize"));
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}
