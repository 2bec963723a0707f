//! What the messages of a router have shown of path identifiers, for each peer, RIB and family. Pure.
//!
//! Some NLRI can be read with and without path identifiers (RFC 7911): 198.51.100.0/25 with identifiers is 0.0.0.0/0
//! without. Messages that only one reading fits are evidence, the newest counts, and it decides those that both fit.
//! Evidence of an earlier BGP session decides too, but until this one has shown something the messages that it decided are
//! kept: when they turn out to have been read the wrong way, they are read again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use super::peer_records;
use super::peers::{PeerId, RibSource};
use crate::model::{AfiSafi, Timestamp, View};
use crate::pipeline::{AddPathPlace, AddPathRecord};
use crate::wire::bgp::add_path::{AddPath, AddPathFamilies, AddPathSeen};
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::PeerKey;

/// So many NLRI are kept of a peer, RIB and family.
pub const KEPT_NLRI_MAX: usize = 10_000;

/// The bytes of a peer, RIB and family that are kept at most: 10,000 messages of one route and 400 octets each.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The bytes that one session keeps at most, for all peers together.
const KEPT_BYTES_OF_ALL_MAX: usize = 32 << 20;

/// What is stored of a peer and RIB changes so often in one session at most: some write both ways, in turns.
const CHANGES_MAX: usize = 64;

/// So many peers and RIBs are known; nothing is remembered of further ones.
const KNOWN_MAX: usize = 131_072;

/// What one session, with what is stored from earlier ones, knows of path identifiers.
#[derive(Debug, Default)]
pub struct Evidence {
    places: HashMap<PeerId, SmallVec<[(View, usize); 2]>>,
    known: Vec<Known>,
    /// The one asked for last: a dump names the same peer a million times.
    last: Option<(Of, usize)>,
    /// How often something has been learned.
    revision: u64,
    /// What is stored of peers and RIBs that this session has not met.
    remembered: HashMap<AddPathPlace, Vec<(AfiSafi, Remembered)>>,
    /// What is kept, in bytes.
    bytes: usize,
}

/// Whose messages: a peer's or Loc-RIB instance's, of one of its RIBs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Of {
    /// The peer or instance.
    pub peer: PeerId,
    /// The RIB.
    pub view: View,
}

impl Of {
    /// What it is called where it is stored.
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

/// What is stored of one peer, RIB and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// How its messages are written.
    pub shown: AddPath,
    /// What the capabilities said then.
    pub announced: AddPath,
    /// Whether a session was closed once to have its routes read anew.
    pub is_closed_once: bool,
}

/// What is known of one peer and RIB.
#[derive(Debug, Default)]
struct Known {
    /// What decides.
    seen: AddPathSeen,
    /// The families that this BGP session has shown.
    fresh: AddPathFamilies,
    /// What its capabilities said when they were last asked.
    negotiated: AddPathFamilies,
    /// What is stored.
    stored: HashMap<AfiSafi, Remembered>,
    /// How often that has changed in this session.
    changes: usize,
    kept: HashMap<AfiSafi, Kept>,
}

/// The messages of one peer, RIB and family that may have been read the wrong way, in their order.
#[derive(Debug, Default)]
pub struct Kept {
    /// The messages.
    pub messages: Vec<KeptMessage>,
    /// How many NLRI of the family they have.
    nlri: usize,
    bytes: usize,
    /// Whether there were more than may be kept.
    pub is_over: bool,
}

/// One of them.
#[derive(Debug)]
pub struct KeptMessage {
    /// The BMP message.
    pub bytes: Box<[u8]>,
    /// When it was read.
    pub received_at: Timestamp,
    /// How it was read, for what was not ambiguous.
    pub context: DecodeContext,
    /// The reading that was used.
    pub used: AddPath,
}

/// What a message has shown that was not known.
#[derive(Debug)]
pub struct News {
    /// The family.
    pub family: AfiSafi,
    /// What was read the other way before.
    pub wrong: Option<Kept>,
    /// What is to be stored, if that changes.
    pub remember: Option<Remembered>,
}

impl Evidence {
    /// Takes in what is stored from earlier sessions.
    pub fn remember(&mut self, stored: Vec<AddPathRecord>) {
        self.revision += 1;
        let reading = |has_ids| if has_ids { AddPath::WithPathIds } else { AddPath::Plain };
        for AddPathRecord { place, family, is_sent, is_announced, is_closed_once } in stored {
            let remembered = Remembered { shown: reading(is_sent), announced: reading(is_announced), is_closed_once };
            self.remembered.entry(place).or_default().push((family, remembered));
        }
    }

    /// As long as it is the same, [`context`](Evidence::context) says the same of a peer and RIB.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How messages are to be read: `negotiated`, with what is known of others.
    pub fn context(&mut self, of: Of, negotiated: DecodeContext) -> DecodeContext {
        let Some(place) = self.place(of) else { return negotiated };
        let known = &self.known[place];
        let add_path_settled = match known.negotiated == negotiated.add_path {
            true => known.fresh,
            false => AddPathFamilies::default(),
        };
        DecodeContext { add_path_seen: known.seen, add_path_settled, ..negotiated }
    }

    /// Whether a message that has `shown` this, with NLRI of the `ambiguous` families that both readings fit, teaches nothing
    /// and need not be kept. Almost every one.
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

    /// Takes in what a message has shown, of which `announced` was to be expected. `negotiated` is what the capabilities say
    /// now: where they have changed, what was shown before is of an earlier BGP session.
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
            // What is as announced need not be remembered, unless something else is.
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

    /// Whether nothing that this BGP session has shown decides how NLRI of this family are read.
    pub fn is_open(&mut self, of: Of, negotiated: AddPathFamilies, family: AfiSafi) -> bool {
        let Some(place) = self.place(of) else { return false };
        self.revision += 1;
        self.known[place].renegotiate(negotiated);
        !self.known[place].fresh.contains(family)
    }

    /// Keeps a message, with so many NLRI of this family that both readings fit, until one shows how they are to be read.
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

    /// A session is about to be closed to have the routes of this family read anew: what is to be stored so that it
    /// happens once. `None`: it has happened.
    pub fn close_once(&mut self, of: Of, family: AfiSafi) -> Option<Remembered> {
        let place = self.find(of)?;
        let stored = self.known[place].stored.get_mut(&family)?;
        if std::mem::replace(&mut stored.is_closed_once, true) { None } else { Some(*stored) }
    }

    /// The peer is down: its routes are gone, and what its messages have shown is of an earlier BGP session.
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
        let mut known = Known::default();
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
    /// The row that says so.
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

impl Known {
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
    fn what_is_shown_against_the_reading_used_gives_back_what_was_kept() {
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
        // Known from now on: such messages teach nothing, and what both readings fit is decided.
        assert!(evidence.is_settled(of, ids, shown(Plain), AddPathSeen::default()));
        assert!(evidence.is_settled(of, ids, AddPathSeen::default(), shown(Plain)) && !evidence.is_open(of, ids, V4));
        assert_eq!(evidence.context(of, DecodeContext::default()).add_path_seen, shown(Plain));
        // The newest counts, and nothing that was decided before is read again.
        let news = evidence.learn(of, ids, ids, shown(WithPathIds));
        assert!(news[0].wrong.is_none() && news[0].remember.is_some());
        assert_eq!(evidence.context(of, DecodeContext::default()).add_path_seen, shown(WithPathIds));
        // Another RIB of the peer is another matter.
        assert!(evidence.is_open(super::tests::of(Policy::Post), ids, V4));
    }

    #[test]
    fn what_is_shown_for_the_reading_used_drops_what_was_kept() {
        let (of, none) = (of(Policy::Pre), AddPathFamilies::default());
        let mut evidence = Evidence::default();
        evidence.keep(of, V4, 1, || message(AddPath::Plain, 9));
        assert!(evidence.learn(of, none, none, shown(AddPath::Plain)).is_empty(), "as announced: nothing to say");
        assert_eq!(evidence.bytes, 0);
    }

    #[test]
    fn evidence_of_an_earlier_bgp_session_decides_and_is_doubted() {
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
        // A Peer Down ends the BGP session, other capabilities show that there is another one.
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
    fn who_writes_both_ways_in_turns_is_not_stored_for_ever() {
        let (of, none) = (of(Policy::Pre), AddPathFamilies::default());
        let mut evidence = Evidence::default();
        let readings = [AddPath::WithPathIds, AddPath::Plain].into_iter().cycle().take(10 * CHANGES_MAX);
        let stored: usize = readings.map(|reading| evidence.learn(of, none, none, shown(reading)).len()).sum();
        assert_eq!(stored, CHANGES_MAX);
    }
}
