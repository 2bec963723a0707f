//! The columns of a file: those of `route_events` or `nlri_events`, and beside them those that queries by address and AS
//! number need.

use std::cmp::Ordering;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::failure::Failure;
use crate::store::archive::{Cell, History};

/// The columns before those that both have, of routes. Those that the database has are in the order of
/// `archive_events.sql` and `archive_nlri_events.sql`.
///
/// `first` and `last` are the first and the last address of the prefix, 16 octets each, an IPv4 address as the IPv6 address
/// that it is mapped to (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2): they compare as addresses do, within a family.
const ROUTES: &str = "message route_events {
    required fixed_len_byte_array(32) event_id;
    required int64 ingest_time (TIMESTAMP(MICROS,true));
    required byte_array router_id (STRING);
    required byte_array table_name (STRING);
    required int32 afi (INTEGER(16,true));
    required byte_array prefix (STRING);
    required int32 prefix_len (INTEGER(16,true));
    required fixed_len_byte_array(16) first;
    required fixed_len_byte_array(16) last;
";

/// The columns before those that both have, of other families: those of `nlri_events`, and `key_hash`, the first 128 bits
/// of the SHA-256 of `nlri_key`, by which they are sorted.
const OTHER_FAMILIES: &str = "message nlri_events {
    required fixed_len_byte_array(32) event_id;
    required int64 ingest_time (TIMESTAMP(MICROS,true));
    required byte_array router_id (STRING);
    required byte_array table_name (STRING);
    required int32 afi;
    optional byte_array nlri_key (STRING);
    required int32 safi (INTEGER(16,true));
    required fixed_len_byte_array(16) key_hash;
    optional byte_array nlri (JSON);
";

/// The columns after those.
const REST: &str = "
    optional int64 path_id;
    required byte_array action (STRING);
    optional byte_array nexthop (STRING);
    optional byte_array as_path (STRING);
    optional group as_list (LIST) { repeated group list { required int32 element (INTEGER(32,false)); } }
    optional byte_array origin (STRING);
    optional int64 localpref;
    optional int64 med;
    optional int64 origin_asn;
    optional group communities_std (LIST) { repeated group list { required byte_array element (STRING); } }
    optional group communities_ext (LIST) { repeated group list { required byte_array element (STRING); } }
    optional group communities_large (LIST) { repeated group list { required byte_array element (STRING); } }
    optional byte_array attrs (JSON);
    optional byte_array bmp_raw;
    optional int64 received_at (TIMESTAMP(MICROS,true));
    optional int64 router_time (TIMESTAMP(MICROS,true));
    optional byte_array peer_address (STRING);
    optional int64 peer_asn;
    optional byte_array peer_bgp_id (STRING);
    optional boolean is_post_policy;
    optional byte_array rib (STRING);
}";

/// The places of columns in a row. Of other families `safi` is in the place of the length, the hash in that of the first
/// address, and the NLRI in that of the last one.
pub(super) const EVENT_ID: usize = 0;
const INGEST_TIME: usize = 1;
const AFI: usize = 4;
const PREFIX_LEN: usize = 6;
pub(super) const FIRST: usize = 7;
const LAST: usize = 8;
const AS_PATH: usize = 12;
const AS_LIST: usize = 13;
pub(super) const BMP_RAW: usize = 22;

/// The name in a file's metadata under which it says whether it has the BMP messages.
pub(super) const RAW_KEY: &str = "rib_ingester.bmp_raw";

/// The level of compression: zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// One event, a cell for each column.
pub(super) type Row = Vec<Cell>;

/// Returns the schema.
pub(super) fn schema(history: History) -> TypePtr {
    let begin = match history {
        History::Routes => ROUTES,
        History::OtherFamilies => OTHER_FAMILIES,
    };
    Arc::new(parse_message_type(&format!("{begin}{REST}")).expect("a unit test parses it"))
}

/// Returns the properties of a file.
pub(super) fn properties(with_raw: bool) -> WriterPropertiesPtr {
    let column = |name: &str| ColumnPath::from(name);
    let sorted = |place: usize| SortingColumn {
        column_idx: i32::try_from(place).expect("there are few columns"),
        descending: false,
        nulls_first: false,
    };
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("the default is a level");
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("rib-ingester ", env!("CARGO_PKG_VERSION")).to_owned())
        // Until here the leaves are in the order of the columns.
        .set_sorting_columns(Some([AFI, FIRST, PREFIX_LEN, INGEST_TIME, EVENT_ID].map(sorted).to_vec()))
        .set_key_value_metadata(Some(vec![KeyValue::new(RAW_KEY.to_owned(), with_raw.to_string())]));
    // Values that hardly repeat: a dictionary of them would only be thrown away.
    for name in ["event_id", "ingest_time", "bmp_raw"] {
        builder = builder.set_column_dictionary_enabled(column(name), false);
    }
    for name in ["ingest_time", "received_at", "router_time"] {
        builder = builder.set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    Arc::new(builder.build())
}

/// Completes the cells of the database: addresses of 16 octets, and the numbers of the path.
///
/// # Errors
/// An event that this program cannot have written.
pub(super) fn completed(history: History, mut row: Row) -> Result<Row, Failure> {
    let addresses: &[usize] = match history {
        History::Routes => &[FIRST, LAST],
        History::OtherFamilies => &[FIRST],
    };
    for &place in addresses {
        if let Some(Cell::Octets(octets)) = row.get_mut(place)
            && octets.len() == 4
        {
            octets.splice(..0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        }
    }
    let numbers = match row.get(AS_PATH) {
        Some(Cell::Octets(path)) => Cell::Numbers(numbers(path)),
        _ => Cell::Null,
    };
    row.insert(AS_LIST.min(row.len()), numbers);
    let octets_of = |place: usize| match row.get(place) {
        Some(Cell::Octets(octets)) => octets.len(),
        _ => 0,
    };
    let mut sizes = addresses.iter().map(|place| (*place, 16)).chain([(EVENT_ID, 32)]);
    let Some((place, size)) = sizes.find(|(place, size)| octets_of(*place) != *size) else { return Ok(row) };
    let column = match (place, history) {
        (EVENT_ID, _) => "event_id",
        (FIRST, History::OtherFamilies) => "key_hash",
        _ => "an address",
    };
    Err(Failure::Content(format!("an event has {} octets in {column}, where all have {size}", octets_of(place))))
}

/// Returns the AS numbers of a path's text in their order, those of sets and confederations too.
fn numbers(path: &[u8]) -> Vec<u32> {
    let words = path.split(|octet| !octet.is_ascii_digit()).filter(|word| !word.is_empty());
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok()).collect()
}

/// Compares the keys of two events: family, first address, length, time, identifier. PostgreSQL orders `afi, prefix,
/// ingest_time, event_id` in the same way: of two networks of which one is in the other the larger is first. Of other
/// families: AFI, hash of the key, SAFI, time, identifier.
pub(super) fn compare(one: &Row, other: &Row) -> Ordering {
    let by = |place: usize| compare_cells(&one[place], &other[place]);
    by(AFI)
        .then_with(|| by(FIRST))
        .then_with(|| by(PREFIX_LEN))
        .then_with(|| by(INGEST_TIME))
        .then_with(|| by(EVENT_ID))
}

fn compare_cells(one: &Cell, other: &Cell) -> Ordering {
    match (one, other) {
        (Cell::Int(one), Cell::Int(other)) => one.cmp(other),
        (Cell::Long(one), Cell::Long(other)) => one.cmp(other),
        (Cell::Octets(one), Cell::Octets(other)) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_parsed_and_its_places_are_right() {
        let places = [EVENT_ID, INGEST_TIME, AFI, PREFIX_LEN, FIRST, LAST, AS_PATH, AS_LIST, BMP_RAW];
        for (history, [length, first, last]) in
            History::ALL.into_iter().zip([["prefix_len", "first", "last"], ["safi", "key_hash", "nlri"]])
        {
            let schema = schema(history);
            let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
            let named = ["event_id", "ingest_time", "afi", length, first, last, "as_path", "as_list", "bmp_raw"];
            assert_eq!(places.map(|place| names[place]), named);
            assert_eq!((schema.name(), names.len()), (history.name(), 30));
        }
    }

    #[test]
    fn numbers_of_paths() {
        let check = |path: &str, want: &[u32]| assert_eq!(numbers(path.as_bytes()), want, "{path}");
        check("", &[]);
        check("64500 4294967295 64500", &[64500, 4_294_967_295, 64500]);
        check("(1 2) 3 {4,5} [6,7]", &[1, 2, 3, 4, 5, 6, 7]);
    }
}
