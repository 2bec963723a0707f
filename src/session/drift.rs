//! Drift: the difference between the stored routes and the RIB sizes in the router's statistics.
//!
//! A router counts its RIBs at another moment than the collector, so a difference means nothing until it lasts. It may
//! also count differently: if a router's new dump changes nothing, the next one is requested after twice the time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::peer_id::PeerId;
use super::peer_state::Drift;
use super::peers::Peers;
use super::rib_source::RibSource;
use crate::config::ResyncOnDrift;
use crate::model::{AdjRibKey, AfiSafi, Policy, RouterId, Timestamp, View};
use crate::wire::bmp::peer::Rib;
use crate::wire::bmp::{StatisticValue, StatisticsReport};

/// The stored families: a route count over all families is comparable only if the peer has no others.
const FAMILIES: [(u16, u8); 6] = [(1, 1), (2, 1), (1, 4), (2, 4), (1, 128), (2, 128)];

/// The most RIBs that are remembered because a new dump was requested; beyond that, no session is closed for another
/// RIB.
const RESYNCS_MAX: usize = 4_096;

/// The longest time that a drift has to last: a new dump is requested once a day, however often that has not helped, or
/// after the time in the setting, if that is longer.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The RIB of a statistic: its peer or Loc-RIB instance, the view, and the family unless it covers all families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RibOf {
    /// The peer or instance.
    pub peer: PeerId,
    /// Which of its RIBs.
    pub view: View,
    /// `None`: all families.
    pub family: Option<AfiSafi>,
}

impl fmt::Display for RibOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view.name())?;
        if self.view != View::LocRib {
            write!(f, " of {}", self.peer)?;
        }
        match self.family {
            Some(AfiSafi { afi, safi }) => write!(f, ", AFI {afi} SAFI {safi}"),
            None => Ok(()),
        }
    }
}

/// Returns the sizes of RIBs in a report; `families` are those of the peer.
///
/// A report about a Loc-RIB instance counts that instance (RFC 9069 section 5.5); it is not comparable if the Loc-RIB
/// is filtered. In reports about peers, routers disagree on the meaning of types 8 and 10, so these are ignored. A
/// number for all families together is ignored if the report also has numbers by family, or if a family of the peer is
/// not stored.
pub fn sizes(report: &StatisticsReport<'_>, source: &RibSource, families: &[AfiSafi]) -> Vec<(RibOf, u64)> {
    let all_stored = families.iter().all(|family| FAMILIES.contains(&(family.afi, family.safi)));
    let size_of = |type_code, value| {
        let view = view(type_code, report.peer.rib, source.view)?;
        let (family, routes) = match value {
            StatisticValue::Number(routes) if all_stored => (None, routes),
            StatisticValue::PerFamily(family, routes) => (Some(family), routes),
            StatisticValue::Number(_) | StatisticValue::Opaque(_) => return None,
        };
        Some((RibOf { peer: source.peer, view, family }, routes))
    };
    let all = report.statistics.iter().filter_map(|statistic| size_of(statistic.type_code, statistic.value));
    let sizes: BTreeMap<RibOf, u64> = all.collect();
    let has_families = |view| sizes.keys().any(|rib| rib.view == view && rib.family.is_some());
    sizes.iter().filter(|(rib, _)| rib.family.is_some() || !has_families(rib.view)).map(|(r, n)| (*r, *n)).collect()
}

/// Returns the RIB whose size this type of statistic reports (RFC 7854 section 4.8, RFC 8671 section 6.2, RFC 9972).
fn view(type_code: u16, rib: Rib, of: View) -> Option<View> {
    let Some(AdjRibKey { address, .. }) = of.peer() else {
        let is_whole = matches!(rib, Rib::LocRib { filtered: false });
        return (is_whole && matches!(type_code, 8 | 10)).then_some(View::LocRib);
    };
    let peer = |policy| AdjRibKey { address, policy };
    Some(match type_code {
        7 | 9 | 18 | 19 => View::AdjRibIn(peer(Policy::Pre)),
        20 | 21 => View::AdjRibIn(peer(Policy::Post)),
        14 | 16 => View::AdjRibOut(peer(Policy::Pre)),
        15 | 17 => View::AdjRibOut(peer(Policy::Post)),
        _ => return None,
    })
}

/// The comparison of stored routes with a router's reports; the records of the peers have its results.
#[derive(Debug, Default)]
pub(crate) struct Drifts {
    rule: Option<ResyncOnDrift>,
}

impl Drifts {
    /// Creates the comparison; without a rule, no drift is ever too large.
    pub fn new(rule: Option<ResyncOnDrift>) -> Drifts {
        Drifts { rule }
    }

    /// Compares the stored routes with a report that was read at `at`; `stored` has the known sizes of the peer's
    /// tables, `drifts` is of its record. Returns the reason if the router has to dump again.
    pub fn compare(
        &self,
        drifts: &mut BTreeMap<(View, Option<AfiSafi>), Drift>,
        router: &RouterId,
        sizes: &[(RibOf, u64)],
        stored: &BTreeMap<(View, AfiSafi), Option<usize>>,
        at: Timestamp,
        resyncs: &Resyncs,
    ) -> Option<String> {
        let mut too_large = None;
        for (rib, reported) in sizes {
            let place = (rib.view, rib.family);
            let Some(stored) = stored_routes(rib, stored) else {
                drifts.remove(&place);
                continue;
            };
            let is_above = self.rule.is_some_and(|rule| rule.is_above(stored, *reported));
            let before = drifts.get(&place).and_then(|drift| drift.since);
            let since = is_above.then(|| before.unwrap_or(at));
            drifts.insert(place, Drift { routes: stored.abs_diff(*reported), since });
            let (Some(rule), Some(since)) = (self.rule, since) else {
                resyncs.forget(router, rib);
                continue;
            };
            let Some(wait) = resyncs.wait(router, rib, rule.lasting) else { continue };
            if too_large.is_none() && lasted(since, at) >= wait {
                resyncs.note(router, rib);
                let seconds = lasted(since, at).as_secs();
                too_large =
                    Some(format!("{rib}: {stored} routes stored, {reported} reported, different for {seconds} s"));
            }
        }
        too_large
    }
}

/// Returns by how many routes each kind of RIB differs, summed over all peers and families, by its name in metrics.
pub(super) fn by_rib(peers: &Peers) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for ((view, _), drift) in peers.records().flat_map(|record| &record.drifts) {
        let sum: &mut u64 = sums.entry(view.name()).or_default();
        *sum = sum.saturating_add(drift.routes);
    }
    sums
}

/// Returns the time from one moment to another; zero if the second is earlier.
pub fn lasted(since: Timestamp, at: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(at.unix_micros() - since.unix_micros()).unwrap_or(0))
}

/// Returns the number of stored routes of a RIB; `None` if it has no table or the size of one is unknown.
fn stored_routes(rib: &RibOf, stored: &BTreeMap<(View, AfiSafi), Option<usize>>) -> Option<u64> {
    let tables = stored
        .iter()
        .filter(|((view, family), _)| *view == rib.view && rib.family.is_none_or(|of| of == *family))
        .map(|(_, routes)| *routes);
    let all: Option<Vec<usize>> = tables.collect();
    let all = all.filter(|all| !all.is_empty())?;
    u64::try_from(all.iter().sum::<usize>()).ok()
}

/// The number of times that a router had to dump again, for each RIB that still drifts.
#[derive(Debug, Default)]
pub struct Resyncs {
    times: Mutex<HashMap<(RouterId, RibOf), Times>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    times: u32,
    /// True until [`Resyncs::take_trial`] has been called for the last one.
    is_trial: bool,
}

impl Resyncs {
    /// Returns how long a drift has to last before the router dumps again; `None` if it is tolerated.
    pub fn wait(&self, router: &RouterId, rib: &RibOf, lasting: Duration) -> Option<Duration> {
        let all = self.lock();
        match all.get(&(router.clone(), *rib)) {
            None if all.len() >= RESYNCS_MAX => None,
            None => Some(lasting),
            Some(Times { times, .. }) => Some(lasting.saturating_mul(1 << (*times).min(20)).min(WAIT_MAX.max(lasting))),
        }
    }

    /// Counts that the router has to dump again.
    pub fn note(&self, router: &RouterId, rib: &RibOf) {
        let mut all = self.lock();
        let Times { times, is_trial } = all.entry((router.clone(), *rib)).or_default();
        (*times, *is_trial) = (times.saturating_add(1), true);
    }

    /// Returns true if the session that begins is the one that the router was made to begin. True once.
    pub(crate) fn take_trial(&self, router: &RouterId, rib: &RibOf) -> bool {
        let mut all = self.lock();
        all.get_mut(&(router.clone(), *rib)).is_some_and(|times| std::mem::take(&mut times.is_trial))
    }

    /// Forgets a RIB that no longer drifts, or whose drift a new dump corrects.
    pub fn forget(&self, router: &RouterId, rib: &RibOf) {
        self.lock().remove(&(router.clone(), *rib));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(RouterId, RibOf), Times>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resync::resync_on_drift;
    use crate::model::{Asn, PeerIds, Rd};
    use crate::wire::bmp::peer::{AsWidth, PeerKey, PeerKind, PerPeerHeader};
    use crate::wire::bmp::{InformationList, Statistic};
    use std::net::Ipv4Addr;

    const V4: AfiSafi = AfiSafi::IPV4_UNICAST;
    const V6: AfiSafi = AfiSafi::IPV6_UNICAST;

    fn peer(policy: Policy) -> AdjRibKey {
        AdjRibKey { address: Ipv4Addr::new(192, 0, 2, 1).into(), policy }
    }

    fn source(view: View) -> RibSource {
        let kind = if view == View::LocRib { PeerKind::LocRib(Rd([0; 8])) } else { PeerKind::Global };
        let address = view.peer().map(|of| of.address);
        RibSource {
            peer: PeerId { kind, address, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED },
            view,
            speaker: PeerIds::NONE,
        }
    }

    fn report(rib: Rib, statistics: &[(u16, StatisticValue<'static>)]) -> StatisticsReport<'static> {
        let bgp_id = Ipv4Addr::UNSPECIFIED;
        let peer = PeerKey { kind: PeerKind::Global, address: bgp_id.into(), asn: Asn(0), bgp_id };
        let peer = PerPeerHeader { peer, rib, as_width: AsWidth::Four, time: None };
        let statistics = statistics.iter().map(|(type_code, value)| Statistic { type_code: *type_code, value: *value });
        StatisticsReport { peer, statistics: statistics.collect(), information: InformationList::default() }
    }

    use StatisticValue::{Number, Opaque, PerFamily};

    #[test]
    fn a_peers_report_counts_its_adj_ribs() {
        let view = View::AdjRibIn(peer(Policy::Pre));
        let check = |statistics: &[_], families: &[_], want: &[(View, Option<AfiSafi>, u64)]| {
            let report = report(Rib::AdjRibIn(Policy::Pre), statistics);
            let sizes = sizes(&report, &source(view), families);
            let sizes: Vec<_> = sizes.into_iter().map(|(rib, routes)| (rib.view, rib.family, routes)).collect();
            assert_eq!(sizes, want, "{statistics:?}");
        };
        check(&[(7, Number(3)), (8, Number(4)), (10, PerFamily(V4, 4))], &[V4], &[(view, None, 3)]);
        check(
            &[(7, Number(3)), (9, PerFamily(V6, 1)), (9, PerFamily(V4, 2))],
            &[V4],
            &[(view, Some(V4), 2), (view, Some(V6), 1)],
        );
        // The router counts flow specifications, which are not stored.
        check(&[(7, Number(3))], &[V4, AfiSafi { afi: 1, safi: 133 }], &[]);
        check(&[(7, Opaque(&[1])), (11, Number(1))], &[V4], &[]);
        let (post, out) = (View::AdjRibIn(peer(Policy::Post)), View::AdjRibOut);
        let successors = [(18, Number(1)), (21, PerFamily(V6, 2)), (14, Number(3)), (17, PerFamily(V4, 4))];
        check(
            &successors,
            &[V4, V6],
            &[
                (view, None, 1),
                (post, Some(V6), 2),
                (out(peer(Policy::Pre)), None, 3),
                (out(peer(Policy::Post)), Some(V4), 4),
            ],
        );
    }

    #[test]
    fn a_loc_ribs_report_counts_it_unless_it_is_filtered() {
        let of = |filtered| {
            let report = report(Rib::LocRib { filtered }, &[(8, Number(3)), (7, Number(9)), (18, Number(9))]);
            sizes(&report, &source(View::LocRib), &[])
                .iter()
                .map(|(rib, routes)| (rib.view, *routes))
                .collect::<Vec<_>>()
        };
        assert_eq!((of(false), of(true)), (vec![(View::LocRib, 3)], vec![]));
    }

    /// A session, and the drifts in the record of its one peer.
    struct Session {
        drifts: Drifts,
        latest: BTreeMap<(View, Option<AfiSafi>), Drift>,
    }

    impl Session {
        fn new(rule: Option<ResyncOnDrift>) -> Session {
            Session { drifts: Drifts::new(rule), latest: BTreeMap::new() }
        }
    }

    /// Reports `reported` routes, after `seconds`, to a session whose one table has `stored` routes. Returns true if
    /// the router has to dump again.
    fn told(session: &mut Session, resyncs: &Resyncs, seconds: i64, stored: Option<usize>, reported: u64) -> bool {
        let source = source(View::LocRib);
        let rib = RibOf { peer: source.peer, view: source.view, family: Some(V4) };
        let stored = BTreeMap::from([((View::LocRib, V4), stored), ((View::LocRib, V6), Some(1_000))]);
        let at = Timestamp::from_unix_micros(seconds * 1_000_000);
        session
            .drifts
            .compare(&mut session.latest, &RouterId::new("r"), &[(rib, reported)], &stored, at, resyncs)
            .is_some()
    }

    #[test]
    fn a_drift_counts_when_every_report_has_it() {
        let (mut drifts, resyncs) = (Session::new(resync_on_drift("10%,60s").ok()), Resyncs::default());
        assert!(!told(&mut drifts, &resyncs, 0, Some(5), 10));
        assert_eq!(drifts.latest.values().map(|drift| drift.routes).collect::<Vec<_>>(), [5]);
        assert!(!told(&mut drifts, &resyncs, 59, Some(5), 10));
        // The time restarts when the difference is gone, and when a dump begins.
        assert!(!told(&mut drifts, &resyncs, 70, Some(10), 10));
        assert!(!told(&mut drifts, &resyncs, 71, Some(5), 10));
        assert!(!told(&mut drifts, &resyncs, 80, None, 10));
        assert!(drifts.latest.is_empty());
        assert!(!told(&mut drifts, &resyncs, 200, Some(5), 10));
        assert!(told(&mut drifts, &resyncs, 260, Some(5), 10));
        let mut off = Session::new(None);
        assert!(!told(&mut off, &resyncs, 0, Some(5), 10) && !told(&mut off, &resyncs, 9_999, Some(5), 10));
        let mut peers = Peers::new();
        peers.record_of(source(View::LocRib).peer).unwrap().drifts = off.latest;
        assert_eq!(by_rib(&peers), BTreeMap::from([("loc-rib", 5)]));
        peers.go_down(&source(View::LocRib).peer);
        assert!(by_rib(&peers).is_empty());
    }

    #[test]
    fn a_router_that_counts_otherwise_is_asked_less() {
        let (resyncs, rule) = (Resyncs::default(), resync_on_drift("10%,60s").ok());
        let waits = || {
            let mut drifts = Session::new(rule);
            told(&mut drifts, &resyncs, 0, Some(5), 10);
            (1..10_000).find(|minute| told(&mut drifts, &resyncs, minute * 60, Some(5), 10))
        };
        let all: Vec<_> = (0..13).map(|_| waits().unwrap()).collect();
        assert_eq!(all, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440]);
        assert!(!told(&mut Session::new(rule), &resyncs, 0, Some(10), 10));
        assert_eq!(waits(), Some(1));
    }
}
