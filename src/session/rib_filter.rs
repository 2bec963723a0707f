//! Decides which RIBs of a router are stored. Pure.
//!
//! Where only post-policy routes are wanted, the pre-policy routes of a peer that sends no others are stored instead.
//! It is unknown whether a peer sends post-policy routes until the first one arrives: that one removes the pre-policy
//! routes.

use super::anomaly::Anomaly;
use super::peers::Peers;
use super::rib_source::RibSource;
use crate::config::StoredViews;
use crate::model::{AdjRibKey, Policy, View};

/// The decision of one session which RIBs are stored.
#[derive(Debug)]
pub(crate) struct RibFilter {
    views: StoredViews,
    /// The policy of the latest Adj-RIB-In routes, which the next peer is expected to send too.
    latest: Option<Policy>,
}

/// The decision about routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The routes are stored.
    Kept,
    /// The routes are stored, and this RIB of the peer no longer is.
    KeptInsteadOf(View),
    /// The routes are not stored, only counted as this anomaly.
    Counted(Anomaly),
}

impl RibFilter {
    /// Returns the filter for the configured RIBs.
    pub fn new(views: StoredViews) -> RibFilter {
        RibFilter { views, latest: None }
    }

    /// Decides about routes from this source; the record of the peer learns which policies it sends.
    pub(crate) fn decide(&mut self, source: &RibSource, peers: &mut Peers) -> Decision {
        let keep = |is_kept, otherwise| if is_kept { Decision::Kept } else { Decision::Counted(otherwise) };
        match source.view {
            View::LocRib | View::Nlri(_) => keep(self.views.loc_rib, Anomaly::LocRibNotStored),
            View::AdjRibIn(AdjRibKey { policy: Policy::Pre, .. }) => {
                self.latest = Some(Policy::Pre);
                let is_kept = self.views.adj_rib_in_pre || self.is_pre_policy_fallback(source, peers);
                keep(is_kept, Anomaly::AdjRibInPreNotStored)
            }
            View::AdjRibIn(AdjRibKey { policy: Policy::Post, address }) => {
                self.latest = Some(Policy::Post);
                if self.is_pre_policy_fallback(source, peers) {
                    if let Some(record) = peers.record_of(source.peer) {
                        record.sends_post_policy = true;
                    }
                    return Decision::KeptInsteadOf(View::AdjRibIn(AdjRibKey { address, policy: Policy::Pre }));
                }
                keep(self.views.adj_rib_in_post, Anomaly::AdjRibInPostNotStored)
            }
            View::AdjRibOut(AdjRibKey { policy: Policy::Pre, .. }) => {
                keep(self.views.adj_rib_out_pre, Anomaly::AdjRibOutPreNotStored)
            }
            View::AdjRibOut(AdjRibKey { policy: Policy::Post, .. }) => {
                keep(self.views.adj_rib_out_post, Anomaly::AdjRibOutPostNotStored)
            }
        }
    }

    /// Returns the RIB that a peer or Loc-RIB instance that has come up will most likely send, given the RIB of its
    /// Peer Up; `None` if that is not stored.
    pub fn expected(&self, view: View) -> Option<View> {
        match view {
            View::LocRib => self.views.loc_rib.then_some(view),
            // They come with the routes of their RIB, and no Peer Up makes them expected.
            View::Nlri(_) => None,
            View::AdjRibIn(AdjRibKey { address, policy }) => {
                let policy = match (self.views.adj_rib_in_pre, self.views.adj_rib_in_post) {
                    (false, false) => return None,
                    (true, false) => Policy::Pre,
                    (true, true) | (false, true) => self.latest.unwrap_or(policy),
                };
                Some(View::AdjRibIn(AdjRibKey { address, policy }))
            }
            View::AdjRibOut(AdjRibKey { policy, .. }) => {
                let is_stored = match policy {
                    Policy::Pre => self.views.adj_rib_out_pre,
                    Policy::Post => self.views.adj_rib_out_post,
                };
                is_stored.then_some(view)
            }
        }
    }

    /// Returns whether a peer's pre-policy routes are stored in place of post-policy ones.
    fn is_pre_policy_fallback(&self, source: &RibSource, peers: &Peers) -> bool {
        let sends_post_policy = || peers.record(&source.peer).is_some_and(|record| record.sends_post_policy);
        self.views.adj_rib_in_post && !self.views.adj_rib_in_pre && !sends_post_policy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, PeerIds};
    use crate::session::peer_id::PeerId;
    use crate::session::peers::RECORDS_MAX;
    use crate::wire::bmp::peer::PeerKind;
    use std::net::Ipv4Addr;

    fn source(policy: Policy) -> RibSource {
        let address = [192, 0, 2, 1].into();
        RibSource {
            peer: PeerId { kind: PeerKind::Global, address: Some(address), asn: Asn(1), bgp_id: Ipv4Addr::UNSPECIFIED },
            view: View::AdjRibIn(AdjRibKey { address, policy }),
            speaker: PeerIds::NONE,
        }
    }

    #[test]
    fn routes_before_policy_stand_in_until_others_come() {
        let (pre, post, mut peers) = (source(Policy::Pre), source(Policy::Post), Peers::new());
        let mut filter = RibFilter::new(StoredViews { adj_rib_in_post: true, ..StoredViews::default() });
        assert_eq!(filter.decide(&pre, &mut peers), Decision::Kept);
        assert_eq!(filter.decide(&post, &mut peers), Decision::KeptInsteadOf(pre.view));
        assert_eq!(filter.decide(&post, &mut peers), Decision::Kept);
        assert_eq!(filter.decide(&pre, &mut peers), Decision::Counted(Anomaly::AdjRibInPreNotStored));
        assert_eq!(peers.go_down(&pre.peer), None);
        assert_eq!(filter.decide(&pre, &mut peers), Decision::Kept);
        let mut both =
            RibFilter::new(StoredViews { adj_rib_in_pre: true, adj_rib_in_post: true, ..StoredViews::default() });
        assert_eq!((both.decide(&post, &mut peers), both.decide(&pre, &mut peers)), (Decision::Kept, Decision::Kept));
        let mut none = RibFilter::new(StoredViews { loc_rib: true, ..StoredViews::default() });
        assert_eq!(none.decide(&pre, &mut peers), Decision::Counted(Anomaly::AdjRibInPreNotStored));
        assert_eq!((none.expected(pre.view), none.expected(View::LocRib)), (None, Some(View::LocRib)));
    }

    #[test]
    fn peers_beyond_the_limit_are_not_remembered() {
        let mut filter = RibFilter::new(StoredViews { adj_rib_in_post: true, ..StoredViews::default() });
        let (pre, post, mut peers) = (source(Policy::Pre), source(Policy::Post), Peers::new());
        for asn in 0..=u32::try_from(RECORDS_MAX).unwrap() {
            let of_another = RibSource { peer: PeerId { asn: Asn(asn), ..post.peer }, ..post };
            assert_eq!(filter.decide(&of_another, &mut peers), Decision::KeptInsteadOf(pre.view));
        }
        assert_eq!(peers.records().count(), RECORDS_MAX);
    }
}
