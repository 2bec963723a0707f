//! Which routers and tables are known, computed from sessions and dumps and from what was known before.
//!
//! Unknown is not bad: nothing that is stored of an unknown vantage counts as present or as gone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::model::{Afi, Asn, RibKind, RouterId, Timestamp};
use crate::store::watch::vantages::{RouterRow, TableRow, VantageRow};

/// The text of `watch.vantages.rib` for a router as a whole.
const ROUTER: &str = "router";

/// One family of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Since when it is known.
    pub known: Option<Timestamp>,
    /// True if a dump of a part of it is not complete: what is missing may still come.
    pub is_dumping: bool,
}

/// The families of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families([Family; 2]);

impl Families {
    /// Returns what is known of a family.
    pub fn of(&self, afi: Afi) -> Family {
        self.0[usize::from(afi == Afi::Ipv6)]
    }

    fn both(known: Option<Timestamp>) -> Families {
        Families([Family { known, is_dumping: false }; 2])
    }

    fn set(&mut self, afi: Afi, family: Family) {
        self.0[usize::from(afi == Afi::Ipv6)] = family;
    }

    /// Returns since when one of them is known.
    fn known(&self) -> Option<Timestamp> {
        self.known_at().min()
    }

    /// Returns since when each of them is known.
    pub fn known_at(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.0.iter().filter_map(|family| family.known)
    }
}

/// The RIB that decides what is there at a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Its Loc-RIB.
    LocRib,
    /// Its Adj-RIBs-In after the policy.
    PostPolicy,
    /// Its Adj-RIBs-In before the policy: it has nothing else.
    PrePolicy,
}

/// A router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its identifier.
    pub id: RouterId,
    /// Its name for people.
    pub name: Option<String>,
    /// Its AS.
    pub asn: Option<Asn>,
    /// When its live BMP session began; `None`: it has none.
    pub began: Option<Timestamp>,
    /// Since when all of its first dumps in this session are complete.
    pub known: Option<Timestamp>,
    /// Since when it has no live session.
    pub lost: Option<Timestamp>,
    /// When it was lost last, before the present session.
    pub lost_before: Option<Timestamp>,
    /// True if it was lost together with most others.
    pub is_isolated: bool,
    /// Since when a dump of it has not come to its end.
    pub dumping: Option<Timestamp>,
    /// The collector of its last session.
    pub collector: Option<String>,
    /// The RIB that decides.
    pub basis: Basis,
    /// Its Loc-RIBs.
    pub loc_ribs: BTreeMap<String, Families>,
    /// Its Adj-RIBs-In, the peers of each table together.
    pub adj_ribs: BTreeMap<String, Families>,
}

impl Router {
    /// Returns the tables that decide what is there.
    pub fn tables(&self) -> &BTreeMap<String, Families> {
        match self.basis {
            Basis::LocRib => &self.loc_ribs,
            Basis::PostPolicy | Basis::PrePolicy => &self.adj_ribs,
        }
    }

    /// Returns the name for people, or the identifier.
    pub fn display(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }

    /// Returns since when routes of a table count, whatever RIB they are in. One that nobody has heard of came after
    /// the last look at sessions: what is found in it counts like anything else of the router.
    pub fn known_table(&self, table: &str, afi: Afi) -> Option<Timestamp> {
        let tables = [&self.loc_ribs, &self.adj_ribs];
        let mut found = tables.iter().filter_map(|tables| tables.get(table)).peekable();
        match found.peek() {
            Some(_) => found.filter_map(|families| families.of(afi).known).min(),
            None => self.known,
        }
    }

    /// Returns whether a dump of a table is not complete.
    pub fn is_dumping(&self, table: &str) -> bool {
        let tables = [&self.loc_ribs, &self.adj_ribs];
        let mut families = tables.iter().filter_map(|tables| tables.get(table)).flat_map(|families| families.0);
        families.any(|family| family.is_dumping)
    }

    /// Returns whether anything of it is known and has been for `settle`.
    pub fn is_settled(&self, settle: Duration, now: Timestamp) -> bool {
        is_settled(self.tables().values().filter_map(Families::known).min().or(self.known), settle, now)
    }
}

/// Returns whether something has been known for `settle`.
pub fn is_settled(known: Option<Timestamp>, settle: Duration, now: Timestamp) -> bool {
    known.is_some_and(|since| now >= after(since, settle))
}

/// Returns the time `by` later.
pub fn after(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_unix_micros(time.unix_micros().saturating_add(by))
}

/// All routers, by identifier.
pub type KnownRouters = BTreeMap<RouterId, Router>;

/// The stored state of the vantages, by router and table.
pub type Stored = HashMap<(RouterId, String), VantageRow>;

/// Returns the routers, and the vantages of which something else is stored.
pub fn derive(
    routers: &[RouterRow],
    tables: &[TableRow],
    stored: &Stored,
    now: Timestamp,
) -> (KnownRouters, Vec<VantageRow>) {
    let mut known_routers: KnownRouters = routers.iter().map(|row| (row.router.clone(), router(row, stored))).collect();
    for ((router, table), was) in stored {
        let Some(router) = known_routers.get_mut(router) else { continue };
        // A Loc-RIB is unknown after its Peer Down, and its Adj-RIBs-In do not take its place: they lack the router's
        // own routes. Adj-RIBs-In without any peer are empty, as long as the session lasts in which the peers went
        // down.
        if was.rib == RibKind::LocRib.as_str() {
            router.basis = Basis::LocRib;
            router.loc_ribs.insert(table.clone(), Families::default());
        } else if was.rib == RibKind::AdjRibIn.as_str() {
            router.adj_ribs.insert(table.clone(), Families::both(router.known));
        }
    }
    for row in tables {
        let Some(router) = known_routers.get_mut(&row.router) else { continue };
        let (known, is_live) = (router.known, router.began.is_some());
        let (families, known) = match row.rib {
            RibKind::LocRib => {
                router.basis = Basis::LocRib;
                let is_known = is_live && !row.is_stale && !row.is_dumping;
                (router.loc_ribs.entry(row.table.clone()).or_default(), row.synced.filter(|_| is_known))
            }
            // Watches are of routes to prefixes.
            RibKind::NlriLocRib | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut => continue,
            RibKind::AdjRibIn | RibKind::AdjRibOut => {
                if row.has_post_policy && router.basis == Basis::PrePolicy {
                    router.basis = Basis::PostPolicy;
                }
                let families = router.adj_ribs.entry(row.table.clone()).or_insert(Families::both(known));
                (families, known.filter(|_| !row.is_stale))
            }
        };
        if row.is_dumping && is_live {
            router.dumping = router.dumping.into_iter().chain(row.began).min();
        }
        families.set(row.afi, Family { known, is_dumping: row.is_dumping });
    }
    let mut changed = Vec::new();
    for router in known_routers.values() {
        changed.extend(vantages(router).filter_map(|(table, rib, known)| {
            let was = stored.get(&(router.id.clone(), table.to_owned()));
            let is_same = was.is_some_and(|was| {
                was.rib == rib && was.is_known == known.is_some() && known.is_none_or(|known| known == was.since)
            });
            let row = |since| VantageRow {
                router: router.id.clone(),
                table: table.to_owned(),
                rib: rib.to_owned(),
                is_known: known.is_some(),
                since,
            };
            (!is_same).then(|| row(known.unwrap_or(now)))
        }));
    }
    (known_routers, changed)
}

fn router(row: &RouterRow, stored: &Stored) -> Router {
    let was = stored.get(&(row.router.clone(), String::new()));
    let still = was.filter(|was| was.is_known && row.began.is_some_and(|began| was.since >= began));
    let known = match still {
        Some(was) => Some(was.since),
        None => row.began.and_then(|began| row.complete.map(|complete| complete.max(began))),
    };
    Router {
        id: row.router.clone(),
        name: row.name.clone(),
        asn: row.asn,
        began: row.began,
        known,
        lost: row.lost,
        lost_before: was.filter(|was| !was.is_known).map(|was| was.since),
        is_isolated: row.lost.is_some() && row.state.as_deref() == Some("isolated"),
        dumping: None,
        collector: row.collector.clone(),
        basis: Basis::PrePolicy,
        loc_ribs: BTreeMap::new(),
        adj_ribs: BTreeMap::new(),
    }
}

/// The vantages of a router as they are stored: the router as a whole, and the tables that decide.
fn vantages(router: &Router) -> impl Iterator<Item = (&str, &'static str, Option<Timestamp>)> {
    let rib = match router.basis {
        Basis::LocRib => RibKind::LocRib.as_str(),
        Basis::PostPolicy | Basis::PrePolicy => RibKind::AdjRibIn.as_str(),
    };
    let tables = router.tables().iter().map(move |(table, families)| (table.as_str(), rib, families.known()));
    std::iter::once(("", ROUTER, router.known)).chain(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    fn live(began: Option<i64>, complete: Option<i64>) -> RouterRow {
        RouterRow {
            router: RouterId::new("r1"),
            name: None,
            asn: Some(Asn(64500)),
            began: began.map(at),
            complete: complete.map(at),
            lost: began.is_none().then(|| at(50)),
            state: None,
            collector: None,
        }
    }

    fn table(rib: RibKind, synced: Option<i64>, is_stale: bool) -> TableRow {
        TableRow {
            router: RouterId::new("r1"),
            table: "global".to_owned(),
            rib,
            afi: Afi::Ipv4,
            has_post_policy: rib == RibKind::AdjRibIn,
            synced: synced.map(at),
            is_stale,
            is_dumping: synced.is_none() && !is_stale,
            began: None,
        }
    }

    fn was(table: &str, rib: &str, since: Option<i64>) -> ((RouterId, String), VantageRow) {
        let router = RouterId::new("r1");
        let (is_known, since) = (since.is_some(), at(since.unwrap_or(40)));
        let row = VantageRow { router: router.clone(), table: table.to_owned(), rib: rib.to_owned(), is_known, since };
        ((router, table.to_owned()), row)
    }

    /// Derives one router and checks since when its table is known, and on which RIB.
    #[track_caller]
    fn check(router: RouterRow, tables: &[TableRow], stored: &[(&str, &str, Option<i64>)], want: (Option<i64>, Basis)) {
        let stored: Stored = stored.iter().map(|(table, rib, since)| was(table, rib, *since)).collect();
        let (known_routers, _) = derive(&[router], tables, &stored, at(100));
        let router = &known_routers[&RouterId::new("r1")];
        let known = router.tables().get("global").and_then(|table| table.of(Afi::Ipv4).known);
        assert_eq!((known, router.basis), (want.0.map(at), want.1));
    }

    #[test]
    fn a_loc_rib_is_known_after_its_dump() {
        let loc_rib = |synced, is_stale| vec![table(RibKind::LocRib, synced, is_stale)];
        check(live(Some(10), Some(20)), &loc_rib(Some(20), false), &[], (Some(20), Basis::LocRib));
        // Dumping, lost, and with routes that are stale.
        check(live(Some(10), None), &loc_rib(None, false), &[], (None, Basis::LocRib));
        check(live(None, None), &loc_rib(Some(20), false), &[], (None, Basis::LocRib));
        check(live(Some(10), Some(20)), &loc_rib(None, true), &[], (None, Basis::LocRib));
        // Its Peer Down: the Adj-RIBs-In do not take its place.
        let adj_rib = table(RibKind::AdjRibIn, Some(20), false);
        check(live(Some(10), Some(20)), &[adj_rib], &[("global", "loc-rib", Some(20))], (None, Basis::LocRib));
    }

    #[test]
    fn adj_ribs_are_known_while_the_session_lasts() {
        let adj_rib = |synced, is_stale| vec![table(RibKind::AdjRibIn, synced, is_stale)];
        let known = [("", "router", Some(20)), ("global", "adj-rib-in", Some(20))];
        check(live(Some(10), Some(20)), &adj_rib(Some(20), false), &[], (Some(20), Basis::PostPolicy));
        // A peer came up again and sends its routes: known since the first dump.
        check(live(Some(10), None), &adj_rib(None, false), &known, (Some(20), Basis::PostPolicy));
        // The last peer went down.
        check(live(Some(10), None), &[], &known, (Some(20), Basis::PrePolicy));
        // Another session: unknown until its dumps are complete.
        check(live(Some(30), None), &adj_rib(None, false), &known, (None, Basis::PostPolicy));
        check(live(Some(30), Some(35)), &adj_rib(Some(35), false), &known, (Some(35), Basis::PostPolicy));
        check(live(None, None), &adj_rib(None, true), &known, (None, Basis::PostPolicy));
    }

    #[test]
    fn only_changes_are_stored() {
        let stored: Stored = [was("", "router", Some(20)), was("global", "loc-rib", Some(20))].into_iter().collect();
        let tables = [table(RibKind::LocRib, Some(20), false)];
        assert!(derive(&[live(Some(10), Some(20))], &tables, &stored, at(100)).1.is_empty());
        let (_, changed) = derive(&[live(None, None)], &tables, &stored, at(100));
        let told: Vec<_> = changed.iter().map(|row| (row.table.as_str(), row.is_known, row.since)).collect();
        assert_eq!(told, [("", false, at(100)), ("global", false, at(100))]);
    }
}
