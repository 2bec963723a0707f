//! netgauze-bmp-pkt: by its codec, and by its parser on slices.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::path_attribute::{AsPath, MpReach, PathAttributeValue};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bmp_pkt::codec::BmpCodec;
use netgauze_bmp_pkt::v3::BmpMessageValue;
use netgauze_bmp_pkt::wire::deserializer::BmpParsingContext;
use netgauze_bmp_pkt::{BmpMessage, PeerKey};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use tokio_util::codec::Decoder;

use super::Done;
use crate::tally::Tally;

/// Octets of one read.
const READ: usize = 1 << 16;

/// As its documentation shows: the codec over a buffer that reads fill, here piece by piece.
pub fn decode(stream: &Bytes) -> Done {
    let mut buffer = BytesMut::with_capacity(2 * READ);
    let mut codec = BmpCodec::default();
    let mut tally = Tally::default();
    for piece in stream.chunks(READ) {
        buffer.extend_from_slice(piece);
        while let Some(message) = codec.decode(&mut buffer).expect("well-formed") {
            count_message(&message, &mut tally);
        }
    }
    Done::Decoded(tally)
}

/// Without the codec: its cheapest way.
pub fn decode_slices(stream: &Bytes) -> Done {
    let mut context = BmpParsingContext::default();
    let mut reader = SliceReader::new(stream);
    let mut tally = Tally::default();
    while !reader.is_empty() {
        let message = BmpMessage::parse(&mut reader, &mut context).expect("well-formed");
        if let BmpMessage::V3(BmpMessageValue::PeerUpNotification(up)) = &message {
            context.add_default_peer(PeerKey::from_peer_header(up.peer_header()));
        }
        count_message(&message, &mut tally);
    }
    Done::Decoded(tally)
}

fn count_message(message: &BmpMessage, tally: &mut Tally) {
    match black_box(message) {
        BmpMessage::V3(BmpMessageValue::RouteMonitoring(monitoring)) => match monitoring.update_message() {
            BgpMessage::Update(update) => count(update, tally),
            _ => panic!("only UPDATEs were generated"),
        },
        other => {
            black_box(other);
        }
    }
}

fn count(update: &BgpUpdateMessage, tally: &mut Tally) {
    let mut is_end_of_rib = update.nlri().is_empty();
    for nlri in update.nlri() {
        let net = nlri.network().address();
        tally.ipv4(net.addr(), net.prefix_len());
    }
    for attribute in update.path_attributes() {
        match attribute.value() {
            PathAttributeValue::Origin(origin) => tally.number(*origin as u32),
            PathAttributeValue::AsPath(AsPath::As2PathSegments(segments)) => {
                segments.iter().flat_map(|segment| segment.as_numbers()).for_each(|asn| tally.asn((*asn).into()));
            }
            PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
                segments.iter().flat_map(|segment| segment.as_numbers()).for_each(|asn| tally.asn(*asn));
            }
            PathAttributeValue::NextHop(next_hop) => tally.next_hop(next_hop.next_hop().into()),
            PathAttributeValue::MultiExitDiscriminator(value) => tally.number(value.metric()),
            PathAttributeValue::LocalPreference(value) => tally.number(value.metric()),
            PathAttributeValue::AtomicAggregate(_) | PathAttributeValue::Aggregator(_) => tally.aggregates += 1,
            PathAttributeValue::Communities(all) => tally.communities += all.communities().len() as u64,
            PathAttributeValue::ExtendedCommunities(all) => tally.extended += all.communities().len() as u64,
            PathAttributeValue::LargeCommunities(all) => tally.large += all.communities().len() as u64,
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, nlri, .. }) => {
                is_end_of_rib = false;
                tally.next_hop((*next_hop_global).into());
                for nlri in nlri {
                    let net = nlri.network().address();
                    tally.ipv6(net.addr(), net.prefix_len());
                }
            }
            other => {
                black_box(other);
            }
        }
    }
    tally.updates += u64::from(!is_end_of_rib);
}
