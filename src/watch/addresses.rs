//! Watches of addresses: which routes cover them, and how the longest of these are judged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Prefix, RouterId};
use crate::store::watch::routes::{self, RouteRow};
use crate::store::{Result, Transaction};

use super::candidates::afi_of;
use super::evaluation::{CELLS_AT_ONCE, Evaluation, Found};
use super::index::{asks, host};
use super::judge::{self, Cover, is_present};
use super::known_routers::{Family, Router, is_settled};
use super::rpki::{self, Vrps};

impl Evaluation<'_> {
    /// Judges the watches of addresses in the scope.
    pub(super) fn judge_addresses(&self, transaction: &mut Transaction<'_>, found: &mut Found) -> Result<()> {
        let pairs = self.address_pairs();
        let asked: Vec<(&RouterId, IpAddr)> =
            pairs.iter().filter_map(|(watch, router)| Some((&router.id, watch.address?))).collect();
        let mut rows = Vec::new();
        for some in asked.chunks(CELLS_AT_ONCE) {
            rows.extend(routes::routes_over(transaction, some, self.separation())?);
        }
        let vrps = Vrps::read(transaction, self.rpki, rows.iter().map(|row| row.prefix))?;
        let mut cells: HashMap<(&RouterId, Prefix), Vec<&RouteRow>> = HashMap::new();
        for row in &rows {
            cells.entry((&row.router, row.prefix)).or_default().push(row);
        }
        for (watch, router) in pairs {
            let Some(address) = watch.address else { continue };
            let host = host(address);
            let over: Vec<&RouteRow> = rpki::covering(&host)
                .flat_map(|prefix| cells.get(&(&router.id, prefix)).into_iter().flatten().copied())
                .collect();
            let mut is_covered = HashSet::new();
            for (table, families) in router.tables() {
                let family = families.of(afi_of(address));
                let routes: Vec<&RouteRow> = over.iter().copied().filter(|route| &route.table == table).collect();
                if self.judge_cover(found, &vrps, (watch, router, table), family, &routes) {
                    is_covered.insert(table.as_str());
                }
            }
            self.judge_tables(found, watch, router, Condition::Missing, &|table| is_covered.contains(table));
        }
        Ok(())
    }

    /// Judges the routes of one table that cover an address. Returns whether a route covers it that counts: a default
    /// route only where a more specific one did, or where the watch names the table.
    fn judge_cover(
        &self,
        found: &mut Found,
        vrps: &Vrps,
        (watch, router, table): (&Watch, &Router, &String),
        family: Family,
        routes: &[&RouteRow],
    ) -> bool {
        if watch.table.as_ref().is_some_and(|only| only != table) {
            return false;
        }
        let is_named = watch.router.is_some() && watch.table.is_some();
        let counts = is_named || self.seen.has(watch.id, &router.id, table);
        let (cover, mut findings) = judge::judge_address(watch, routes, router.basis, router.asn, counts);
        if is_settled(family.known, watch.settle, self.now) {
            let present = || routes.iter().copied().filter(|route| is_present(route, router.basis));
            let longest = present().map(|route| route.prefix).max_by_key(Prefix::length);
            let used: Vec<&RouteRow> = present().filter(|route| Some(route.prefix) == longest).collect();
            let judged = rpki::judge(vrps, watch, &used, router.asn, self.now);
            found.remind(watch, judged.due);
            findings.extend(judged.findings);
            for (condition, subject, mut detail) in findings {
                // A more specific route may still come.
                if condition == Condition::DefaultOnly && family.is_dumping {
                    let table = Some(table.clone());
                    found.undecided.insert((watch.id, condition, String::new(), router.id.clone(), table));
                    continue;
                }
                let prefix = longest.filter(|_| condition != Condition::DefaultOnly);
                prefix.iter().for_each(|prefix| vrps.describe(condition, prefix, &mut detail));
                self.add(found, watch, router, Some(table), (condition, subject, prefix, detail));
            }
        }
        match cover {
            Cover::Nothing => false,
            Cover::Default => counts,
            Cover::Specific => true,
        }
    }

    /// Returns the watches of addresses that are looked at, and where.
    fn address_pairs(&self) -> Vec<(&Watch, &Router)> {
        let mut pairs: BTreeMap<(WatchId, &RouterId), (&Watch, &Router)> = BTreeMap::new();
        if self.scope.is_all || !self.scope.routers.is_empty() || !self.scope.watches.is_empty() {
            for watch in self.watches.of_kind(Kind::Address) {
                let routers = self.known_routers.values().filter(|router| asks(watch, &router.id));
                let evaluated = routers.filter(|router| self.scope.includes(watch.id, &router.id));
                pairs.extend(evaluated.map(|router| ((watch.id, &router.id), (watch, router))));
            }
        }
        for (router, prefix) in &self.scope.cells {
            let Some(router) = self.known_routers.get(router) else { continue };
            let inside = self.watches.inside(prefix, &router.id);
            pairs.extend(inside.map(|watch| ((watch.id, &router.id), (watch, router))));
        }
        pairs.into_values().collect()
    }
}
