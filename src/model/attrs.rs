//! The `attrs` column: path attributes without a column of their own, as JSON.
//!
//! The text is exactly what PostgreSQL prints of a `jsonb`: keys by length, then by bytes, one space behind `,` and
//! `:`. So what is written is what is read back, and a stored route compares equal to a received one.

use std::fmt::Write;
use std::net::Ipv6Addr;

use serde_json::{Map, Value, json};

use super::{OtherAttribute, PathAttributes, PathStatus};

impl PathAttributes<'_> {
    /// The attributes without a column, by the names of the IANA registry of BGP path attributes in snake case, an
    /// unregistered one by its decimal type code. Empty when there are none.
    pub fn attrs(&self) -> Map<String, Value> {
        self.other.iter().map(|attribute| (name(attribute.code()), value(attribute))).collect()
    }

    /// The text of the `attrs` column; a route's link-local next hop and its status have no column either. `None` when
    /// there is nothing.
    pub fn attrs_json(&self, link_local: Option<Ipv6Addr>, path_status: Option<PathStatus>) -> Option<String> {
        if self.other.is_empty() && link_local.is_none() && path_status.is_none() {
            return None;
        }
        let mut attrs = self.attrs();
        if let Some(link_local) = link_local {
            attrs.insert("link_local_next_hop".to_owned(), json!(link_local.to_string()));
        }
        if let Some(path_status) = path_status {
            attrs.insert("path_status".to_owned(), path_status.json());
        }
        Some(jsonb_text(&Value::Object(attrs)))
    }
}

/// The attribute's name in the registry, or its number.
fn name(code: u8) -> String {
    let name = match code {
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
        code => return code.to_string(),
    };
    name.to_owned()
}

fn value(attribute: &OtherAttribute<'_>) -> Value {
    match attribute {
        OtherAttribute::AtomicAggregate => json!(true),
        OtherAttribute::Aggregator { asn, address } => json!({ "asn": asn.0, "address": address.to_string() }),
        OtherAttribute::OriginatorId(id) => json!(id.to_string()),
        OtherAttribute::ClusterList(ids) => ids.iter().map(|id| id.to_string()).collect(),
        OtherAttribute::Ipv6ExtendedCommunities(all) => all.iter().map(|bytes| hex(&bytes)).collect(),
        OtherAttribute::Aigp(metric) => json!(metric),
        OtherAttribute::OnlyToCustomer(asn) => json!(asn.0),
        OtherAttribute::Opaque { value, .. } => json!(hex(value)),
    }
}

/// Lower-case hex, two digits an octet.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble| char::from_digit(u32::from(nibble), 16).expect("four bits are one digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// `value` as PostgreSQL prints a `jsonb`.
pub fn jsonb_text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_list(out, '[', ']', items.iter(), write_value),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            write_list(out, '{', '}', members.into_iter(), |out, (key, value)| {
                write_string(out, key);
                out.push_str(": ");
                write_value(out, value);
            });
        }
    }
}

fn write_list<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    out.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(out, item);
    }
    out.push(close);
}

/// As PostgreSQL's `escape_json` does it.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Asn;

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
        assert_eq!(
            attributes.attrs_json(Some("fe80::1".parse().unwrap()), PathStatus::from_wire(&[0, 0, 0, 2])).unwrap(),
            r#"{"99": "0102ff", "aigp": 18446744073709551615, "aggregator": {"asn": 4200000000, "address": "10.1.1.1"}, "path_status": {"status": ["best"]}, "cluster_list": ["8.8.8.8", "9.9.9.9"], "atomic_aggregate": true, "link_local_next_hop": "fe80::1"}"#,
        );
        assert_eq!(PathAttributes::default().attrs_json(None, None), None);
    }

    #[test]
    fn strings_are_escaped_as_postgresql_does() {
        let text = jsonb_text(&json!({ "k": "a\"b\\c\n\t\u{1}é", "a": [], "o": {} }));
        assert_eq!(text, "{\"a\": [], \"k\": \"a\\\"b\\\\c\\n\\t\\u0001é\", \"o\": {}}");
    }
}
