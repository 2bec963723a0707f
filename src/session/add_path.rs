//! Evidence from a router's messages about path identifiers, for each peer, RIB and family. Pure.
//!
//! Some NLRI can be read with and without path identifiers (RFC 7911): 198.51.100.0/25 with identifiers is 0.0.0.0/0
//! without. A message that fits only one reading is evidence; the newest evidence counts, and it decides how ambiguous
//! messages are read. Evidence from an earlier BGP session decides too, but until the current one has shown something,
//! the messages decided that way are kept: if they turn out to have been misread, they are read again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use super::peer_id::PeerId;
use super::peer_records;
use super::rib_source::RibSource;
use crate::model::{AddPathPlace, AddPathRecord, AfiSafi, Timestamp, View};
use crate::wire::bgp::add_path::{AddPath, AddPathFamilies, AddPathSeen};
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::PeerKey;

/// The most NLRI that are kept for a peer, RIB and family.
pub(crate) const KEPT_NLRI_MAX: usize = 10_000;

/// The most bytes that are kept for a peer, RIB and family: 10,000 messages of one route and 400 octets each.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The most bytes that one session keeps, for all peers together.
const KEPT_BYTES_OF_ALL_MAX: usize = 32 << 20;

/// The most times that the stored record of a peer and RIB changes in one session: some routers alternate between both
/// encodings.
const CHANGES_MAX: usize = 64;

/// The most peers and RIBs that are tracked; nothing is remembered for further ones.
const KNOWN_MAX: usize = 131_072;

/// The evidence of one session about path identifiers, with the stored evidence from earlier sessions.
#[derive(Debug, Default)]
pub struct Evidence {
    places: HashMap<PeerId, SmallVec<[(View, usize); 2]>>,
    known: Vec<PeerEvidence>,
    /// The entry found last: a dump names the same peer a million times.
    last: Option<(Of, usize)>,
    /// Incremented with each change of the evidence.
    revision: u64,
    /// Stored evidence for peers and RIBs that this session has not met yet.
    remembered: HashMap<AddPathPlace, Vec<(AfiSafi, Remembered)>>,
    /// Size of the kept messages, bytes.
    bytes: usize,
}

/// The origin of a message: one RIB of a peer or Loc-RIB instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Of {
    /// The peer or instance.
    pub peer: PeerId,
    /// The RIB.
    pub view: View,
}

impl Of {
    /// Returns its key in the database.
    fn place(&self) -> AddPathPlace {
        let PeerId { kind, address, asn, bgp_id } = self.peer;
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        AddPathPlace {
            rib: self.view.kind(),
            is_post_policy: self.view.peer().is_some_and(|of| of.policy.is_post()),
            peer: peer_records::name(&PeerKey { kind, address, asn, bgp_id }),
            bgp_id,
        }
    }
}

impl From<&RibSource> for Of {
    fn from(source: &RibSource) -> Of {
        Of { peer: source.peer, view: source.view }
    }
}

/// The stored evidence for one peer, RIB and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The encoding of its messages, as they have shown it.
    pub shown: AddPath,
    /// The encoding that the capabilities implied at that time.
    pub announced: AddPath,
    /// True if a session was closed once so that the router would send these routes again.
    pub(crate) is_closed_once: bool,
}

/// The evidence for one peer and RIB.
#[derive(Debug, Default)]
struct PeerEvidence {
    /// The encoding that decides for each family.
    seen: AddPathSeen,
    /// The families for which the current BGP session has shown the encoding.
    fresh: AddPathFamilies,
    /// The families with Add-Path by the capabilities, as of the last call.
    negotiated: AddPathFamilies,
    /// The stored evidence.
    stored: HashMap<AfiSafi, Remembered>,
    /// Number of changes to `stored` in this session.
    changes: usize,
    kept: HashMap<AfiSafi, Kept>,
}

/// The messages of one peer, RIB and family that may have been misread, in their order.
#[derive(Debug, Default)]
pub struct Kept {
    /// The messages.
    pub messages: Vec<KeptMessage>,
    /// Number of NLRI of the family in them.
    nlri: usize,
    bytes: usize,
    /// True if there were more messages than may be kept.
    pub(crate) is_over: bool,
}

/// One kept message.
#[derive(Debug)]
pub struct KeptMessage {
    /// The BMP message.
    pub bytes: Box<[u8]>,
    /// When it was read.
    pub received_at: Timestamp,
    /// The context that it was decoded with, for everything that was not ambiguous.
    pub context: DecodeContext,
    /// The reading that was used.
    pub used: AddPath,
}

/// New evidence from one message.
#[derive(Debug)]
pub struct News {
    /// The family.
    pub family: AfiSafi,
    /// The kept messages that were misread, if any.
    pub wrong: Option<Kept>,
    /// The record to store, if it has changed.
    pub(crate) remember: Option<Remembered>,
}

impl Evidence {
    /// Loads the evidence stored by earlier sessions.
    pub(crate) fn remember(&mut self, stored: Vec<AddPathRecord>) {
        self.revision += 1;
        let reading = |has_ids| if has_ids { AddPath::WithPathIds } else { AddPath::Plain };
        for AddPathRecord { place, family, is_sent, is_announced, is_closed_once } in stored {
            let remembered = Remembered { shown: reading(is_sent), announced: reading(is_announced), is_closed_once };
            self.remembered.entry(place).or_default().push((family, remembered));
        }
    }

    /// While this value is unchanged, [`context`](Evidence::context) returns the same for a peer and RIB.
    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the context to decode messages with: `negotiated`, completed with the evidence.
    pub fn context(&mut self, of: Of, negotiated: DecodeContext) -> DecodeContext {
        let Some(place) = self.place(of) else { return negotiated };
        let known = &self.known[place];
        let add_path_settled = match known.negotiated == negotiated.add_path {
            true => known.fresh,
            false => AddPathFamilies::default(),
        };
        DecodeContext { add_path_seen: known.seen, add_path_settled, ..negotiated }
    }

    /// Returns true if a message teaches nothing and need not be kept, as almost every one. The message has `shown`
    /// this, and both readings fit its NLRI of the `ambiguous` families.
    #[inline]
    pub fn is_settled(
        &mut self,
        of: Of,
        negotiated: AddPathFamilies,
        shown: AddPathSeen,
        ambiguous: AddPathSeen,
    ) -> bool {
        if shown.is_empty() && ambiguous.is_empty() {
            return true;
        }
        let Some(place) = self.find(of) else { return false };
        let known = &self.known[place];
        known.negotiated == negotiated
            && known.seen.includes(shown)
            && known.fresh.includes(shown.families())
            && known.fresh.includes(ambiguous.families())
    }

    /// Records what a message has `shown` where `announced` was expected, and returns what is new. `negotiated` is what
    /// the capabilities imply now: for a family where that has changed, earlier evidence belongs to an earlier BGP
    /// session.
    pub fn learn(
        &mut self,
        of: Of,
        negotiated: AddPathFamilies,
        announced: AddPathFamilies,
        shown: AddPathSeen,
    ) -> Vec<News> {
        let Some(place) = self.place(of) else { return Vec::new() };
        self.revision += 1;
        let known = &mut self.known[place];
        known.renegotiate(negotiated);
        let mut news = Vec::new();
        for (family, reading) in shown.iter() {
            known.seen.note(family, reading);
            known.fresh.insert(family);
            let mut wrong = known.kept.remove(&family);
            if let Some(kept) = &mut wrong {
                self.bytes -= kept.bytes;
                kept.messages.retain(|message| message.used != reading);
            }
            let wrong = wrong.filter(|kept| !kept.messages.is_empty());
            let announced = announced.reading(family);
            let stored = known.stored.get(&family).copied();
            let now = Remembered {
                shown: reading,
                announced,
                is_closed_once: stored.is_some_and(|stored| stored.is_closed_once),
            };
            // A family that is encoded as announced need not be stored, unless something else is stored.
            let is_news = stored.map_or(reading != announced, |stored| stored != now);
            let remember = (is_news && known.changes < CHANGES_MAX).then_some(now);
            if remember.is_some() {
                known.changes += 1;
                known.stored.insert(family, now);
            }
            if wrong.is_some() || remember.is_some() {
                news.push(News { family, wrong, remember });
            }
        }
        news
    }

    /// Returns true if the current BGP session has shown nothing that decides how NLRI of this family are read.
    pub fn is_open(&mut self, of: Of, negotiated: AddPathFamilies, family: AfiSafi) -> bool {
        let Some(place) = self.place(of) else { return false };
        self.revision += 1;
        self.known[place].renegotiate(negotiated);
        !self.known[place].fresh.contains(family)
    }

    /// Keeps a message with `nlri` ambiguous NLRI of this family until another message shows how they are to be read.
    pub fn keep(&mut self, of: Of, family: AfiSafi, nlri: usize, message: impl FnOnce() -> KeptMessage) {
        let Some(place) = self.place(of) else { return };
        let kept = self.known[place].kept.entry(family).or_default();
        if kept.is_over {
            return;
        }
        let message = message();
        let bytes = size_of::<KeptMessage>() + message.bytes.len();
        let is_over = kept.nlri + nlri > KEPT_NLRI_MAX
            || kept.bytes + bytes > KEPT_BYTES_MAX
            || self.bytes + bytes > KEPT_BYTES_OF_ALL_MAX;
        if is_over {
            kept.is_over = true;
            return;
        }
        kept.nlri += nlri;
        kept.bytes += bytes;
        self.bytes += bytes;
        kept.messages.push(message);
    }

    /// Marks that a session is about to be closed to have the routes of this family sent again. Returns the record to
    /// store so that this happens only once; `None` if it has happened already.
    pub(crate) fn close_once(&mut self, of: Of, family: AfiSafi) -> Option<Remembered> {
        let place = self.find(of)?;
        let stored = self.known[place].stored.get_mut(&family)?;
        if std::mem::replace(&mut stored.is_closed_once, true) { None } else { Some(*stored) }
    }

    /// Handles a peer that goes down: its routes are gone, and its evidence now belongs to an earlier BGP session.
    pub fn down(&mut self, peer: &PeerId) {
        self.revision += 1;
        for (_, place) in self.places.get(peer).into_iter().flatten() {
            let known = &mut self.known[*place];
            known.fresh = AddPathFamilies::default();
            self.bytes -= known.kept.drain().map(|(_, kept)| kept.bytes).sum::<usize>();
        }
    }

    fn find(&mut self, of: Of) -> Option<usize> {
        if let Some((last, place)) = self.last
            && last == of
        {
            return Some(place);
        }
        let (_, place) = *self.places.get(&of.peer)?.iter().find(|(view, _)| *view == of.view)?;
        self.last = Some((of, place));
        Some(place)
    }

    fn place(&mut self, of: Of) -> Option<usize> {
        if let Some(place) = self.find(of) {
            return Some(place);
        }
        if self.known.len() >= KNOWN_MAX {
            return None;
        }
        let place = self.known.len();
        let mut known = PeerEvidence::default();
        let remembered = if self.remembered.is_empty() { None } else { self.remembered.remove(&of.place()) };
        for (family, remembered) in remembered.into_iter().flatten() {
            known.seen.note(family, remembered.shown);
            known.stored.insert(family, remembered);
        }
        self.known.push(known);
        self.places.entry(of.peer).or_default().push((of.view, place));
        self.last = Some((of, place));
        Some(place)
    }
}

impl Remembered {
    /// Returns the row that stores this evidence.
    pub fn record(self, of: &Of, family: AfiSafi) -> AddPathRecord {
        AddPathRecord {
            place: of.place(),
            family,
            is_sent: self.shown == AddPath::WithPathIds,
            is_announced: self.announced == AddPath::WithPathIds,
            is_closed_once: self.is_closed_once,
        }
    }
}

impl PeerEvidence {
    fn renegotiate(&mut self, negotiated: AddPathFamilies) {
        self.fresh = self.fresh.without(self.negotiated.difference(negotiated));
        self.negotiated = negotiated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AdjRibKey, Asn};
    use crate::wire::bmp::peer::{PeerKind, Policy};

    const V4: AfiSafi = AfiSafi::IPV4_UNICAST;

    fn of(policy: Policy) -> Of {
        let address = "192.0.2.1".parse().unwrap();
        let bgp_id = Ipv4Addr::UNSPECIFIED;
        let peer = PeerId { kind: PeerKind::Global, address: Some(address), asn: Asn(64_501), bgp_id };
        Of { peer, view: View::AdjRibIn(AdjRibKey { address, policy }) }
    }

    fn shown(reading: AddPath) -> AddPathSeen {
        let mut seen = AddPathSeen::default();
        seen.note(V4, reading);
        seen
    }

    fn message(used: AddPath, octets: usize) -> KeptMessage {
        let received_at = Timestamp::from_unix_micros(0);
        KeptMessage { bytes: vec![0; octets].into(), received_at, context: DecodeContext::default(), used }
    }

    fn families(all: &[AfiSafi]) -> AddPathFamilies {
        all.iter().copied().collect()
    }

    #[test]
    fn evidence_against_the_reading_returns_kept_messages() {
        use AddPath::{Plain, WithPathIds};
        let (of, ids) = (of(Policy::Pre), families(&[V4]));
        let mut evidence = Evidence::default();
        assert!(evidence.is_open(of, ids, V4));
        evidence.keep(of, V4, 1, || message(WithPathIds, 9));
        evidence.keep(of, V4, 1, || message(WithPathIds, 9));
        assert!(!evidence.is_settled(of, ids, shown(Plain), AddPathSeen::default()));
        let news = evidence.learn(of, ids, ids, shown(Plain));
        let kept = news[0].wrong.as_ref().unwrap();
        assert_eq!((news.len(), kept.messages.len(), kept.is_over, evidence.bytes), (1, 2, false, 0));
        let remember = Remembered { shown: Plain, announced: WithPathIds, is_closed_once: false };
        assert_eq!(news[0].remember, Some(remember));
        // Known from now on: such messages teach nothing, and ambiguous NLRI are decided.
        assert!(evidence.is_settled(of, ids, shown(Plain), AddPathSeen::default()));
        assert!(evidence.is_settled(of, ids, AddPathSeen::default(), shown(Plain)) && !evidence.is_open(of, ids, V4));
        assert_eq!(evidence.context(of, DecodeContext::default()).add_path_seen, shown(Plain));
        // The newest evidence counts, and nothing that was decided before is read again.
        let news = evidence.learn(of, ids, ids, shown(WithPathIds));
        assert!(news[0].wrong.is_none() && news[0].remember.is_some());
        assert_eq!(evidence.context(of, DecodeContext::default()).add_path_seen, shown(WithPathIds));
        // Evidence for one RIB of a peer does not decide for another.
        assert!(evidence.is_open(super::tests::of(Policy::Post), ids, V4));
    }

    #[test]
    fn evidence_for_the_reading_drops_kept_messages() {
        let (of, none) = (of(Policy::Pre), AddPathFamilies::default());
        let mut evidence = Evidence::default();
        evidence.keep(of, V4, 1, || message(AddPath::Plain, 9));
        assert!(evidence.learn(of, none, none, shown(AddPath::Plain)).is_empty(), "as announced: nothing to say");
        assert_eq!(evidence.bytes, 0);
    }

    #[test]
    fn earlier_evidence_decides_and_can_be_revised() {
        use AddPath::{Plain, WithPathIds};
        let (of, ids) = (of(Policy::Pre), families(&[V4]));
        let remembered = Remembered { shown: Plain, announced: WithPathIds, is_closed_once: false };
        let mut evidence = Evidence::default();
        evidence.remember(vec![remembered.record(&of, V4)]);
        assert_eq!(evidence.context(of, DecodeContext::default()).add_path_seen, shown(Plain));
        assert!(evidence.is_open(of, ids, V4));
        evidence.keep(of, V4, 1, || message(Plain, 9));
        let news = evidence.learn(of, ids, ids, shown(WithPathIds));
        assert!(news[0].wrong.is_some());
        assert_eq!(news[0].remember, Some(Remembered { shown: WithPathIds, ..remembered }));
        // A Peer Down ends the BGP session; changed capabilities show that there is a new one.
        evidence.keep(of, V4, 1, || message(WithPathIds, 9));
        evidence.down(&of.peer);
        assert!(evidence.is_open(of, ids, V4) && evidence.bytes == 0);
        evidence.learn(of, ids, ids, shown(WithPathIds));
        assert!(!evidence.is_open(of, ids, V4) && evidence.is_open(of, AddPathFamilies::default(), V4));
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes() {
        let (of, none) = (of(Policy::Pre), AddPathFamilies::default());
        let kept = |nlri: usize, octets: usize| {
            let mut evidence = Evidence::default();
            (0..20).for_each(|_| evidence.keep(of, V4, nlri, || message(AddPath::Plain, octets)));
            let news = evidence.learn(of, none, none, shown(AddPath::WithPathIds));
            let kept = news.into_iter().next().unwrap().wrong.unwrap();
            assert_eq!(evidence.bytes, 0);
            let closes = [evidence.close_once(of, V4), evidence.close_once(of, V4)].map(|close| close.is_some());
            assert_eq!(closes, [true, false], "once");
            (kept.messages.len(), kept.is_over)
        };
        assert_eq!(kept(500, 100), (20, false));
        assert_eq!(kept(501, 100), (19, true));
        assert_eq!(kept(1, 1 << 20), (3, true));
    }

    #[test]
    fn stored_changes_of_an_alternating_peer_are_bounded() {
        let (of, none) = (of(Policy::Pre), AddPathFamilies::default());
        let mut evidence = Evidence::default();
        let readings = [AddPath::WithPathIds, AddPath::Plain].into_iter().cycle().take(10 * CHANGES_MAX);
        let stored: usize = readings.map(|reading| evidence.learn(of, none, none, shown(reading)).len()).sum();
        assert_eq!(stored, CHANGES_MAX);
    }
}
