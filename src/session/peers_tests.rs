//! Tests of decoding contexts and table names from Peer Ups.

use super::*;
use crate::model::{Asn, Rd, TableKey};
use crate::session::peer_state::Drift;
use crate::wire::bgp::open::{AddPathDirection, Capability};
use crate::wire::bmp::peer::{AsWidth, PeerKey, Policy};
use crate::wire::bmp::{Numbering, Tlv, TlvKind};

const V4: AfiSafi = AfiSafi::IPV4_UNICAST;
const V6: AfiSafi = AfiSafi::IPV6_UNICAST;
const RD: Rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 7]);

fn header(kind: PeerKind, rib: Rib) -> PerPeerHeader {
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let peer = PeerKey { kind, address: address.into(), asn: Asn(1), bgp_id: address };
    PerPeerHeader { peer, rib, as_width: AsWidth::Four, time: None }
}

fn loc_rib(rd: Rd) -> PerPeerHeader {
    header(PeerKind::LocRib(rd), Rib::LocRib { filtered: false })
}

fn open(families: &[AfiSafi], add_path: &[(AfiSafi, AddPathDirection)]) -> Open {
    let mut capabilities: Vec<_> = families.iter().map(|family| Capability::Multiprotocol(*family)).collect();
    capabilities.push(Capability::AddPath(add_path.to_vec()));
    let bgp_id = Ipv4Addr::new(10, 0, 0, 1);
    Open { version: 4, my_as: 1, asn: Asn(1), hold_time: 0, bgp_id, capabilities, defect: None }
}

fn up<'a>(peer: PerPeerHeader, sent: Open, received: Open, tlv: Option<(u16, &'a [u8])>) -> PeerUp<'a> {
    PeerUp {
        peer,
        local_address: Ipv4Addr::UNSPECIFIED.into(),
        local_port: 0,
        remote_port: 0,
        sent_open: sent,
        received_open: received,
        information: tlv.map(|(type_code, value)| Information { type_code, value }).into_iter().collect(),
    }
}

#[test]
fn add_path_goes_by_direction_and_rib() {
    use AddPathDirection::{Both, Receive, Send};
    let check = |rib: Rib, kind, sent: &[_], received: &[_], want: &[AfiSafi]| {
        let mut peers = Peers::new();
        let header = header(kind, rib);
        peers.peer_up(&up(header, open(&[], sent), open(&[], received), None));
        assert_eq!(peers.context(&header).add_path, want.iter().copied().collect(), "{rib:?} {sent:?} {received:?}");
    };
    let global = PeerKind::Global;
    let (incoming, outgoing) = (Rib::AdjRibIn(Policy::Pre), Rib::AdjRibOut(Policy::Post));
    check(incoming, global, &[(V4, Receive)], &[(V4, Send)], &[V4]);
    check(incoming, global, &[(V4, Receive)], &[], &[]);
    check(incoming, global, &[(V4, Send)], &[(V4, Receive)], &[]);
    check(outgoing, global, &[(V4, Send)], &[(V4, Receive)], &[V4]);
    check(incoming, global, &[(V4, Both), (V6, Receive)], &[(V4, Both), (V6, Receive)], &[V4]);
    let instance = PeerKind::LocRib(Rd([0; 8]));
    check(Rib::LocRib { filtered: true }, instance, &[(V6, Receive)], &[], &[V6]);
    check(Rib::LocRib { filtered: true }, instance, &[], &[], &[]);
}

#[test]
fn peer_ups_of_one_instance_merge_until_a_peer_down() {
    let mut peers = Peers::new();
    let header = loc_rib(RD);
    peers.peer_up(&up(header, open(&[V4], &[]), open(&[], &[]), Some((3, b"blue"))));
    peers.peer_up(&up(header, open(&[V6], &[]), open(&[], &[]), None));
    assert_eq!(peers.families(&header), [V4, V6]);
    assert_eq!(&*peers.table_name(&header, V6).stored, "blue");
    assert!(peers.is_up(&header) && !peers.is_up(&loc_rib(Rd([0; 8]))));
    assert!(peers.peer_down(&header).is_some());
    assert!(peers.peer_down(&header).is_none());
    assert_eq!(&*peers.table_name(&header, V6).stored, "rd:0:65000:7");
}

#[test]
fn link_local_peers_of_two_interfaces_are_two() {
    let mut peers = Peers::new();
    let of = |id: u8, rd: u8| {
        let kind = if rd == 0 { PeerKind::Global } else { PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, rd])) };
        let mut header = header(kind, Rib::AdjRibIn(Policy::Pre));
        header.peer.address = "fe80::1".parse().unwrap();
        header.peer.bgp_id = if id == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, id) };
        header
    };
    let all = [of(1, 0), of(2, 0), of(3, 0), of(1, 7)];
    for header in all {
        peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), None));
    }
    let names = |peers: &Peers| all.map(|header| peers.table_name(&header, V4).stored.to_string());
    assert_eq!(names(&peers), ["UNKNOWN", "UNKNOWN|as:1", "UNKNOWN|as:1|id:10.0.0.3", "rd:0:1:7"]);
    // Without its identifier it may be any of three, so none goes down.
    let mut goes = |id, rd| peers.peer_down(&of(id, rd)).is_some();
    assert!(!goes(0, 0) && !goes(4, 0));
    assert!(goes(0, 7) && goes(2, 0) && goes(3, 0));
    // One is left: a header without an identifier refers to it, one with another identifier does not.
    assert!(!goes(4, 0) && goes(0, 0));
    assert!(!peers.is_up(&of(1, 7)) && !peers.is_up(&of(1, 0)));
    assert!(peers.alike.is_empty());
}

#[test]
fn tables_without_a_name_tlv() {
    let mut peers = Peers::new();
    // Junos: one instance, one Peer Up per family, the table's name in TLV type 0.
    let header = loc_rib(Rd([0; 8]));
    peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), Some((0, b"inet.0"))));
    peers.peer_up(&up(header, open(&[V6], &[]), open(&[V6], &[]), Some((0, b"inet6.0"))));
    assert_eq!(&*peers.table_name(&header, V4).stored, "inet.0");
    assert_eq!(&*peers.table_name(&header, V6).stored, "inet6.0");
    // FRR: the peer's description in the same TLV of a global peer.
    let peer = self::header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    peers.peer_up(&up(peer, open(&[V4], &[]), open(&[V4], &[]), Some((0, b"to my upstream"))));
    assert_eq!(&*peers.table_name(&peer, V4).stored, "UNKNOWN");
    // Version 4: the message itself may name it.
    let value = &b"violet"[..];
    let tlv = Tlv { type_code: 3, kind: TlvKind::TableName, enterprise: None, index: 0, value };
    let named =
        RouteMonitoring { peer: header, update: &[], update_offset: 0, tlvs: vec![tlv], numbering: Numbering::Untold };
    assert_eq!(&*peers.table_of(&named, V4).stored, "violet");
    assert_eq!(&*peers.table_of(&RouteMonitoring { tlvs: vec![], ..named }, V4).stored, "inet.0");
    // GoBGP 3: no Peer Up at all.
    assert_eq!(&*Peers::new().table_name(&header, V4).stored, "UNKNOWN");
    assert_eq!(&*Peers::new().table_name(&loc_rib(RD), V4).stored, "rd:0:65000:7");
}

/// Returns the header of a global peer with this address and AS.
fn peer_header(address: u8, asn: u32) -> PerPeerHeader {
    let mut header = header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    header.peer.address = Ipv4Addr::new(192, 0, 2, address).into();
    header.peer.asn = Asn(asn);
    header
}

#[test]
fn a_name_is_of_its_own_peer_alone() {
    let mut peers = Peers::new();
    let (one, two) = (peer_header(1, 1), peer_header(2, 2));
    peers.peer_up(&up(one, open(&[V4], &[]), open(&[V4], &[]), None));
    let told = peers.peer_up(&up(two, open(&[V4], &[]), open(&[V4], &[]), Some((3, b"blue"))));
    assert_eq!((&*peers.table_name(&one, V4).stored, &*peers.table_name(&two, V4).stored), ("UNKNOWN", "blue"));
    assert_eq!(told.rank, Rank::First);
    let told = peers.peer_up(&up(two, open(&[V4], &[]), open(&[V4], &[]), Some((3, b"red|x"))));
    let renamed = told.renamed.unwrap();
    assert_eq!((renamed.before(V4).as_deref(), renamed.after(V4).map(|name| &**name)), (Some("blue"), Some("red%7Cx")));
    assert_eq!((&*peers.table_name(&one, V4).stored, &*peers.table_name(&two, V4).stored), ("UNKNOWN", "red%7Cx"));
    // The Peer Up of another family names its own table only; one without a name keeps the names that are there.
    let told = peers.peer_up(&up(two, open(&[V6], &[]), open(&[V6], &[]), Some((3, b"green"))));
    assert_eq!(told.renamed.unwrap().before(V4), None);
    let told = peers.peer_up(&up(two, open(&[V4, V6], &[]), open(&[V4, V6], &[]), None));
    assert_eq!((told.rank, told.renamed), (Rank::Further, None));
}

#[test]
fn other_ports_are_another_bgp_session() {
    let mut peers = Peers::new();
    let of = |header, port, family| PeerUp {
        remote_port: port,
        ..up(header, open(&[family], &[]), open(&[family], &[]), None)
    };
    let peer = peer_header(1, 1);
    let mut ranks =
        |header, ports: [(u16, AfiSafi); 3]| ports.map(|(port, family)| peers.peer_up(&of(header, port, family)).rank);
    assert_eq!(ranks(peer, [(1, V4), (1, V6), (2, V6)]), [Rank::First, Rank::Further, Rank::Anew]);
    assert_eq!(ranks(loc_rib(RD), [(1, V4), (2, V6), (3, V6)]), [Rank::First, Rank::Further, Rank::Further]);
    assert_eq!((peers.families(&peer), peers.families(&loc_rib(RD))), (vec![V6], vec![V4, V6]));
}

#[test]
fn a_peer_down_is_of_the_peer_that_its_header_names() {
    let mut peers = Peers::new();
    let comes = |peers: &mut Peers, header| drop(peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), None)));
    let instance = |id: u8| {
        let mut header = loc_rib(RD);
        header.peer.bgp_id = if id == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, id) };
        header
    };
    comes(&mut peers, peer_header(1, 1));
    assert_eq!(peers.peer_down(&peer_header(1, 2)), None);
    assert!(peers.peer_down(&peer_header(1, 0)).is_some());
    comes(&mut peers, instance(1));
    // Another BGP ID is another instance; if only the routes name it, it is the instance that is up.
    assert_eq!(peers.peer_down(&instance(2)), None);
    assert_eq!(peers.source(&instance(3)).peer, PeerId::of(&instance(1).peer));
    assert!(peers.peer_down(&instance(3)).is_some());
    comes(&mut peers, instance(1));
    comes(&mut peers, instance(2));
    let names = |peers: &Peers, id| peers.table_name(&instance(id), V4).stored.to_string();
    assert_eq!(names(&peers, 2), "rd:0:65000:7");
    assert_eq!(names(&peers, 1), "rd:0:65000:7|instance:0:65000:7");
    assert_eq!(peers.peer_down(&instance(0)), None, "it may be either");
    assert!(peers.peer_down(&instance(1)).is_some() && peers.peer_down(&instance(0)).is_some());
}

#[test]
fn parallel_links_share_a_header() {
    let mut peers = Peers::new();
    let mut header = peer_header(1, 1);
    header.peer.address = "fe80::1".parse().unwrap();
    let of = |local: &str, port| PeerUp {
        local_address: local.parse().unwrap(),
        remote_port: port,
        ..up(header, open(&[V4], &[]), open(&[V4], &[]), None)
    };
    let ranks =
        [("fe80::2", 1), ("fe80::3", 2), ("fe80::2", 1)].map(|(local, port)| peers.peer_up(&of(local, port)).rank);
    assert_eq!(ranks, [Rank::First, Rank::Further, Rank::Further]);
    assert!(peers.link_down(&header) && peers.is_up(&header) && !peers.link_down(&header));
    assert!(peers.peer_down(&header).is_some());
}

#[test]
fn several_labels_take_the_capability_in_both_opens() {
    let labeled = |triples: &[u8]| {
        let mut open = open(&[], &[]);
        open.capabilities.extend((!triples.is_empty()).then(|| Capability::Other { code: 8, value: triples.into() }));
        open
    };
    let (v4, vpn) = (AfiSafi { afi: 1, safi: 4 }, AfiSafi { afi: 2, safi: 128 });
    let (two, three) = ([0, 1, 4, 2], [0, 1, 4, 3, 0, 2, 128, 255]);
    let incoming = header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    let outgoing = PerPeerHeader { rib: Rib::AdjRibOut(Policy::Post), ..incoming };
    let instance = loc_rib(Rd([0; 8]));
    let check = |ups: &[(&[u8], &[u8])], want: [[u8; 2]; 3]| {
        let mut peers = Peers::new();
        for (sent, received) in ups {
            for header in [incoming, instance] {
                peers.peer_up(&up(header, labeled(sent), labeled(received), None));
            }
        }
        let most = |header| [v4, vpn].map(|family| peers.context(header).labels.most(family));
        assert_eq!([&incoming, &outgoing, &instance].map(most), want, "{ups:?}");
    };
    check(&[], [[0, 0]; 3]);
    check(&[(&two, &[]), (&two, &[])], [[0, 0]; 3]);
    check(&[(&[], &three)], [[0, 0]; 3]);
    // The receiver's label count applies: for the Adj-RIB-In the router's, for the Adj-RIB-Out the peer's, for a
    // Loc-RIB neither.
    check(&[(&two, &three)], [[2, 0], [3, 0], [255, 0]]);
    // Announced family by family, in several Peer Ups.
    check(&[(&two, &three), (&three, &three)], [[3, 255], [3, 255], [255, 255]]);
    check(&[(&two, &[]), (&[], &three)], [[2, 0], [3, 0], [255, 0]]);
}

#[test]
fn as_numbers_are_as_wide_as_both_opens_say() {
    let of = |capabilities: &[Capability]| Open { capabilities: capabilities.to_vec(), ..open(&[], &[]) };
    let (two, four) = (of(&[Capability::Multiprotocol(V4)]), of(&[Capability::FourOctetAs(Asn(1))]));
    let dummy = Open { version: 0, ..of(&[]) };
    // A malformed capability hides those after it, among them perhaps the one for four-octet AS numbers.
    let cut = Open { defect: Some(crate::wire::DecodeError::new(0, "Capability Value", "")), ..two.clone() };
    let check = |sent: &Open, received: &Open, without_flag, with_flag| {
        for rib in [Rib::AdjRibIn(Policy::Pre), Rib::AdjRibIn(Policy::Post), Rib::AdjRibOut(Policy::Post)] {
            for (flag, want) in [(AsWidth::Four, without_flag), (AsWidth::Two, with_flag)] {
                let header = PerPeerHeader { as_width: flag, ..header(PeerKind::Global, rib) };
                let mut peers = Peers::new();
                peers.peer_up(&up(header, sent.clone(), received.clone(), None));
                assert_eq!(peers.context(&header).as_width, want, "{sent:?} {received:?} {flag:?}");
            }
        }
    };
    check(&four, &four, AsWidth::Four, AsWidth::Two);
    check(&four, &two, AsWidth::Two, AsWidth::Two);
    check(&two, &four, AsWidth::Two, AsWidth::Two);
    check(&two, &dummy, AsWidth::Two, AsWidth::Two);
    check(&four, &dummy, AsWidth::Four, AsWidth::Two);
    check(&dummy, &dummy, AsWidth::Four, AsWidth::Two);
    check(&four, &cut, AsWidth::Four, AsWidth::Two);
    // The router fabricates the OPENs of a Loc-RIB: its AS paths have four-octet AS numbers.
    let mut peers = Peers::new();
    peers.peer_up(&up(loc_rib(RD), two.clone(), two, None));
    assert_eq!(peers.context(&loc_rib(RD)).as_width, AsWidth::Four);
    assert_eq!(Peers::new().context(&header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre))).as_width, AsWidth::Four);
}

#[test]
fn a_global_peer_with_a_distinguisher_is_one_of_a_vrf() {
    let mut peers = Peers::new();
    let global = header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    let of_vrf = header(PeerKind::new(0, RD), Rib::AdjRibIn(Policy::Pre));
    for header in [global, of_vrf] {
        peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), None));
    }
    assert_eq!(&*peers.table_name(&global, V4).stored, "UNKNOWN");
    assert_eq!(&*peers.table_name(&of_vrf, V4).stored, "rd:0:65000:7");
    assert_eq!(peers.peer_down(&of_vrf), Some(PeerId::of(&of_vrf.peer)));
    assert!(peers.is_up(&global) && !peers.is_up(&of_vrf));
}

/// Returns the record of a peer that is up, with something in each of its fields but the tables.
fn filled(peers: &mut Peers, header: &PerPeerHeader) -> PeerId {
    let id = peers.peer_up(&up(*header, open(&[V4], &[]), open(&[V4], &[]), None)).id;
    let source = peers.source(header);
    let record = peers.record_of(id).unwrap();
    record.sends_post_policy = true;
    record.reported = Some(ReportedRoutes { at_most: Some(7), ..ReportedRoutes::default() });
    record.drifts.insert((source.view, Some(V4)), Drift { routes: 1, since: None });
    record.completed.insert((source.view, V4));
    id
}

#[test]
fn a_peer_down_takes_the_whole_record() {
    let mut peers = Peers::new();
    let header = header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    let id = filled(&mut peers, &header);
    assert_eq!(peers.go_down(&id).unwrap().at_most, Some(7));
    assert!(peers.records.is_empty() && peers.alike.is_empty() && peers.up == 0);
    // A second one finds nothing, and the peer may come up again.
    assert_eq!((peers.go_down(&id), peers.up(&header)), (None, None));
    assert_eq!(peers.peer_up(&up(header, open(&[], &[]), open(&[], &[]), None)).rank, Rank::First);
    assert_eq!(peers.up, 1);
    // A table that is begun keeps the record until it is removed.
    peers.record_of_table(id).tables.insert(TableKey::loc_rib("red", crate::model::Afi::Ipv4));
    peers.go_down(&id);
    assert!(peers.record(&id).is_some() && !peers.is_up(&header));
    peers.known(&id).unwrap().tables.clear();
    peers.drop_if_empty(&id);
    assert!(peers.records.is_empty());
}

#[test]
fn a_peer_up_without_a_down_begins_the_record_anew() {
    let mut peers = Peers::new();
    let header = header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
    let id = filled(&mut peers, &header);
    let again = |port: u16| PeerUp { remote_port: port, ..up(header, open(&[V6], &[]), open(&[V6], &[]), None) };
    // The same ports: a further one of the same BGP session.
    assert_eq!(peers.peer_up(&again(0)).rank, Rank::Further);
    assert!(peers.record(&id).unwrap().sends_post_policy && peers.families(&header) == [V4, V6]);
    assert_eq!(peers.peer_up(&again(9)).rank, Rank::Anew);
    let record = peers.record(&id).unwrap();
    assert!(!record.sends_post_policy && record.drifts.is_empty() && record.completed.is_empty());
    // It is up all the time: the routes that it may have are those of the last report.
    assert_eq!((record.reported.unwrap().at_most, peers.up), (Some(7), 1));
    assert_eq!(peers.families(&header), [V6]);
}

#[test]
fn records_are_by_peer_and_not_by_rib() {
    let mut peers = Peers::new();
    let vrf = |number| PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, number]));
    let (pre, post) = (Rib::AdjRibIn(Policy::Pre), Rib::AdjRibIn(Policy::Post));
    let one = filled(&mut peers, &header(vrf(1), pre));
    assert_eq!(filled(&mut peers, &header(vrf(1), post)), one, "one peer before and after policy");
    let two = filled(&mut peers, &header(vrf(2), pre));
    let instance = filled(&mut peers, &loc_rib(RD));
    // Another BGP ID is another instance, and the same one for another peer of the address is the same peer.
    let mut other = loc_rib(RD);
    other.peer.bgp_id = Ipv4Addr::new(192, 0, 2, 2);
    let other = filled(&mut peers, &other);
    let mut renumbered = header(vrf(2), pre);
    renumbered.peer.bgp_id = Ipv4Addr::new(192, 0, 2, 2);
    assert_eq!(filled(&mut peers, &renumbered), two);
    assert_eq!((peers.records.len(), peers.up), (4, 4));
    peers.go_down(&one);
    peers.go_down(&instance);
    let left = |peers: &Peers, id| peers.record(id).is_some_and(|record| record.sends_post_policy);
    assert!(left(&peers, &two) && left(&peers, &other) && peers.records.len() == 2);
}
