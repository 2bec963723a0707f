//! bgpkit-parser: one `Bytes` for the stream, each message split off it.

use std::hint::black_box;
use std::net::IpAddr;

use bgpkit_parser::models::{
    AsPath, AsPathSegment, AttributeValue, BgpMessage, BgpUpdateMessage, NetworkPrefix, NextHopAddress, Origin,
};
use bgpkit_parser::parser::bmp::messages::BmpMessageBody;
use bgpkit_parser::parser::bmp::parse_bmp_msg;
use bytes::Bytes;
use ipnet::IpNet;

use super::Done;
use crate::tally::Tally;

/// Decodes the stream.
pub fn decode(stream: &Bytes) -> Done {
    let mut bytes = stream.clone();
    let mut tally = Tally::default();
    while !bytes.is_empty() {
        let message = parse_bmp_msg(&mut bytes).expect("well-formed");
        match &black_box(message).message_body {
            BmpMessageBody::RouteMonitoring(monitoring) => match &monitoring.bgp_message {
                BgpMessage::Update(update) => count(update, &mut tally),
                _ => panic!("only UPDATEs were generated"),
            },
            other => {
                black_box(other);
            }
        }
    }
    Done::Decoded(tally)
}

fn count(update: &BgpUpdateMessage, tally: &mut Tally) {
    let mut is_end_of_rib = update.announced_prefixes.is_empty();
    update.announced_prefixes.iter().for_each(|prefix| count_prefix(prefix, tally));
    for attribute in &update.attributes {
        match attribute {
            AttributeValue::Origin(origin) => tally.number(match origin {
                Origin::IGP => 0,
                Origin::EGP => 1,
                Origin::INCOMPLETE => 2,
            }),
            AttributeValue::AsPath(path) => count_path(path, tally),
            AttributeValue::NextHop(address) => tally.next_hop(*address),
            AttributeValue::MultiExitDiscriminator(value) | AttributeValue::LocalPreference(value) => {
                tally.number(*value);
            }
            AttributeValue::AtomicAggregate | AttributeValue::Aggregator { .. } => tally.aggregates += 1,
            AttributeValue::Communities(all) => tally.communities += all.len() as u64,
            AttributeValue::ExtendedCommunities(all) => tally.extended += all.len() as u64,
            AttributeValue::LargeCommunities(all) => tally.large += all.len() as u64,
            AttributeValue::MpReachNlri(nlri) => {
                is_end_of_rib = false;
                match nlri.next_hop {
                    Some(NextHopAddress::Ipv4(address)) => tally.next_hop(address.into()),
                    Some(NextHopAddress::Ipv6(address) | NextHopAddress::Ipv6LinkLocal(address, _)) => {
                        tally.next_hop(address.into());
                    }
                    _ => {}
                }
                nlri.prefixes.iter().for_each(|prefix| count_prefix(prefix, tally));
            }
            _ => {}
        }
    }
    tally.updates += u64::from(!is_end_of_rib);
}

fn count_path(path: &AsPath, tally: &mut Tally) {
    for segment in path.iter_segments() {
        match segment {
            AsPathSegment::AsSequence(asns)
            | AsPathSegment::AsSet(asns)
            | AsPathSegment::ConfedSequence(asns)
            | AsPathSegment::ConfedSet(asns) => asns.iter().for_each(|asn| tally.asn(asn.to_u32())),
        }
    }
}

fn count_prefix(prefix: &NetworkPrefix, tally: &mut Tally) {
    match (prefix.prefix, prefix.prefix.addr()) {
        (IpNet::V4(net), IpAddr::V4(address)) => tally.ipv4(address, net.prefix_len()),
        (IpNet::V6(net), IpAddr::V6(address)) => tally.ipv6(address, net.prefix_len()),
        _ => unreachable!("the address has the family of its network"),
    }
}
