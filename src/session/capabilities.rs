//! What the OPENs of one peer announce, merged over its Peer Ups, and what of it is in use on the session.

use std::collections::BTreeSet;

use crate::model::AfiSafi;
use crate::wire::bgp::add_path::AddPathFamilies;
use crate::wire::bgp::labels::MultipleLabels;
use crate::wire::bgp::open::{AddPathDirection, Capability, Open};
use crate::wire::bmp::peer::AsWidth;

/// How the NLRI of each RIB are written, and AS numbers. Settled at a Peer Up, because every UPDATE asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InUse {
    pub adj_rib_in: NlriForm,
    pub adj_rib_out: NlriForm,
    pub loc_rib: NlriForm,
    /// Of the AS numbers in both Adj-RIBs, where the OPENs settle it.
    pub as_width: Option<AsWidth>,
}

/// The families whose NLRI carry path identifiers, and those whose NLRI may carry several labels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NlriForm {
    pub add_path: AddPathFamilies,
    pub labels: MultipleLabels,
}

impl InUse {
    /// Several labels take the capability in both OPENs (RFC 8277 section 2); how many is up to who receives the routes, and
    /// those of a Loc-RIB nobody does. AS numbers have two octets where a side lacks the capability for four (RFC 6793
    /// section 4.2), whatever the A flag says; a Loc-RIB's have four (RFC 9069 section 4.2), its OPENs are made up.
    pub fn of(sent: &Capabilities, received: &Capabilities) -> InUse {
        let all = [&sent.send, &sent.receive, &received.send, &received.receive];
        InUse {
            adj_rib_in: NlriForm {
                add_path: received.send.intersection(&sent.receive).copied().collect(),
                labels: sent.labels.shared_with(received.labels),
            },
            adj_rib_out: NlriForm {
                add_path: sent.send.intersection(&received.receive).copied().collect(),
                labels: received.labels.shared_with(sent.labels),
            },
            loc_rib: NlriForm {
                add_path: all.into_iter().flatten().copied().collect(),
                labels: sent.labels.shared_with(received.labels).without_limit(),
            },
            as_width: (sent.has_two_octets() || received.has_two_octets()).then_some(AsWidth::Two),
        }
    }
}

/// What one side's OPENs announced.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    pub families: BTreeSet<AfiSafi>,
    send: BTreeSet<AfiSafi>,
    receive: BTreeSet<AfiSafi>,
    pub labels: MultipleLabels,
    /// An OPEN was there and could be read to its end: what it does not announce, this side has not.
    is_known: bool,
    four_octet_as: bool,
}

impl Capabilities {
    pub fn families_or_ipv4(&self) -> BTreeSet<AfiSafi> {
        if self.families.is_empty() { BTreeSet::from([AfiSafi::IPV4_UNICAST]) } else { self.families.clone() }
    }

    pub fn has_two_octets(&self) -> bool {
        self.is_known && !self.four_octet_as
    }

    pub fn merge(&mut self, open: &Open) {
        self.is_known |= !open.is_dummy() && open.defect.is_none();
        self.labels.merge(MultipleLabels::of(open));
        for capability in &open.capabilities {
            match capability {
                Capability::Multiprotocol(family) => {
                    self.families.insert(*family);
                }
                Capability::AddPath(families) => {
                    for (family, direction) in families {
                        if matches!(direction, AddPathDirection::Send | AddPathDirection::Both) {
                            self.send.insert(*family);
                        }
                        if matches!(direction, AddPathDirection::Receive | AddPathDirection::Both) {
                            self.receive.insert(*family);
                        }
                    }
                }
                Capability::FourOctetAs(_) | Capability::Other { code: 65, .. } => self.four_octet_as = true,
                Capability::Other { .. } => {}
            }
        }
    }
}
