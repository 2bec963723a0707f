//! Tests of the life cycle of tables: they read what arrives at the other end of the channels.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::model::{
    AdjRibKey, Afi, Asn, NextHop, Nlri, PathAttributes, PeerIds, Policy, Prefix, Rd, RouterId, SessionEvent,
    StoredRoute, TableNameRecord,
};
use crate::pipeline::{EventBatch, HistorySender, Ownership, RouteChange, StateItem, WithdrawReason};
use crate::session::changes::TableKind;
use crate::session::peers::RECORDS_MAX;
use crate::session::removal::Removed;
use crate::session::rules::Redump;
use crate::session::table_names::GivenNames;
use crate::session::table_names::Renamed;
use crate::store::copy_encoding::EncodedRoute;
use crate::wire::bmp::peer::PeerKind;

/// The global Loc-RIB.
const LOC_RIB: RibSource = RibSource {
    peer: PeerId { kind: PeerKind::LocRib(Rd([0; 8])), address: None, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED },
    view: View::LocRib,
    speaker: PeerIds::NONE,
};
const IPV4: FamilyTable = FamilyTable { afi: Afi::Ipv4, part: TableKind::Unicast };
const QUIET: Duration = Duration::from_secs(60);
const STALE_TIME: Duration = Duration::from_secs(900);

/// A session and the channels that it writes to.
struct Bench {
    tables: RouterTables,
    state: Receiver<StateItem>,
    history: Receiver<EventBatch>,
}

/// Returns a bench whose database answers every `SyncStart` with `stored`, on its own thread since the session waits
/// for it.
fn bench(stored: Vec<StoredRoute>, earlier: Vec<TableKey>, redump: Redump) -> Bench {
    holding(stored, EarlierTables::new(earlier.into_iter().map(|key| (key, None))), redump)
}

/// Returns the same with tables whose origin may be known.
fn holding(stored: Vec<StoredRoute>, earlier: EarlierTables, redump: Redump) -> Bench {
    let (to_writer, from_session) = unbounded();
    let (to_test, state) = unbounded();
    let (to_history, events_from_session) = unbounded::<EventBatch>();
    let (to_reader, history) = unbounded();
    std::thread::spawn(move || {
        for mut batch in events_from_session {
            batch.stored = None;
            to_reader.send(batch).unwrap();
        }
    });
    std::thread::spawn(move || {
        for item in from_session {
            if let StateItem::Batch(batch) = &item {
                for op in &batch.ops {
                    if let StateOp::SyncStart { tables, beside, stored: Some(reply), .. } = op {
                        reply.send(vec![stored.clone(); tables.len() + beside.len()]).unwrap();
                    }
                }
            }
            to_test.send(item).unwrap();
        }
    });
    let owner = Arc::new(Ownership::new(RouterId::new("10.0.0.1"), 1, Arc::default()));
    let outbox = Outbox::new(owner, to_writer, Some(HistorySender::new(to_history, Arc::default())));
    let rules = Rules { stale_time: STALE_TIME, quiet: QUIET, redump, routes_max: None };
    Bench { tables: RouterTables::new(outbox, rules, earlier), state, history }
}

/// Returns the same with a limit on the routes per table.
fn small_bench(stored: Vec<StoredRoute>, routes_max: usize) -> Bench {
    let mut bench = bench(stored, vec![], Redump::Skip);
    bench.tables.rules.routes_max = Some(routes_max);
    bench
}

impl Bench {
    fn announce(&mut self, octets: &[u8]) {
        let routes = NewRoutes::Alike(route(), octets.iter().map(|octet| nlri(*octet)).collect());
        let announced = vec![(IPV4, routes)];
        self.apply(&Changes { announced: announced.into(), ..Changes::default() });
    }

    fn withdraw(&mut self, octets: &[u8]) {
        let withdrawn = vec![(IPV4, octets.iter().map(|octet| nlri(*octet)).collect())];
        self.apply(&Changes { withdrawn: withdrawn.into(), ..Changes::default() });
    }

    fn apply(&mut self, changes: &Changes) {
        self.tables.apply(&LOC_RIB, |_, _| named("global"), changes, stamp()).unwrap();
    }

    fn idle(&mut self, waited: Duration) {
        self.tables.idle(waited, Timestamp::from_wire(9, 0)).unwrap();
    }

    /// Ends the session and returns the ops and events that it wrote, each in order.
    fn written(mut self) -> (Vec<String>, Vec<String>) {
        self.tables.outbox.flush().unwrap();
        drop(self.tables);
        let ops = self.state.iter().flat_map(|item| match item {
            StateItem::Batch(batch) => batch.ops,
            StateItem::Claim(_) | StateItem::Note(..) | StateItem::Gap(_) => vec![],
        });
        let events = self.history.iter().flat_map(|batch| batch.events);
        (
            ops.filter_map(|op| say(&op)).collect(),
            events.map(|event| format!("{} {}", say_change(&event.change), event.nlri.prefix)).collect(),
        )
    }
}

fn say(op: &StateOp) -> Option<String> {
    Some(match op {
        StateOp::SyncStart { tables, beside, .. } => {
            let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
            let load = if beside.is_empty() { String::new() } else { format!(", load {}", beside.len()) };
            format!("start {}{load}", names.join(" "))
        }
        StateOp::Route { nlri, change, .. } => format!("{} {}", say_change(change), nlri.prefix),
        StateOp::EndOfRib { stale, .. } => format!("eor {stale:?}"),
        StateOp::PurgeStale { stale, .. } => format!("purge {stale:?}"),
        StateOp::TablesDown { tables, .. } => {
            let names: Vec<&str> = tables.iter().map(|(_, name)| &**name).collect();
            format!("down {}", names.join(" "))
        }
        StateOp::MarkStale(tables) => format!("stale {}", tables.len()),
        StateOp::SessionState { state, .. } => format!("session {}", state.as_str()),
        StateOp::Audit { routes, .. } => format!("count {routes}"),
        StateOp::SessionEvent(SessionEvent { kind: SessionEventKind::TableFull, routes: Some(routes), .. }) => {
            format!("full at {routes}")
        }
        StateOp::SessionEvent(SessionEvent { kind: SessionEventKind::TableFull, reason, .. }) => {
            format!("refused: {}", reason.as_deref().unwrap())
        }
        StateOp::PeersUnknown(_) | StateOp::PeerSeen(_) | StateOp::Statistics(_) => "peers".to_owned(),
        StateOp::AddPathSeen(_) | StateOp::RouterSeen(_) | StateOp::TableSeen(_) | StateOp::SessionEvent(_) => {
            return None;
        }
    })
}

fn say_change(change: &RouteChange) -> &'static str {
    match change {
        RouteChange::Announce(_) => "A",
        RouteChange::Withdraw(WithdrawReason::Withdrawn) => "D",
        RouteChange::Withdraw(WithdrawReason::Stale) => "stale",
        RouteChange::Withdraw(WithdrawReason::Reread) => "reread",
    }
}

fn named(name: &str) -> TableName {
    TableName { given: name.into(), stored: name.into() }
}

fn route() -> EncodedRoute {
    let next_hop = NextHop { address: [192, 0, 2, 1].into(), link_local: None };
    EncodedRoute::encode(Some(&next_hop), &PathAttributes::default(), None)
}

fn nlri(octet: u8) -> Nlri {
    Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None }
}

fn stored(octet: u8) -> StoredRoute {
    StoredRoute { prefix: nlri(octet).prefix, path_id: 0, fingerprint: route().fingerprint() }
}

fn stamp() -> Stamp {
    Stamp { received_at: Timestamp::from_wire(1, 0), router_time: None, raw: None }
}

#[test]
fn a_redump_writes_differences_and_eor_purges() {
    let mut bench = bench(vec![stored(1), stored(2)], vec![], Redump::Skip);
    bench.announce(&[1, 3]);
    for _ in 0..2 {
        bench.tables.end_of_rib(&LOC_RIB, &named("global"), IPV4, Timestamp::from_wire(2, 0)).unwrap();
    }
    bench.announce(&[1]);
    let (ops, events) = bench.written();
    assert_eq!(ops, ["start global", "A 3.0.0.0/8", "eor [Nlri { prefix: 2.0.0.0/8, path_id: None }]"]);
    assert_eq!(events, ["A 3.0.0.0/8", "stale 2.0.0.0/8", "A 1.0.0.0/8"]);
}

#[test]
fn history_can_record_the_redump_too() {
    let mut bench = bench(vec![stored(1)], vec![], Redump::Record);
    bench.announce(&[1]);
    assert_eq!(bench.written(), (vec!["start global".to_owned()], vec!["A 1.0.0.0/8".to_owned()]));
}

#[test]
fn a_withdrawal_of_an_unknown_route_is_only_an_event() {
    let mut bench = bench(vec![stored(1)], vec![], Redump::Skip);
    bench.withdraw(&[1, 2]);
    let (ops, events) = bench.written();
    assert_eq!(ops, ["start global", "D 1.0.0.0/8"]);
    assert_eq!(events, ["D 1.0.0.0/8", "D 2.0.0.0/8"]);
}

#[test]
fn silence_ends_a_dump_only_if_nothing_is_confirmed() {
    let mut bench = bench(vec![stored(1), stored(2), stored(3)], vec![], Redump::Skip);
    bench.announce(&[1]);
    bench.idle(QUIET / 2);
    bench.announce(&[2]);
    bench.idle(QUIET / 2);
    // A new route confirms nothing, so it does not prolong the dump.
    bench.announce(&[9]);
    bench.idle(QUIET / 2);
    let (ops, events) = bench.written();
    assert_eq!(ops, ["start global", "A 9.0.0.0/8", "purge [Nlri { prefix: 3.0.0.0/8, path_id: None }]", "session up"]);
    assert_eq!(events, ["A 9.0.0.0/8", "stale 3.0.0.0/8"]);
}

#[test]
fn a_table_without_any_route_waits_for_the_hold() {
    let mut bench = bench(vec![stored(1)], vec![TableKey::loc_rib("old", Afi::Ipv4)], Redump::Skip);
    bench.tables.begin(&LOC_RIB, &named("global"), IPV4).unwrap();
    bench.idle(STALE_TIME - QUIET);
    bench.idle(QUIET);
    let (ops, _) = bench.written();
    assert_eq!(ops, ["start global", "purge [Nlri { prefix: 1.0.0.0/8, path_id: None }]", "peers", "session up"]);
}

#[test]
fn an_announced_table_with_nothing_stored_is_complete() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    bench.tables.begin(&LOC_RIB, &named("global"), IPV4).unwrap();
    bench.idle(QUIET);
    assert_eq!(bench.written().0, ["start global", "purge []", "session up"]);
}

#[test]
fn the_stored_families_of_a_table_begin_together() {
    let earlier = vec![TableKey::loc_rib("global", Afi::Ipv6), TableKey::loc_rib("old", Afi::Ipv6)];
    let mut bench = bench(vec![], earlier, Redump::Skip);
    bench.announce(&[1]);
    assert_eq!(bench.written().0, ["start global", "start global", "A 1.0.0.0/8"]);
}

#[test]
fn a_session_is_up_while_no_dump_is_open() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    bench.idle(QUIET);
    bench.tables.begin(&LOC_RIB, &named("global"), IPV4).unwrap();
    bench.tables.end_of_rib(&LOC_RIB, &named("global"), IPV4, Timestamp::from_wire(9, 0)).unwrap();
    bench.idle(Duration::ZERO);
    bench.tables.begin(&LOC_RIB, &named("blue"), IPV4).unwrap();
    bench.idle(Duration::ZERO);
    bench.idle(QUIET);
    assert_eq!(
        bench.written().0,
        ["start global", "eor []", "session up", "start blue", "session dumping", "purge []", "session up"]
    );
}

#[test]
fn a_peer_down_ends_tables_and_a_peer_up_begins_them() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    bench.announce(&[1]);
    let another = RibSource { peer: PeerId { kind: PeerKind::LocRib(Rd([1; 8])), ..LOC_RIB.peer }, ..LOC_RIB };
    let down = |bench: &mut Bench, of: &RibSource, reason| bench.tables.down(&of.peer, Some("global"), reason).unwrap();
    assert_eq!(down(&mut bench, &another, "another instance"), None);
    assert_eq!(down(&mut bench, &LOC_RIB, "gone"), Some(Removed::All(LOC_RIB.peer)));
    assert_eq!(down(&mut bench, &LOC_RIB, "gone already"), None);
    bench.tables.begin(&LOC_RIB, &named("global"), IPV4).unwrap();
    bench.tables.mark_stale("lost").unwrap();
    let (ops, _) = bench.written();
    assert_eq!(ops, ["start global", "A 1.0.0.0/8", "down global", "start global", "stale 1", "session stale"]);
}

#[test]
fn a_termination_ends_held_tables_too() {
    let mut bench = bench(vec![], vec![TableKey::loc_rib("old", Afi::Ipv6)], Redump::Skip);
    bench.announce(&[1]);
    bench.tables.terminate(PeersOf::Router, "over").unwrap();
    assert_eq!(bench.written().0, ["start global", "A 1.0.0.0/8", "down global", "down old", "peers", "session ended"]);
}

#[test]
fn a_router_that_names_too_many_tables_loses_the_rest() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    bench.tables.tables_max = 2;
    for name in ["a", "b", "c", "d", "a"] {
        bench.tables.begin(&LOC_RIB, &named(name), IPV4).unwrap();
    }
    let ipv6 = FamilyTable { afi: Afi::Ipv6, part: TableKind::Unicast };
    bench.tables.begin(&LOC_RIB, &named("a"), ipv6).unwrap();
    bench.tables.down(&LOC_RIB.peer, Some("b"), "gone").unwrap();
    bench.announce(&[1]);
    bench.tables.begin(&LOC_RIB, &named("e"), ipv6).unwrap();
    let (ops, _) = bench.written();
    let refused = |family: &str| format!("refused: further tables of {family} unicast are not stored: 2 tables");
    let want = ["start a", "start b", &refused("IPv4"), &refused("IPv6"), "down b", "start global", "A 1.0.0.0/8"];
    assert_eq!(ops, want);
}

#[test]
fn a_full_table_refuses_only_new_routes() {
    let mut bench = small_bench(vec![stored(7)], 3);
    // A route from before the session does not count towards the limit: it may be gone.
    bench.announce(&[1, 2, 3, 4, 5]);
    bench.announce(&[7, 1]);
    bench.withdraw(&[2, 4]);
    bench.tables.end_of_rib(&LOC_RIB, &named("global"), IPV4, Timestamp::from_wire(2, 0)).unwrap();
    // With 7 confirmed there are four routes, one too many; after the withdrawal of 2 there are three, and after that
    // of 1 room for one.
    bench.announce(&[6]);
    bench.withdraw(&[1]);
    bench.announce(&[6, 8]);
    let (ops, events) = bench.written();
    let a = |octet: u8| format!("A {octet}.0.0.0/8");
    let d = |octet: u8| format!("D {octet}.0.0.0/8");
    let start = "start global".to_owned();
    let full = "full at 3".to_owned();
    assert_eq!(ops, [start, a(1), a(2), a(3), full, d(2), "eor []".to_owned(), d(1), a(6)]);
    // Every withdrawal is an event, even that of a route that was refused.
    assert_eq!(events, [a(1), a(2), a(3), d(2), d(4), d(1), a(6)]);
}

const PEER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Returns the pre-policy Adj-RIB-In of a peer in a VRF, or of a global peer if `rd` is 0.
fn adj_rib_in(rd: u8, asn: u32) -> RibSource {
    let kind = if rd == 0 { PeerKind::Global } else { PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, rd])) };
    let peer = PeerId { kind, address: Some(PEER_ADDRESS), asn: Asn(asn), bgp_id: Ipv4Addr::UNSPECIFIED };
    let view = View::AdjRibIn(AdjRibKey { address: PEER_ADDRESS, policy: Policy::Pre });
    RibSource { peer, view, speaker: PeerIds { asn: Asn(asn), bgp_id: Ipv4Addr::UNSPECIFIED } }
}

/// Returns a table of an earlier session.
fn of_before(of: &RibSource, name: &str, stored: &str, part: TableKind) -> (TableKey, Option<TableOrigin>) {
    let origin = TableOrigin { peer: of.peer, given: name.into(), unicast: name.into(), part };
    (TableKey { view: of.view, name: stored.into(), afi: Afi::Ipv4 }, Some(origin))
}

#[test]
fn a_peer_down_takes_what_earlier_sessions_left() {
    let (one, two) = (adj_rib_in(1, 1), adj_rib_in(2, 1));
    let vpn = TableKind::Vpn(Rd([0; 8]));
    let all = || {
        EarlierTables::new([
            of_before(&one, "a", "a", TableKind::Unicast),
            of_before(&one, "a", "a|rd:0:0:0", vpn),
            of_before(&two, "a%7Cb", "a%7Cb", TableKind::Unicast),
            of_before(&LOC_RIB, "red", "red", TableKind::Unicast),
            of_before(&LOC_RIB, "blue", "blue", TableKind::Unicast),
            (TableKey::loc_rib("stray", Afi::Ipv4), None),
        ])
    };
    let check = |peer: PeerId, name: Option<&str>, gone: Option<Removed>, down: &[&str]| {
        let mut bench = holding(vec![], all(), Redump::Skip);
        assert_eq!(bench.tables.down(&peer, name, "gone").unwrap(), gone, "{peer:?} {name:?}");
        assert_eq!(bench.tables.down(&peer, name, "gone already").unwrap(), None);
        assert_eq!(bench.written().0, down, "{peer:?} {name:?}");
    };
    check(one.peer, None, Some(Removed::All(one.peer)), &["down a a|rd:0:0:0"]);
    check(two.peer, Some("other"), Some(Removed::All(two.peer)), &["down a%7Cb"]);
    check(PeerId { asn: Asn(0), ..one.peer }, None, Some(Removed::All(one.peer)), &["down a a|rd:0:0:0"]);
    // Another AS, another distinguisher, another BGP ID.
    check(PeerId { asn: Asn(2), ..one.peer }, None, None, &[]);
    check(adj_rib_in(3, 1).peer, None, None, &[]);
    check(PeerId { kind: PeerKind::LocRib(Rd([1; 8])), ..LOC_RIB.peer }, Some("red"), None, &[]);
    // The named table, if it is one of several.
    let red = Some(Removed::Table(LOC_RIB.peer, "red".into()));
    let mut bench = holding(vec![], all(), Redump::Skip);
    assert_eq!(bench.tables.down(&LOC_RIB.peer, Some("red"), "gone").unwrap(), red);
    assert_eq!(bench.tables.down(&LOC_RIB.peer, Some("red"), "gone").unwrap(), Some(Removed::All(LOC_RIB.peer)));
    assert_eq!(bench.written().0, ["down red", "down blue"]);
    check(LOC_RIB.peer, Some("other"), Some(Removed::All(LOC_RIB.peer)), &["down blue", "down red"]);
    // A table of unknown origin is found by its name.
    let unknown = PeerId { kind: PeerKind::LocRib(Rd([7; 8])), ..LOC_RIB.peer };
    check(unknown, Some("stray"), Some(Removed::All(unknown)), &["down stray"]);
}

#[test]
fn a_new_name_begins_the_table_anew() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    let slot6 = FamilyTable { afi: Afi::Ipv6, part: TableKind::Unicast };
    let mut names = GivenNames::default();
    names.name([AfiSafi::IPV4_UNICAST], &"blue".into());
    let before = names.clone();
    names.name([AfiSafi::IPV4_UNICAST], &"green".into());
    let renamed = Renamed::new(LOC_RIB.peer.kind, before, names);
    bench.tables.begin(&LOC_RIB, &named("blue"), IPV4).unwrap();
    bench.tables.begin(&LOC_RIB, &named("other"), slot6).unwrap();
    bench.tables.begin(&adj_rib_in(0, 1), &named("blue"), IPV4).unwrap();
    for _ in 0..2 {
        bench.tables.rename(&LOC_RIB.peer, &renamed, Timestamp::from_wire(2, 0)).unwrap();
    }
    bench.tables.begin(&LOC_RIB, &named("green"), IPV4).unwrap();
    let (ops, _) = bench.written();
    assert_eq!(ops, ["start blue", "start other", "start blue", "down blue", "start green"]);
}

#[test]
fn a_new_name_of_one_family_leaves_the_other() {
    let slot6 = FamilyTable { afi: Afi::Ipv6, part: TableKind::Unicast };
    let mut names = GivenNames::default();
    names.name([AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST], &"global".into());
    let before = names.clone();
    names.name([AfiSafi::IPV4_UNICAST], &"green".into());
    let check = |names: GivenNames, want: &[&str], gone: &[&str]| {
        let mut bench = bench(vec![], vec![], Redump::Skip);
        bench.announce(&[2, 1]);
        bench.tables.begin(&LOC_RIB, &named("global"), slot6).unwrap();
        let renamed = Renamed::new(LOC_RIB.peer.kind, before.clone(), names);
        for _ in 0..2 {
            bench.tables.rename(&LOC_RIB.peer, &renamed, Timestamp::from_wire(2, 0)).unwrap();
        }
        let (ops, events) = bench.written();
        let all = ["start global", "A 2.0.0.0/8", "A 1.0.0.0/8", "start global"];
        assert_eq!(ops, [&all[..], want].concat());
        assert_eq!(events[2..], *gone);
    };
    let gone = ["stale 1.0.0.0/8", "stale 2.0.0.0/8"];
    check(names.clone(), &gone, &gone);
    names.name([AfiSafi::IPV6_UNICAST], &"green".into());
    check(names, &["down global"], &[]);
}

#[test]
fn another_bgp_session_makes_the_tables_stale() {
    let mut bench = bench(vec![stored(1), stored(2)], vec![], Redump::Skip);
    bench.announce(&[1, 2]);
    let eor = |bench: &mut Bench| {
        bench.tables.end_of_rib(&LOC_RIB, &named("global"), IPV4, Timestamp::from_wire(2, 0)).unwrap()
    };
    assert!(eor(&mut bench));
    bench.tables.restart(&LOC_RIB.peer).unwrap();
    bench.announce(&[1]);
    assert!(eor(&mut bench));
    let (ops, events) = bench.written();
    let purged = "eor [Nlri { prefix: 2.0.0.0/8, path_id: None }]";
    assert_eq!(ops, ["start global", "eor []", "start global", purged]);
    assert_eq!(events, ["stale 2.0.0.0/8"]);
}

fn vpn(rd: u8) -> FamilyTable {
    FamilyTable { afi: Afi::Ipv4, part: TableKind::Vpn(Rd([0, 0, 0, 0, 0, 0, 0, rd])) }
}

/// Returns the VPN tables of these distinguishers, of an earlier session.
fn earlier_vpn(rds: &[u8]) -> EarlierTables {
    EarlierTables::new(
        rds.iter().map(|rd| of_before(&LOC_RIB, "global", &format!("global|rd:0:0:{rd}"), vpn(*rd).part)),
    )
}

impl Bench {
    fn announce_vpn(&mut self, rds: &[u8], octet: u8) {
        let announced = rds.iter().map(|rd| (vpn(*rd), NewRoutes::Alike(route(), [nlri(octet)].into_iter().collect())));
        self.apply(&Changes { announced: announced.collect(), ..Changes::default() });
    }

    fn vpn_eor(&mut self) -> bool {
        self.tables.end_of_vpn_rib(&LOC_RIB, Afi::Ipv4, Timestamp::from_wire(2, 0)).unwrap()
    }
}

#[test]
fn vpn_ends_of_rib_of_too_many_peers_are_forgotten() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    let mut end = |asn: usize, afi| {
        let source = adj_rib_in(0, u32::try_from(asn).unwrap());
        assert!(bench.tables.end_of_vpn_rib(&source, afi, Timestamp::from_wire(2, 0)).unwrap());
        bench.tables.peers.record(&source.peer).map(|record| record.completed.len())
    };
    for asn in 0..RECORDS_MAX {
        assert_eq!(end(asn, Afi::Ipv4), Some(1));
    }
    assert_eq!((end(RECORDS_MAX, Afi::Ipv4), end(0, Afi::Ipv6)), (None, Some(2)));
}

#[test]
fn a_vpn_end_of_rib_ends_the_tables_not_sent() {
    let mut bench = holding(vec![stored(1)], earlier_vpn(&[1, 2, 3]), Redump::Skip);
    bench.announce_vpn(&[2], 1);
    assert!(bench.vpn_eor() && !bench.vpn_eor());
    let (ops, events) = bench.written();
    let want = [
        "start global|rd:0:0:2, load 2",
        "start global|rd:0:0:1 global|rd:0:0:3",
        "eor []",
        "down global|rd:0:0:1 global|rd:0:0:3",
    ];
    assert_eq!(ops, want);
    assert_eq!(events, ["stale 1.0.0.0/8", "stale 1.0.0.0/8"]);
}

#[test]
fn a_vpn_end_of_rib_without_routes_ends_all_tables() {
    let mut bench = holding(vec![stored(1)], earlier_vpn(&[1, 2]), Redump::Skip);
    assert!(bench.vpn_eor());
    let (ops, events) = bench.written();
    assert_eq!(ops, ["start global|rd:0:0:1 global|rd:0:0:2", "down global|rd:0:0:1 global|rd:0:0:2"]);
    assert_eq!(events, ["stale 1.0.0.0/8", "stale 1.0.0.0/8"]);
}

#[test]
fn a_vpn_table_begun_after_end_of_rib_is_complete() {
    let mut bench = bench(vec![], vec![], Redump::Skip);
    bench.announce_vpn(&[1], 1);
    bench.vpn_eor();
    bench.announce_vpn(&[1, 2], 2);
    // Another peer's End-of-RIB does not count for it, and a Peer Down resets everything.
    bench.tables.down(&LOC_RIB.peer, None, "gone").unwrap();
    bench.announce_vpn(&[2], 2);
    let (ops, _) = bench.written();
    let (one, two) = ("start global|rd:0:0:1", "start global|rd:0:0:2");
    let a = "A 2.0.0.0/8";
    let down = ["down global|rd:0:0:1", "down global|rd:0:0:2"];
    assert_eq!(ops, [one, "A 1.0.0.0/8", "eor []", a, two, a, "eor []", down[0], down[1], two, a]);
}

#[test]
fn tables_are_looked_at_when_they_are_due() {
    let mut bench = holding(vec![stored(1), stored(2)], earlier_vpn(&[1]), Redump::Skip);
    bench.tables.begin(&LOC_RIB, &named("silent"), IPV4).unwrap();
    bench.announce(&[1]);
    bench.announce_vpn(&[1], 1);
    bench.idle(QUIET / 2);
    bench.tables.end_of_rib(&LOC_RIB, &named("global"), IPV4, Timestamp::from_wire(2, 0)).unwrap();
    bench.idle(QUIET / 2);
    assert!(!bench.tables.due.is_empty(), "one that the database has routes of waits for the stale time");
    bench.idle(STALE_TIME);
    assert!(bench.tables.due.is_empty());
}

#[test]
fn names_are_remembered_once_and_before_their_routes() {
    let mut bench = holding(vec![], earlier_vpn(&[1]), Redump::Skip);
    bench.announce_vpn(&[1, 2, 3], 1);
    bench.announce(&[1]);
    bench.tables.outbox.flush().unwrap();
    drop(bench.tables);
    let mut told = Vec::new();
    for item in bench.state.iter() {
        let StateItem::Batch(batch) = item else { continue };
        for op in batch.ops {
            match op {
                StateOp::SyncStart { names, .. } => told.extend(names.iter().map(|name| {
                    let TableNameRecord { name, table_name, safi, route_distinguisher, unicast, .. } = name;
                    format!("{name} {table_name} {safi} {route_distinguisher} {unicast}")
                })),
                StateOp::Route { table, .. } => told.push(format!("route of {}", table.name)),
                _ => {}
            }
        }
    }
    let want = [
        "route of global|rd:0:0:1",
        "global global|rd:0:0:2 128 0:0:2 global",
        "global global 1  global",
        "route of global|rd:0:0:2",
        "global global|rd:0:0:3 128 0:0:3 global",
        "route of global|rd:0:0:3",
        "global global 1  global",
        "route of global",
    ];
    assert_eq!(told, want);
}
