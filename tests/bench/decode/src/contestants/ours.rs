//! Ours, by the path that `serve` takes: frame, BMP message, the peer's context, UPDATE, what it shows of path
//! identifiers, changes.

use std::hint::black_box;

use bytes::Bytes;
use rib_ingester::model::{Fixed, List, Origin, OtherAttribute, PathAttributes, Prefix};
use rib_ingester::session::add_path::{Evidence, Of};
use rib_ingester::session::changes::{Changes, PathIds};
use rib_ingester::session::peers::Peers;
use rib_ingester::session::reading::Readings;
use rib_ingester::wire::bgp::nlri::NlriSet;
use rib_ingester::wire::bgp::routes::Routes;
use rib_ingester::wire::bgp::update::Update;
use rib_ingester::wire::bmp::{self, Message};

use super::Done;
use crate::tally::Tally;

/// Typed messages.
pub fn typed(stream: &Bytes) -> Done {
    let mut tally = Tally::default();
    each_update(stream, |routes| count(routes, &mut tally));
    Done::Decoded(tally)
}

/// And the columns of the database, once for each group of routes that share them.
pub fn with_columns(stream: &Bytes) -> Done {
    let mut tally = Tally::default();
    each_update(stream, |routes| {
        count(routes, &mut tally);
        black_box(Changes::of(routes, PathIds::Keyed));
    });
    Done::Decoded(tally)
}

fn each_update(stream: &[u8], mut take: impl FnMut(&Routes<'_>)) {
    let mut peers = Peers::new();
    let mut evidence = Evidence::default();
    let mut readings = Readings::default();
    let mut rest = stream;
    while let Ok(Some(frame)) = bmp::next_frame(rest, 1 << 20) {
        rest = &rest[frame.bytes.len()..];
        match bmp::decode(&frame).expect("the generator's messages are well-formed") {
            Message::RouteMonitoring(monitoring) => {
                let reading = readings.of(&frame, &monitoring.peer, &peers, &mut evidence);
                let mut routes = Routes::default();
                let decoded = monitoring.decode_update(reading.context, &mut routes).expect("well-formed");
                let (of, negotiated) = (Of::from(&reading.source), reading.negotiated.add_path);
                let (shown, ambiguous) = (decoded.add_path_shown, decoded.add_path_ambiguous);
                if !evidence.is_settled(of, negotiated, shown, ambiguous) {
                    evidence.learn(of, negotiated, negotiated, shown);
                }
                match decoded.update {
                    Update::EndOfRib(_) | Update::RouteRefresh(_) => {}
                    Update::Routes(routes) => take(routes),
                }
            }
            Message::PeerUp(up) => {
                peers.peer_up(&up);
            }
            other => {
                black_box(other);
            }
        }
    }
}

fn count(routes: &Routes<'_>, tally: &mut Tally) {
    black_box(routes);
    tally.updates += 1;
    for group in &routes.announced {
        if let Some(next_hop) = &group.next_hop {
            tally.next_hop(next_hop.address);
        }
        if let NlriSet::Prefixes(nlri) = &group.nlri {
            nlri.iter().for_each(|nlri| count_prefix(&nlri.prefix, tally));
        }
    }
    count_attributes(&routes.attributes, tally);
}

fn count_prefix(prefix: &Prefix, tally: &mut Tally) {
    match prefix.address() {
        std::net::IpAddr::V4(network) => tally.ipv4(network, prefix.length()),
        std::net::IpAddr::V6(network) => tally.ipv6(network, prefix.length()),
    }
}

fn count_attributes(path: &PathAttributes<'_>, tally: &mut Tally) {
    for segment in path.as_path.iter().flat_map(|path| path.segments()) {
        segment.asns().for_each(|asn| tally.asn(asn.0));
    }
    tally.number(match path.origin {
        Some(Origin::Igp) | None => 0,
        Some(Origin::Egp) => 1,
        Some(Origin::Incomplete) => 2,
    });
    tally.number(path.med.unwrap_or(0));
    tally.number(path.local_pref.unwrap_or(0));
    // Lists borrow the message's octets: every value is read, as the peers read theirs while decoding.
    tally.communities += path.communities.as_ref().map_or(0, count_values);
    tally.extended += path.extended_communities.as_ref().map_or(0, count_values);
    tally.large += path.large_communities.as_ref().map_or(0, count_values);
    let aggregates = path
        .other
        .iter()
        .filter(|other| matches!(other, OtherAttribute::AtomicAggregate | OtherAttribute::Aggregator { .. }));
    tally.aggregates += aggregates.count() as u64;
}

fn count_values<T: Fixed>(list: &List<'_, T>) -> u64 {
    list.iter().map(black_box).count() as u64
}
