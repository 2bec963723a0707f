//! One UPDATE as changes of stored tables. Pure: no channel, no clock.

use std::collections::HashSet;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{Afi, AfiSafi, Nlri};
use crate::pipeline::EncodedRoute;
use crate::wire::bgp::nlri::NlriSet;
use crate::wire::bgp::prefixes::Prefixes;
use crate::wire::bgp::update::Routes;
use crate::wire::bmp::peer::Rd;

/// What one UPDATE does to the tables that are stored: first the withdrawals, then the announcements.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Routes that go.
    pub withdrawn: SmallVec<[(Slot, Prefixes<'a>); 1]>,
    /// Routes that come, by the attributes that they share.
    pub announced: SmallVec<[(Slot, Arc<EncodedRoute>, Prefixes<'a>); 1]>,
    /// Families that have no table, one entry for each field of the UPDATE that carried one.
    pub not_stored: Vec<AfiSafi>,
}

/// Which of the tables of a Loc-RIB instance, or of a neighbour's view, a route is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The `afi` column.
    pub afi: Afi,
    /// What it is told apart by in the table's name.
    pub part: Part,
}

/// The families that have tables of their own, told apart by the end of `table_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// SAFI 1: the name as it is.
    Unicast,
    /// SAFI 4 (RFC 8277): `|labelled`.
    Labelled,
    /// SAFI 128 (RFC 4364): `|rd:<distinguisher>`.
    Vpn(Rd),
}

impl Slot {
    /// Unicast of this family.
    pub fn unicast(afi: Afi) -> Slot {
        Slot { afi, part: Part::Unicast }
    }

    /// The family.
    pub fn family(self) -> AfiSafi {
        let safi = match self.part {
            Part::Unicast => 1,
            Part::Labelled => 4,
            Part::Vpn(_) => 128,
        };
        AfiSafi { safi, ..self.afi.into() }
    }

    /// The `table_name`, if that of the unicast table is `base`.
    pub fn name(self, base: Arc<str>) -> Arc<str> {
        match self.part {
            Part::Unicast => base,
            Part::Labelled => format!("{base}|labelled").into(),
            Part::Vpn(rd) => format!("{base}|rd:{rd}").into(),
        }
    }
}

/// Whether path identifiers are part of a route's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathIds {
    /// As RFC 7911 means them.
    Keyed,
    /// Dropped: the router sends one path per prefix under ever new identifiers.
    Ignored,
}

impl<'a> Changes<'a> {
    /// The changes that `routes` makes.
    ///
    /// A prefix that one UPDATE both withdraws and announces is announced (RFC 4271 section 4.3).
    pub fn of(routes: &Routes<'a>, path_ids: PathIds) -> Changes<'a> {
        let mut changes = Changes::default();
        for group in &routes.announced {
            match stored(group.family, &group.nlri, path_ids) {
                None => changes.not_stored.push(group.family),
                Some((_, nlri)) if nlri.is_empty() => {}
                Some((slot, nlri)) => {
                    let route = EncodedRoute::encode(group.next_hop.as_ref(), &routes.attributes, group.path_status);
                    changes.announced.push((slot, Arc::new(route), nlri));
                }
            }
        }
        for group in &routes.withdrawn {
            match stored(group.family, &group.nlri, path_ids) {
                None => changes.not_stored.push(group.family),
                Some((slot, nlri)) => changes.withdrawn.push((slot, changes.drop_announced(slot, nlri))),
            }
        }
        changes
    }

    /// The tables that this UPDATE has stored routes of.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.withdrawn.iter().map(|(slot, _)| *slot).chain(self.announced.iter().map(|(slot, ..)| *slot))
    }

    fn drop_announced(&self, slot: Slot, withdrawn: Prefixes<'a>) -> Prefixes<'a> {
        if withdrawn.is_empty() || self.announced.is_empty() {
            return withdrawn;
        }
        let same = self.announced.iter().filter(|(of, ..)| *of == slot);
        let announced: HashSet<Nlri> = same.flat_map(|(_, _, nlri)| nlri).collect();
        withdrawn.iter().filter(|nlri| !announced.contains(nlri)).collect()
    }
}

fn stored<'a>(family: AfiSafi, nlri: &NlriSet<'a>, path_ids: PathIds) -> Option<(Slot, Prefixes<'a>)> {
    let afi = family.unicast()?;
    let NlriSet::Prefixes(nlri) = nlri else { return None };
    Some((
        Slot::unicast(afi),
        match path_ids {
            PathIds::Keyed => nlri.clone(),
            PathIds::Ignored => nlri.clone().without_path_ids(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::model::{NextHop, PathAttributes, PathId, Prefix};
    use crate::wire::bgp::update::{Announced, Withdrawn};

    fn nlri(octet: u8, path_id: Option<u32>) -> Nlri {
        Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: path_id.map(PathId) }
    }

    fn listed(all: Vec<Nlri>) -> NlriSet<'static> {
        NlriSet::Prefixes(Prefixes::Listed(all))
    }

    fn routes(withdrawn: Vec<Nlri>, announced: Vec<Nlri>) -> Routes<'static> {
        let family = AfiSafi::IPV4_UNICAST;
        let next_hop = Some(NextHop { address: [192, 0, 2, 1].into(), link_local: None });
        Routes {
            withdrawn: smallvec![Withdrawn { family, nlri: listed(withdrawn) }],
            announced: smallvec![Announced { family, next_hop, nlri: listed(announced), path_status: None }],
            attributes: PathAttributes::default(),
            actions: vec![],
        }
    }

    #[test]
    fn what_is_announced_is_not_withdrawn_by_the_same_update() {
        let changes = Changes::of(&routes(vec![nlri(10, None), nlri(11, None)], vec![nlri(10, None)]), PathIds::Keyed);
        let listed = |all: &[Nlri]| Prefixes::Listed(all.to_vec());
        assert_eq!(changes.withdrawn[..], [(Slot::unicast(Afi::Ipv4), listed(&[nlri(11, None)]))]);
        assert_eq!(changes.announced[0].2, listed(&[nlri(10, None)]));
    }

    #[test]
    fn path_identifiers_can_be_left_out_of_the_key() {
        let announced = vec![nlri(10, Some(1)), nlri(10, Some(2))];
        let keyed = Changes::of(&routes(vec![], announced.clone()), PathIds::Keyed);
        assert_eq!(keyed.announced[0].2, Prefixes::Listed(announced.clone()));
        let ignored = Changes::of(&routes(vec![], announced), PathIds::Ignored);
        assert_eq!(ignored.announced[0].2, Prefixes::Listed(vec![nlri(10, None), nlri(10, None)]));
    }

    #[test]
    fn other_families_are_named_and_change_nothing() {
        let mut routes = routes(vec![], vec![]);
        let family = AfiSafi { afi: 1, safi: 2 };
        let nlri = listed(vec![nlri(10, None)]);
        routes.announced.push(Announced { family, next_hop: None, nlri, path_status: None });
        let changes = Changes::of(&routes, PathIds::Keyed);
        assert_eq!((changes.not_stored, changes.announced.len()), (vec![family], 0));
    }
}
