//! Everything encoded is decoded to the same: labeled and VPN routes, OPENs in both forms of parameters.
//!
//! The encoders here come straight from the RFCs and share nothing with the decoder.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::bmp as made;
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rib_ingester::cli::decode;
use rib_ingester::model::{Afi, AfiSafi, Asn, Nlri, PathId, Prefix, Rd};
use rib_ingester::wire::bgp::add_path::AddPath;
use rib_ingester::wire::bgp::labels::LabelReading;
use rib_ingester::wire::bgp::labels::LabeledNlri;
use rib_ingester::wire::bgp::nlri::{self, DecodedNlri, Expected, NlriSet};
use rib_ingester::wire::bgp::open::{AddPathDirection, Capability, Open};
use rib_ingester::wire::reader::Reader;

fn any_afi() -> impl Strategy<Value = Afi> {
    prop_oneof![Just(Afi::Ipv4), Just(Afi::Ipv6)]
}

/// A label stack of at most two, the most that the length octet of a long VPNv6 prefix has room for. The values that a
/// withdrawal carries in its place end one early and are no labels of a stack.
fn any_labels() -> impl Strategy<Value = Vec<u32>> {
    vec((1..1u32 << 20).prop_filter("not the withdrawal's", |label| *label != 0x8_0000), 1..3)
}

fn any_labeled(afi: Afi, is_vpn: bool, add_path: bool) -> impl Strategy<Value = LabeledNlri> {
    let max = afi.max_prefix_length();
    (any::<[u8; 16]>(), 0..=max, any::<u32>(), any::<[u8; 8]>(), any_labels()).prop_map(
        move |(bytes, length, id, rd, labels)| LabeledNlri {
            nlri: Nlri {
                prefix: Prefix::truncating(afi, &bytes[..usize::from(max / 8)], length).unwrap(),
                path_id: add_path.then_some(PathId(id)),
            },
            rd: is_vpn.then_some(Rd(rd)),
            labels: labels.into(),
        },
    )
}

/// RFC 8277 section 2.3, RFC 4364 section 4.3.4, RFC 7911 section 3.
fn labeled_octets(all: &[LabeledNlri]) -> Vec<u8> {
    let mut out = Vec::new();
    for LabeledNlri { nlri, rd, labels } in all {
        if let Some(PathId(id)) = nlri.path_id {
            out.extend(id.to_be_bytes());
        }
        let bits = labels.len() * 24 + if rd.is_some() { 64 } else { 0 } + usize::from(nlri.prefix.length());
        out.push(u8::try_from(bits).unwrap());
        for (i, label) in labels.iter().enumerate() {
            let bottom = u32::from(i + 1 == labels.len());
            out.extend(&(label << 4 | bottom).to_be_bytes()[1..]);
        }
        out.extend(rd.iter().flat_map(|rd| rd.0));
        out.extend(&nlri.prefix.octets()[..usize::from(nlri.prefix.length().div_ceil(8))]);
    }
    out
}

fn any_family() -> impl Strategy<Value = AfiSafi> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| AfiSafi { afi, safi })
}

fn any_capability() -> impl Strategy<Value = Capability> {
    let direction =
        prop_oneof![Just(AddPathDirection::Receive), Just(AddPathDirection::Send), Just(AddPathDirection::Both)];
    prop_oneof![
        any_family().prop_map(Capability::Multiprotocol),
        any::<u32>().prop_map(|asn| Capability::FourOctetAs(Asn(asn))),
        vec((any_family(), direction), 0..20).prop_map(Capability::AddPath),
        (70..=255u8, vec(any::<u8>(), 0..255))
            .prop_map(|(code, value)| Capability::Other { code, value: value.into() }),
    ]
}

fn capability_octets(capability: &Capability) -> Vec<u8> {
    let (code, value) = match capability {
        Capability::Multiprotocol(family) => {
            let [high, low] = family.afi.to_be_bytes();
            (1, vec![high, low, 0, family.safi])
        }
        Capability::FourOctetAs(asn) => (65, asn.0.to_be_bytes().to_vec()),
        Capability::AddPath(families) => {
            let tuple = |(family, direction): &(AfiSafi, AddPathDirection)| {
                let [high, low] = family.afi.to_be_bytes();
                let direction = match direction {
                    AddPathDirection::Receive => 1,
                    AddPathDirection::Send => 2,
                    AddPathDirection::Both => 3,
                };
                [high, low, family.safi, direction]
            };
            (69, families.iter().flat_map(tuple).collect())
        }
        Capability::Other { code, value } => (*code, value.to_vec()),
    };
    [&[code, u8::try_from(value.len()).unwrap()][..], &value].concat()
}

/// An OPEN whose capabilities are in one optional parameter each. `None` where the short form cannot hold them.
fn open_octets(open: &Open, long: bool) -> Option<Vec<u8>> {
    let mut parameters = Vec::new();
    for capability in &open.capabilities {
        let value = capability_octets(capability);
        parameters.push(2);
        if long {
            parameters.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
        } else {
            parameters.push(u8::try_from(value.len()).ok()?);
        }
        parameters.extend(value);
    }
    let mut body = vec![open.version];
    body.extend(open.my_as.to_be_bytes());
    body.extend(open.hold_time.to_be_bytes());
    body.extend(open.bgp_id.octets());
    if long {
        body.extend([255, 255]);
        body.extend(u16::try_from(parameters.len()).ok()?.to_be_bytes());
    } else {
        body.push(u8::try_from(parameters.len()).ok()?);
    }
    body.extend(parameters);
    let mut out = vec![0xff; 16];
    out.extend(u16::try_from(19 + body.len()).ok()?.to_be_bytes());
    out.push(1);
    out.extend(body);
    Some(out)
}

fn any_open() -> impl Strategy<Value = Open> {
    (any::<u16>(), any::<u16>(), any::<Ipv4Addr>(), vec(any_capability(), 0..12)).prop_map(
        |(my_as, hold_time, bgp_id, capabilities)| {
            let four_octet = capabilities.iter().find_map(|capability| match capability {
                Capability::FourOctetAs(asn) => Some(*asn),
                Capability::Multiprotocol(_) | Capability::AddPath(_) | Capability::Other { .. } => None,
            });
            let asn = four_octet.unwrap_or(Asn(my_as.into()));
            Open { version: 4, my_as, asn, hold_time, bgp_id, capabilities, defect: None }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labeled_routes_come_back(
        (safi, add_path, family, all) in (any_afi(), any::<bool>(), any::<bool>()).prop_flat_map(|(afi, is_vpn, add_path)| {
            let safi = if is_vpn { 128 } else { 4 };
            let family = AfiSafi { safi, ..AfiSafi::from(afi) };
            (Just(safi), Just(add_path), Just(family), vec(any_labeled(afi, is_vpn, add_path), 1..8))
        })
    ) {
        prop_assert_eq!(family.safi, safi);
        let bytes = labeled_octets(&all);
        let add_path = if add_path { AddPath::WithPathIds } else { AddPath::Plain };
        let expected = Expected { labels: LabelReading::Stack, ..Expected::from(add_path) };
        let decoded = nlri::decode(Reader::new(&bytes, 0), family, expected).unwrap();
        // The same destination twice is practically impossible here, so this reading is as clean as the other.
        let DecodedNlri { nlri, add_path: used, .. } = decoded;
        prop_assert_eq!((nlri, used), (NlriSet::Labeled(all), add_path));
    }

    #[test]
    fn opens_come_back_in_both_forms(open in any_open(), tail in option::of(Just([1u8, 2, 3]))) {
        for bytes in [open_octets(&open, false), open_octets(&open, true)].into_iter().flatten() {
            // The octets after an OPEN are not its own: in a Peer Up another OPEN follows.
            let whole = [&bytes[..], tail.as_ref().map_or(&[][..], |tail| &tail[..])].concat();
            let mut reader = Reader::new(&whole, 0);
            prop_assert_eq!(&Open::decode(&mut reader).unwrap(), &open);
            prop_assert_eq!(reader.offset(), bytes.len());
        }
        prop_assert!(open_octets(&open, true).is_some());
    }
}

/// RFC 8654 section 4: no UPDATE is longer than 4,096 octets without the capability, and none than 65,535 with it. The
/// decoder reads what the router passed on either way, by the length field.
#[test]
fn long_messages_are_read_with_or_without_capability() {
    let peer = made::Peer::loc_rib("10.0.0.1");
    for further in [vec![6, 0], vec![]] {
        let open = made::Open { further, ..made::Open::of(64_500, "10.0.0.1") };
        for length in [4_096, 4_097, 4_098, 65_535] {
            // /8s of two octets each and, where the length is odd, one /0 of one.
            let octets = length - 23;
            let nlri = [[8, 10].repeat(octets / 2), vec![0; octets % 2]].concat();
            let update = made::update(&nlri, &[], &[]);
            assert_eq!(update.len(), length);
            let stream = [made::peer_up(peer, &open, None), made::route_monitoring(peer, &update)].concat();
            let mut out = Vec::new();
            assert!(decode::run(&stream[..], &mut out, 1 << 20).unwrap());
            let last: serde_json::Value =
                serde_json::from_slice(out.split(|octet| *octet == b'\n').nth(1).unwrap()).unwrap();
            assert_eq!(last["withdrawn"].as_array().unwrap().len(), octets.div_ceil(2), "{length}");
            assert!(last.get("error").is_none() && last.get("deviations").is_none(), "{length}");
        }
    }
}
