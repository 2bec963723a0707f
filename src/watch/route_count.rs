//! The number of routes of a peer, judged by the bounds of a watch and by what is usual.
//!
//! The bounds are for all families together; what is usual, the median of 24 hours, is known of each by itself. Nothing
//! is judged of a peer that is down, of a table whose dump is not complete or was completed a moment ago, or of a
//! router that is not known.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Afi, Asn, RouterId, Timestamp};
use crate::store::watch::route_counts::{self, MedianRow, PeerCountRow};
use crate::store::{Result, Transaction};

use super::detail::{Detail, clean};
use super::index::{Watches, asks};
use super::known_routers::{KnownRouters, after, is_settled};
use super::route_fault::RouteFault;

/// The interval at which what is usual is read again: it moves slowly.
const MEDIANS_EVERY: Duration = Duration::from_secs(300);

/// The share of the largest number at which it is near, in percent.
const NEAR_MAX_PERCENT: i64 = 90;

/// The number of routes of one family, and the usual one; `None`: nobody knows yet.
pub type Number = (Afi, i64, Option<i64>);

/// A fault with the number, the number that it was compared with, and the family if it is about one.
pub type Verdict = (RouteFault, i64, Option<i64>, Option<Afi>);

/// Judges the numbers of a peer's families.
pub fn judge(watch: &Watch, families: &[Number]) -> Option<Verdict> {
    let all: i64 = families.iter().map(|(_, routes, _)| routes).sum();
    let usual = families.iter().filter_map(|(.., usual)| *usual).reduce(|a, b| a + b);
    // A least number of 0 accepts an empty table.
    if all == 0 && watch.min_routes != Some(0) {
        return Some((RouteFault::NoRoutes, 0, usual.filter(|usual| *usual > 0), None));
    }
    if let Some(min) = watch.min_routes.filter(|min| all < *min) {
        return Some((RouteFault::TooFew, all, Some(min), None));
    }
    if let Some(max) = watch.max_routes.filter(|max| all > *max) {
        return Some((RouteFault::TooMany, all, Some(max), None));
    }
    let percent = |routes: i64, by: i64| routes.saturating_mul(by);
    let (down, up) = (100 - i64::from(watch.drop_percent), 100 + i64::from(watch.rise_percent));
    for fault in [RouteFault::Down, RouteFault::Up] {
        for &(afi, routes, usual) in families {
            let Some(usual) = usual.filter(|usual| *usual > 0) else { continue };
            let is_wrong = match fault {
                RouteFault::Down => percent(routes, 100) <= percent(usual, down),
                _ => percent(routes, 100) >= percent(usual, up),
            };
            if is_wrong {
                return Some((fault, routes, Some(usual), Some(afi)));
            }
        }
    }
    let is_near = |max: &i64| *max > 0 && percent(all, 100) >= percent(*max, NEAR_MAX_PERCENT);
    watch.max_routes.filter(is_near).map(|max| (RouteFault::NearMax, all, Some(max), None))
}

/// The usual numbers of routes of the peers that watches name.
#[derive(Debug, Default)]
pub struct Medians {
    read_at: Option<Timestamp>,
    rows: HashMap<(RouterId, IpAddr, String, Afi), MedianRow>,
}

impl Medians {
    /// Reads them again, if that is due or `is_new`: watches have changed.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn refresh(
        &mut self,
        transaction: &mut Transaction<'_>,
        watches: &Watches,
        is_new: bool,
        now: Timestamp,
    ) -> Result<()> {
        if !is_new && self.read_at.is_some_and(|at| now < after(at, MEDIANS_EVERY)) {
            return Ok(());
        }
        self.read_at = Some(now);
        let (addresses, asns) = peers_of(watches);
        let rows = if addresses.is_empty() && asns.is_empty() {
            Vec::new()
        } else {
            route_counts::medians(transaction, &addresses, &asns)?
        };
        let key = |row: MedianRow| ((row.router.clone(), row.peer, row.table.clone(), row.afi), row);
        self.rows = rows.into_iter().map(key).collect();
        Ok(())
    }

    fn of(&self, row: &PeerCountRow, table: &str, afi: Afi) -> Option<i64> {
        let found = self.rows.get(&(row.router.clone(), row.peer, table.to_owned(), afi))?;
        if row.pre.is_some() { found.pre } else { found.post }
    }
}

fn watches_of(watches: &Watches) -> impl Iterator<Item = &Watch> {
    watches.of_kind(Kind::PeerRoutes).filter(|watch| watch.judges(Condition::RouteCount))
}

/// Returns the addresses and ASes of the peers that watches name.
fn peers_of(watches: &Watches) -> (Vec<IpAddr>, Vec<Asn>) {
    let mut addresses: Vec<IpAddr> = watches_of(watches).filter_map(|watch| watch.peer).collect();
    let mut asns: Vec<Asn> = watches_of(watches).filter_map(|watch| watch.asn).collect();
    addresses.sort_unstable();
    addresses.dedup();
    asns.sort_unstable();
    asns.dedup();
    (addresses, asns)
}

/// The result for a watch at a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountFinding {
    /// The watch.
    pub watch: WatchId,
    /// The router.
    pub router: RouterId,
    /// The peer's address where the watch names an AS; else nothing.
    pub subject: String,
    /// The fault; `None`: unknown now.
    pub detail: Option<Detail>,
}

/// Reads the numbers of routes of all peers that watches name, and judges them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn find(
    transaction: &mut Transaction<'_>,
    watches: &Watches,
    known_routers: &KnownRouters,
    medians: &Medians,
    now: Timestamp,
) -> Result<Vec<CountFinding>> {
    let (addresses, asns) = peers_of(watches);
    if addresses.is_empty() && asns.is_empty() {
        return Ok(Vec::new());
    }
    let rows = route_counts::peer_counts(transaction, &addresses, &asns)?;
    let mut found = Vec::new();
    for watch in watches_of(watches) {
        let of_watch = |row: &&PeerCountRow| {
            asks(watch, &row.router)
                && watch.peer.is_none_or(|address| address == row.peer)
                && watch.asn.is_none_or(|asn| asn == row.asn)
        };
        let mut by_peer: BTreeMap<(&RouterId, IpAddr), Vec<&PeerCountRow>> = BTreeMap::new();
        for row in rows.iter().filter(of_watch) {
            by_peer.entry((&row.router, row.peer)).or_default().push(row);
        }
        for ((router, peer), rows) in by_peer {
            let is_settled = |since| is_settled(since, watch.settle, now);
            let is_known = known_routers.get(router).is_some_and(|router| is_settled(router.known));
            let may_judge = is_known && rows.iter().all(|row| row.is_up && is_settled(row.complete));
            let detail = may_judge.then(|| judge_peer(watch, &rows, medians));
            // Nothing is found where nothing is wrong.
            if detail == Some(None) {
                continue;
            }
            let subject = if watch.peer.is_some() { String::new() } else { peer.to_string() };
            found.push(CountFinding { watch: watch.id, router: router.clone(), subject, detail: detail.flatten() });
        }
    }
    Ok(found)
}

/// Judges the tables of one peer; the worst of them counts.
fn judge_peer(watch: &Watch, rows: &[&PeerCountRow], medians: &Medians) -> Option<Detail> {
    let mut tables: BTreeMap<&str, Vec<Number>> = BTreeMap::new();
    for row in rows {
        let Some((table, afi)) = &row.table else { continue };
        let routes = row.pre.or(row.post).unwrap_or(0);
        tables.entry(table).or_default().push((*afi, routes, medians.of(row, table, *afi)));
    }
    let worst = tables.values().filter_map(|families| judge(watch, families)).max_by_key(|(fault, ..)| *fault);
    let ((fault, routes, against, family), peer) = worst.zip(rows.first())?;
    Some(Detail {
        peer: Some(peer.peer),
        peer_asn: Some(peer.asn.0),
        description: peer.description.as_deref().map(clean),
        routes: Some(routes),
        fault: Some(fault),
        against,
        family,
        ..Detail::default()
    })
}

#[cfg(test)]
#[path = "route_count_tests.rs"]
mod tests;
