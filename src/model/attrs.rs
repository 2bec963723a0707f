//! The `attrs` column: path attributes without a column of their own, as JSON.
//!
//! The text is exactly that which PostgreSQL prints for a `jsonb`: keys ordered by length, then by bytes, one space
//! after `,` and `:`. So the text written is the text read back, and a stored route compares equal to a received one.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::as_path::AsPath;
use super::attribute::{AttrSet, OtherAttribute, PathAttributes};
use super::family::AfiSafi;
use super::list::{Fixed, List};
use super::path_status::PathStatus;
use super::tunnels::structured;
use super::write_text::WriteText;
use super::write_text::{write_hex, write_ipv4, write_number};

impl PathAttributes<'_> {
    /// Returns the attributes without a column, named as in the IANA registry of BGP path attributes in snake case; an
    /// unregistered one by its decimal type code. Empty if there are none.
    pub fn attrs(&self) -> Map<String, Value> {
        let mut text = Vec::new();
        self.write_attrs(&ExtraAttributes::default(), &mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Appends the text of the `attrs` column, including the values in `beside`, which have no column either. Appends
    /// nothing if there are no values: the column is NULL then. Returns the gaps in which the values of each labeled
    /// route belong.
    pub(crate) fn write_attrs(&self, beside: &ExtraAttributes<'_>, out: &mut Vec<u8>) -> Gaps {
        let ExtraAttributes { link_local, path_status, labeled, nlri } = *beside;
        let is_bare = link_local.is_none() && path_status.is_none() && labeled.is_none() && nlri.is_none();
        if self.other.is_empty() && is_bare {
            return Gaps::default();
        }
        let (rd, labels) = (Cell::new(None), Cell::new(None));
        let mut members = self.members();
        members.extend(link_local.map(|address| ("link_local_next_hop".into(), Member::LinkLocal(address))));
        members.extend(path_status.map(|status| ("path_status".into(), Member::PathStatus(status))));
        members.extend((labeled == Some(Labeled::Vpn)).then_some(("rd".into(), Member::Gap(&rd, *b"\"\""))));
        members.extend(labeled.map(|_| ("labels".into(), Member::Gap(&labels, *b"[]"))));
        if let Some(NlriMembers { family, key, fields }) = nlri {
            members.push(("nlri".into(), Member::Fields(fields)));
            members.push(("nlri_key".into(), Member::Text(key)));
            members.push(("nlri_afi".into(), Member::Number(family.afi.into())));
            members.push(("nlri_safi".into(), Member::Number(family.safi.into())));
        }
        write_members(out, members);
        Gaps { rd: rd.get(), labels: labels.get() }
    }

    /// Returns the attributes without a column.
    fn members(&self) -> Members<'_> {
        self.other.iter().map(|attribute| (name(attribute.code()), Member::Attribute(attribute))).collect()
    }
}

/// Keys with their values, in any order.
type Members<'a> = SmallVec<[(Cow<'static, str>, Member<'a>); 4]>;

fn write_members(out: &mut Vec<u8>, mut members: Members<'_>) {
    members.sort_unstable_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    write_list(out, *b"{}", members.iter(), |out, (key, member)| {
        write_string(out, key);
        out.extend_from_slice(b": ");
        member.write(out);
    });
}

/// Writes an ATTR_SET with the attribute names that `decode` uses for an UPDATE, those of `attrs` among the others.
fn write_attr_set(out: &mut Vec<u8>, set: &AttrSet<'_>) {
    let AttrSet { origin_as, next_hop, attributes: all } = set;
    let mut members = all.members();
    let mut add = |key: &'static str, member: Option<_>| members.extend(member.map(|member| (key.into(), member)));
    add("origin", all.origin.map(|origin| Member::Word(origin.as_str())));
    add("as_path", all.as_path.as_ref().map(Member::AsPath));
    add("next_hop", next_hop.map(Member::Ipv4));
    add("localpref", all.local_pref.map(Member::Number));
    add("med", all.med.map(Member::Number));
    add("communities_std", all.communities.as_ref().map(|list| Member::Texts(list)));
    add("communities_ext", all.extended_communities.as_ref().map(|list| Member::Texts(list)));
    add("communities_large", all.large_communities.as_ref().map(|list| Member::Texts(list)));
    out.extend_from_slice(b"{\"origin_as\": ");
    write_number(out, origin_as.0);
    out.extend_from_slice(b", \"attributes\": ");
    write_members(out, members);
    out.push(b'}');
}

/// A list whose values are written as texts.
trait Texts {
    fn write(&self, out: &mut Vec<u8>);
}

impl<T: Fixed + WriteText> Texts for List<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        // No community's quoted text is longer than five times its octets.
        out.reserve(5 * T::SIZE * self.len());
        write_list(out, *b"[]", self.iter(), |out, item| write_quoted(out, |out| item.write_text(out)));
    }
}

/// The values of a single route that are in `attrs` besides the path attributes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExtraAttributes<'a> {
    /// The link-local address of the next hop: `link_local_next_hop`.
    pub link_local: Option<Ipv6Addr>,
    /// The router's status for the path: `path_status`.
    pub path_status: Option<PathStatus>,
    /// The kind of labeled routes, each of which has its own values under `labels` and `rd`.
    pub labeled: Option<Labeled>,
    /// The NLRI, if it is not a prefix: `nlri`, `nlri_key`, `nlri_afi` and `nlri_safi`.
    pub nlri: Option<&'a NlriMembers>,
}

/// The parts of an NLRI of another family that are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NlriMembers {
    /// The family, with its IANA numbers.
    pub family: AfiSafi,
    /// The key that identifies it.
    pub key: String,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// A kind of labeled routes, which determines the keys that they have in `attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labeled {
    /// `labels`: the labels of the route, top first (RFC 8277).
    Unicast,
    /// `labels`, and `rd`: the route distinguisher of a VPN route (RFC 4364 section 4.2).
    Vpn,
}

/// The offsets in an `attrs` text at which each labeled route's own values belong: between the two octets that mark the
/// place. So one text serves all routes of an UPDATE, however many labels they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    /// The offset of the distinguisher, between `""`.
    pub rd: Option<usize>,
    /// The offset of the labels, between `[]`; after the distinguisher.
    pub labels: Option<usize>,
}

/// Appends the labels as they are written between the brackets.
pub(crate) fn write_labels(out: &mut Vec<u8>, labels: &[u32]) {
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        write_number(out, *label);
    }
}

/// The value of one key.
enum Member<'a> {
    Attribute(&'a OtherAttribute<'a>),
    AsPath(&'a AsPath<'a>),
    Texts(&'a dyn Texts),
    Ipv4(Ipv4Addr),
    Number(u32),
    Word(&'static str),
    LinkLocal(Ipv6Addr),
    PathStatus(PathStatus),
    Text(&'a str),
    Fields(&'a Map<String, Value>),
    Gap(&'a Cell<Option<usize>>, [u8; 2]),
}

impl Member<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Member::Attribute(attribute) => write_attribute(out, attribute),
            Member::AsPath(path) => write_quoted(out, |out| path.write_text(out)),
            Member::Texts(list) => list.write(out),
            Member::Ipv4(address) => write_quoted(out, |out| write_ipv4(out, *address)),
            Member::Number(number) => write_number(out, *number),
            Member::Word(word) => write_string(out, word),
            Member::LinkLocal(address) => write_string(out, &address.to_string()),
            Member::PathStatus(status) => write_value(out, &status.json()),
            Member::Text(text) => write_string(out, text),
            Member::Fields(fields) => write_object(out, fields),
            Member::Gap(at, [open, close]) => {
                out.push(*open);
                at.set(Some(out.len()));
                out.push(*close);
            }
        }
    }
}

fn write_attribute(out: &mut Vec<u8>, attribute: &OtherAttribute<'_>) {
    match attribute {
        OtherAttribute::AtomicAggregate => out.extend_from_slice(b"true"),
        OtherAttribute::Aggregator { asn, address } => {
            out.extend_from_slice(b"{\"asn\": ");
            write_number(out, asn.0);
            out.extend_from_slice(b", \"address\": ");
            write_quoted(out, |out| write_ipv4(out, *address));
            out.push(b'}');
        }
        OtherAttribute::OriginatorId(id) => write_quoted(out, |out| write_ipv4(out, *id)),
        OtherAttribute::ClusterList(ids) => {
            out.reserve(ids.len() * "\"255.255.255.255\", ".len());
            write_list(out, *b"[]", ids.iter(), |out, id| write_quoted(out, |out| write_ipv4(out, id)));
        }
        OtherAttribute::Ipv6ExtendedCommunities(all) => {
            out.reserve(all.len() * (2 * 20 + "\"\", ".len()));
            write_list(out, *b"[]", all.iter(), |out, octets| write_quoted(out, |out| write_hex(out, &octets)));
        }
        OtherAttribute::Aigp(metric) => out.extend_from_slice(metric.to_string().as_bytes()),
        OtherAttribute::OnlyToCustomer(asn) => write_number(out, asn.0),
        OtherAttribute::AttrSet(set) => write_attr_set(out, set),
        OtherAttribute::Opaque { code, value } => match structured(*code, value) {
            Some(value) => write_value(out, &value),
            None => write_quoted(out, |out| write_hex(out, value)),
        },
    }
}

/// Returns the attribute's name in the registry, or its number.
fn name(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        6 => "atomic_aggregate",
        7 => "aggregator",
        9 => "originator_id",
        10 => "cluster_list",
        11 => "dpa",
        12 => "advertiser",
        13 => "rcid_path_cluster_id",
        17 => "as4_path",
        18 => "as4_aggregator",
        19 => "safi_specific_attribute",
        20 => "connector_attribute",
        21 => "as_pathlimit",
        22 => "pmsi_tunnel",
        23 => "tunnel_encapsulation",
        24 => "traffic_engineering",
        25 => "ipv6_address_specific_extended_community",
        26 => "aigp",
        27 => "pe_distinguisher_labels",
        28 => "bgp_entropy_label_capability",
        29 => "bgp_ls_attribute",
        33 => "bgpsec_path",
        34 => "bgp_community_container",
        35 => "only_to_customer",
        36 => "bgp_domain_path",
        37 => "sfp_attribute",
        38 => "bfd_discriminator",
        39 => "bgp_router_capabilities",
        40 => "bgp_prefix_sid",
        128 => "attr_set",
        code => return Cow::Owned(code.to_string()),
    })
}

/// Returns the type code of an attribute by its key in `attrs`.
pub(crate) fn code_of(key: &str) -> Option<u8> {
    (0..=u8::MAX).find(|code| name(*code) == key)
}

/// Returns the text that PostgreSQL prints for a `jsonb` of this value.
pub fn jsonb_text(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(&mut out, value);
    String::from_utf8(out).expect("made of texts")
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_list(out, *b"[]", items.iter(), write_value),
        Value::Object(members) => write_object(out, members),
    }
}

fn write_object(out: &mut Vec<u8>, members: &Map<String, Value>) {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
    write_list(out, *b"{}", members.into_iter(), |out, (key, value)| {
        write_string(out, key);
        out.extend_from_slice(b": ");
        write_value(out, value);
    });
}

fn write_list<T>(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        write(out, item);
    }
    out.push(close);
}

/// Writes a quoted text that needs no escapes.
fn write_quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Writes a quoted text, escaped as PostgreSQL's `escape_json` does it.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for octet in text.bytes() {
        match octet {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            0xc => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            octet if octet < b' ' => {
                out.extend_from_slice(b"\\u00");
                write_hex(out, &[octet]);
            }
            octet => out.push(octet),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Asn, Community, Origin, SegmentKind};

    #[test]
    fn keys_go_by_length_then_bytes() {
        let attributes = PathAttributes {
            other: vec![
                OtherAttribute::AtomicAggregate,
                OtherAttribute::Aggregator { asn: Asn(4_200_000_000), address: [10, 1, 1, 1].into() },
                OtherAttribute::ClusterList(vec![[8, 8, 8, 8].into(), [9, 9, 9, 9].into()].into()),
                OtherAttribute::Aigp(u64::MAX),
                OtherAttribute::Opaque { code: 99, value: vec![1, 2, 0xff].into() },
            ],
            ..PathAttributes::default()
        };
        let text = |attributes: &PathAttributes<'_>, link_local: Option<&str>, status: &[u8]| {
            let mut out = Vec::new();
            let link_local = link_local.map(|address| address.parse().unwrap());
            let beside = ExtraAttributes {
                link_local,
                path_status: PathStatus::from_wire(status),
                ..ExtraAttributes::default()
            };
            attributes.write_attrs(&beside, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(&attributes, Some("fe80::1"), &[0, 0, 0, 2]),
            r#"{"99": "0102ff", "aigp": 18446744073709551615, "aggregator": {"asn": 4200000000, "address": "10.1.1.1"}, "path_status": {"status": ["best"]}, "cluster_list": ["8.8.8.8", "9.9.9.9"], "atomic_aggregate": true, "link_local_next_hop": "fe80::1"}"#,
        );
        assert_eq!(attributes.attrs().len(), 5);
        assert_eq!(text(&PathAttributes::default(), None, &[]), "");
    }

    #[test]
    fn an_attr_set_holds_its_attributes_by_name() {
        let contained = PathAttributes {
            origin: Some(Origin::Igp),
            as_path: Some(AsPath::from_segments([(SegmentKind::Sequence, [Asn(4_200_000_000), Asn(7)])])),
            local_pref: Some(100),
            communities: Some(vec![Community(0xfde9_0064)].into()),
            other: vec![OtherAttribute::AtomicAggregate],
            ..PathAttributes::default()
        };
        let set = AttrSet { origin_as: Asn(64_496), next_hop: Some([192, 0, 2, 1].into()), attributes: contained };
        let other = vec![OtherAttribute::AttrSet(Box::new(set))];
        let mut out = Vec::new();
        PathAttributes { other, ..PathAttributes::default() }.write_attrs(&ExtraAttributes::default(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"attr_set": {"origin_as": 64496, "attributes": {"origin": "IGP", "as_path": "4200000000 7", "next_hop": "192.0.2.1", "localpref": 100, "communities_std": ["65001:100"], "atomic_aggregate": true}}}"#,
        );
    }

    #[test]
    fn strings_are_escaped_as_postgresql_does() {
        let text = jsonb_text(&json!({ "k": "a\"b\\c\n\t\u{1}é", "a": [], "o": {} }));
        assert_eq!(text, "{\"a\": [], \"k\": \"a\\\"b\\\\c\\n\\t\\u0001é\", \"o\": {}}");
    }
}
