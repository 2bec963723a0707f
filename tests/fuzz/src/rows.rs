//! Rows of a binary COPY, read as PostgreSQL's receive functions read them and as strictly.

use rib_ingester::model::attrs::jsonb_text;
use rib_ingester::model::{RibKind, Table};
use serde_json::Value;

#[derive(Clone, Copy, Debug)]
enum Column {
    EventId,
    Text,
    Afi,
    Cidr,
    Inet,
    Action,
    AsPath,
    Origin,
    Unsigned,
    TextArray,
    Jsonb,
    Timestamp,
    Bytes,
    Bool,
    BgpId,
}

use Column::{
    Action, Afi, AsPath, BgpId, Bool, Bytes, Cidr, EventId, Inet, Jsonb, Origin, Text, TextArray, Timestamp, Unsigned,
};

/// `nexthop` to `attrs`.
const ATTRIBUTES: [Column; 10] =
    [Inet, AsPath, Origin, Unsigned, Unsigned, Unsigned, TextArray, TextArray, TextArray, Jsonb];

/// The ten attribute columns, all of which may be NULL.
pub fn check_attributes(columns: &[u8]) {
    let rest = ATTRIBUTES.iter().fold(columns, |rest, column| check_field(rest, *column, true));
    assert!(rest.is_empty(), "octets behind the last column");
}

/// The key of a row of `current_routes`, or of the Adj-RIB that the table is.
pub fn check_key(table: &Table, fields: &[u8]) {
    let columns = match table.view.kind() {
        RibKind::LocRib | RibKind::NlriLocRib => &[Text, Text, Afi, Cidr, Unsigned][..],
        RibKind::AdjRibIn | RibKind::AdjRibOut | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut => {
            &[Text, Inet, Bool, Text, Afi, Cidr, Unsigned]
        }
    };
    let rest = columns.iter().fold(fields, |rest, column| check_field(rest, *column, false));
    assert!(rest.is_empty(), "octets behind the last column");
}

/// A row of `route_events`, without looking at the values of its attribute columns.
pub fn check_event(fields: &[u8], attributes: &[u8]) {
    let key = [EventId, Timestamp, Text, Text, Afi, Cidr];
    let rest = key.into_iter().fold(fields, |rest, column| check_field(rest, column, false));
    let rest = check_field(rest, Unsigned, true);
    let rest = check_field(rest, Action, false);
    let rest = rest.strip_prefix(attributes).expect("the attribute columns as encoded");
    let rest = check_field(rest, Bytes, true);
    let rest = check_field(rest, Timestamp, false);
    let rest = check_field(rest, Timestamp, true);
    let rest = check_field(rest, Inet, true);
    let rest = check_field(rest, Unsigned, true);
    let rest = check_field(rest, BgpId, true);
    let rest = check_field(rest, Bool, true);
    let rest = check_field(rest, Text, false);
    assert!(rest.is_empty(), "octets behind the last column");
}

/// Checks one field; what is behind it.
fn check_field(fields: &[u8], column: Column, nullable: bool) -> &[u8] {
    let (length, rest) = fields.split_first_chunk::<4>().expect("a field has a length");
    let length = i32::from_be_bytes(*length);
    if length == -1 {
        assert!(nullable, "{column:?} is NULL");
        return rest;
    }
    let (value, rest) = rest.split_at_checked(usize::try_from(length).unwrap()).expect("a field has its octets");
    check_value(value, column);
    rest
}

fn check_value(value: &[u8], column: Column) {
    match column {
        EventId => assert_eq!(value.len(), 32),
        Bool => assert!(matches!(value, [0 | 1])),
        BgpId => assert!(value.is_empty() || text(value).parse::<std::net::Ipv4Addr>().is_ok()),
        Bytes => assert!(!value.is_empty()),
        Text => assert!(!text(value).is_empty()),
        Action => assert!(matches!(value, b"A" | b"D")),
        Origin => assert!(matches!(value, b"IGP" | b"EGP" | b"INCOMPLETE")),
        AsPath => assert!(value.iter().all(|c| c.is_ascii_digit() || b" {},()[]".contains(c)), "{}", text(value)),
        Afi => assert!(matches!(value, [0, 4 | 6])),
        Unsigned => {
            let number = i64::from_be_bytes(value.try_into().unwrap());
            assert!((0..=i64::from(u32::MAX)).contains(&number), "{number}");
        }
        Timestamp => assert_eq!(value.len(), 8),
        Cidr => check_network(value, true),
        Inet => check_network(value, false),
        TextArray => check_array(value),
        Jsonb => check_jsonb(value),
    }
}

fn text(value: &[u8]) -> &str {
    let text = std::str::from_utf8(value).expect("text is UTF-8");
    assert!(!text.contains('\0'), "NUL in {text:?}");
    text
}

/// `network_recv`: family, bits, is_cidr, length, address.
fn check_network(value: &[u8], is_cidr: bool) {
    let [family, bits, cidr, length, octets @ ..] = value else { panic!("a network has a header") };
    let size = match family {
        2 => 4,
        3 => 16,
        _ => panic!("family {family}"),
    };
    assert_eq!((usize::from(*length), octets.len(), *cidr), (size, size, u8::from(is_cidr)));
    assert!(usize::from(*bits) <= 8 * size && (is_cidr || usize::from(*bits) == 8 * size));
    assert_no_host_bits(octets, *bits);
}

/// PostgreSQL refuses a `cidr` with bits behind its length (22P02).
pub fn assert_no_host_bits(octets: &[u8], bits: u8) {
    for (i, octet) in octets.iter().enumerate() {
        let network = usize::from(bits).saturating_sub(8 * i).min(8);
        assert_eq!(u32::from(*octet) << network & 0xff, 0, "host bits: {octets:?}/{bits}");
    }
}

/// `array_recv` of `text[]` with at most one dimension and no NULLs.
fn check_array(value: &[u8]) {
    let number = |at: usize| i32::from_be_bytes(value[at..at + 4].try_into().unwrap());
    let dimensions = number(0);
    assert_eq!((number(4), number(8)), (0, 25));
    if dimensions == 0 {
        assert_eq!(value.len(), 12);
        return;
    }
    assert_eq!((dimensions, number(16)), (1, 1));
    assert!(number(12) > 0);
    let rest = (0..number(12)).fold(&value[20..], |rest, _| check_field(rest, Text, false));
    assert!(rest.is_empty(), "octets behind the last element");
}

/// `jsonb_recv`: version 1 and an object in the normal form that PostgreSQL prints, so that fingerprints compare.
fn check_jsonb(value: &[u8]) {
    let [1, json @ ..] = value else { panic!("jsonb of version 1") };
    let json = text(json);
    let parsed: Value = serde_json::from_str(json).expect("JSON");
    assert!(parsed.as_object().is_some_and(|members| !members.is_empty()), "{json}");
    assert_eq!(jsonb_text(&parsed), json, "the normal form");
    assert!(!json.contains("\\u0000"), "PostgreSQL refuses NUL in jsonb (22P05)");
}
