//! Names of ASes and meanings of communities, for people: the schema `names`, which may be empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use postgres::types::Type;
use postgres::{Client, GenericClient, Row};

use super::error::Result;
use crate::model::text::printable;

/// The most characters of a name that are shown.
const CHARACTERS_MAX: usize = 100;

/// An AS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsName {
    /// Its number.
    pub asn: u32,
    /// Its name.
    pub name: String,
    /// Its country.
    pub country: Option<String>,
}

/// The name, and the country in brackets.
impl fmt::Display for AsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.country {
            Some(country) => write!(f, "{} ({country})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The names of some ASes and communities, as far as they have any. Without characters that move a cursor, and cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// ASes by number.
    pub asns: BTreeMap<u32, AsName>,
    /// Meanings of communities, by the text of the community.
    pub communities: BTreeMap<String, String>,
}

impl Names {
    /// Returns the name of an AS, with its country.
    pub fn of_as(&self, asn: i64) -> Option<String> {
        u32::try_from(asn).ok().and_then(|asn| self.asns.get(&asn)).map(AsName::to_string)
    }

    /// Returns those that occur in a path and in communities: `AS64500` or the community, and its name.
    pub fn within<'a>(
        &self,
        as_path: Option<&str>,
        communities: impl IntoIterator<Item = &'a String>,
    ) -> BTreeMap<String, String> {
        let asns = asns_of(as_path.unwrap_or_default()).filter_map(|asn| self.asns.get(&asn));
        let communities = communities.into_iter().filter_map(|text| self.communities.get_key_value(text));
        let communities = communities.map(|(community, text)| (community.clone(), text.clone()));
        asns.map(|known| (format!("AS{}", known.asn), known.to_string())).chain(communities).collect()
    }
}

/// Returns the ASes of a path, which may have sets and confederations.
pub fn asns_of(as_path: &str) -> impl Iterator<Item = u32> {
    as_path.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok())
}

/// Returns the names of ASes and the meanings of communities. None where the role may not read them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn names(
    client: &mut impl GenericClient,
    asns: &BTreeSet<u32>,
    communities: &BTreeSet<&str>,
) -> Result<Names> {
    if asns.is_empty() && communities.is_empty() || !may_read(client)? {
        return Ok(Names::default());
    }
    let asns: Vec<i64> = asns.iter().copied().map(i64::from).collect();
    let communities: Vec<&str> = communities.iter().copied().collect();
    let rows = client.query_typed(
        include_str!("../../sql/statements/names_of.sql"),
        &[(&asns, Type::INT8_ARRAY), (&communities, Type::TEXT_ARRAY)],
    )?;
    let mut names = Names::default();
    for row in &rows {
        match row.get::<_, Option<String>>("community") {
            Some(community) => {
                names.communities.insert(community, shown(row.get("name")));
            }
            None => {
                let named = read(row);
                names.asns.insert(named.asn, named);
            }
        }
    }
    Ok(names)
}

/// Returns at most `limit` ASes whose name contains a text, in any case of letters.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn like(client: &mut Client, text: &str, limit: i64) -> Result<Vec<AsName>> {
    if !may_read(client)? {
        return Ok(Vec::new());
    }
    let sql = include_str!("../../sql/statements/names_like.sql");
    Ok(client.query_typed(sql, &[(&text, Type::TEXT), (&limit, Type::INT8)])?.iter().map(read).collect())
}

fn may_read(client: &mut impl GenericClient) -> Result<bool> {
    Ok(client.query_typed_one(include_str!("../../sql/statements/names_may_read.sql"), &[])?.get(0))
}

fn read(row: &Row) -> AsName {
    // A CHECK of the table keeps the number in range.
    let asn = u32::try_from(row.get::<_, i64>("asn")).unwrap_or_default();
    let country: Option<String> = row.get("country");
    AsName { asn, name: shown(row.get("name")), country: country.filter(|text| !text.is_empty()).map(shown) }
}

/// Returns a name as it is shown.
fn shown(name: String) -> String {
    let name = printable(&name);
    match name.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ases_of_a_path_with_sets() {
        let asns: Vec<u32> = asns_of("64500 {64501,64502} (64503 64504) [64505]").collect();
        assert_eq!(asns, [64_500, 64_501, 64_502, 64_503, 64_504, 64_505]);
        assert_eq!(asns_of("").chain(asns_of("99999999999")).count(), 0);
    }

    #[test]
    fn names_are_cut_and_move_no_cursor() {
        assert_eq!(shown("Example\u{1b}[2J\n".to_owned()), "Example\\u{1b}[2J\\n");
        assert_eq!(shown("ü".repeat(100)), "ü".repeat(100));
        assert_eq!(shown("ü".repeat(101)), format!("{}…", "ü".repeat(100)));
    }
}
