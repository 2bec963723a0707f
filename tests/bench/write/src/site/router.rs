//! One router of a made-up site: what its peers have announced to it, as BMP messages, and what the tables have to hold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::messages::Peer;
use super::network::{Network, Step, WITHDRAWN};
use crate::Failure;
use crate::router::{MARKER, bmp, close};

/// How often a router sends: what falls due in one such turn goes out together.
const TURN: Duration = Duration::from_millis(20);

/// How often it changes its marker.
const MARK: Duration = Duration::from_millis(500);

/// How long a peer stays down.
const DOWN_MICROS: u64 = 2_000_000;

/// Where a marker is sent: the first peer's routes before policy.
const FIRST: usize = 0;

/// The longest NLRI of one UPDATE, octets.
const NLRI_MAX: usize = 3_000;

/// The most routes that one change of an origin AS concerns.
const CHANGED_MAX: u64 = 100;

/// A router.
pub struct Router<'a> {
    network: &'a Network,
    place: usize,
    /// Its `router_id`.
    pub id: String,
    peers: Vec<Peer>,
    /// The present variant of each peer's prefixes.
    variants: Vec<Vec<u16>>,
    is_up: Vec<bool>,
    /// The marker that was sent last.
    pub marker: u32,
    /// The changes that history has to hold.
    pub events: u64,
    /// UPDATEs that changed something, markers left out.
    pub updates: u64,
    /// UPDATEs of dumps.
    pub dumped: u64,
    /// Each marker and when it was due, since 1970.
    pub marks: Vec<(u32, Duration)>,
}

/// What is due at a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Up(usize),
    Step(Step),
}

/// The events that all routers see, and when.
#[derive(Clone, Copy)]
pub struct Events {
    pub count: u64,
    /// Microseconds from one to the next.
    pub apart: f64,
    /// How many of them reset the session of a peer; one more resets that of a router.
    pub resets: u64,
    /// The time of the first, since 1970.
    pub begin: Duration,
}

/// The routes of one view of a peer.
pub struct Expected {
    pub peer: [u8; 4],
    pub is_post_policy: bool,
    pub routes: i64,
    /// The sum of all MEDs, each of which stands for an attribute set.
    pub meds: i64,
}

impl<'a> Router<'a> {
    pub fn new(network: &'a Network, place: usize) -> Router<'a> {
        let numbers: Vec<u32> = network.routers[place].iter().map(|(number, _)| *number).collect();
        Router {
            network,
            place,
            id: format!("10.0.{}.{}", place / 250, place % 250 + 1),
            peers: numbers.iter().map(|number| Peer::new(*number)).collect(),
            variants: network.routers[place].iter().map(|(_, prefixes)| vec![0; prefixes.len()]).collect(),
            is_up: vec![true; numbers.len()],
            marker: 0,
            events: 0,
            updates: 0,
            dumped: 0,
            marks: Vec::new(),
        }
    }

    /// Connects and dumps all tables.
    pub fn connect(&mut self, to: SocketAddr) -> Result<TcpStream, Failure> {
        let mut session = TcpStream::connect(to)?;
        session.write_all(&bmp(4, &[&[0, 1, 0, 4][..], b"site", &[0, 2, 0, 4], b"site"].concat()))?;
        for peer in 0..self.peers.len() {
            self.dump(peer, &mut session)?;
        }
        Ok(session)
    }

    /// Peer Up and all routes of a peer in both views; returns how many routes these were.
    fn dump(&mut self, peer: usize, session: &mut TcpStream) -> Result<u64, Failure> {
        let (number, prefixes) = &self.network.routers[self.place][peer];
        let of = &self.peers[peer];
        let mut routes = 0;
        let own = [10, 0, (self.place / 250) as u8, (self.place % 250 + 1) as u8];
        session.write_all(&of.up(own))?;
        for is_post_policy in [false, true] {
            let mut bytes = Vec::new();
            let mut at = 0;
            while at < prefixes.len() {
                let origin = self.network.origin_of[prefixes[at] as usize];
                let variant = self.variants[peer][at];
                let mut nlri = Vec::new();
                while let Some(prefix) = prefixes.get(at)
                    && self.network.origin_of[*prefix as usize] == origin
                    && self.variants[peer][at] == variant
                    && nlri.len() < NLRI_MAX
                {
                    nlri.extend_from_slice(&self.network.prefixes[*prefix as usize]);
                    at += 1;
                    if variant != WITHDRAWN && (!is_post_policy || self.network.is_accepted(*number, origin)) {
                        routes += 1;
                    }
                }
                if variant != WITHDRAWN && (!is_post_policy || self.network.is_accepted(*number, origin)) {
                    let ipv6 = prefixes[at - 1] >= self.network.ipv4;
                    bytes.extend(of.announce(
                        self.network,
                        origin,
                        variant,
                        (is_post_policy, ipv6),
                        &nlri,
                        Duration::ZERO,
                    ));
                    self.dumped += 1;
                }
                if bytes.len() > 1 << 20 {
                    session.write_all(&bytes)?;
                    bytes.clear();
                }
            }
            if peer == FIRST && !is_post_policy && self.marker > 0 {
                bytes.extend(of.mark(&MARKER, self.marker));
                routes += 1;
            }
            bytes.extend(of.end_of_rib(is_post_policy));
            session.write_all(&bytes)?;
        }
        Ok(routes)
    }

    /// Adds the first dump to what history has to hold.
    pub fn count_dump(&mut self) {
        self.events += self.expected().iter().map(|table| u64::try_from(table.routes).unwrap_or(0)).sum::<u64>();
    }

    /// Changes the marker.
    pub fn mark(&mut self, session: &mut TcpStream) -> Result<(), Failure> {
        self.marker += 1;
        self.events += 1;
        Ok(session.write_all(&self.peers[FIRST].mark(&MARKER, self.marker))?)
    }

    /// Sends all changes, each when it is due.
    pub fn churn(&mut self, mut session: TcpStream, to: SocketAddr, events: Events) -> Result<TcpStream, Failure> {
        let begin = Instant::now();
        let mut due: BinaryHeap<Reverse<(u64, u64, Due)>> = BinaryHeap::new();
        let (mut event, mut number, mut mark_due) = (0, 0, MARK);
        while event < events.count || !due.is_empty() {
            let now = u64::try_from(begin.elapsed().as_micros())?;
            while event < events.count && event as f64 * events.apart <= now as f64 {
                let at = (event as f64 * events.apart) as u64;
                for step in self.network.steps(event, self.place) {
                    due.push(Reverse((at + step.after, number, Due::Step(step))));
                    number += 1;
                }
                session = self.reset(session, to, event, &events, |up| {
                    due.push(Reverse((at + DOWN_MICROS, u64::MAX, up)));
                })?;
                event += 1;
            }
            let mut bytes = Vec::new();
            while let Some(Reverse((at, _, what))) = due.peek().copied().filter(|Reverse((at, ..))| *at <= now) {
                due.pop();
                match what {
                    Due::Step(step) => self.apply(step, events.begin + Duration::from_micros(at), &mut bytes),
                    Due::Up(peer) => {
                        session.write_all(&std::mem::take(&mut bytes))?;
                        self.is_up[peer] = true;
                        self.events += self.dump(peer, &mut session)?;
                    }
                }
            }
            session.write_all(&bytes)?;
            if begin.elapsed() >= mark_due && self.is_up[FIRST] {
                self.mark(&mut session)?;
                self.marks.push((self.marker, events.begin + begin.elapsed()));
                mark_due = begin.elapsed() + MARK;
            }
            std::thread::sleep(TURN);
        }
        Ok(session)
    }

    /// Does the resets that come with an event: of a peer's session, or of the router's own to the collector.
    fn reset(
        &mut self,
        mut session: TcpStream,
        to: SocketAddr,
        event: u64,
        events: &Events,
        mut later: impl FnMut(Due),
    ) -> Result<TcpStream, Failure> {
        let between = events.count / (events.resets + 2);
        if between == 0 || event == 0 || !event.is_multiple_of(between) || event / between > events.resets + 1 {
            return Ok(session);
        }
        let number = self.network.hash(&[8, event]) % self.network.peers() as u64;
        let peer = self.network.routers[self.place].iter().position(|(peer, _)| u64::from(*peer) == number);
        match peer {
            Some(_) if event / between == events.resets + 1 => {
                close(session)?;
                session = self.connect(to)?;
                // Peers that are down then are up with the dump; their own comes as a further one, and changes nothing.
            }
            Some(peer) if self.is_up[peer] => {
                self.is_up[peer] = false;
                session.write_all(&self.peers[peer].down())?;
                later(Due::Up(peer));
            }
            Some(_) | None => {}
        }
        Ok(session)
    }

    fn apply(&mut self, step: Step, at: Duration, bytes: &mut Vec<u8>) {
        let (number, prefixes) = &self.network.routers[self.place][step.peer];
        if !self.is_up[step.peer] {
            return;
        }
        let origin = self.network.origin_of[step.prefix as usize];
        let all = self.network.origins[origin as usize].clone();
        let of = if step.of_origin { all } else { step.prefix..step.prefix + 1 };
        let first = prefixes.partition_point(|prefix| *prefix < of.start);
        let (mut nlri, mut routes) = (Vec::new(), 0);
        for (place, prefix) in prefixes.iter().enumerate().skip(first).take_while(|(_, prefix)| of.contains(prefix)) {
            let variant = &mut self.variants[step.peer][place];
            // A prefix that was withdrawn meanwhile is not announced along with the others of its origin AS.
            if *variant != step.variant && !(step.of_origin && *variant == WITHDRAWN) && routes < CHANGED_MAX {
                *variant = step.variant;
                nlri.extend_from_slice(&self.network.prefixes[*prefix as usize]);
                routes += 1;
            }
        }
        if routes == 0 {
            return;
        }
        let ipv6 = step.prefix >= self.network.ipv4;
        for is_post_policy in [false, true] {
            if is_post_policy && !self.network.is_accepted(*number, origin) {
                continue;
            }
            let peer = &self.peers[step.peer];
            let view = (is_post_policy, ipv6);
            bytes.extend(match step.variant {
                WITHDRAWN => peer.withdraw(view, &nlri, at),
                variant => peer.announce(self.network, origin, variant, view, &nlri, at),
            });
            self.updates += 1;
            self.events += routes;
        }
    }

    /// The routes that the tables have to hold, markers left out.
    pub fn expected(&self) -> Vec<Expected> {
        let mut all = Vec::new();
        for (peer, (number, prefixes)) in self.network.routers[self.place].iter().enumerate() {
            for is_post_policy in [false, true] {
                let (mut routes, mut meds) = (0, 0);
                for (prefix, variant) in prefixes.iter().zip(&self.variants[peer]) {
                    let origin = self.network.origin_of[*prefix as usize];
                    if *variant != WITHDRAWN && (!is_post_policy || self.network.is_accepted(*number, origin)) {
                        routes += 1;
                        meds += i64::from(self.peers[peer].med(self.network, origin, *variant));
                    }
                }
                all.push(Expected { peer: self.peers[peer].address, is_post_policy, routes, meds });
            }
        }
        all
    }
}
