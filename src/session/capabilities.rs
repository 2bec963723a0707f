//! The capabilities that the OPENs of one peer announce, merged over its Peer Ups, and the encodings that are in use as
//! a result.

use std::collections::BTreeSet;

use crate::model::AfiSafi;
use crate::wire::bgp::add_path::AddPathFamilies;
use crate::wire::bgp::labels::MultipleLabels;
use crate::wire::bgp::open::{AddPathDirection, Capability, Open};
use crate::wire::bmp::peer::AsWidth;

/// The encoding of each RIB's NLRI, and of AS numbers. Computed at a Peer Up, because every UPDATE needs it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InUse {
    pub adj_rib_in: NlriForm,
    pub adj_rib_out: NlriForm,
    pub loc_rib: NlriForm,
    /// Width of the AS numbers in both Adj-RIBs, where the OPENs determine it.
    pub as_width: Option<AsWidth>,
}

/// The families whose NLRI carry path identifiers, and those whose NLRI may carry several labels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NlriForm {
    pub add_path: AddPathFamilies,
    pub labels: MultipleLabels,
}

impl InUse {
    /// Returns the encodings that result from the OPENs of both sides.
    ///
    /// Several labels require the capability in both OPENs (RFC 8277 section 2). The receiver of the routes limits
    /// their number; those of a Loc-RIB have no receiver, so no limit. AS numbers have two octets where a side lacks
    /// the capability for four (RFC 6793 section 4.2), regardless of the A flag; those of a Loc-RIB have four (RFC 9069
    /// section 4.2), because its OPENs are fabricated.
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

/// The capabilities that one side's OPENs announced.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    pub families: BTreeSet<AfiSafi>,
    send: BTreeSet<AfiSafi>,
    receive: BTreeSet<AfiSafi>,
    pub labels: MultipleLabels,
    /// True if an OPEN was present and readable to its end: this side lacks the capabilities that are not in it.
    is_known: bool,
    four_octet_as: bool,
}

impl Capabilities {
    pub(crate) fn families_or_ipv4(&self) -> BTreeSet<AfiSafi> {
        if self.families.is_empty() { BTreeSet::from([AfiSafi::IPV4_UNICAST]) } else { self.families.clone() }
    }

    pub(crate) fn has_two_octets(&self) -> bool {
        self.is_known && !self.four_octet_as
    }

    pub(crate) fn merge(&mut self, open: &Open) {
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
