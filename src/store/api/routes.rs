//! Routes as they are now, with conditions: a page of them, or all.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Transaction};

use super::json_rows::{JsonRows, with_columns};
use super::{ApiRow, read};
use crate::store::error::Result;
use crate::store::portal::each_row;

const LOC_RIB: &str = "loc-rib";
const ADJ_RIB_IN: &str = "adj-rib-in";

const OF_ADJ_RIB_IN: &str = include_str!("../../../sql/statements/api_adj_routes.sql");

static OF_ADJ_RIB_OUT: LazyLock<String> =
    LazyLock::new(|| OF_ADJ_RIB_IN.replace("FROM adj_rib_in r", "FROM adj_rib_out r"));

/// The number of routes up to which all that fulfil the conditions are sorted for each page.
const RARE_MAX: i64 = 20_000;

/// The number of routes that are walked along, in the order of the key, in search of those that are not rare.
const WALK_MAX: u32 = 10_000;

/// Which routes are asked for. Every condition that is given holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteFilter {
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub(crate) view: String,
    pub(crate) table_name: Option<String>,
    pub(crate) afi: Option<i16>,
    /// These peers, of an Adj-RIB.
    pub(crate) peers: Option<Vec<String>>,
    pub(crate) prefix: Option<String>,
    /// Prefixes that cover this one, itself included.
    pub(crate) covering: Option<String>,
    /// Prefixes that this one covers, itself included.
    pub(crate) covered: Option<String>,
    pub(crate) origin_asns: Option<Vec<i64>>,
    pub(crate) nexthop: Option<String>,
    pub(crate) communities_std: Option<Vec<String>>,
    pub(crate) communities_large: Option<Vec<String>>,
    pub(crate) communities_ext: Option<Vec<String>>,
    /// A regular expression for the AS path, with a space after each AS.
    pub(crate) as_path: Option<String>,
}

impl RouteFilter {
    /// Returns the view without the side of the policy.
    fn rib(&self) -> &str {
        match self.view.rsplit_once('-') {
            Some((rib, "pre" | "post")) => rib,
            Some(_) | None => &self.view,
        }
    }
}

/// Returns at most `limit` routes after the key `after`; of these routers, in their order, or of all.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn routes(
    client: &mut Client,
    routers: Option<&[String]>,
    filter: &RouteFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ApiRow>> {
    let parts = parts(client, routers, filter)?;
    let mut transaction = client.transaction()?;
    let mut is_frequent = false;
    if filter.covering.is_some() {
        transaction.batch_execute(include_str!("../../../sql/statements/api_covering_settings.sql"))?;
    } else if has_index(filter) && !is_rare(&mut transaction, filter)? {
        // The settings are gone with it.
        transaction.rollback()?;
        transaction = client.transaction()?;
        is_frequent = true;
    }
    let mut found = Vec::new();
    for (part, after) in remaining(&parts, after) {
        let left = limit - i64::try_from(found.len()).unwrap_or(limit);
        if left == 0 {
            break;
        }
        let query = Query::new(filter, part, after, left);
        let rows = if is_frequent && part.router.is_none() {
            frequent(&mut transaction, &query)?
        } else {
            transaction.query_typed(query.text(), &query.parameters())?
        };
        found.extend(rows.iter().map(read));
    }
    transaction.commit()?;
    Ok(found)
}

/// Returns routes of which there are many. Nearly always they are soon found in the order of the key. If not, they are
/// those of a few routers, with those of other routers before them: sorting all of them takes less than walking there.
fn frequent(transaction: &mut Transaction<'_>, query: &Query<'_>) -> Result<Vec<Row>> {
    let rows = transaction.query_typed(&walk(query.text()), &query.parameters())?;
    if i64::try_from(rows.len()).is_ok_and(|found| found >= query.limit) {
        return Ok(rows);
    }
    transaction.batch_execute(include_str!("../../../sql/statements/api_rare_settings.sql"))?;
    Ok(transaction.query_typed(query.text(), &query.parameters())?)
}

/// Returns a statement that walks along the key for [`WALK_MAX`] routes at most.
fn walk(statement: &str) -> String {
    let order = statement.lines().find(|line| line.starts_with("    ORDER BY ")).unwrap_or_default();
    statement.replacen("\n    ) AS r\n", &format!("\n    {order}\n        LIMIT {WALK_MAX}\n    ) AS r\n"), 1)
}

/// Returns whether a condition has an index that no prefix shares.
fn has_index(filter: &RouteFilter) -> bool {
    let communities = [&filter.communities_std, &filter.communities_large, &filter.communities_ext];
    filter.origin_asns.is_some() || filter.nexthop.is_some() || communities.iter().any(|one| one.is_some())
}

/// Returns whether so few routes fulfil the conditions with an index that it takes less to sort them all than to look for
/// them in the order of the key. If so, the transaction has the settings for it.
fn is_rare(transaction: &mut Transaction<'_>, filter: &RouteFilter) -> Result<bool> {
    transaction.batch_execute(include_str!("../../../sql/statements/api_rare_settings.sql"))?;
    let row = transaction.query_typed_one(
        include_str!("../../../sql/statements/api_rare.sql"),
        &[
            (&filter.origin_asns, Type::INT8_ARRAY),
            (&filter.nexthop, Type::TEXT),
            (&filter.communities_std, Type::TEXT_ARRAY),
            (&filter.communities_large, Type::TEXT_ARRAY),
            (&filter.communities_ext, Type::TEXT_ARRAY),
            (&filter.rib(), Type::TEXT),
            (&RARE_MAX, Type::INT8),
        ],
    )?;
    Ok(row.get("is_rare"))
}

/// Calls `deliver` with every route as JSON, until it breaks off. All of them are of one moment for each router.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn all_routes(
    client: &mut Client,
    routers: Option<&[String]>,
    filter: &RouteFilter,
    deliver: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<()> {
    let mut rows = JsonRows::default();
    for part in parts(client, routers, filter)? {
        let query = Query::new(filter, &part, None, i64::MAX);
        let mut transaction = client.transaction()?;
        transaction.batch_execute(include_str!("../../../sql/statements/api_stream_settings.sql"))?;
        let mut take = |row: &Row| Ok(deliver(rows.write(row)?));
        if each_row(&mut transaction, &with_columns(query.text()), query.parameters(), &mut take)?.is_break() {
            return Ok(());
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Routes that are one range of the primary key: several of them in one statement would have to be sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// `None`: of all routers.
    router: Option<String>,
    /// `None`: of all peers.
    peer: Option<IpAddr>,
}

/// Returns the parts of what is asked for, in their order.
fn parts(client: &mut Client, routers: Option<&[String]>, filter: &RouteFilter) -> Result<Vec<Part>> {
    let peers = filter.peers.as_deref().filter(|_| filter.rib() != LOC_RIB);
    let routers = match (routers, peers) {
        (Some(routers), _) => routers.to_vec(),
        (None, None) => return Ok(vec![Part::default()]),
        (None, Some(peers)) => routers_of(client, peers, filter.rib())?,
    };
    // None is asked for all peers.
    let peers: Vec<Option<IpAddr>> = peers
        .map_or_else(|| vec![None], |peers| peers.iter().filter_map(|peer| Some(Some(peer.parse().ok()?))).collect());
    let mut parts: Vec<Part> = routers
        .iter()
        .flat_map(|router| peers.iter().map(|peer| Part { router: Some(router.clone()), peer: *peer }))
        .collect();
    parts.sort();
    parts.dedup();
    Ok(parts)
}

/// Returns the routers that have these peers.
fn routers_of(client: &mut Client, peers: &[String], rib: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/api_routers_of_peers.sql"),
        &[(&peers, Type::TEXT_ARRAY), (&rib, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| row.get("router_id")).collect())
}

/// Returns the parts that are left after a key; the first of them begins after it.
fn remaining<'a>(parts: &'a [Part], after: Option<&'a str>) -> Vec<(&'a Part, Option<&'a str>)> {
    let Some(after) = after else { return parts.iter().map(|part| (part, None)).collect() };
    let key: serde_json::Value = serde_json::from_str(after).unwrap_or_default();
    let place = |index: usize| key[index].as_str().map(str::to_owned);
    let reached = |part: &Part| Part {
        router: part.router.as_ref().and_then(|_| place(0)),
        peer: part.peer.and_then(|_| place(1)?.parse().ok()),
    };
    let left = parts.iter().filter(|part| **part >= reached(part));
    left.map(|part| (part, (*part == reached(part)).then_some(after))).collect()
}

/// The statement for one range of keys, and its values.
struct Query<'a> {
    filter: &'a RouteFilter,
    router: Option<&'a str>,
    peer: Option<String>,
    after: Option<&'a str>,
    limit: i64,
    rib: &'a str,
    is_post_policy: bool,
}

impl<'a> Query<'a> {
    fn new(filter: &'a RouteFilter, part: &'a Part, after: Option<&'a str>, limit: i64) -> Query<'a> {
        let (router, peer) = (part.router.as_deref(), part.peer.map(|peer| peer.to_string()));
        Query { filter, router, peer, after, limit, rib: filter.rib(), is_post_policy: filter.view.ends_with("-post") }
    }

    fn text(&self) -> &'static str {
        match self.rib {
            LOC_RIB => include_str!("../../../sql/statements/api_routes.sql"),
            ADJ_RIB_IN => OF_ADJ_RIB_IN,
            _ => &OF_ADJ_RIB_OUT,
        }
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let filter = self.filter;
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&self.router, Type::TEXT),
            (&filter.table_name, Type::TEXT),
            (&filter.afi, Type::INT2),
            (&filter.prefix, Type::TEXT),
            (&filter.covering, Type::TEXT),
            (&filter.covered, Type::TEXT),
            (&filter.origin_asns, Type::INT8_ARRAY),
            (&filter.nexthop, Type::TEXT),
            (&filter.communities_std, Type::TEXT_ARRAY),
            (&filter.communities_large, Type::TEXT_ARRAY),
            (&filter.communities_ext, Type::TEXT_ARRAY),
            (&self.after, Type::TEXT),
            (&self.limit, Type::INT8),
            (&filter.as_path, Type::TEXT),
        ];
        if self.rib != LOC_RIB {
            parameters.push((&self.peer, Type::TEXT));
            parameters.push((&self.is_post_policy, Type::BOOL));
            parameters.push((&self.rib, Type::TEXT));
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends() {
        for statement in [include_str!("../../../sql/statements/api_routes.sql"), OF_ADJ_RIB_IN] {
            let (inner, outer) = statement.split_once("\n    ) AS r\n").unwrap();
            let (inner_walk, outer_walk) =
                walk(statement).split_once("\n    ) AS r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            assert_eq!(outer_walk, outer);
            let end = inner_walk.strip_prefix(inner).unwrap();
            assert!(
                end.starts_with("\n        ORDER BY r.router_id, ") && end.ends_with("\n        LIMIT 10000"),
                "{end}"
            );
        }
    }

    #[test]
    fn pages_go_on_at_the_router_and_peer_of_the_key() {
        let part = |router: &str, peer: Option<&str>| Part {
            router: Some(router.to_owned()),
            peer: peer.map(|peer| peer.parse().unwrap()),
        };
        let check = |parts: &[Part], after: &str, want: &[(usize, bool)]| {
            let left = remaining(parts, Some(after));
            let places =
                left.iter().map(|(part, after)| (parts.iter().position(|one| one == *part).unwrap(), after.is_some()));
            assert_eq!(places.collect::<Vec<_>>(), want, "{after}");
        };
        let routers = [part("a", None), part("b", None), part("c", None)];
        check(&routers, r#"["b", "global", 4, "192.0.2.0/24", 0]"#, &[(1, true), (2, false)]);
        check(&routers, r#"["bb", "global", 4, "192.0.2.0/24", 0]"#, &[(2, false)]);
        check(&[Part::default()], r#"["b", "global", 4, "192.0.2.0/24", 0]"#, &[(0, true)]);
        let peers = [
            part("a", Some("192.0.2.9")),
            part("a", Some("192.0.2.10")),
            part("a", Some("2001:db8::1")),
            part("b", Some("192.0.2.9")),
        ];
        check(&peers, r#"["a", "192.0.2.10", "UNKNOWN", 4, "192.0.2.0/24", 0]"#, &[(1, true), (2, false), (3, false)]);
        check(&peers, r#"["b", "192.0.2.1", "UNKNOWN", 4, "192.0.2.0/24", 0]"#, &[(3, false)]);
    }
}
