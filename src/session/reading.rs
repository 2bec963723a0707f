//! The decoding context of messages under one per-peer header: from the peer's Peer Ups and from what its messages have
//! shown of path identifiers. Pure.
//!
//! The last answer is cached, since a dump needs the same one a million times. It is valid as long as the octets of the
//! header are the same, which is cheaper than comparing the decoded fields, and nothing has been learned of any peer.

use super::add_path::{Evidence, Of};
use super::peers::Peers;
use super::rib_source::RibSource;
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::{Frame, PerPeerHeader};

/// The answer for one per-peer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The peer and RIB of the routes.
    pub source: RibSource,
    /// True if a Peer Up of the peer or instance arrived, and no Peer Down since.
    pub is_up: bool,
    /// The context by the capabilities only.
    pub negotiated: DecodeContext,
    /// The context that also respects what messages have shown.
    pub context: DecodeContext,
}

/// The cache of [`Reading`]s for one session's messages.
#[derive(Debug, Default)]
pub struct Readings {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    whose: [u8; PerPeerHeader::WHOSE],
    /// The revisions of [`Peers`] and [`Evidence`].
    revisions: (u64, u64),
    reading: Reading,
}

impl Readings {
    /// Returns how to decode this message, whose per-peer header is `header`.
    #[inline]
    pub fn of(&mut self, frame: &Frame<'_>, header: &PerPeerHeader, peers: &Peers, evidence: &mut Evidence) -> Reading {
        let whose = frame.whose();
        let revisions = (peers.revision(), evidence.revision());
        if let Some(last) = &self.last
            && revisions == last.revisions
            && whose.is_some_and(|whose| is_same(whose, &last.whose))
        {
            return last.reading;
        }
        let reading = look_up(header, peers, evidence);
        self.last = whose.map(|whose| Last { whose: *whose, revisions, reading });
        reading
    }
}

/// Compares in two pieces, each of which is one inlined comparison: comparing the whole array would be a function call.
#[inline(always)]
fn is_same(one: &[u8; PerPeerHeader::WHOSE], other: &[u8; PerPeerHeader::WHOSE]) -> bool {
    one.first_chunk::<32>() == other.first_chunk::<32>() && one.last_chunk::<2>() == other.last_chunk::<2>()
}

#[inline(never)]
fn look_up(header: &PerPeerHeader, peers: &Peers, evidence: &mut Evidence) -> Reading {
    let (source, negotiated) = (peers.source(header), peers.context(header));
    let context = evidence.context(Of::from(&source), negotiated);
    Reading { source, is_up: peers.is_up(header), negotiated, context }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AfiSafi;
    use crate::wire::bgp::add_path::{AddPath, AddPathSeen};
    use crate::wire::bmp::{self, Message};

    const V4: AfiSafi = AfiSafi::IPV4_UNICAST;

    /// Returns a message of the peer 192.0.2.1 in this AS; `second` is its timestamp.
    fn message(type_code: u8, asn: u8, second: u8, body: &[u8]) -> Vec<u8> {
        let header = [&[0; 22][..], &[192, 0, 2, 1, 0, 0, 0, asn, 192, 0, 2, 1, 0, 0, 0, second, 0, 0, 0, 0]].concat();
        let length = u8::try_from(6 + header.len() + body.len()).unwrap();
        [&[3, 0, 0, 0, length, type_code], &header[..], body].concat()
    }

    /// Returns a Peer Up whose two OPENs both announce path identifiers for IPv4 unicast in both directions.
    fn peer_up(asn: u8) -> Vec<u8> {
        let open = [&[0xff; 16][..], &[0, 37, 1, 4, 0, asn, 0, 90, 192, 0, 2, 1, 8, 2, 6, 69, 4, 0, 1, 1, 3]].concat();
        message(3, asn, 1, &[&[0; 20][..], &open, &open].concat())
    }

    /// Returns the answer for a Route Monitoring message of this peer, after checking that it equals the uncached one.
    fn read(readings: &mut Readings, peers: &Peers, evidence: &mut Evidence, asn: u8, second: u8) -> Reading {
        let bytes = message(0, asn, second, &[]);
        let frame = bmp::next_frame(&bytes, 1_000).unwrap().unwrap();
        let Ok(Message::RouteMonitoring(monitoring)) = bmp::decode(&frame) else { panic!("{bytes:?}") };
        let reading = readings.of(&frame, &monitoring.peer, peers, evidence);
        assert_eq!(reading, look_up(&monitoring.peer, peers, evidence));
        reading
    }

    fn hear(peers: &mut Peers, evidence: &mut Evidence, bytes: &[u8]) {
        let frame = bmp::next_frame(bytes, 1_000).unwrap().unwrap();
        match bmp::decode(&frame) {
            Ok(Message::PeerUp(up)) => {
                peers.peer_up(&up);
            }
            Ok(Message::PeerDown(down)) => peers.peer_down(&down.peer).iter().for_each(|peer| evidence.down(peer)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_holds_until_something_is_learned() {
        let (mut readings, mut peers, mut evidence) = (Readings::default(), Peers::new(), Evidence::default());
        assert!(!read(&mut readings, &peers, &mut evidence, 1, 1).is_up);
        hear(&mut peers, &mut evidence, &peer_up(1));
        let up = read(&mut readings, &peers, &mut evidence, 1, 1);
        assert!(up.is_up && up.negotiated.add_path.contains(V4));
        assert_eq!(read(&mut readings, &peers, &mut evidence, 1, 2), up, "another timestamp is the same header");
        // Another AS at the same address is decoded as the only peer there until it is up itself.
        assert_eq!(read(&mut readings, &peers, &mut evidence, 2, 2).source.peer, up.source.peer);
        hear(&mut peers, &mut evidence, &peer_up(2));
        let other = read(&mut readings, &peers, &mut evidence, 2, 2);
        assert_ne!(other.source.peer, up.source.peer);
        let mut shown = AddPathSeen::default();
        shown.note(V4, AddPath::Plain);
        let announced = up.negotiated.add_path;
        assert_eq!(read(&mut readings, &peers, &mut evidence, 1, 3), up);
        evidence.learn(Of::from(&up.source), announced, announced, shown);
        let learned = read(&mut readings, &peers, &mut evidence, 1, 3);
        assert!(learned.context.add_path_seen == shown && learned.context.add_path_settled.contains(V4));
        assert_eq!(read(&mut readings, &peers, &mut evidence, 2, 3), other, "of the one peer alone");
        assert_eq!(read(&mut readings, &peers, &mut evidence, 1, 3), learned);
        hear(&mut peers, &mut evidence, &message(2, 1, 4, &[4]));
        // The header of the peer that is down refers to the one that is up.
        assert_eq!(read(&mut readings, &peers, &mut evidence, 1, 4).source.peer, other.source.peer);
        hear(&mut peers, &mut evidence, &message(2, 2, 5, &[4]));
        let down = read(&mut readings, &peers, &mut evidence, 1, 5);
        assert!(!down.is_up && down.source.peer == up.source.peer && down.context.add_path_seen == shown);
        assert!(!down.context.add_path_settled.contains(V4));
    }
}
