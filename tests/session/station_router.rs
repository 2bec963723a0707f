//! A fake router that reports tables of several kinds and peers to two stations, in one session or in two.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester};
use crate::stored_families::{EVPN, mac, mac_key};

pub const ROUTER: &str = "10.255.0.1";

/// The flags of a per-peer header: after policy, Adj-RIB-Out.
const POST: u8 = 0x40;
const OUT: u8 = 0x10;

/// The NLRI of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unicast,
    /// Unicast with path identifiers.
    Paths,
    Labeled,
    /// Of two route distinguishers.
    Vpn,
    Evpn,
}

/// A table that the router reports.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    pub peer: Peer,
    pub kind: Kind,
    /// The session that reports it.
    session: usize,
}

impl Feed {
    fn of(peer: Peer, flags: u8, kind: Kind, session: usize) -> Feed {
        Feed { peer: Peer { flags, ..peer }, kind, session }
    }

    fn family(&self) -> (u16, u8) {
        match self.kind {
            Kind::Unicast | Kind::Paths => (1, 1),
            Kind::Labeled => (1, 4),
            Kind::Vpn => (1, 128),
            Kind::Evpn => EVPN,
        }
    }

    /// As rows have it: the RIB, the peer, and whether it is after policy.
    fn place(&self) -> String {
        let Some(address) = self.peer.address else { return "loc-rib|-|-".to_owned() };
        let rib = if self.peer.flags & OUT > 0 { "adj-rib-out" } else { "adj-rib-in" };
        format!("{rib}|{address}|{}", if self.peer.flags & POST > 0 { "t" } else { "f" })
    }

    /// The peer, whatever table of it this is.
    fn peer_key(&self) -> (u8, u64, u32) {
        (self.peer.kind, self.peer.rd, self.peer.asn)
    }

    fn path(&self, number: u32) -> Option<u32> {
        (self.kind == Kind::Paths).then_some(1 + number % 2)
    }

    /// The prefix of a route of the table with this number among all.
    fn prefix(&self, place: usize, number: u32) -> String {
        let number = if self.kind == Kind::Paths { number / 2 } else { number };
        format!("10.{place}.{number}.0/24")
    }

    fn nlri(&self, place: usize, number: u32, label: [u8; 3]) -> Vec<u8> {
        let prefix = bmp::nlri(&self.prefix(place, number), self.path(number));
        match self.kind {
            Kind::Unicast | Kind::Paths => prefix,
            Kind::Labeled => [&[prefix[0] + 24][..], &label, &prefix[1..]].concat(),
            Kind::Vpn => {
                let rd = [0, 0, 0xfd, 0xe8, 0, 0, 0, u8::try_from(number % 2).unwrap() + 7];
                [&[prefix[0] + 88][..], &label, &rd, &prefix[1..]].concat()
            }
            Kind::Evpn => mac(u8::try_from(number).unwrap(), 0x10),
        }
    }

    fn announcement(&self, place: usize, number: u32, med: u32) -> Vec<u8> {
        let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
        let nlri = self.nlri(place, number, [0, 1, 1]);
        if self.family() == (1, 1) {
            let next_hop = bmp::attribute(0x40, 3, &[192, 0, 2, 9]);
            return bmp::update(&[], &[attributes.bytes(), next_hop].concat(), &nlri);
        }
        let ((afi, safi), rd) = (self.family(), if self.kind == Kind::Vpn { 8 } else { 0 });
        let next_hop = [vec![0; rd], vec![192, 0, 2, 9]].concat();
        let head = [afi.to_be_bytes().to_vec(), vec![safi, u8::try_from(next_hop.len()).unwrap()]].concat();
        let reach = bmp::attribute(0x80, 14, &[head, next_hop, vec![0], nlri].concat());
        bmp::update(&[], &[attributes.bytes(), reach].concat(), &[])
    }

    fn withdrawal(&self, place: usize, number: u32) -> Vec<u8> {
        let nlri = self.nlri(place, number, [0x80, 0, 0]);
        if self.family() == (1, 1) {
            return bmp::update(&nlri, &[], &[]);
        }
        let (afi, safi) = self.family();
        let unreach = [&afi.to_be_bytes()[..], &[safi], &nlri].concat();
        bmp::update(&[], &bmp::attribute(0x80, 15, &unreach), &[])
    }

    fn end_of_rib(&self) -> Vec<u8> {
        match self.family() {
            (1, 1) => bmp::end_of_rib_ipv4(),
            (afi, safi) => bmp::end_of_rib(afi, safi),
        }
    }
}

/// The Loc-RIB alone.
pub fn loc_rib() -> Vec<Feed> {
    vec![Feed::of(Peer::loc_rib(ROUTER), 0, Kind::Unicast, 0)]
}

/// Every RIB and several families, of peers of which two have one address in two VRFs; in as many sessions.
pub fn all_ribs(sessions: usize) -> Vec<Feed> {
    let one = Peer::global_instance("192.0.2.1", 64_501);
    let paths = Peer::global_instance("192.0.2.4", 64_504);
    let vrf = |number: u32| {
        let peer =
            Peer::global_instance("192.0.2.7", 64_600 + number).with_rd(0x0000_fde8_0000_0000 + u64::from(number));
        Peer { kind: 1, ..peer }
    };
    let other = sessions - 1;
    vec![
        Feed::of(Peer::loc_rib(ROUTER), 0, Kind::Unicast, 0),
        Feed::of(Peer::loc_rib(ROUTER), 0, Kind::Evpn, 0),
        Feed::of(one, 0, Kind::Unicast, 0),
        Feed::of(one, POST, Kind::Unicast, 0),
        Feed::of(one, OUT | POST, Kind::Unicast, 0),
        Feed::of(one, POST, Kind::Labeled, 0),
        Feed::of(one, POST, Kind::Vpn, 0),
        Feed::of(paths, 0, Kind::Paths, other),
        Feed::of(paths, OUT, Kind::Paths, other),
        Feed::of(vrf(1), 0, Kind::Unicast, other),
        Feed::of(vrf(2), 0, Kind::Unicast, other),
        Feed::of(vrf(2), POST, Kind::Vpn, other),
    ]
}

/// A router that reports to two stations, and connects again where it was cut off.
pub struct Router {
    feeds: Vec<Feed>,
    /// The MED of each route, and the second in which it was learned, by table and number.
    routes: BTreeMap<(usize, u32), (u32, u32)>,
    /// The peers that are down.
    down: BTreeSet<(u8, u64, u32)>,
    /// The number of Peer Downs.
    pub downs: u32,
    /// A different MED for each change: an event that is stored twice shows.
    med: u32,
    /// The second of its time stamps; 0: it sends none.
    clock: u32,
    /// True if no route changes.
    pub quiet: bool,
    /// Those of each session.
    links: [Vec<Option<FakeRouter>>; 2],
    /// The number of sessions with each station.
    pub sessions: [u32; 2],
}

impl Router {
    pub fn new(has_clock: bool, feeds: Vec<Feed>) -> Router {
        let clock = if has_clock { 1_790_000_000 } else { 0 };
        let each = if feeds.len() == 1 { 50 } else { 10 };
        let numbers = (0..feeds.len()).flat_map(|place| (0..each).map(move |number| (place, number)));
        let routes = numbers.map(|key| (key, (0, clock))).collect();
        let links =
            [(); 2].map(|()| (0..feeds.iter().map(|feed| feed.session + 1).max().unwrap()).map(|_| None).collect());
        let down = BTreeSet::new();
        Router { feeds, routes, down, downs: 0, med: 0, clock, quiet: false, links, sessions: [0, 0] }
    }

    /// The number of sessions that it has with a station.
    pub fn session_count(&self) -> usize {
        self.links[0].len()
    }

    /// The Loc-RIB, at this time.
    pub fn peer(&self) -> Peer {
        Peer::loc_rib(ROUTER).at(self.clock)
    }

    fn message(&self, feed: &Feed, second: u32, update: &[u8]) -> Vec<u8> {
        bmp::route_monitoring(feed.peer.at(second), update)
    }

    fn announcement(&self, key: (usize, u32)) -> Vec<u8> {
        let ((place, number), (med, second)) = (key, self.routes[&key]);
        let feed = &self.feeds[place];
        self.message(feed, second, &feed.announcement(place, number, med))
    }

    fn is_up(&self, feed: &Feed) -> bool {
        !self.down.contains(&feed.peer_key())
    }

    /// The peers that are down, each with its address and the name of its unicast table.
    pub fn down_peers(&self) -> Vec<String> {
        let down = self.feeds.iter().filter(|feed| !self.is_up(feed));
        let name = |feed: &Feed| {
            let table =
                if feed.peer.rd == 0 { "UNKNOWN".to_owned() } else { format!("rd:0:65000:{}", feed.peer.rd & 0xff) };
            format!("{} {table}", feed.peer.address.unwrap())
        };
        down.map(name).collect()
    }

    fn peer_up(&self, feed: &Feed) -> Vec<u8> {
        let of_peer = self.feeds.iter().filter(|other| other.peer_key() == feed.peer_key());
        let families: BTreeSet<(u16, u8)> = of_peer.clone().map(Feed::family).collect();
        let has_paths = of_peer.clone().any(|feed| feed.kind == Kind::Paths);
        let add_path = if has_paths { vec![(1, 1)] } else { vec![] };
        let open = Open { families: families.into_iter().collect(), add_path, ..Open::of(64_500, ROUTER) };
        let table = feed.peer.address.is_none().then_some("global");
        bmp::peer_up(Peer { flags: 0, ..feed.peer }.at(self.clock), &open, table)
    }

    /// All messages of a session.
    pub fn dump(&self, session: usize) -> Vec<Vec<u8>> {
        let mut all = vec![bmp::initiation(b"edge1", b"")];
        let is_told = |feed: &&Feed| feed.session == session && self.is_up(feed);
        let mut told = BTreeSet::new();
        for feed in self.feeds.iter().filter(is_told) {
            if told.insert(feed.peer_key()) {
                all.push(self.peer_up(feed));
            }
        }
        let keys = self.routes.keys().filter(|(place, _)| is_told(&&self.feeds[*place]));
        all.extend(keys.map(|key| self.announcement(*key)));
        all.extend(self.feeds.iter().filter(is_told).map(|feed| self.message(feed, self.clock, &feed.end_of_rib())));
        all
    }

    /// Begins a session with a station, with these messages.
    pub fn begin(&mut self, station: usize, session: usize, collector: &Ingester, messages: &[Vec<u8>]) {
        let mut link = collector.connect();
        messages.iter().for_each(|message| link.send_or_be_cut(message));
        self.links[station][session] = Some(link);
        self.sessions[station] += 1;
    }

    /// Begins the sessions with a station that are not open, with their dumps.
    pub fn connect(&mut self, station: usize, collector: &Ingester) {
        for session in 0..self.session_count() {
            if self.links[station][session].as_mut().is_none_or(FakeRouter::is_gone) {
                let dump = self.dump(session);
                self.begin(station, session, collector, &dump);
            }
        }
    }

    /// Sends the rest of a session's messages to a station.
    pub fn go_on(&mut self, station: usize, session: usize, messages: &[Vec<u8>]) {
        let link = self.links[station][session].as_mut().unwrap();
        messages.iter().for_each(|message| link.send_or_be_cut(message));
    }

    /// Loses the sessions with a station.
    pub fn cut(&mut self, station: usize) {
        self.links[station].iter_mut().for_each(|link| *link = None);
    }

    /// Whether any session is gone that has begun.
    pub fn is_gone(&mut self) -> bool {
        self.links.iter_mut().flatten().flatten().any(FakeRouter::is_gone)
    }

    /// Whether a session with the station is gone.
    pub fn is_gone_at(&mut self, station: usize) -> bool {
        self.links[station].iter_mut().any(|link| link.as_mut().is_none_or(FakeRouter::is_gone))
    }

    pub fn link(&self, station: usize) -> &FakeRouter {
        self.links[station][0].as_ref().unwrap()
    }

    /// Sends messages of a session to both stations.
    pub fn send(&mut self, session: usize, bytes: &[u8]) {
        let links = self.links.iter_mut().filter_map(|links| links[session].as_mut());
        links.for_each(|link| link.send_or_be_cut(bytes));
    }

    /// Changes a route, and tells both stations.
    pub fn change(&mut self) {
        if self.quiet {
            return;
        }
        self.med += 1;
        self.clock += u32::from(self.clock > 0);
        let place = self.med as usize % self.feeds.len();
        let feed = self.feeds[place];
        let numbers = if self.feeds.len() == 1 { 60 } else { 12 };
        let (number, med) = (self.med * 7 / u32::try_from(self.feeds.len()).unwrap() % numbers, self.med);
        if !self.is_up(&feed) {
            return;
        }
        if self.med.is_multiple_of(5) && self.routes.remove(&(place, number)).is_some() {
            let withdrawal = self.message(&feed, self.clock, &feed.withdrawal(place, number));
            return self.send(feed.session, &withdrawal);
        }
        self.routes.insert((place, number), (med, self.clock));
        let announcement = self.announcement((place, number));
        self.send(feed.session, &announcement);
    }

    /// One of the BGP peers, by number, goes down.
    pub fn peer_goes_down(&mut self, number: usize) {
        let peers: Vec<Feed> = self.feeds.iter().filter(|feed| feed.peer.address.is_some()).copied().collect();
        let Some(feed) = peers.get(number % peers.len().max(1)).copied() else { return };
        if self.down.insert(feed.peer_key()) {
            self.downs += 1;
            let down = bmp::peer_down(Peer { flags: 0, ..feed.peer }.at(self.clock), 4);
            self.send(feed.session, &down);
        }
    }

    /// All peers that are down come up again, with the routes that they had, all of them changed.
    pub fn peers_come_up(&mut self) {
        self.clock += u32::from(self.clock > 0);
        for key in std::mem::take(&mut self.down) {
            let places: Vec<usize> =
                (0..self.feeds.len()).filter(|place| self.feeds[*place].peer_key() == key).collect();
            let first = self.feeds[places[0]];
            let mut messages = vec![self.peer_up(&first)];
            let keys: Vec<(usize, u32)> =
                self.routes.keys().filter(|(place, _)| places.contains(place)).copied().collect();
            for key in keys {
                self.med += 1;
                self.routes.insert(key, (self.med, self.clock));
                messages.push(self.announcement(key));
            }
            let ends = places
                .iter()
                .map(|place| self.message(&self.feeds[*place], self.clock, &self.feeds[*place].end_of_rib()));
            messages.extend(ends);
            self.send(first.session, &messages.concat());
        }
    }

    /// The rows of its routes: the RIB, the peer, the policy, the key, the path and the MED.
    pub fn table(&self) -> Vec<String> {
        let told = self.routes.iter().filter(|((place, _), _)| self.is_up(&self.feeds[*place]));
        let row = |((place, number), (med, _)): (&(usize, u32), &(u32, u32))| {
            let feed = &self.feeds[*place];
            let key = match feed.kind {
                Kind::Evpn => mac_key(u8::try_from(*number).unwrap()),
                Kind::Unicast | Kind::Paths | Kind::Labeled | Kind::Vpn => feed.prefix(*place, *number),
            };
            format!("{}|{key}|{}|{med}", feed.place(), feed.path(*number).unwrap_or(0))
        };
        let mut rows: Vec<String> = told.map(row).collect();
        rows.sort();
        rows
    }
}
