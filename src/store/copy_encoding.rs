//! The only place that turns the model into SQL values: binary COPY fields (PostgreSQL's `COPY .. BINARY`).
//!
//! A field is a big-endian `i32` length, -1 for NULL, and its value in the type's own binary form, as the
//! types' `*_recv` functions read it. Everything here appends to a byte buffer and cannot fail.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use byteorder::{BE, ByteOrder, ReadBytesExt};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::model::attrs::{Gaps, Labeled, write_labels};
use crate::model::{
    Afi, ExtraAttributes, Fixed, List, NextHop, PathAttributes, PathStatus, Prefix, RibKind, Table, Timestamp,
    WriteText,
};

/// The start of every binary COPY stream: signature, flags, length of the header extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The end of every binary COPY stream: a field count of -1.
pub const COPY_TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// The number of columns in an [`EncodedRoute`]: `nexthop` to `attrs`.
pub(crate) const ATTRIBUTE_COLUMNS: usize = 10;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps start.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The object identifier of the type `text`, named inside binary arrays.
const TEXT_OID: i32 = 25;

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
        with_columns(next_hop, attributes, path_status, None, |out, _, _| EncodedRoute::sealed(out))
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
        with_columns(next_hop, attributes, path_status, Some(labeled), |out, length, gaps| {
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
    path_status: Option<PathStatus>,
    labeled: Option<Labeled>,
    take: impl FnOnce(&mut [u8], usize, Gaps) -> T,
) -> T {
    let link_local = next_hop.and_then(|next_hop| next_hop.link_local);
    SCRATCH.with_borrow_mut(|out| {
        out.extend_from_slice(&[0; FINGERPRINT]);
        let beside = ExtraAttributes { link_local, path_status, labeled };
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
    beside: &ExtraAttributes,
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

/// Appends an `afi` field.
pub(crate) fn put_afi(out: &mut Vec<u8>, afi: Afi) {
    put_fixed(out, &afi.column().to_be_bytes());
}

/// Returns the number of fields that [`put_speaker`] writes.
pub(crate) fn speaker_columns(table: &Table) -> usize {
    match table.view.kind() {
        RibKind::LocRib => 0,
        RibKind::AdjRibIn | RibKind::AdjRibOut => 2,
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

/// Appends a `boolean` field.
pub(super) fn put_bool(out: &mut Vec<u8>, value: bool) {
    put_fixed(out, &[u8::from(value)]);
}

/// Appends a `cidr` field.
pub(crate) fn put_cidr(out: &mut Vec<u8>, prefix: &Prefix) {
    put_network(out, prefix.address(), prefix.length(), Network::Cidr);
}

/// Appends an `inet` field holding a host address.
pub(crate) fn put_inet(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(_) => put_network(out, address, 32, Network::Host),
        IpAddr::V6(_) => put_network(out, address, 128, Network::Host),
    }
}

/// Appends a `timestamptz` field.
pub(crate) fn put_timestamp(out: &mut Vec<u8>, time: Timestamp) {
    put_fixed(out, &time.unix_micros().saturating_sub(POSTGRES_EPOCH_MICROS).to_be_bytes());
}

/// Appends a `bigint` field.
pub(crate) fn put_bigint(out: &mut Vec<u8>, value: i64) {
    // In one piece, like an address below: appending is where most of the time is spent.
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 8, a, b, c, d, e, f, g, h]);
}

/// Appends a `text`, `char(n)` or `bytea` field: all three are their bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("no value of ours comes near 2 GiB: a BMP message is 1 MiB at most");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a `text` field.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends a `text` field holding the text that `value` writes.
fn put_written(out: &mut Vec<u8>, value: &impl WriteText) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    value.write_text(out);
    put_length(out, start);
}

/// Writes the length of the field that begins at `start` and ends where `out` does.
fn put_length(out: &mut [u8], start: usize) {
    let length = i32::try_from(out.len() - start - 4).expect("a field is made of one BGP message");
    BE::write_i32(&mut out[start..], length);
}

/// Appends a NULL of any type.
pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff; 4]);
}

/// Appends a field of fixed length.
fn put_fixed<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    put_bytes(out, bytes);
}

fn put_u32_as_bigint(out: &mut Vec<u8>, value: Option<u32>) {
    match value {
        Some(value) => put_bigint(out, i64::from(value)),
        None => put_null(out),
    }
}

/// The third octet of an `inet` or `cidr`, which tells the two apart.
#[derive(Clone, Copy)]
enum Network {
    Host = 0,
    Cidr = 1,
}

/// Appends an `inet` or `cidr` field: family, bits, whether it is a cidr, length of the address, address.
fn put_network(out: &mut Vec<u8>, address: IpAddr, bits: u8, network: Network) {
    // PostgreSQL numbers the families 2 and 3 on every system (PGSQL_AF_INET, PGSQL_AF_INET6).
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            out.extend_from_slice(&[0, 0, 0, 8, 2, bits, network as u8, 4, a, b, c, d]);
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(&[0, 0, 0, 20, 3, bits, network as u8, 16]);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// Appends a `text[]` field: number of dimensions, whether there are NULLs, element type, then count and lower bound of
/// the one dimension and the elements. An empty array has no dimension.
fn put_text_array<T: Fixed + WriteText>(out: &mut Vec<u8>, items: Option<&List<'_, T>>) {
    let Some(items) = items else { return put_null(out) };
    let start = out.len();
    let (length, no_nulls, element) = ([0; 4], [0; 4], TEXT_OID.to_be_bytes());
    let dimensions = i32::from(!items.is_empty()).to_be_bytes();
    out.extend_from_slice([length, dimensions, no_nulls, element].as_flattened());
    if !items.is_empty() {
        let count = i32::try_from(items.len()).expect("a path attribute has at most 64 KiB of communities");
        out.extend_from_slice([count.to_be_bytes(), 1i32.to_be_bytes()].as_flattened());
        // A community's text with its length is at most four times as long as its octets.
        out.reserve(4 * T::SIZE * items.len());
        for item in items.iter() {
            put_written(out, &item);
        }
    }
    put_length(out, start);
}

/// Appends a `jsonb` field: version 1 and the text. `json` is in the normal form that the database returns.
fn put_jsonb(out: &mut Vec<u8>, json: &str) {
    let start = begin_jsonb(out);
    out.extend_from_slice(json.as_bytes());
    put_length(out, start);
}

/// Begins a `jsonb` field. The caller appends the text and then writes its length at the returned offset.
fn begin_jsonb(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 1]);
    start
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

/// Reads the fields of binary COPY rows, as COPY OUT sends them.
#[derive(Debug)]
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// Starts at the first byte after a row's field count.
    pub fn new(row: &'a [u8]) -> FieldReader<'a> {
        FieldReader { rest: row }
    }

    /// Returns the part that has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Skips `count` fields and returns the octets behind them.
    pub fn skip(&mut self, count: usize) -> &'a [u8] {
        (0..count).for_each(|_| {
            self.value();
        });
        self.rest
    }

    /// Reads the next field's value. `None` if it is NULL or cut short.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, rest) = rest.split_at_checked(length.unwrap_or(0))?;
        self.rest = rest;
        length.map(|_| value)
    }

    /// Reads the next field as a prefix.
    pub fn prefix(&mut self) -> Option<Prefix> {
        let [family, bits, _is_cidr, _length, octets @ ..] = self.value()? else { return None };
        let afi = match family {
            2 => Afi::Ipv4,
            3 => Afi::Ipv6,
            _ => return None,
        };
        Prefix::new(afi, octets, *bits).ok()
    }

    /// Reads the next field as a `bigint`.
    pub fn bigint(&mut self) -> Option<i64> {
        self.value()?.read_i64::<BE>().ok()
    }

    /// Reads the next field as the `path_id` of `current_routes`.
    pub fn path_id(&mut self) -> Option<u32> {
        u32::try_from(self.bigint()?).ok()
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

    #[test]
    fn keys_are_read_as_they_are_written() {
        for (afi, octets, length) in [(Afi::Ipv4, &[10, 128][..], 9), (Afi::Ipv6, &[0x20, 1, 0x0d, 0xb8], 32)] {
            let prefix = Prefix::new(afi, octets, length).unwrap();
            let mut out = Vec::new();
            put_cidr(&mut out, &prefix);
            put_bigint(&mut out, i64::from(u32::MAX));
            let mut fields = FieldReader::new(&out);
            assert_eq!((fields.prefix(), fields.path_id(), fields.rest()), (Some(prefix), Some(u32::MAX), &[][..]));
            assert_eq!(FieldReader::new(&out[..out.len() - 13]).prefix(), None);
        }
    }
}
