//! routecore: decodes on demand, so everything is demanded; once read and let go, once kept.

use std::hint::black_box;

use bytes::Bytes;
use inetnum::addr::Prefix;
use routecore::bgp::aspath::Hop;
use routecore::bgp::message::SessionConfig;
use routecore::bgp::message::UpdateMessage;
use routecore::bgp::nlri::afisafi::{AfiSafiNlri, Nlri};
use routecore::bgp::path_attributes::PathAttribute;
use routecore::bgp::types::NextHop;
use routecore::bmp::message::Message;

use super::Done;
use crate::tally::Tally;

/// Reads every value through the iterators and lets it go.
pub fn iterate(stream: &Bytes) -> Done {
    each_update(stream, |update, tally| {
        let before = tally.prefixes();
        for nlri in update.announcements().expect("well-formed") {
            count_nlri(&nlri.expect("well-formed"), tally);
        }
        read_attributes(update, tally);
        tally.updates += u64::from(tally.prefixes() > before);
    })
}

/// Makes owned values of everything, as a collector that keeps routes has to.
pub fn own(stream: &Bytes) -> Done {
    each_update(stream, |update, tally| {
        let announced = black_box(update.announcements_vec().expect("well-formed"));
        announced.iter().for_each(|nlri| count_nlri(nlri, tally));
        let attributes: Vec<PathAttribute> = update
            .path_attributes()
            .expect("well-formed")
            .map(|attribute| attribute.and_then(|attribute| attribute.to_owned()).expect("well-formed"))
            .collect();
        count_owned(&black_box(attributes), tally);
        if let Ok(Some(next_hop)) = update.mp_next_hop() {
            count_next_hop(next_hop, tally);
        }
        tally.updates += u64::from(!announced.is_empty());
    })
}

fn each_update(stream: &[u8], take: impl Fn(&UpdateMessage<&[u8]>, &mut Tally)) -> Done {
    let config = SessionConfig::modern();
    let mut tally = Tally::default();
    let mut rest = stream;
    while let [_, a, b, c, d, ..] = *rest {
        let (message, tail) = rest.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        rest = tail;
        match Message::from_octets(message).expect("well-formed") {
            Message::RouteMonitoring(monitoring) => {
                black_box((monitoring.per_peer_header().asn(), monitoring.per_peer_header().address()));
                take(&monitoring.bgp_update(&config).expect("well-formed"), &mut tally);
            }
            other => {
                black_box(other);
            }
        }
    }
    Done::Decoded(tally)
}

fn read_attributes(update: &UpdateMessage<&[u8]>, tally: &mut Tally) {
    const SOUND: &str = "well-formed";
    if let Some(origin) = update.origin().expect(SOUND) {
        tally.number(u8::from(origin).into());
    }
    if let Some(path) = update.aspath().expect(SOUND) {
        for hop in path.hops() {
            match hop {
                Hop::Asn(asn) => tally.asn(asn.into_u32()),
                Hop::Segment(segment) => segment.asns().for_each(|asn| tally.asn(asn.into_u32())),
            }
        }
    }
    if let Some(next_hop) = update.conventional_next_hop().expect(SOUND) {
        count_next_hop(next_hop, tally);
    }
    if let Some(next_hop) = update.mp_next_hop().expect(SOUND) {
        count_next_hop(next_hop, tally);
    }
    if let Some(med) = update.multi_exit_disc().expect(SOUND) {
        tally.number(med.0);
    }
    if let Some(local_pref) = update.local_pref().expect(SOUND) {
        tally.number(local_pref.0);
    }
    tally.aggregates += u64::from(update.is_atomic_aggregate().expect(SOUND));
    tally.aggregates += u64::from(black_box(update.aggregator().expect(SOUND)).is_some());
    if let Some(all) = update.communities().expect(SOUND) {
        all.for_each(|community| tally.communities += u64::from(black_box(community).to_u32() != u32::MAX));
    }
    if let Some(all) = update.ext_communities().expect(SOUND) {
        all.for_each(|community| tally.extended += u64::from(black_box(community).to_raw() != [0xff; 8]));
    }
    if let Some(all) = update.large_communities().expect(SOUND) {
        all.for_each(|community| tally.large += u64::from(black_box(community).to_raw() != [0xff; 12]));
    }
}

fn count_owned(attributes: &[PathAttribute], tally: &mut Tally) {
    for attribute in attributes {
        match attribute {
            PathAttribute::Origin(origin) => tally.number(u8::from(origin.0).into()),
            PathAttribute::AsPath(path) => {
                for hop in path.iter() {
                    match hop {
                        Hop::Asn(asn) => tally.asn(asn.into_u32()),
                        Hop::Segment(segment) => segment.asns().for_each(|asn| tally.asn(asn.into_u32())),
                    }
                }
            }
            PathAttribute::ConventionalNextHop(next_hop) => tally.next_hop(next_hop.0.into()),
            PathAttribute::MultiExitDisc(med) => tally.number(med.0),
            PathAttribute::LocalPref(local_pref) => tally.number(local_pref.0),
            PathAttribute::AtomicAggregate(_) | PathAttribute::Aggregator(_) => tally.aggregates += 1,
            PathAttribute::StandardCommunities(all) => tally.communities += all.communities().len() as u64,
            PathAttribute::ExtendedCommunities(all) => tally.extended += all.communities().len() as u64,
            PathAttribute::LargeCommunities(all) => tally.large += all.communities().len() as u64,
            other => {
                black_box(other);
            }
        }
    }
}

fn count_next_hop(next_hop: NextHop, tally: &mut Tally) {
    match next_hop {
        NextHop::Unicast(address) => tally.next_hop(address),
        NextHop::Ipv6LL { global, .. } => tally.next_hop(global.into()),
        other => panic!("not generated: {other:?}"),
    }
}

fn count_nlri<O: AsRef<[u8]>>(nlri: &Nlri<O>, tally: &mut Tally) {
    match nlri {
        Nlri::Ipv4Unicast(nlri) => count_prefix(*nlri.nlri(), tally),
        Nlri::Ipv6Unicast(nlri) => count_prefix(*nlri.nlri(), tally),
        _ => panic!("only unicast without Add-Path was generated"),
    }
}

fn count_prefix(prefix: Prefix, tally: &mut Tally) {
    match prefix.addr() {
        std::net::IpAddr::V4(network) => tally.ipv4(network, prefix.len()),
        std::net::IpAddr::V6(network) => tally.ipv6(network, prefix.len()),
    }
}
