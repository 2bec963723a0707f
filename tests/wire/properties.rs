//! Properties of the decoder: everything encoded is decoded to the same, no cut or flipped input makes it panic, and no
//! message takes more memory than a named multiple of its length.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rib_ingester::cli::decode;
use rib_ingester::model::{
    Afi, AfiSafi, AsPath, Asn, AttrSet, Community, ExtendedCommunity, LargeCommunity, List, NextHop, Nlri, Origin,
    OtherAttribute, PathAttributes, PathId, Prefix, SegmentKind,
};
use rib_ingester::wire::bgp::add_path::AddPath;
use rib_ingester::wire::bgp::nlri::NlriSet;
use rib_ingester::wire::bgp::prefixes::Prefixes;
use rib_ingester::wire::bgp::routes::{Announced, Routes, Withdrawn};
use rib_ingester::wire::bgp::update::{self, DecodeContext, Decoded, Deviations, Update};
use rib_ingester::wire::bmp::peer::AsWidth;
use rib_ingester::wire::bmp::{self, Message};

/// The longest message that `decode` accepts here.
const MESSAGE_MAX: usize = 1 << 20;

/// Routes of one family as one UPDATE can carry them.
#[derive(Clone, Debug)]
struct Case {
    attributes: PathAttributes<'static>,
    width: AsWidth,
    afi: Afi,
    next_hop: NextHop,
    announced: Vec<Nlri>,
    withdrawn: Vec<Nlri>,
    add_path: bool,
}

fn any_prefix(afi: Afi) -> impl Strategy<Value = Prefix> {
    let max = afi.max_prefix_length();
    (any::<[u8; 16]>(), 0..=max)
        .prop_map(move |(bytes, length)| Prefix::truncating(afi, &bytes[..usize::from(max / 8)], length).unwrap())
}

fn any_asn(width: AsWidth) -> BoxedStrategy<Asn> {
    match width {
        AsWidth::Two => any::<u16>().prop_map(|n| Asn(n.into())).boxed(),
        AsWidth::Four => any::<u32>().prop_map(Asn).boxed(),
    }
}

fn any_path(width: AsWidth) -> impl Strategy<Value = AsPath<'static>> {
    let segment =
        (1..5u8, vec(any_asn(width), 1..6)).prop_map(|(kind, asns)| (SegmentKind::from_wire(kind).unwrap(), asns));
    vec(segment, 0..4).prop_map(AsPath::from_segments)
}

fn any_origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)]
}

/// Other attributes, each code once and ascending, as the decoder gives them; an ATTR_SET among them.
fn any_other(width: AsWidth) -> impl Strategy<Value = Vec<OtherAttribute<'static>>> {
    // AS numbers in it have four octets, whatever the session's size is (RFC 6368 section 5).
    let set =
        (any::<u32>(), any_attributes(AsWidth::Four, any_flat(AsWidth::Four).boxed())).prop_map(|(asn, attributes)| {
            OtherAttribute::AttrSet(Box::new(AttrSet { origin_as: Asn(asn), next_hop: None, attributes }))
        });
    (any_flat(width), option::of(set)).prop_map(|(mut all, set)| {
        let at = all.iter().position(|other| other.code() > 128).unwrap_or(all.len());
        set.into_iter().for_each(|set| all.insert(at, set));
        all
    })
}

/// Those that hold no others.
fn any_flat(width: AsWidth) -> impl Strategy<Value = Vec<OtherAttribute<'static>>> {
    let asn = any_asn(width);
    (
        option::of(Just(OtherAttribute::AtomicAggregate)),
        option::of((asn, any::<Ipv4Addr>()).prop_map(|(asn, address)| OtherAttribute::Aggregator { asn, address })),
        option::of(any::<Ipv4Addr>().prop_map(OtherAttribute::OriginatorId)),
        option::of(vec(any::<Ipv4Addr>(), 1..4).prop_map(|ids| OtherAttribute::ClusterList(ids.into()))),
        option::of(vec(any::<[u8; 20]>(), 1..3).prop_map(|all| OtherAttribute::Ipv6ExtendedCommunities(all.into()))),
        option::of((0..u64::MAX).prop_map(OtherAttribute::Aigp)),
        option::of(any::<u32>().prop_map(|n| OtherAttribute::OnlyToCustomer(Asn(n)))),
        option::of(
            (200..255u8, vec(any::<u8>(), 0..300))
                .prop_map(|(code, value)| OtherAttribute::Opaque { code, value: value.into() }),
        ),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].into_iter().flatten().collect())
}

fn any_attributes(
    width: AsWidth,
    other: BoxedStrategy<Vec<OtherAttribute<'static>>>,
) -> impl Strategy<Value = PathAttributes<'static>> {
    (
        option::of(any_origin()),
        option::of(any_path(width)),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(vec(any::<u32>().prop_map(Community), 0..80)),
        option::of(vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..4)),
        option::of(vec(any_large(), 0..4)),
        other,
    )
        .prop_map(
            |(origin, as_path, local_pref, med, communities, extended_communities, large_communities, other)| {
                PathAttributes {
                    origin,
                    as_path,
                    local_pref,
                    med,
                    communities: communities.map(List::from),
                    extended_communities: extended_communities.map(List::from),
                    large_communities: large_communities.map(List::from),
                    other,
                }
            },
        )
}

fn any_large() -> impl Strategy<Value = LargeCommunity> {
    any::<(u32, u32, u32)>().prop_map(|(global, local1, local2)| LargeCommunity { global, local1, local2 })
}

fn any_case() -> impl Strategy<Value = Case> {
    (prop_oneof![Just(Afi::Ipv4), Just(Afi::Ipv6)], prop_oneof![Just(AsWidth::Two), Just(AsWidth::Four)], any::<bool>())
        .prop_flat_map(|(afi, width, add_path)| {
            let nlri = move || {
                (any_prefix(afi), any::<u32>())
                    .prop_map(move |(prefix, id)| Nlri { prefix, path_id: add_path.then_some(PathId(id)) })
            };
            (any_attributes(width, any_other(width).boxed()), any_next_hop(afi), vec(nlri(), 0..20), vec(nlri(), 0..20))
                .prop_map(move |(attributes, next_hop, announced, withdrawn)| Case {
                    attributes,
                    width,
                    afi,
                    next_hop,
                    announced: each_once(announced),
                    withdrawn: each_once(withdrawn),
                    add_path,
                })
        })
}

/// A field that names a route twice is not clean, and may be read with or without path identifiers, whatever was
/// announced.
fn each_once(mut all: Vec<Nlri>) -> Vec<Nlri> {
    let mut seen = HashSet::new();
    all.retain(|nlri| seen.insert(*nlri));
    all
}

/// A route whose octets are likely to fit both readings: octets that are prefix lengths, ends of zero, small
/// identifiers.
fn tricky(afi: Afi, (length, octet, id): (u8, u8, u32), is_sent: bool) -> Nlri {
    let length = [0, 8, 24, 25, 32, 17][usize::from(length)];
    let octet = [0, 24, 8, 32][usize::from(octet)];
    let octets = [24, octet, octet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let prefix = Prefix::truncating(afi, &octets[..usize::from(afi.max_prefix_length() / 8)], length).unwrap();
    Nlri { prefix, path_id: is_sent.then_some(PathId(id * 0x1818_0000)) }
}

fn any_next_hop(afi: Afi) -> BoxedStrategy<NextHop> {
    match afi {
        Afi::Ipv4 => any::<Ipv4Addr>().prop_map(|a| NextHop { address: a.into(), link_local: None }).boxed(),
        Afi::Ipv6 => (any::<Ipv6Addr>(), option::of(1..u128::MAX))
            .prop_map(|(a, b)| NextHop { address: a.into(), link_local: b.map(Ipv6Addr::from) })
            .boxed(),
    }
}

// The encoder: straight from the RFCs, nothing shared with the decoder.

fn put_attribute(out: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, code, length]),
        Err(_) => {
            out.extend([flags | 0x10, code]);
            out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(value);
}

fn asn_octets(asn: Asn, width: AsWidth) -> Vec<u8> {
    match width {
        AsWidth::Two => u16::try_from(asn.0).unwrap().to_be_bytes().to_vec(),
        AsWidth::Four => asn.0.to_be_bytes().to_vec(),
    }
}

fn path_octets(path: &AsPath<'_>, width: AsWidth) -> Vec<u8> {
    let mut out = Vec::new();
    for segment in path.segments() {
        let kind = match segment.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => 2,
            SegmentKind::ConfedSequence => 3,
            SegmentKind::ConfedSet => 4,
        };
        out.extend([kind, u8::try_from(segment.asns().len()).unwrap()]);
        out.extend(segment.asns().flat_map(|asn| asn_octets(asn, width)));
    }
    out
}

fn nlri_octets(all: &[Nlri]) -> Vec<u8> {
    let mut out = Vec::new();
    for nlri in all {
        if let Some(PathId(id)) = nlri.path_id {
            out.extend(id.to_be_bytes());
        }
        let length = nlri.prefix.length();
        out.push(length);
        out.extend(&nlri.prefix.octets()[..usize::from(length.div_ceil(8))]);
    }
    out
}

const WELL_KNOWN: u8 = 0x40;
const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0xc0;

/// The attributes that do not depend on the NLRI.
fn plain_attribute_octets(attributes: &PathAttributes<'_>, width: AsWidth) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(origin) = attributes.origin {
        let value = match origin {
            Origin::Igp => 0,
            Origin::Egp => 1,
            Origin::Incomplete => 2,
        };
        put_attribute(&mut out, WELL_KNOWN, 1, &[value]);
    }
    if let Some(path) = &attributes.as_path {
        put_attribute(&mut out, WELL_KNOWN, 2, &path_octets(path, width));
    }
    if let Some(med) = attributes.med {
        put_attribute(&mut out, OPTIONAL, 4, &med.to_be_bytes());
    }
    if let Some(local_pref) = attributes.local_pref {
        put_attribute(&mut out, WELL_KNOWN, 5, &local_pref.to_be_bytes());
    }
    if let Some(all) = &attributes.communities {
        let value: Vec<u8> = all.iter().flat_map(|c| c.0.to_be_bytes()).collect();
        put_attribute(&mut out, TRANSITIVE, 8, &value);
    }
    if let Some(all) = &attributes.extended_communities {
        let value: Vec<u8> = all.iter().flat_map(|c| c.0).collect();
        put_attribute(&mut out, TRANSITIVE, 16, &value);
    }
    if let Some(all) = &attributes.large_communities {
        let value: Vec<u8> =
            all.iter().flat_map(|c| [c.global, c.local1, c.local2]).flat_map(u32::to_be_bytes).collect();
        put_attribute(&mut out, TRANSITIVE, 32, &value);
    }
    for other in &attributes.other {
        let (flags, value) = match other {
            OtherAttribute::AtomicAggregate => (WELL_KNOWN, vec![]),
            OtherAttribute::Aggregator { asn, address } => {
                (TRANSITIVE, [asn_octets(*asn, width), address.octets().to_vec()].concat())
            }
            OtherAttribute::OriginatorId(id) => (OPTIONAL, id.octets().to_vec()),
            OtherAttribute::ClusterList(ids) => (OPTIONAL, ids.iter().flat_map(|id| id.octets()).collect()),
            OtherAttribute::Ipv6ExtendedCommunities(all) => (TRANSITIVE, all.iter().flatten().collect()),
            OtherAttribute::Aigp(metric) => (OPTIONAL, [&[1, 0, 11][..], &metric.to_be_bytes()].concat()),
            OtherAttribute::OnlyToCustomer(asn) => (TRANSITIVE, asn.0.to_be_bytes().to_vec()),
            OtherAttribute::AttrSet(set) => {
                let contained = plain_attribute_octets(&set.attributes, AsWidth::Four);
                (TRANSITIVE, [&set.origin_as.0.to_be_bytes()[..], &contained].concat())
            }
            OtherAttribute::Opaque { value, .. } => (TRANSITIVE, value.to_vec()),
        };
        put_attribute(&mut out, flags, other.code(), &value);
    }
    out
}

fn attribute_octets(case: &Case) -> Vec<u8> {
    let mut out = plain_attribute_octets(&case.attributes, case.width);
    if let (Afi::Ipv4, IpAddr::V4(address)) = (case.afi, case.next_hop.address) {
        put_attribute(&mut out, WELL_KNOWN, 3, &address.octets());
    }
    if case.afi == Afi::Ipv6 {
        if !case.withdrawn.is_empty() {
            put_attribute(&mut out, OPTIONAL, 15, &[&[0, 2, 1][..], &nlri_octets(&case.withdrawn)].concat());
        }
        if !case.announced.is_empty() {
            put_attribute(&mut out, OPTIONAL, 14, &reach_octets(case));
        }
    }
    out
}

fn reach_octets(case: &Case) -> Vec<u8> {
    let IpAddr::V6(address) = case.next_hop.address else { panic!("an IPv6 case has an IPv6 next hop") };
    let mut next_hop = address.octets().to_vec();
    if let Some(link_local) = case.next_hop.link_local {
        next_hop.extend(link_local.octets());
    }
    let length = u8::try_from(next_hop.len()).unwrap();
    [&[0, 2, 1, length][..], &next_hop, &[0], &nlri_octets(&case.announced)].concat()
}

fn update_octets(case: &Case) -> Vec<u8> {
    let (withdrawn, announced) = match case.afi {
        Afi::Ipv4 => (nlri_octets(&case.withdrawn), nlri_octets(&case.announced)),
        Afi::Ipv6 => (vec![], vec![]),
    };
    let attributes = attribute_octets(case);
    let length = 23 + withdrawn.len() + attributes.len() + announced.len();
    let mut out = vec![0xff; 16];
    out.extend(u16::try_from(length).unwrap().to_be_bytes());
    out.push(2);
    out.extend(u16::try_from(withdrawn.len()).unwrap().to_be_bytes());
    out.extend(withdrawn);
    out.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    out.extend(attributes);
    out.extend(announced);
    out
}

/// A BMP stream of one Route Monitoring message of a global peer.
fn stream_octets(case: &Case) -> Vec<u8> {
    let update = update_octets(case);
    let mut out = vec![3];
    out.extend(u32::try_from(48 + update.len()).unwrap().to_be_bytes());
    out.extend([0, 0, if case.width == AsWidth::Two { 0x20 } else { 0 }]);
    out.extend([0; 40]);
    out.extend(update);
    out
}

/// A stream with one message of each kind.
fn every_kind() -> Vec<u8> {
    let mut open = vec![0xff; 16];
    open.extend([0, 45, 1, 4, 0xfd, 0xe8, 0, 180, 10, 0, 0, 1, 16, 2, 14]);
    open.extend([1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xfd, 0xe8, 2, 0]);
    let end_of_rib = [&[0xff; 16][..], &[0, 23, 2, 0, 0, 0, 0]].concat();
    let notification = [&[0xff; 16][..], &[0, 21, 3, 6, 2]].concat();
    let peer = [0; 42].to_vec();
    let bodies: [(u8, u8, Vec<u8>); 9] = [
        (3, 4, vec![0, 1, 0, 1, b'a', 0, 2, 0, 1, b'b']),
        (3, 3, [&peer[..], &[0; 20], &open, &open, &[0, 3, 0, 1, b'c']].concat()),
        (3, 0, [&peer[..], &end_of_rib].concat()),
        (3, 1, [&peer[..], &[0, 0, 0, 1, 0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9]].concat()),
        (3, 6, [&peer[..], &[0, 0, 0, 23], &end_of_rib, &[0, 1, 0, 2, 0, 1]].concat()),
        (4, 0, [&peer[..], &[0, 1, 0, 6, 0, 0, 69, 4, 0, 1, 1, 3, 0, 4, 0, 23, 0, 0], &end_of_rib].concat()),
        (4, 1, [&peer[..], &[0, 1, 0, 12, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9]].concat()),
        (3, 2, [&peer[..], &[1], &notification].concat()),
        (3, 5, vec![0, 1, 0, 2, 0, 0]),
    ];
    let mut out = Vec::new();
    for (version, kind, body) in bodies {
        out.push(version);
        out.extend(u32::try_from(6 + body.len()).unwrap().to_be_bytes());
        out.push(kind);
        out.extend(body);
    }
    out
}

/// Lines that `decode` prints; whatever the octets, each is JSON.
fn lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    decode::run(bytes, &mut out, MESSAGE_MAX).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_comes_back(case in any_case()) {
        let family = AfiSafi::from(case.afi);
        let add_path = case.add_path.then_some(family).into_iter().collect();
        let context = DecodeContext { as_width: case.width, add_path, ..DecodeContext::default() };
        let octets = update_octets(&case);
        let mut routes = Routes::default();
        let Decoded { update, deviations, .. } = update::decode(&octets, 0, &context, &mut routes).unwrap();
        prop_assert_eq!(deviations, Deviations::default());
        match update {
            Update::EndOfRib(family) => {
                prop_assert_eq!(family, AfiSafi::IPV4_UNICAST);
                prop_assert!(case.announced.is_empty() && case.withdrawn.is_empty());
                prop_assert_eq!(case.attributes, PathAttributes::default());
            }
            Update::RouteRefresh(_) => prop_assert!(false, "an UPDATE was encoded"),
            Update::Routes(routes) => {
                let nlri = |all: &[Nlri]| NlriSet::Prefixes(Prefixes::Listed(all.to_vec()));
                let announced = Announced { family, next_hop: Some(case.next_hop), nlri: nlri(&case.announced), path_status: None };
                let withdrawn = Withdrawn { family, nlri: nlri(&case.withdrawn) };
                prop_assert_eq!(&routes.attributes, &case.attributes);
                prop_assert_eq!(&routes.actions, &vec![]);
                prop_assert_eq!(routes.announced.to_vec(), if case.announced.is_empty() { vec![] } else { vec![announced] });
                prop_assert_eq!(routes.withdrawn.to_vec(), if case.withdrawn.is_empty() { vec![] } else { vec![withdrawn] });
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_told(case in any_case(), cut in any::<prop::sample::Index>()) {
        let bytes = stream_octets(&case);
        let all = lines(&bytes[..cut.index(bytes.len())]);
        let is_told = all.last().is_none_or(|line| line["fatal"] == true);
        prop_assert!(is_told, "{:?}", all);
    }

    #[test]
    fn a_flipped_bit_never_panics(case in any_case(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = stream_octets(&case);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(!lines(&bytes).is_empty());
    }

    #[test]
    fn an_update_of_random_octets_never_panics(body in vec(any::<u8>(), 0..200), family in 0..4usize) {
        let family = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST, AfiSafi { afi: 1, safi: 128 }, AfiSafi { afi: 2, safi: 4 }][family];
        let mut attributes = vec![];
        let [high, low] = family.afi.to_be_bytes();
        put_attribute(&mut attributes, 0x80, 15, &[&[high, low, family.safi][..], &body].concat());
        let mut bytes = vec![0xff; 16];
        bytes.extend(u16::try_from(23 + attributes.len()).unwrap().to_be_bytes());
        bytes.extend([2, 0, 0]);
        bytes.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        bytes.extend(attributes);
        // Either a reading that tiles or an error inside the message; never more NLRI than octets.
        match update::decode(&bytes, 0, &DecodeContext::default(), &mut Routes::default()) {
            Err(error) => prop_assert!(error.offset <= bytes.len()),
            Ok(Decoded { update: Update::EndOfRib(eor), .. }) => prop_assert!(body.is_empty() && eor == family),
            Ok(Decoded { update: Update::RouteRefresh(_), .. }) => prop_assert!(false, "an UPDATE was encoded"),
            Ok(Decoded { update: Update::Routes(routes), .. }) => match &routes.withdrawn[0].nlri {
                NlriSet::Prefixes(all) => prop_assert!(all.len() <= body.len()),
                NlriSet::Labeled(all) => prop_assert!(all.len() * 4 <= body.len()),
                NlriSet::Opaque(nlri) => prop_assert_eq!(nlri.octets(), &body[..]),
            },
        }
    }
}

#[test]
fn every_message_survives_each_cut_and_changed_octet() {
    let whole = every_kind();
    let all = lines(&whole);
    assert_eq!(all.len(), 9, "{all:?}");
    assert!(all.iter().all(|line| line.get("error").is_none()), "{all:?}");
    for cut in 0..whole.len() {
        lines(&whole[..cut]);
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            lines(&bytes);
        }
    }
}

#[test]
fn each_message_cut_inside_fails_with_its_offset() {
    let whole = every_kind();
    let mut rest = &whole[..];
    while let Some(frame) = bmp::next_frame(rest, MESSAGE_MAX).unwrap() {
        rest = &rest[frame.bytes.len()..];
        for cut in 6..frame.bytes.len() {
            let mut bytes = frame.bytes[..cut].to_vec();
            bytes[1..5].copy_from_slice(&u32::try_from(cut).unwrap().to_be_bytes());
            let cut_frame = bmp::next_frame(&bytes, MESSAGE_MAX).unwrap().unwrap();
            let outcome = bmp::decode(&cut_frame).and_then(|message| match message {
                Message::RouteMonitoring(monitoring) => {
                    update::decode(monitoring.update, 0, &DecodeContext::default(), &mut Routes::default())
                        .map(drop)
                        .map_err(|error| error.shifted(monitoring.update_offset))
                }
                Message::StatisticsReport(_)
                | Message::PeerDown(_)
                | Message::PeerUp(_)
                | Message::Initiation(_)
                | Message::Termination(_)
                | Message::RouteMirroring(_)
                | Message::Unknown { .. } => Ok(()),
            });
            if let Err(error) = outcome {
                assert!(error.offset <= cut && !error.field.is_empty(), "{error:?}");
            }
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn prefixes_stay_where_they_stand_in_the_message() {
    // The most NLRI that octets can hold: all of them default routes, one octet each.
    let count = 60_000;
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(23 + count).unwrap().to_be_bytes());
    bytes.extend([2, 0, 0, 0, 0]);
    bytes.extend(vec![0; count]);
    let mut routes = Routes::default();
    update::decode(&bytes, 0, &DecodeContext::default(), &mut routes).unwrap();
    let NlriSet::Prefixes(all @ Prefixes::Wire(_)) = &routes.announced[0].nlri else { panic!("as in the message") };
    assert_eq!((all.len(), all.iter().count()), (count, count));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Fields of a router that writes path identifiers or not, whatever it announced: in each of them the true reading
    /// is clean, so only a field that fits both readings can be misread, and after an unambiguous one none is.
    #[test]
    fn what_is_clear_decides_what_is_not(
        afi in prop_oneof![Just(Afi::Ipv4), Just(Afi::Ipv6)],
        is_announced in any::<bool>(),
        is_sent in any::<bool>(),
        fields in vec((vec((0..6u8, 0..4u8, 0..3u32), 1..6), any::<bool>()), 1..12),
    ) {
        let family = AfiSafi::from(afi);
        let add_path = is_announced.then_some(family).into_iter().collect();
        let mut context = DecodeContext { add_path, ..DecodeContext::default() };
        let truth = if is_sent { AddPath::WithPathIds } else { AddPath::Plain };
        for (picked, is_withdrawn) in fields {
            let nlri = each_once(picked.into_iter().map(|picked| tricky(afi, picked, is_sent)).collect());
            let mut case = Case {
                attributes: PathAttributes::default(),
                width: AsWidth::Four,
                afi,
                next_hop: match afi {
                    Afi::Ipv4 => NextHop { address: [192, 0, 2, 1].into(), link_local: None },
                    Afi::Ipv6 => NextHop { address: Ipv6Addr::LOCALHOST.into(), link_local: None },
                },
                announced: vec![],
                withdrawn: vec![],
                add_path: is_sent,
            };
            if is_withdrawn { case.withdrawn.clone_from(&nlri) } else { case.announced.clone_from(&nlri) }
            let octets = update_octets(&case);
            let mut routes = Routes::default();
            let Decoded { update, add_path_shown, add_path_ambiguous, .. } =
                update::decode(&octets, 0, &context, &mut routes).unwrap();
            let Update::Routes(routes) = update else { panic!("{update:?}") };
            let read: Vec<Nlri> = routes
                .announced
                .iter()
                .map(|field| &field.nlri)
                .chain(routes.withdrawn.iter().map(|field| &field.nlri))
                .flat_map(|nlri| match nlri {
                    NlriSet::Prefixes(all) => all.iter().collect::<Vec<_>>(),
                    other => panic!("{other:?}"),
                })
                .collect();
            let known = context.add_path_seen.reading(family);
            prop_assert!(known.is_none_or(|known| known == truth));
            prop_assert_eq!(add_path_shown.reading(family).is_none(), add_path_ambiguous.reading(family).is_some());
            if add_path_ambiguous.reading(family).is_some() && known.is_none() && is_announced != is_sent {
                prop_assert_ne!(&read, &nlri);
            } else {
                prop_assert_eq!(&read, &nlri);
            }
            if let Some(shown) = add_path_shown.reading(family) {
                prop_assert_eq!(shown, truth);
                context.add_path_seen.note(family, shown);
            }
        }
    }
}
