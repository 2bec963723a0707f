//! Lists of the names of ASes and of the meanings of communities.

use serde_json::Value;

use super::names::is_same;
use super::source::SourceTable;
use super::{Schema, Table};

/// The schema `names`.
pub(crate) const SCHEMA: Schema = Schema {
    name: "names",
    tables: &[
        Table {
            name: "as_names",
            sources: &["asns", "ases", "autnums"],
            renamed: &[("as", "asn"), ("descr", "name"), ("cc", "country")],
            left_out: &[],
        },
        Table {
            name: "communities",
            sources: &["community"],
            renamed: &[("community", "pattern"), ("description", "text"), ("meaning", "text")],
            left_out: &["head", "expression"],
        },
    ],
    left_out: &["well_known"],
};

/// Brings the forms that lists have to those of the tables: `AS64500` is a number, and `nnn` in a community, as looking
/// glasses write it, is `*`.
pub(crate) fn prepare(mut tables: Vec<SourceTable>) -> Vec<SourceTable> {
    let values = tables.iter_mut().flat_map(|table| &mut table.rows).flat_map(|row| row.values.iter_mut());
    for (name, value) in values {
        let Value::String(text) = value else { continue };
        if is_same(name, "asn") || is_same(name, "as") {
            if let Some(digits) = text.trim().get(2..).filter(|_| text.trim()[..2].eq_ignore_ascii_case("as")) {
                *text = digits.to_owned();
            }
        } else if is_same(name, "pattern") || is_same(name, "community") {
            *text = text.trim().replace("nnn", "*");
        }
    }
    tables
}
