//! The only place that turns the model into SQL values: the columns of routes and tables as the fields of binary COPY
//! rows (`copy_fields`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::copy_fields::{
    FieldReader, begin_jsonb, put_afi, put_bigint, put_bool, put_inet, put_jsonb, put_length, put_null, put_text,
    put_text_array, put_u32_as_bigint, put_written,
};
use crate::model::attrs::{Gaps, Labeled, NlriMembers, write_labels};
use crate::model::{ExtraAttributes, NextHop, PathAttributes, PathStatus, RibKind, Table};

/// The start of every binary COPY stream: signature, flags, length of the header extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The end of every binary COPY stream: a field count of -1.
pub const COPY_TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// The number of columns in an [`EncodedRoute`]: `nexthop` to `attrs`.
pub(crate) const ATTRIBUTE_COLUMNS: usize = 10;

/// The scratch memory that is kept from route to route, in octets: few routes are longer.
const SCRATCH_MAX: usize = 4 * 1024;

thread_local! {
    /// The buffer in which a route is encoded before its length is known.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The attribute columns of one route, `nexthop` to `attrs`, as ten consecutive binary COPY fields.
///
/// Encoded once per UPDATE and shared by every prefix in it: a clone adds one owner, and writers only copy bytes. A
/// binary COPY OUT returns exactly the same bytes, so the fingerprint of a stored route can be compared with that of a
/// received one.
///
/// A labeled route has its labels and its distinguisher in `attrs`: they are kept apart from the octets that it shares
/// with the others of its UPDATE (`LabeledRoutes`).
#[derive(Clone, Debug)]
pub struct EncodedRoute {
    /// The fingerprint, then the columns, in one reference-counted allocation.
    octets: Arc<[u8]>,
    own: Option<Arc<Own>>,
}

/// The length of the fingerprint in octets.
const FINGERPRINT: usize = 8;

/// The parts that a labeled route does not share.
#[derive(Debug)]
struct Own {
    fingerprint: u64,
    /// The length field of `attrs`, with the two texts included.
    length: [u8; 4],
    /// The offsets in the shared octets at which `length` and the two texts belong.
    places: Places,
    rd: Box<[u8]>,
    labels: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Places {
    length: usize,
    rd: usize,
    labels: usize,
}

/// The columns that the labeled routes of one UPDATE share, without those that each has of its own.
pub(crate) struct LabeledRoutes {
    octets: Arc<[u8]>,
    places: Places,
    /// The state of the hash over everything before the length of `attrs`.
    front: Xxh3,
}

impl EncodedRoute {
    /// Encodes the columns of a route with this next hop, these attributes and this status.
    pub fn encode(
        next_hop: Option<&NextHop>,
        attributes: &PathAttributes<'_>,
        path_status: Option<PathStatus>,
    ) -> EncodedRoute {
        let extra = ExtraAttributes { path_status, ..ExtraAttributes::default() };
        with_columns(next_hop, attributes, extra, |out, _, _| EncodedRoute::sealed(out))
    }

    /// Encodes the columns of an NLRI of another family: `attrs` has its fields, its key and its family too.
    pub fn encode_nlri(
        next_hop: Option<&NextHop>,
        attributes: &PathAttributes<'_>,
        path_status: Option<PathStatus>,
        nlri: &NlriMembers,
    ) -> EncodedRoute {
        let extra = ExtraAttributes { path_status, nlri: Some(nlri), ..ExtraAttributes::default() };
        with_columns(next_hop, attributes, extra, |out, _, _| EncodedRoute::sealed(out))
    }

    /// Seals columns that have room for their fingerprint before them: fills in the fingerprint and copies both.
    fn sealed(octets: &mut [u8]) -> EncodedRoute {
        let (fingerprint, columns) = octets.split_at_mut(FINGERPRINT);
        fingerprint.copy_from_slice(&fingerprint_of(columns).to_ne_bytes());
        EncodedRoute { octets: (&*octets).into(), own: None }
    }

    /// Wraps columns that are already encoded, as COPY OUT returns `nexthop` to `attrs`.
    pub fn from_columns(columns: &[u8]) -> EncodedRoute {
        EncodedRoute::sealed(&mut [&[0; FINGERPRINT], columns].concat())
    }

    /// Returns the columns of an event that withdraws a route: all NULL.
    pub fn withdrawn() -> EncodedRoute {
        EncodedRoute::from_columns(&[0xff; 4 * ATTRIBUTE_COLUMNS])
    }

    /// Returns the columns of an event for a route that a new dump did not contain: `attrs` alone gives that reason.
    pub fn stale() -> EncodedRoute {
        EncodedRoute::gone(r#"{"reason": "stale"}"#)
    }

    /// Returns the columns of an event for a route that never existed, because its NLRI was decoded wrongly.
    pub fn reread() -> EncodedRoute {
        EncodedRoute::gone(r#"{"reason": "reread"}"#)
    }

    fn gone(attrs: &str) -> EncodedRoute {
        let mut out = vec![0xff; 4 * (ATTRIBUTE_COLUMNS - 1)];
        put_jsonb(&mut out, attrs);
        EncodedRoute::from_columns(&out)
    }

    /// Returns the ten fields, each a big-endian `i32` length (-1 for NULL) and its value.
    pub fn columns(&self) -> Cow<'_, [u8]> {
        match &self.own {
            None => Cow::Borrowed(&self.octets[FINGERPRINT..]),
            Some(_) => Cow::Owned(self.pieces().concat()),
        }
    }

    /// Returns the same fields as consecutive pieces.
    pub fn pieces(&self) -> [&[u8]; 7] {
        let octets = &self.octets;
        match &self.own {
            None => [&octets[FINGERPRINT..], &[], &[], &[], &[], &[], &[]],
            Some(own) => {
                let Places { length, rd, labels } = own.places;
                let (front, tail) = (&octets[FINGERPRINT..length], &octets[length + own.length.len()..rd]);
                [front, &own.length, tail, &own.rd, &octets[rd..labels], &own.labels, &octets[labels..]]
            }
        }
    }

    /// Appends the ten fields.
    pub fn put(&self, out: &mut Vec<u8>) {
        match &self.own {
            None => out.extend_from_slice(&self.octets[FINGERPRINT..]),
            Some(_) => self.pieces().iter().for_each(|piece| out.extend_from_slice(piece)),
        }
    }

    /// Returns the length of the ten fields in memory, in octets.
    pub fn size(&self) -> usize {
        self.octets.len() - FINGERPRINT + self.own_size()
    }

    /// Returns the octets that no other route shares, including the memory to keep them.
    pub(crate) fn own_size(&self) -> usize {
        self.own.as_ref().map_or(0, |own| size_of::<Own>() + own.rd.len() + own.labels.len())
    }

    /// Returns the address of the octets that it shares with other routes, so that they are counted once.
    pub(crate) fn shared_at(&self) -> usize {
        self.octets.as_ptr().addr()
    }

    /// Returns the XXH3 of [`EncodedRoute::columns`].
    pub fn fingerprint(&self) -> u64 {
        match &self.own {
            None => self.octets.first_chunk().map_or(0, |fingerprint| u64::from_ne_bytes(*fingerprint)),
            Some(own) => own.fingerprint,
        }
    }
}

/// Routes are equal if their columns are, regardless of how they are kept.
impl PartialEq for EncodedRoute {
    fn eq(&self, other: &EncodedRoute) -> bool {
        self.fingerprint() == other.fingerprint() && self.columns() == other.columns()
    }
}

impl Eq for EncodedRoute {}

impl LabeledRoutes {
    /// Encodes the part that routes with this next hop, these attributes and this status share.
    pub fn encode(
        next_hop: Option<&NextHop>,
        attributes: &PathAttributes<'_>,
        path_status: Option<PathStatus>,
        labeled: Labeled,
    ) -> LabeledRoutes {
        let extra = ExtraAttributes { path_status, labeled: Some(labeled), ..ExtraAttributes::default() };
        with_columns(next_hop, attributes, extra, |out, length, gaps| {
            let labels = gaps.labels.expect("labeled routes have labels");
            let places = Places { length, rd: gaps.rd.unwrap_or(labels), labels };
            let mut front = Xxh3::new();
            front.update(&out[FINGERPRINT..length]);
            LabeledRoutes { octets: (&*out).into(), places, front }
        })
    }

    /// Returns one of the routes. `rd` is the text of its distinguisher, empty if it has none.
    pub fn route(&self, rd: &str, labels: &[u32]) -> EncodedRoute {
        let mut text = Vec::new();
        write_labels(&mut text, labels);
        let size = self.octets.len() - self.places.length - 4 + rd.len() + text.len();
        let length = i32::try_from(size).expect("a field is made of one BGP message").to_be_bytes();
        let (rd, labels) = (rd.as_bytes().into(), text.into_boxed_slice());
        let own = |fingerprint| Some(Arc::new(Own { fingerprint, length, places: self.places, rd, labels }));
        let mut route = EncodedRoute { octets: Arc::clone(&self.octets), own: own(0) };
        let mut hash = self.front.clone();
        route.pieces()[1..].iter().for_each(|piece| hash.update(piece));
        if let Some(own) = route.own.as_mut().and_then(Arc::get_mut) {
            own.fingerprint = hash.digest();
        }
        route
    }
}

/// Encodes the columns, with room for a fingerprint before them, into reused memory. `take` also receives the offset of
/// the length of `attrs` and the places of its gaps.
fn with_columns<T>(
    next_hop: Option<&NextHop>,
    attributes: &PathAttributes<'_>,
    extra: ExtraAttributes<'_>,
    take: impl FnOnce(&mut [u8], usize, Gaps) -> T,
) -> T {
    let link_local = next_hop.and_then(|next_hop| next_hop.link_local);
    SCRATCH.with_borrow_mut(|out| {
        out.extend_from_slice(&[0; FINGERPRINT]);
        let beside = ExtraAttributes { link_local, ..extra };
        let (length, gaps) = put_attributes(out, next_hop, attributes, &beside);
        let taken = take(out, length, gaps);
        out.clear();
        out.shrink_to(SCRATCH_MAX);
        taken
    })
}

/// Appends the fields `nexthop` to `attrs`. Returns the offset of the last one and its gaps.
fn put_attributes(
    out: &mut Vec<u8>,
    next_hop: Option<&NextHop>,
    attributes: &PathAttributes<'_>,
    beside: &ExtraAttributes<'_>,
) -> (usize, Gaps) {
    match next_hop {
        Some(next_hop) => put_inet(out, next_hop.address),
        None => put_null(out),
    }
    match &attributes.as_path {
        Some(path) => put_written(out, path),
        None => put_null(out),
    }
    match attributes.origin {
        Some(origin) => put_text(out, origin.as_str()),
        None => put_null(out),
    }
    put_u32_as_bigint(out, attributes.local_pref);
    put_u32_as_bigint(out, attributes.med);
    put_u32_as_bigint(out, attributes.as_path.as_ref().and_then(|path| path.origin_asn()).map(|asn| asn.0));
    put_text_array(out, attributes.communities.as_ref());
    put_text_array(out, attributes.extended_communities.as_ref());
    put_text_array(out, attributes.large_communities.as_ref());
    let start = begin_jsonb(out);
    let text = out.len();
    let gaps = attributes.write_attrs(beside, out);
    if out.len() == text {
        out.truncate(start);
        put_null(out);
    } else {
        put_length(out, start);
    }
    (start, gaps)
}

/// Returns [`EncodedRoute::fingerprint`] for columns that need not be kept.
pub(crate) fn fingerprint_of(columns: &[u8]) -> u64 {
    xxh3_64(columns)
}

/// Appends the fields `router_id`, for an Adj-RIB `peer_address` and `is_post_policy`, `table_name`, `afi`.
pub(crate) fn put_table(out: &mut Vec<u8>, table: &Table) {
    put_text(out, table.router.as_str());
    if let Some(peer) = table.view.peer() {
        put_inet(out, peer.address);
        put_bool(out, peer.policy.is_post());
    }
    put_text(out, &table.name);
    put_afi(out, table.afi);
}

/// Returns the number of fields that [`put_speaker`] writes.
pub(crate) fn speaker_columns(table: &Table) -> usize {
    match table.view.kind() {
        RibKind::LocRib | RibKind::NlriLocRib => 0,
        RibKind::AdjRibIn | RibKind::AdjRibOut | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut => 2,
    }
}

/// Appends the fields `peer_asn` and `peer_bgp_id` of an Adj-RIB; none for a Loc-RIB.
pub(crate) fn put_speaker(out: &mut Vec<u8>, table: &Table) {
    if speaker_columns(table) > 0 {
        put_bigint(out, i64::from(table.speaker.asn.0));
        put_bgp_id(out, table.speaker.bgp_id);
    }
}

/// Appends a BGP identifier as `text`; empty if none are known.
fn put_bgp_id(out: &mut Vec<u8>, id: Ipv4Addr) {
    if id.is_unspecified() { put_text(out, "") } else { put_text(out, &id.to_string()) }
}

/// Appends the last fields of a row of `route_events`: `peer_address`, `peer_asn`, `peer_bgp_id`, `is_post_policy`,
/// `rib`.
pub(crate) fn put_event_view(out: &mut Vec<u8>, table: &Table) {
    match table.view.peer() {
        None => (0..4).for_each(|_| put_null(out)),
        Some(peer) => {
            put_inet(out, peer.address);
            put_speaker(out, table);
            put_bool(out, peer.policy.is_post());
        }
    }
    put_text(out, table.view.kind().as_str());
}

/// The columns of a route of which a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteWay<'a> {
    /// The column `nexthop`.
    pub next_hop: Option<&'a [u8]>,
    /// The column `as_path`.
    pub path: Option<&'a [u8]>,
}

impl RouteWay<'_> {
    /// Returns those of a route.
    pub fn of(route: &EncodedRoute) -> RouteWay<'_> {
        // The first piece has all columns before `attrs`, beginning with these two.
        let mut fields = FieldReader::new(route.pieces()[0]);
        RouteWay { next_hop: fields.value(), path: fields.value() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AsPath, Asn, Community, SegmentKind};

    #[test]
    fn columns_have_their_binary_form() {
        assert_eq!(*EncodedRoute::encode(None, &PathAttributes::default(), None).columns(), [0xff; 40]);
        assert_eq!(EncodedRoute::encode(None, &PathAttributes::default(), None), EncodedRoute::withdrawn());
        let attributes = PathAttributes {
            as_path: Some(AsPath::from_segments([(SegmentKind::Sequence, [Asn(u32::MAX)])])),
            communities: Some(vec![Community(0xfde9_0064)].into()),
            large_communities: Some(vec![].into()),
            ..PathAttributes::default()
        };
        let next_hop = NextHop { address: "192.0.2.1".parse().unwrap(), link_local: None };
        let mut want = vec![0, 0, 0, 8, 2, 32, 0, 4, 192, 0, 2, 1];
        want.extend([0, 0, 0, 10]);
        want.extend(b"4294967295");
        want.extend([0xff; 12]);
        want.extend([0, 0, 0, 8, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        want.extend([0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9]);
        want.extend(b"65001:100");
        want.extend([0xff; 4]);
        want.extend([0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]);
        want.extend([0xff; 4]);
        assert_eq!(EncodedRoute::encode(Some(&next_hop), &attributes, None).columns(), want);
    }
}
