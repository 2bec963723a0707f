//! Routes that a router may have left in its Loc-RIB when a peer went down.
//!
//! FRR 10.3 says nothing of the Loc-RIB routes that go with a peer: what it queues of a peer that is down by the
//! time it writes is dropped. It does not report the size of its Loc-RIB either, and what it reports of its peers is no
//! measure: most routes have several. So nothing in such a session tells whether routes were left behind; only a new dump
//! does. The session of a router that does not count its Loc-RIB is closed when peers that may have had more than the
//! share of the routes went down, the time of the rule ago.
//!
//! Where a peer asked for graceful restart the router keeps its routes meanwhile, and forgets them when that is over: the time
//! begins then.
//!
//! What the new dump leaves out is what had been left behind. Where that is no more than the share, the router withdraws what
//! it has to: it is bothered again only after peers went down anew, and after twice the time.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::drift::{Resyncs, RibOf, lasted};
use super::peers::PeerId;
use crate::config::ResyncOnDrift;
use crate::model::{Asn, RouterId, Timestamp, View};
use crate::wire::bmp::peer::{PeerKind, Rd};
use crate::wire::bmp::{StatisticValue, StatisticsReport};

/// How often a busy session looks at its Loc-RIB; less than the second after which a silent one looks at its timers.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The Loc-RIBs of a router, all together: what a peer of one VRF sends may be imported into another.
const LOC_RIB: RibOf = RibOf {
    peer: PeerId { kind: PeerKind::LocRib(Rd([0; 8])), address: None, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED },
    view: View::LocRib,
    family: None,
};

/// What is stored of a router's Loc-RIBs when no dump of them runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocRibs {
    /// How many routes.
    pub routes: u64,
    /// How many the session's dumps left out, so that they went.
    pub left_out: u64,
}

/// How many routes a peer has by a report at most: those that it sends (statistic 7) or, where that is not counted, those of them that
/// are accepted (8).
pub fn at_most(report: &StatisticsReport<'_>) -> Option<u64> {
    let number = |value| if let StatisticValue::Number(routes) = value { Some(routes) } else { None };
    let sizes = report.statistics.iter().filter(|statistic| matches!(statistic.type_code, 7 | 8));
    sizes.filter_map(|statistic| number(statistic.value)).max()
}

#[derive(Clone, Copy, Debug, Default)]
struct AdjRibKey {
    /// How many routes it has at most; `None`: it was not said.
    at_most: Option<u64>,
    /// For how long its routes stay while it restarts.
    restart_time: Duration,
}

/// What one session knows of it.
#[derive(Debug)]
pub struct Remnants {
    rule: Option<ResyncOnDrift>,
    /// Those that are up.
    peers: HashMap<PeerId, AdjRibKey>,
    /// How many of them it was not said of.
    silent: usize,
    /// The sum over the others.
    reported: u128,
    /// Whether it was said of any.
    is_reported: bool,
    /// Whether the router counts its Loc-RIB itself: [`Drifts`](super::drift::Drifts) looks after that.
    is_counted: bool,
    /// How many routes those may have left behind that went down.
    lost: u64,
    /// Until when the router may keep routes of theirs because they may come back.
    kept_until: Option<Timestamp>,
    /// Since when that is above the share.
    since: Option<Timestamp>,
    /// Whether the session before was closed for this.
    is_trial: bool,
    looked_at: Option<Timestamp>,
    excess: Option<u64>,
}

impl Remnants {
    /// None yet; without a rule no session is closed.
    pub fn new(rule: Option<ResyncOnDrift>, router: &RouterId, resyncs: &Resyncs) -> Remnants {
        Remnants {
            rule,
            peers: HashMap::new(),
            silent: 0,
            reported: 0,
            is_reported: false,
            is_counted: false,
            lost: 0,
            kept_until: None,
            since: None,
            is_trial: rule.is_some() && resyncs.take_trial(router, &LOC_RIB),
            looked_at: None,
            excess: None,
        }
    }

    /// A peer is up; its routes stay for `restart_time` while it restarts.
    pub fn up(&mut self, peer: PeerId, restart_time: Duration) {
        self.peers
            .entry(peer)
            .or_insert_with(|| {
                self.silent += 1;
                AdjRibKey::default()
            })
            .restart_time = restart_time;
    }

    /// How many routes a peer has at most.
    pub fn report(&mut self, peer: &PeerId, at_most: u64) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        let before = peer.at_most.replace(at_most);
        self.silent -= usize::from(before.is_none());
        self.reported = self.reported - u128::from(before.unwrap_or(0)) + u128::from(at_most);
        self.is_reported = true;
    }

    /// The router counts its Loc-RIB itself.
    pub fn counted(&mut self) {
        self.is_counted = true;
    }

    /// A peer went down. One that was not up had nothing.
    pub fn down(&mut self, peer: &PeerId, at: Timestamp) {
        let Some(AdjRibKey { at_most, restart_time }) = self.peers.remove(peer) else { return };
        self.silent -= usize::from(at_most.is_none());
        self.reported -= u128::from(at_most.unwrap_or(0));
        self.lost = self.lost.saturating_add(at_most.unwrap_or(u64::MAX));
        self.kept_until = self.kept_until.max(Some(later(at, restart_time)));
    }

    /// By how many routes the Loc-RIBs, when they were looked at, had more than all peers that are up have together: some were left
    /// behind, or are the router's own. `None` where the router says too little, or counts them itself.
    pub fn excess(&self) -> Option<u64> {
        self.excess
    }

    /// Whether it is time to look at the Loc-RIBs.
    pub fn is_due(&mut self, at: Timestamp) -> bool {
        let is_due = self.looked_at.is_none_or(|looked_at| lasted(looked_at, at) >= LOOK_EVERY);
        if is_due {
            self.looked_at = Some(at);
        }
        is_due
    }

    /// Looks at what is stored of the Loc-RIBs; `None` while that says nothing, during a dump for one. Why the router has to
    /// dump again, if it has.
    pub fn look(
        &mut self,
        router: &RouterId,
        stored: Option<LocRibs>,
        at: Timestamp,
        resyncs: &Resyncs,
    ) -> Option<String> {
        let is_known = self.is_reported && self.silent == 0 && !self.is_counted;
        let reported = u64::try_from(self.reported).unwrap_or(u64::MAX);
        self.excess = stored.filter(|_| is_known).map(|stored| stored.routes.saturating_sub(reported));
        let (rule, LocRibs { routes, left_out }) = (self.rule?, stored?);
        if std::mem::take(&mut self.is_trial) && rule.is_above(routes + left_out, routes) {
            resyncs.forget(router, &LOC_RIB);
        }
        let left = self.lost.min(routes);
        let is_kept = self.kept_until.is_some_and(|until| at < until);
        let is_above = !self.is_counted && !is_kept && rule.is_above(routes, routes - left);
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
    use super::*;
    use crate::config::resync::resync_on_drift;

    fn peer(number: u8) -> PeerId {
        let address = Ipv4Addr::new(192, 0, 2, number);
        PeerId { kind: PeerKind::Global, address: Some(address.into()), asn: Asn(1), bgp_id: Ipv4Addr::UNSPECIFIED }
    }

    fn down(remnants: &mut Remnants, number: u8) {
        remnants.down(&peer(number), Timestamp::from_unix_micros(0));
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

        /// A session with these peers up.
        fn session(&self, rule: &str, peers: &[(u8, u64)]) -> Remnants {
            let mut remnants = Remnants::new(resync_on_drift(rule).ok(), &RouterId::new("r"), &self.resyncs);
            for (number, routes) in peers {
                remnants.up(peer(*number), Duration::ZERO);
                remnants.report(&peer(*number), *routes);
            }
            remnants
        }

        fn look(&mut self, remnants: &mut Remnants, routes: u64, left_out: u64, seconds: i64) -> Option<String> {
            self.now += seconds;
            let at = Timestamp::from_unix_micros(self.now * 1_000_000);
            remnants.look(&RouterId::new("r"), Some(LocRibs { routes, left_out }), at, &self.resyncs)
        }

        /// After how many seconds the session is closed for what peer 1 may have left; each new dump leaves out so many.
        fn closed_after(&mut self, left_out: u64) -> Option<i64> {
            let mut remnants = self.session("1%,60s", &[(1, 50), (2, 60)]);
            assert_eq!(self.look(&mut remnants, 100, left_out, 0), None);
            // Whatever happens, as long as no peer goes down it is left alone.
            assert_eq!(self.look(&mut remnants, 100, left_out, 1_000_000), None);
            down(&mut remnants, 1);
            (0..200_000).find(|second| self.look(&mut remnants, 100, left_out, (*second).min(1)).is_some())
        }
    }

    #[test]
    fn possible_leftovers_of_peers_need_a_dump_in_time() {
        let mut router = Router::new();
        let mut remnants = router.session("10%,60s", &[(1, 50), (2, 60), (3, 5), (4, 6)]);
        down(&mut remnants, 9);
        down(&mut remnants, 3);
        assert_eq!(router.look(&mut remnants, 100, 0, 1_000), None, "less than the share");
        down(&mut remnants, 4);
        assert_eq!(router.look(&mut remnants, 100, 0, 1_000), None, "the share is reached, and the time begins");
        assert_eq!(router.look(&mut remnants, 100, 0, 59), None);
        let why = router.look(&mut remnants, 100, 0, 1).unwrap();
        assert_eq!(why, "loc-rib: 100 routes stored, up to 11 left behind by peers that went down, for 60 s");
        let mut remnants = router.session("10%,60s", &[(1, 50)]);
        remnants.up(peer(2), Duration::ZERO);
        down(&mut remnants, 2);
        assert_eq!(router.look(&mut remnants, 100, 20, 0), None);
        let why = router.look(&mut remnants, 100, 20, 60).unwrap();
        assert!(why.contains("up to 100 left behind"), "nobody knows of how many: {why}");
    }

    #[test]
    fn routes_of_a_restarting_peer_are_no_leftovers_yet() {
        let mut router = Router::new();
        let mut remnants = router.session("0%,60s", &[(1, 50), (2, 60)]);
        remnants.up(peer(1), Duration::from_secs(120));
        down(&mut remnants, 2);
        down(&mut remnants, 1);
        assert_eq!(router.look(&mut remnants, 100, 0, 119), None);
        assert_eq!(router.look(&mut remnants, 100, 0, 1), None, "the time begins");
        assert_eq!(router.look(&mut remnants, 100, 0, 59), None);
        let why = router.look(&mut remnants, 100, 0, 1).unwrap();
        assert!(why.contains("up to 100 left behind") && why.ends_with("for 60 s"), "{why}");
    }

    #[test]
    fn a_running_dump_or_loc_rib_count_prevents_a_check() {
        let mut router = Router::new();
        let mut remnants = router.session("0%,60s", &[(1, 50), (2, 60)]);
        down(&mut remnants, 1);
        for seconds in [0, 1_000, 2_000] {
            let at = Timestamp::from_unix_micros(seconds * 1_000_000);
            assert_eq!(remnants.look(&RouterId::new("r"), None, at, &router.resyncs), None);
        }
        remnants.counted();
        assert_eq!(router.look(&mut remnants, 100, 0, 3_000), None);
        assert_eq!(router.look(&mut remnants, 100, 0, 3_000), None);
        let mut off = router.session("", &[(1, 50)]);
        down(&mut off, 1);
        assert_eq!(router.look(&mut off, 100, 0, 0), None);
        assert_eq!(router.look(&mut off, 100, 0, 1_000_000), None);
    }

    #[test]
    fn a_router_without_leftovers_is_asked_less_often() {
        let mut router = Router::new();
        let all: Vec<_> = (0..13).map(|_| router.closed_after(0).unwrap()).collect();
        let minutes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440];
        assert_eq!(all, minutes.map(|minutes| minutes * 60));
        // One percent of what was stored is borne; more shows that the router forgets.
        assert_eq!(router.closed_after(1), Some(1_440 * 60));
        assert_eq!(router.closed_after(2), Some(60));
        assert_eq!(router.closed_after(2), Some(60));
    }

    #[test]
    fn an_excess_is_known_once_all_peers_reported() {
        let mut router = Router::new();
        let mut remnants = router.session("", &[(1, 50), (2, 60)]);
        let mut excess = |remnants: &mut Remnants, routes| {
            assert_eq!(router.look(remnants, routes, 0, 1), None);
            remnants.excess()
        };
        assert_eq!((excess(&mut remnants, 100), excess(&mut remnants, 112)), (Some(0), Some(2)));
        remnants.up(peer(3), Duration::ZERO);
        assert_eq!(excess(&mut remnants, 112), None);
        remnants.report(&peer(3), 1);
        remnants.up(peer(3), Duration::ZERO);
        remnants.report(&peer(2), 61);
        assert_eq!(excess(&mut remnants, 113), Some(1));
        down(&mut remnants, 1);
        assert_eq!(excess(&mut remnants, 113), Some(51));
        remnants.counted();
        assert_eq!(excess(&mut remnants, 113), None);
        let mut silent = router.session("", &[]);
        assert_eq!(router.look(&mut silent, 5, 0, 1), None);
        assert_eq!(silent.excess(), None);
    }
}
