//! How the messages under one per-peer header are read: what the Peer Ups said of the peer, with what its messages have shown
//! of path identifiers. Pure.
//!
//! The last answer is kept, since a dump asks the same a million times. It holds as long as the octets of the header are the
//! same, which takes less to see than to compare what they mean, and nothing has been learned of any peer.

use super::add_path::{Evidence, Of};
use super::peers::{Peers, RibSource};
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::{Frame, PerPeerHeader};

/// The answer for one per-peer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose tables the routes are in.
    pub source: RibSource,
    /// Whether a Peer Up of the peer or instance came, and no Peer Down since.
    pub is_up: bool,
    /// By the capabilities alone.
    pub negotiated: DecodeContext,
    /// With what messages have shown.
    pub context: DecodeContext,
}

/// The answers for one session's messages.
#[derive(Debug, Default)]
pub struct Readings {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    whose: [u8; PerPeerHeader::WHOSE],
    /// Of [`Peers`] and [`Evidence`].
    revisions: (u64, u64),
    reading: Reading,
}

impl Readings {
    /// How this message is read, whose per-peer header is `header`.
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

/// In two pieces, each of which is compared at once: the whole would be a call.
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

    /// A message of the peer 192.0.2.1 in this AS.
    fn message(type_code: u8, asn: u8, second: u8, body: &[u8]) -> Vec<u8> {
        let header = [&[0; 22][..], &[192, 0, 2, 1, 0, 0, 0, asn, 192, 0, 2, 1, 0, 0, 0, second, 0, 0, 0, 0]].concat();
        let length = u8::try_from(6 + header.len() + body.len()).unwrap();
        [&[3, 0, 0, 0, length, type_code], &header[..], body].concat()
    }

    /// Local address and ports, and twice an OPEN with path identifiers for IPv4 unicast in both directions.
    fn peer_up(asn: u8) -> Vec<u8> {
        let open = [&[0xff; 16][..], &[0, 37, 1, 4, 0, asn, 0, 90, 192, 0, 2, 1, 8, 2, 6, 69, 4, 0, 1, 1, 3]].concat();
        message(3, asn, 1, &[&[0; 20][..], &open, &open].concat())
    }

    /// The answer for a Route Monitoring message of this peer, which is the one that is found without any before it.
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
        // Another AS at the same address is read as the only peer there until it is up itself.
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
        // The one that is up is meant by the header of the one that is not.
        assert_eq!(read(&mut readings, &peers, &mut evidence, 1, 4).source.peer, other.source.peer);
        hear(&mut peers, &mut evidence, &message(2, 2, 5, &[4]));
        let down = read(&mut readings, &peers, &mut evidence, 1, 5);
        assert!(!down.is_up && down.source.peer == up.source.peer && down.context.add_path_seen == shown);
        assert!(!down.context.add_path_settled.contains(V4));
    }
}
