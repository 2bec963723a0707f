//! Watches of ASes: what they originate, in sets. Routes that are as they should be stay in the database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Asn, Prefix, RouterId};
use crate::store::watch::accepted;
use crate::store::watch::routes;
use crate::store::watch::routes::{AskedOrigin, RouteRow};
use crate::store::{Result, Transaction};

use super::evaluation::{Cells, Evaluation, Found};
use super::index::{Watches, asks, asks_table};
use super::judge::{self, Finding, OfOrigin, Sender};
use super::known_routers::{Router, is_settled};
use super::rpki::{self, Vrps};

/// The watches that one statement reads routes for.
const WATCHES_AT_ONCE: usize = 500;

/// The prefixes that one statement asks for.
const PREFIXES_AT_ONCE: usize = 5_000;

/// Where something was found: watch, router, table, prefix.
type Place<'a> = (WatchId, &'a RouterId, &'a str, Prefix);

/// Reads and judges everything in the scope.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn evaluate(evaluation: &Evaluation<'_>, transaction: &mut Transaction<'_>) -> Result<Found> {
    let (mut found, cells) = evaluation.run(transaction)?;
    judge(evaluation, transaction, &mut found, &cells)?;
    Ok(found)
}

/// Judges the routes in the scope by the watches of ASes. `cells` has those of single prefixes.
///
/// # Errors
/// When a statement fails or the connection is lost.
fn judge(
    evaluation: &Evaluation<'_>,
    transaction: &mut Transaction<'_>,
    found: &mut Found,
    cells: &Cells,
) -> Result<()> {
    let Evaluation { scope, watches, known_routers, .. } = *evaluation;
    if watches.of_kind(Kind::Origin).next().is_none() {
        return Ok(());
    }
    let mut rows = read(evaluation, transaction)?;
    let single = cells.iter().filter(|(key, _)| scope.cells.contains(key)).flat_map(|(_, rows)| rows);
    rows.extend(single.cloned());
    let accepted = accepted(transaction, &rows)?;
    let vrps = Vrps::read(transaction, evaluation.rpki, rows.iter().map(|row| row.prefix))?;
    let mut by_place: BTreeMap<Place<'_>, Vec<Finding>> = BTreeMap::new();
    for row in &rows {
        let Some(router) = known_routers.get(&row.router) else { continue };
        let Some(sender) = Sender::of(row, router.asn) else { continue };
        let by_prefix = accepted.get(&row.prefix).map_or(&[][..], Vec::as_slice);
        for watch in concerned(watches, &sender, by_prefix) {
            let is_known =
                || is_settled(router.known_table(&row.table, row.prefix.afi()), watch.settle, evaluation.now);
            let is_taken = || watches.is_taken(watch, &row.prefix, sender.asn, (&row.router, &row.table));
            if !is_known() || is_taken() {
                continue;
            }
            let known = OfOrigin {
                is_accepted: by_prefix.contains(&watch.id),
                has_baseline: evaluation.seen.has(watch.id, &row.router, &row.table),
            };
            let place = by_place.entry((watch.id, &router.id, &row.table, row.prefix)).or_default();
            let judged = rpki::judge(&vrps, watch, &[row], router.asn, evaluation.now);
            found.remind(watch, judged.due);
            let findings = judge::judge_origin(watch, &sender, known);
            for (condition, subject, mut detail) in findings.into_iter().chain(judged.findings) {
                vrps.describe(condition, &row.prefix, &mut detail);
                judge::add(place, condition, subject, detail);
            }
        }
    }
    for ((watch, router, table, prefix), findings) in by_place {
        let (Some(watch), Some(router)) = (watches.get(watch), known_routers.get(router)) else { continue };
        for (condition, subject, detail) in findings {
            evaluation.add(found, watch, router, Some(table), (condition, subject, Some(prefix), detail));
        }
    }
    Ok(())
}

/// Returns the watches that a route may concern: those of an AS in its path, and those that accepted its prefix.
fn concerned<'a>(watches: &'a Watches, sender: &Sender<'_>, accepted: &[WatchId]) -> Vec<&'a Watch> {
    let asks = |watch: &&Watch| asks_table(watch, &sender.row.router, &sender.row.table);
    let mut found: Vec<&Watch> = accepted.iter().filter_map(|id| watches.get(*id)).filter(asks).collect();
    for asn in sender.asns() {
        found.extend(watches.of_origin(asn, &sender.row.router, &sender.row.table));
    }
    found.sort_unstable_by_key(|watch| watch.id);
    found.dedup_by_key(|watch| watch.id);
    found
}

/// Reads the routes of watches, and of routers, that are evaluated as a whole.
fn read(evaluation: &Evaluation<'_>, transaction: &mut Transaction<'_>) -> Result<Vec<RouteRow>> {
    let scope = evaluation.scope;
    let mut rows = Vec::new();
    let mut read = |asked: Vec<AskedOrigin>, routers: Option<&[&RouterId]>| -> Result<()> {
        for some in asked.chunks(WATCHES_AT_ONCE) {
            rows.extend(routes::routes_from(transaction, some, routers, evaluation.separation())?);
        }
        Ok(())
    };
    let all = || evaluation.watches.of_kind(Kind::Origin);
    if scope.is_all {
        read(all().map(asked).collect(), None)?;
        return Ok(rows);
    }
    let (whole, others): (Vec<&Watch>, Vec<&Watch>) = all().partition(|watch| scope.watches.contains(&watch.id));
    read(whole.into_iter().map(asked).collect(), None)?;
    if !scope.routers.is_empty() {
        let routers: Vec<&RouterId> = scope.routers.iter().collect();
        read(others.into_iter().map(asked).collect(), Some(&routers))?;
    }
    Ok(rows)
}

/// Returns what a watch asks for. The expressions are those of PostgreSQL; what they let through is judged here.
fn asked(watch: &Watch) -> AskedOrigin {
    let asn = watch.asn.unwrap_or_default();
    let any_of = |asns: &[Asn]| asns.iter().map(Asn::to_string).collect::<Vec<_>>().join("|");
    let is_asked = |condition, expected: &[Asn]| watch.judges(condition) && !expected.is_empty();
    let (upstreams, downstreams) = (&watch.expected_upstreams, &watch.expected_downstreams);
    AskedOrigin {
        watch: watch.id,
        fine_paths: is_asked(Condition::Upstream, upstreams)
            .then(|| format!("(^| )({})( {asn})+$|^{asn}( {asn})*$", any_of(upstreams))),
        odd_paths: is_asked(Condition::Downstream, downstreams)
            .then(|| format!("(^| ){asn} (?!({asn}|{})( |$))", any_of(downstreams))),
        for_rpki: rpki::asks(watch),
        for_new: watch.judges(Condition::NewOriginPrefix),
        for_origin: watch.judges(Condition::Origin),
    }
}

/// Returns which watches have accepted the prefixes of these routes.
fn accepted(transaction: &mut Transaction<'_>, rows: &[RouteRow]) -> Result<HashMap<Prefix, Vec<WatchId>>> {
    let prefixes: BTreeSet<Prefix> = rows.iter().map(|row| row.prefix).collect();
    let prefixes: Vec<Prefix> = prefixes.into_iter().collect();
    let mut accepted: HashMap<Prefix, Vec<WatchId>> = HashMap::new();
    for some in prefixes.chunks(PREFIXES_AT_ONCE) {
        for (watch, prefix) in accepted::accepted(transaction, some)? {
            accepted.entry(prefix).or_default().push(watch);
        }
    }
    Ok(accepted)
}

/// Returns the tables in the scope that watches of ASes judge for the first time: what the AS originates there is no
/// news. While a dump is not complete, they wait.
pub(super) fn first_tables<'a>(evaluation: &Evaluation<'a>) -> Vec<(WatchId, &'a RouterId, &'a str)> {
    let Evaluation { scope, watches, known_routers, seen, now, .. } = *evaluation;
    let mut first = Vec::new();
    for watch in watches.of_kind(Kind::Origin).filter(|watch| watch.judges(Condition::NewOriginPrefix)) {
        let is_judged = |router: &&Router| {
            asks(watch, &router.id)
                && scope.includes(watch.id, &router.id)
                && is_settled(router.known, watch.settle, now)
        };
        for router in known_routers.values().filter(is_judged) {
            let is_first = |table: &&str| {
                asks_table(watch, &router.id, table)
                    && !router.is_dumping(table)
                    && !seen.has(watch.id, &router.id, table)
            };
            let tables: BTreeSet<&str> =
                router.loc_ribs.keys().chain(router.adj_ribs.keys()).map(String::as_str).collect();
            first.extend(tables.into_iter().filter(is_first).map(|table| (watch.id, &router.id, table)));
        }
    }
    first
}
