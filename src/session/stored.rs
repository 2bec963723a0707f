//! Which of a router's views are stored. Pure.
//!
//! Where only routes after policy are wanted, a neighbour that sends none has those before policy stored. Whether it does
//! cannot be known before it has: its first route after policy takes the others away.

use std::collections::HashSet;

use super::oddity::Oddity;
use super::peers::{PeerId, Source};
use crate::config::StoredViews;
use crate::model::{Neighbour, Policy, View};

/// What the session stores.
#[derive(Debug)]
pub struct Stored {
    views: StoredViews,
    /// Neighbours that have sent routes after policy.
    after_policy: HashSet<PeerId>,
    /// The policy of the latest Adj-RIB-In routes: what the next neighbour will send, too.
    latest: Option<Policy>,
}

/// What becomes of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// They are stored.
    Kept,
    /// They are stored, and this view of the neighbour is not any more.
    KeptInsteadOf(View),
    /// They are counted under this name.
    Counted(Oddity),
}

impl Stored {
    /// As the settings say.
    pub fn new(views: StoredViews) -> Stored {
        Stored { views, after_policy: HashSet::new(), latest: None }
    }

    /// What becomes of routes from this source.
    pub fn judge(&mut self, source: &Source) -> Judgement {
        let keep = |is_kept, otherwise| if is_kept { Judgement::Kept } else { Judgement::Counted(otherwise) };
        match source.view {
            View::LocRib => keep(self.views.loc_rib, Oddity::LocRibNotStored),
            View::AdjRibIn(Neighbour { policy: Policy::Pre, .. }) => {
                self.latest = Some(Policy::Pre);
                let is_kept = self.views.adj_rib_in_pre || self.stands_in(&source.peer);
                keep(is_kept, Oddity::AdjRibInPreNotStored)
            }
            View::AdjRibIn(Neighbour { policy: Policy::Post, address }) => {
                self.latest = Some(Policy::Post);
                if self.stands_in(&source.peer) {
                    self.after_policy.insert(source.peer);
                    return Judgement::KeptInsteadOf(View::AdjRibIn(Neighbour { address, policy: Policy::Pre }));
                }
                keep(self.views.adj_rib_in_post, Oddity::AdjRibInPostNotStored)
            }
            View::AdjRibOut(Neighbour { policy: Policy::Pre, .. }) => {
                keep(self.views.adj_rib_out_pre, Oddity::AdjRibOutPreNotStored)
            }
            View::AdjRibOut(Neighbour { policy: Policy::Post, .. }) => {
                keep(self.views.adj_rib_out_post, Oddity::AdjRibOutPostNotStored)
            }
        }
    }

    /// The view that a neighbour, or a Loc-RIB instance, which has come up will most likely send and that is stored.
    pub fn expected(&self, view: View) -> Option<View> {
        match view {
            View::LocRib => self.views.loc_rib.then_some(view),
            View::AdjRibIn(Neighbour { address, policy }) => {
                let policy = match (self.views.adj_rib_in_pre, self.views.adj_rib_in_post) {
                    (false, false) => return None,
                    (true, false) => Policy::Pre,
                    (true, true) | (false, true) => self.latest.unwrap_or(policy),
                };
                Some(View::AdjRibIn(Neighbour { address, policy }))
            }
            View::AdjRibOut(Neighbour { policy, .. }) => {
                let is_stored = match policy {
                    Policy::Pre => self.views.adj_rib_out_pre,
                    Policy::Post => self.views.adj_rib_out_post,
                };
                is_stored.then_some(view)
            }
        }
    }

    /// A neighbour went down: what it sends when it is back is another question.
    pub fn forget(&mut self, peer: &PeerId) {
        self.after_policy.remove(peer);
    }

    /// Whether a neighbour's routes before policy stand in for those after it.
    fn stands_in(&self, peer: &PeerId) -> bool {
        self.views.adj_rib_in_post && !self.views.adj_rib_in_pre && !self.after_policy.contains(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, Speaker};
    use crate::wire::bmp::peer::PeerKind;
    use std::net::Ipv4Addr;

    fn source(policy: Policy) -> Source {
        let address = [192, 0, 2, 1].into();
        Source {
            peer: PeerId { kind: PeerKind::Global, address: Some(address), asn: Asn(1), bgp_id: Ipv4Addr::UNSPECIFIED },
            view: View::AdjRibIn(Neighbour { address, policy }),
            speaker: Speaker::NONE,
        }
    }

    #[test]
    fn routes_before_policy_stand_in_until_others_come() {
        let (pre, post) = (source(Policy::Pre), source(Policy::Post));
        let mut stored = Stored::new(StoredViews { adj_rib_in_post: true, ..StoredViews::default() });
        assert_eq!(stored.judge(&pre), Judgement::Kept);
        assert_eq!(stored.judge(&post), Judgement::KeptInsteadOf(pre.view));
        assert_eq!(stored.judge(&post), Judgement::Kept);
        assert_eq!(stored.judge(&pre), Judgement::Counted(Oddity::AdjRibInPreNotStored));
        stored.forget(&pre.peer);
        assert_eq!(stored.judge(&pre), Judgement::Kept);
        let mut both =
            Stored::new(StoredViews { adj_rib_in_pre: true, adj_rib_in_post: true, ..StoredViews::default() });
        assert_eq!((both.judge(&post), both.judge(&pre)), (Judgement::Kept, Judgement::Kept));
        let mut none = Stored::new(StoredViews { loc_rib: true, ..StoredViews::default() });
        assert_eq!(none.judge(&pre), Judgement::Counted(Oddity::AdjRibInPreNotStored));
        assert_eq!((none.expected(pre.view), none.expected(View::LocRib)), (None, Some(View::LocRib)));
    }
}
