//! Routes that a router may have left in its Loc-RIB when a peer went down.
//!
//! FRR 10.3 does not withdraw the Loc-RIB routes of a peer that goes down: it drops the queued updates of a peer that
//! is down by the time it writes them. It does not report the size of its Loc-RIB, and the sizes that it reports for
//! peers are no measure, since most routes have several paths. So nothing in such a session shows whether routes were
//! left behind; only a new dump does. The session of a router that does not count its Loc-RIB is closed once peers that
//! may have had more than the rule's share of the routes have been down for the rule's time.
//!
//! If a peer announced graceful restart, the router keeps its routes during the restart time, and forgets them after
//! it: the rule's time begins then.
//!
//! Routes that the new dump leaves out had been left behind. If they are no more than the share, the router withdraws
//! correctly: its session is closed again only after further peers went down, and after twice the time.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::drift::{Resyncs, RibOf, lasted};
use super::peer_id::PeerId;
use super::peer_state::ReportedRoutes;
use crate::config::ResyncOnDrift;
use crate::model::{Asn, Rd, RouterId, Timestamp, View};
use crate::wire::bmp::peer::PeerKind;
use crate::wire::bmp::{StatisticValue, StatisticsReport};

/// The interval at which a busy session checks its Loc-RIB; less than the second after which a silent one checks its
/// timers.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// All Loc-RIBs of a router together: routes from a peer of one VRF may be imported into another.
const LOC_RIB: RibOf = RibOf {
    peer: PeerId { kind: PeerKind::LocRib(Rd([0; 8])), address: None, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED },
    view: View::LocRib,
    family: None,
};

/// The stored routes of a router's Loc-RIBs while no dump of them runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocRibs {
    /// The number of routes.
    pub routes: u64,
    /// The number of routes that the session's dumps left out and that were therefore removed.
    pub(crate) left_out: u64,
}

/// Returns the most routes that a peer can have by a report: those that it sends (statistic 7) or, if the report lacks
/// that, the accepted ones of them (8).
pub(crate) fn reported_routes(report: &StatisticsReport<'_>) -> Option<u64> {
    let number = |value| if let StatisticValue::Number(routes) = value { Some(routes) } else { None };
    let sizes = report.statistics.iter().filter(|statistic| matches!(statistic.type_code, 7 | 8));
    sizes.filter_map(|statistic| number(statistic.value)).max()
}

/// The evidence of one session about such routes.
#[derive(Debug)]
pub(crate) struct MissingWithdrawals {
    rule: Option<ResyncOnDrift>,
    /// The number of peers that are up and whose routes are not reported.
    silent: usize,
    /// The sum of the routes of the others.
    reported: u128,
    /// True if routes of any peer were reported.
    is_reported: bool,
    /// True if the router counts its Loc-RIB itself: then [`Drifts`](super::drift::Drifts) compares the counts.
    router_counts: bool,
    /// The most routes that peers may have left behind when they went down.
    lost: u64,
    /// The time until which the router may keep their routes because they may come back.
    kept_until: Option<Timestamp>,
    /// The time since which `lost` is above the share.
    since: Option<Timestamp>,
    /// True if the previous session was closed because of such routes.
    is_trial: bool,
    checked_at: Option<Timestamp>,
    excess: Option<u64>,
}

impl MissingWithdrawals {
    /// Returns the evidence of a session that begins; without a rule no session is closed.
    pub fn new(rule: Option<ResyncOnDrift>, router: &RouterId, resyncs: &Resyncs) -> MissingWithdrawals {
        MissingWithdrawals {
            rule,
            silent: 0,
            reported: 0,
            is_reported: false,
            router_counts: false,
            lost: 0,
            kept_until: None,
            since: None,
            is_trial: rule.is_some() && resyncs.take_trial(router, &LOC_RIB),
            checked_at: None,
            excess: None,
        }
    }

    /// Notes in the record of a peer that it is up; the router keeps its routes for `restart_time` while it restarts.
    pub fn up(&mut self, reported: &mut Option<ReportedRoutes>, restart_time: Duration) {
        self.silent += usize::from(reported.is_none());
        reported.get_or_insert_default().restart_time = restart_time;
    }

    /// Notes the most routes that a peer has.
    pub fn report(&mut self, reported: &mut Option<ReportedRoutes>, at_most: u64) {
        let Some(peer) = reported else { return };
        let before = peer.at_most.replace(at_most);
        self.silent -= usize::from(before.is_none());
        self.reported = self.reported - u128::from(before.unwrap_or(0)) + u128::from(at_most);
        self.is_reported = true;
    }

    /// Notes that the router counts its Loc-RIB itself.
    pub fn router_counts_loc_rib(&mut self) {
        self.router_counts = true;
    }

    /// Notes that a peer went down, which may have had these routes.
    pub fn down(&mut self, reported: ReportedRoutes, at: Timestamp) {
        let ReportedRoutes { at_most, restart_time } = reported;
        self.silent -= usize::from(at_most.is_none());
        self.reported -= u128::from(at_most.unwrap_or(0));
        self.lost = self.lost.saturating_add(at_most.unwrap_or(u64::MAX));
        self.kept_until = self.kept_until.max(Some(later(at, restart_time)));
    }

    /// Returns by how many routes the Loc-RIBs exceeded the sum of all peers that are up at the last check: some were
    /// left behind, or are the router's own. `None` if the router reports too little, or counts its Loc-RIB itself.
    pub fn excess(&self) -> Option<u64> {
        self.excess
    }

    /// Returns true if it is time to check the Loc-RIBs.
    pub(crate) fn is_due(&mut self, at: Timestamp) -> bool {
        let is_due = self.checked_at.is_none_or(|checked_at| lasted(checked_at, at) >= CHECK_EVERY);
        if is_due {
            self.checked_at = Some(at);
        }
        is_due
    }

    /// Checks the stored routes of the Loc-RIBs, which are `None` while they are not comparable, for example during a
    /// dump. Returns the reason if the router has to dump again.
    pub fn check(
        &mut self,
        router: &RouterId,
        stored: Option<LocRibs>,
        at: Timestamp,
        resyncs: &Resyncs,
    ) -> Option<String> {
        let is_known = self.is_reported && self.silent == 0 && !self.router_counts;
        let reported = u64::try_from(self.reported).unwrap_or(u64::MAX);
        self.excess = stored.filter(|_| is_known).map(|stored| stored.routes.saturating_sub(reported));
        let (rule, LocRibs { routes, left_out }) = (self.rule?, stored?);
        if std::mem::take(&mut self.is_trial) && rule.is_above(routes + left_out, routes) {
            resyncs.forget(router, &LOC_RIB);
        }
        let left = self.lost.min(routes);
        let is_kept = self.kept_until.is_some_and(|until| at < until);
        let is_above = !self.router_counts && !is_kept && rule.is_above(routes, routes - left);
        self.since = is_above.then(|| self.since.unwrap_or(at));
        let lasting = lasted(self.since?, at);
        if lasting < resyncs.wait(router, &LOC_RIB, rule.lasting)? {
            return None;
        }
        resyncs.note(router, &LOC_RIB);
        let seconds = lasting.as_secs();
        Some(format!(
            "{LOC_RIB}: {routes} routes stored, up to {left} left behind by peers that went down, for {seconds} s"
        ))
    }
}

fn later(at: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_unix_micros(at.unix_micros().saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::resync::resync_on_drift;

    /// A session and the records of its peers.
    struct Session {
        missing: MissingWithdrawals,
        peers: HashMap<u8, Option<ReportedRoutes>>,
    }

    impl Session {
        fn up(&mut self, number: u8, restart_time: Duration) {
            self.missing.up(self.peers.entry(number).or_default(), restart_time);
        }

        fn report(&mut self, number: u8, routes: u64) {
            self.missing.report(self.peers.entry(number).or_default(), routes);
        }

        fn down(&mut self, number: u8) {
            if let Some(reported) = self.peers.remove(&number).flatten() {
                self.missing.down(reported, Timestamp::from_unix_micros(0));
            }
        }
    }

    /// One router's sessions.
    struct Router {
        resyncs: Resyncs,
        now: i64,
    }

    impl Router {
        fn new() -> Router {
            Router { resyncs: Resyncs::default(), now: 0 }
        }

        /// Returns a session with these peers up.
        fn session(&self, rule: &str, peers: &[(u8, u64)]) -> Session {
            let missing = MissingWithdrawals::new(resync_on_drift(rule).ok(), &RouterId::new("r"), &self.resyncs);
            let mut session = Session { missing, peers: HashMap::new() };
            for (number, routes) in peers {
                session.up(*number, Duration::ZERO);
                session.report(*number, *routes);
            }
            session
        }

        fn look(&mut self, session: &mut Session, routes: u64, left_out: u64, seconds: i64) -> Option<String> {
            self.now += seconds;
            let at = Timestamp::from_unix_micros(self.now * 1_000_000);
            session.missing.check(&RouterId::new("r"), Some(LocRibs { routes, left_out }), at, &self.resyncs)
        }

        /// Returns the seconds after which the session is closed because of peer 1; each new dump leaves out `left_out`
        /// routes.
        fn closed_after(&mut self, left_out: u64) -> Option<i64> {
            let mut session = self.session("1%,60s", &[(1, 50), (2, 60)]);
            assert_eq!(self.look(&mut session, 100, left_out, 0), None);
            // Whatever happens, as long as no peer goes down it is left alone.
            assert_eq!(self.look(&mut session, 100, left_out, 1_000_000), None);
            session.down(1);
            (0..200_000).find(|second| self.look(&mut session, 100, left_out, (*second).min(1)).is_some())
        }
    }

    #[test]
    fn possible_leftovers_of_peers_need_a_dump_in_time() {
        let mut router = Router::new();
        let mut session = router.session("10%,60s", &[(1, 50), (2, 60), (3, 5), (4, 6)]);
        session.down(9);
        session.down(3);
        assert_eq!(router.look(&mut session, 100, 0, 1_000), None, "less than the share");
        session.down(4);
        assert_eq!(router.look(&mut session, 100, 0, 1_000), None, "the share is reached, and the time begins");
        assert_eq!(router.look(&mut session, 100, 0, 59), None);
        let why = router.look(&mut session, 100, 0, 1).unwrap();
        assert_eq!(why, "loc-rib: 100 routes stored, up to 11 left behind by peers that went down, for 60 s");
        let mut session = router.session("10%,60s", &[(1, 50)]);
        session.up(2, Duration::ZERO);
        session.down(2);
        assert_eq!(router.look(&mut session, 100, 20, 0), None);
        let why = router.look(&mut session, 100, 20, 60).unwrap();
        assert!(why.contains("up to 100 left behind"), "{why}");
    }

    #[test]
    fn routes_of_a_restarting_peer_are_no_leftovers_yet() {
        let mut router = Router::new();
        let mut session = router.session("0%,60s", &[(1, 50), (2, 60)]);
        session.up(1, Duration::from_secs(120));
        session.down(2);
        session.down(1);
        assert_eq!(router.look(&mut session, 100, 0, 119), None);
        assert_eq!(router.look(&mut session, 100, 0, 1), None, "the time begins");
        assert_eq!(router.look(&mut session, 100, 0, 59), None);
        let why = router.look(&mut session, 100, 0, 1).unwrap();
        assert!(why.contains("up to 100 left behind") && why.ends_with("for 60 s"), "{why}");
    }

    #[test]
    fn a_running_dump_or_loc_rib_count_prevents_a_check() {
        let mut router = Router::new();
        let mut session = router.session("0%,60s", &[(1, 50), (2, 60)]);
        session.down(1);
        for seconds in [0, 1_000, 2_000] {
            let at = Timestamp::from_unix_micros(seconds * 1_000_000);
            assert_eq!(session.missing.check(&RouterId::new("r"), None, at, &router.resyncs), None);
        }
        session.missing.router_counts_loc_rib();
        assert_eq!(router.look(&mut session, 100, 0, 3_000), None);
        assert_eq!(router.look(&mut session, 100, 0, 3_000), None);
        let mut off = router.session("", &[(1, 50)]);
        off.down(1);
        assert_eq!(router.look(&mut off, 100, 0, 0), None);
        assert_eq!(router.look(&mut off, 100, 0, 1_000_000), None);
    }

    #[test]
    fn a_router_without_leftovers_is_asked_less_often() {
        let mut router = Router::new();
        let all: Vec<_> = (0..13).map(|_| router.closed_after(0).unwrap()).collect();
        let minutes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440];
        assert_eq!(all, minutes.map(|minutes| minutes * 60));
        // One percent of what was stored is tolerated; more shows that the router forgets.
        assert_eq!(router.closed_after(1), Some(1_440 * 60));
        assert_eq!(router.closed_after(2), Some(60));
        assert_eq!(router.closed_after(2), Some(60));
    }

    #[test]
    fn an_excess_is_known_once_all_peers_reported() {
        let mut router = Router::new();
        let mut session = router.session("", &[(1, 50), (2, 60)]);
        let mut excess = |session: &mut Session, routes| {
            assert_eq!(router.look(session, routes, 0, 1), None);
            session.missing.excess()
        };
        assert_eq!((excess(&mut session, 100), excess(&mut session, 112)), (Some(0), Some(2)));
        session.up(3, Duration::ZERO);
        assert_eq!(excess(&mut session, 112), None);
        session.report(3, 1);
        session.up(3, Duration::ZERO);
        session.report(2, 61);
        assert_eq!(excess(&mut session, 113), Some(1));
        session.down(1);
        assert_eq!(excess(&mut session, 113), Some(51));
        session.missing.router_counts_loc_rib();
        assert_eq!(excess(&mut session, 113), None);
        let mut silent = router.session("", &[]);
        assert_eq!(router.look(&mut silent, 5, 0, 1), None);
        assert_eq!(silent.missing.excess(), None);
    }
}
