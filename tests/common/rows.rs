//! Constructors for what sessions send: tables, prefixes, routes, items.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rib_ingester::model::{
    Afi, AsPath, Asn, Community, ExtendedCommunity, LargeCommunity, NextHop, Nlri, Origin, OtherAttribute,
    PathAttributes, PathId, PeerName, PeerRecord, PeerState, Prefix, RouterId, RouterRecord, SegmentKind, SessionEvent,
    SessionEventKind, StatisticRecord, StoredRoute, Table, Timestamp,
};
use rib_ingester::pipeline::{
    Claim, ClaimRight, Claimed, Denial, Doubts, EventBatch, Existing, Notices, Ownership, Pipeline, PipelineOptions,
    PipelineSender, RouteChange, RouteEvent, StateBatch, StateItem, StateOp, Watching, WithdrawReason, spawn,
};
use rib_ingester::stop::Stop;
use rib_ingester::store::EncodedRoute;

use super::pg::TestDb;

/// The longest time that anything here may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn table(router: &str, name: &str, afi: Afi) -> Arc<Table> {
    Arc::new(Table::loc_rib(RouterId::new(router), name, afi))
}

pub fn nlri(prefix: &str, path_id: Option<u32>) -> Nlri {
    let (address, length) = prefix.split_once('/').unwrap();
    let length = length.parse().unwrap();
    let prefix = match address.parse::<IpAddr>().unwrap() {
        IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length),
        IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length),
    };
    Nlri { prefix: prefix.unwrap(), path_id: path_id.map(PathId) }
}

/// A route distinguished from others by its MED.
pub fn route(med: u32) -> EncodedRoute {
    let attributes = PathAttributes {
        origin: Some(Origin::Igp),
        as_path: Some(AsPath::from_segments([(SegmentKind::Sequence, [Asn(64496), Asn(4_200_000_000)])])),
        med: Some(med),
        ..PathAttributes::default()
    };
    let next_hop = NextHop { address: "192.0.2.1".parse().unwrap(), link_local: None };
    EncodedRoute::encode(Some(&next_hop), &attributes, None)
}

/// Routes with every value that could be encoded incorrectly.
pub fn nasty_routes() -> Vec<EncodedRoute> {
    let next_hop = |address: &str| {
        Some(NextHop { address: address.parse().unwrap(), link_local: Some("fe80::1".parse().unwrap()) })
    };
    let full = PathAttributes {
        origin: Some(Origin::Incomplete),
        as_path: Some(AsPath::from_segments([
            (SegmentKind::Sequence, vec![Asn(0), Asn(u32::MAX)]),
            (SegmentKind::Set, vec![Asn(1), Asn(2)]),
            (SegmentKind::ConfedSequence, vec![Asn(3)]),
            (SegmentKind::ConfedSet, vec![Asn(4)]),
        ])),
        local_pref: Some(u32::MAX),
        med: Some(u32::MAX),
        communities: Some(vec![Community(0), Community(u32::MAX)].into()),
        extended_communities: Some(
            vec![ExtendedCommunity([0, 2, 0xfd, 0xe8, 0, 0, 0, 1]), ExtendedCommunity([0xff; 8])].into(),
        ),
        large_communities: Some(vec![LargeCommunity { global: u32::MAX, local1: 0, local2: u32::MAX }].into()),
        other: vec![
            OtherAttribute::AtomicAggregate,
            OtherAttribute::Aggregator { asn: Asn(u32::MAX), address: "255.255.255.255".parse().unwrap() },
            OtherAttribute::OriginatorId("10.0.0.1".parse().unwrap()),
            OtherAttribute::ClusterList(vec![].into()),
            OtherAttribute::Ipv6ExtendedCommunities(vec![[0xab; 20], [0; 20]].into()),
            OtherAttribute::Aigp(u64::MAX),
            OtherAttribute::OnlyToCustomer(Asn(u32::MAX)),
            OtherAttribute::Opaque { code: 250, value: vec![].into() },
            OtherAttribute::Opaque { code: 99, value: vec![0, 0xff].into() },
        ],
    };
    let empty_lists = PathAttributes {
        as_path: Some(AsPath::default()),
        communities: Some(vec![].into()),
        extended_communities: Some(vec![].into()),
        large_communities: Some(vec![].into()),
        local_pref: Some(0),
        ..PathAttributes::default()
    };
    let many = PathAttributes { communities: Some((0..16_000).map(Community).collect()), ..PathAttributes::default() };
    vec![
        EncodedRoute::encode(None, &PathAttributes::default(), None),
        EncodedRoute::encode(next_hop("2001:db8::1").as_ref(), &full, None),
        EncodedRoute::encode(next_hop("::ffff:192.0.2.1").as_ref(), &empty_lists, None),
        EncodedRoute::encode(next_hop("0.0.0.0").as_ref(), &many, None),
        EncodedRoute::stale(),
    ]
}

pub fn record(router: &str) -> RouterRecord {
    RouterRecord {
        router: RouterId::new(router),
        address: "127.0.0.1".parse().unwrap(),
        hostname: Some("edge1".to_owned()),
        asn: Some(Asn(4_200_000_000)),
        description: None,
    }
}

pub fn session_event(kind: SessionEventKind, table_name: Option<&str>) -> SessionEvent {
    SessionEvent {
        kind,
        table_name: table_name.map(Into::into),
        peer_address: None,
        afi: None,
        reason: Some("test".to_owned()),
        routes: None,
    }
}

/// A peer as a router reports it.
pub fn peer(address: &str, state: PeerState) -> PeerRecord {
    PeerRecord {
        name: peer_name(address),
        bgp_id: None,
        local_address: None,
        local_port: None,
        remote_port: None,
        hold_time: None,
        capabilities: None,
        description: None,
        state,
        reason: None,
    }
}

fn peer_name(address: &str) -> PeerName {
    let (kind, address) = ("global".to_owned(), address.parse().unwrap());
    PeerName { kind, distinguisher: String::new(), address, asn: Asn(64_501) }
}

pub fn statistic(address: &str, type_code: u16) -> StatisticRecord {
    let peer = peer_name(address);
    StatisticRecord { peer, type_code, afi: 0, safi: 0, name: type_code.to_string(), value: u64::MAX }
}

/// The writers on a database, and a session's operations on them.
pub struct Writers {
    pub pipeline: Pipeline,
    pub sender: PipelineSender,
    pub stop: Stop,
    pub state_dir: PathBuf,
    pub watching: Arc<Watching>,
    pub notices: Arc<Notices>,
}

impl Writers {
    pub fn start(db: &TestDb) -> Writers {
        Writers::start_at(db, &db.url())
    }

    pub fn start_at(db: &TestDb, url: &str) -> Writers {
        Writers::start_gathering(db, url, Duration::from_millis(20))
    }

    /// With writers that gather changes for so long.
    pub fn start_gathering(db: &TestDb, url: &str, flush: Duration) -> Writers {
        Writers::start_waiting(db, url, flush, Duration::from_secs(60))
    }

    /// With writers that wait so long for history in trouble.
    pub fn start_waiting(db: &TestDb, url: &str, flush: Duration, history_wait: Duration) -> Writers {
        let collector = "c1";
        let stop = Stop::new();
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
        let (watching, notices) = (Arc::<Watching>::default(), Arc::<Notices>::default());
        let options = PipelineOptions {
            database_url: url.to_owned(),
            collector_id: collector.to_owned(),
            state_writers: 2,
            history_writers: 1,
            batch_routes: 1000,
            flush,
            history_wait,
            compress_raw: true,
            state_dir: state_dir.clone(),
            meters: Arc::default(),
            health: Arc::default(),
            watching: Arc::clone(&watching),
            notices: Arc::clone(&notices),
        };
        let (pipeline, sender) = spawn(options, &stop).unwrap();
        Writers { pipeline, sender, stop, state_dir, watching, notices }
    }

    pub fn claim(&self, router: &str) -> Claimed {
        self.try_claim(router).unwrap()
    }

    pub fn try_claim(&self, router: &str) -> Result<Claimed, Denial> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        let record = record(router);
        self.sender
            .state(&record.router.clone())
            .send(StateItem::Claim(Claim {
                record,
                right: ClaimRight::Connected,
                journal: String::new(),
                others_since: None,
                reply,
            }))
            .unwrap();
        answer.recv_timeout(DEADLINE).unwrap()
    }

    pub fn send(&self, owner: &Arc<Ownership>, ops: Vec<StateOp>) {
        let history = owner.progress.events.count_of_sent();
        self.sender
            .state(&owner.router)
            .send(StateItem::Batch(StateBatch {
                owner: owner.clone(),
                ops,
                read_at: Instant::now(),
                upto: 0,
                history,
                marks: [].into(),
            }))
            .unwrap();
    }

    pub fn start_sync(&self, owner: &Arc<Ownership>, table: &Arc<Table>) -> Option<Vec<StoredRoute>> {
        self.start_all(owner, std::slice::from_ref(table)).map(|mut stored| stored.remove(0))
    }

    /// The stored routes of each of the tables whose dumps begin.
    pub fn start_all(&self, owner: &Arc<Ownership>, tables: &[Arc<Table>]) -> Option<Vec<Vec<StoredRoute>>> {
        let (stored, answer) = crossbeam_channel::bounded(1);
        self.send(
            owner,
            vec![StateOp::SyncStart { tables: tables.to_vec(), names: vec![], beside: vec![], stored: Some(stored) }],
        );
        answer.recv_timeout(DEADLINE).ok()
    }

    pub fn send_events(&self, owner: &Arc<Ownership>, events: Vec<RouteEvent>) {
        let mut tables: Vec<_> = events.iter().map(|event| event.table.clone()).collect();
        tables.dedup();
        let (owner_too, read_at) = (owner.clone(), Instant::now());
        let batch = EventBatch { owner: owner_too, events, tables, read_at, upto: 0, stored: None };
        owner.progress.events.count_sent();
        self.sender.events(&owner.router).unwrap().send(batch).unwrap();
    }

    /// Lets the writers finish what was sent. Returns the number of operations that were given up.
    pub fn finish(self) -> u64 {
        drop(self.sender);
        let end = self.pipeline.join();
        assert_eq!(end.panicked, 0);
        let _ = std::fs::remove_dir_all(&self.state_dir);
        end.given_up
    }
}

pub fn announce(table: &Arc<Table>, prefix: &str, med: u32) -> StateOp {
    StateOp::Route {
        table: table.clone(),
        nlri: nlri(prefix, None),
        change: RouteChange::Announce(route(med)),
        was: Existing::Maybe,
    }
}

pub fn withdraw(table: &Arc<Table>, prefix: &str) -> StateOp {
    let change = RouteChange::Withdraw(WithdrawReason::Withdrawn);
    StateOp::Route { table: table.clone(), nlri: nlri(prefix, None), change, was: Existing::Maybe }
}

pub fn event(table: &Arc<Table>, prefix: &str, number: u32) -> RouteEvent {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    RouteEvent {
        id,
        table: table.clone(),
        nlri: nlri(prefix, None),
        change: RouteChange::Announce(route(number)),
        received_at: Timestamp::now(),
        router_time: None,
        raw: None,
        doubts: Doubts::default(),
    }
}
