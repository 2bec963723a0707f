//! One UPDATE as changes to stored tables. Pure: no channel, no clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::anomaly::Anomaly;
use crate::model::attrs::Labeled;
use crate::model::attrs::NlriMembers;
use crate::model::{Afi, AfiSafi, Nlri, PathId, Prefix, Rd, StoredFamilies, View};
use crate::store::copy_encoding::{EncodedRoute, LabeledRoutes};
use crate::wire::DecodeError;
use crate::wire::bgp::labels::LabeledNlri;
use crate::wire::bgp::nlri::NlriSet;
use crate::wire::bgp::nlri::opaque::OpaqueNlri;
use crate::wire::bgp::prefixes::Prefixes;
use crate::wire::bgp::routes::Routes;

/// The changes of one UPDATE to the stored tables: first the withdrawals, then the announcements.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Withdrawn routes.
    pub withdrawn: SmallVec<[(FamilyTable, Prefixes<'a>); 1]>,
    /// Announced routes, in the order of the message within each table.
    pub announced: SmallVec<[(FamilyTable, NewRoutes<'a>); 1]>,
    /// Families that are not stored, one entry for each field of the UPDATE that carried one.
    pub not_stored: Vec<AfiSafi>,
    /// NLRI of stored families that are malformed, and discarded (RFC 7606 section 5.4, RFC 9552 section 8.2.2).
    pub malformed: usize,
    /// Set if the NLRI of a stored family cannot be told apart: no part of the message may be applied.
    pub unreadable: Option<DecodeError>,
}

/// Routes that one UPDATE announces in one table.
#[derive(Debug, PartialEq, Eq)]
pub enum NewRoutes<'a> {
    /// All routes have the same columns.
    Alike(EncodedRoute, Prefixes<'a>),
    /// Each route has its own labels. A later route replaces an earlier one with the same key (RFC 4271 section 3.1);
    /// history has both.
    Each(Vec<(Nlri, EncodedRoute)>),
}

impl NewRoutes<'_> {
    /// Returns the number of routes.
    pub fn len(&self) -> usize {
        match self {
            NewRoutes::Alike(_, nlri) => nlri.len(),
            NewRoutes::Each(all) => all.len(),
        }
    }

    /// Returns true if there are no routes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `take` with the key of each route, in order.
    pub(crate) fn for_each_key(&self, mut take: impl FnMut(Nlri)) {
        match self {
            NewRoutes::Alike(_, nlri) => nlri.iter().for_each(take),
            NewRoutes::Each(all) => all.iter().for_each(|(nlri, _)| take(*nlri)),
        }
    }

    fn collect_keys(&self, into: &mut HashSet<Nlri>) {
        self.for_each_key(|nlri| {
            into.insert(nlri);
        });
    }
}

/// The table that a route is in, among those of a Loc-RIB instance or of a peer's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyTable {
    /// The `afi` column.
    pub afi: Afi,
    /// The SAFI, and the route distinguisher for VPN, which the suffix of the table's name shows.
    pub part: TableKind,
}

/// The kinds of tables, distinguished by the suffix of `table_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// SAFI 1: the name without a suffix.
    Unicast,
    /// SAFI 4 (RFC 8277): `|labelled`.
    Labeled,
    /// SAFI 128 (RFC 4364): `|rd:<distinguisher>`.
    Vpn(Rd),
    /// A family whose NLRI are not prefixes: `|nlri:<AFI>/<SAFI>`.
    Nlri(AfiSafi),
}

impl TableKind {
    /// Returns the SAFI of its routes.
    pub fn safi(self) -> u8 {
        match self {
            TableKind::Unicast => 1,
            TableKind::Labeled => 4,
            TableKind::Vpn(_) => 128,
            TableKind::Nlri(family) => family.safi,
        }
    }
}

impl FamilyTable {
    /// Returns the unicast table of this family.
    pub fn unicast(afi: Afi) -> FamilyTable {
        FamilyTable { afi, part: TableKind::Unicast }
    }

    /// Returns the route distinguisher of a VPN table.
    pub fn rd(self) -> Option<Rd> {
        match self.part {
            TableKind::Unicast | TableKind::Labeled | TableKind::Nlri(_) => None,
            TableKind::Vpn(rd) => Some(rd),
        }
    }

    /// Returns the table of a family whose NLRI are not prefixes. Its keys are hashes, which have the length of an IPv6
    /// address.
    pub fn nlri(family: AfiSafi) -> FamilyTable {
        FamilyTable { afi: Afi::Ipv6, part: TableKind::Nlri(family) }
    }

    /// Returns the family.
    pub fn family(self) -> AfiSafi {
        match self.part {
            TableKind::Nlri(family) => family,
            part => AfiSafi { safi: part.safi(), ..self.afi.into() },
        }
    }

    /// Returns the RIB that the table is in, where `view` is that of the unicast table.
    pub fn view(self, view: View) -> View {
        if let TableKind::Nlri(_) = self.part { view.of_nlri() } else { view }
    }

    /// Returns the `table_name`, where `base` is that of the unicast table.
    pub fn name(self, base: Arc<str>) -> Arc<str> {
        match self.part {
            TableKind::Unicast => base,
            TableKind::Labeled => format!("{base}|labelled").into(),
            TableKind::Vpn(rd) => format!("{base}|rd:{rd}").into(),
            TableKind::Nlri(AfiSafi { afi, safi }) => format!("{base}|nlri:{afi}/{safi}").into(),
        }
    }
}

/// The handling of path identifiers in a route's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathIds {
    /// They are part of the key, as in RFC 7911.
    Keyed,
    /// They are dropped: the router sends one path per prefix and keeps changing its identifier.
    Ignored,
}

impl<'a> Changes<'a> {
    /// Returns the changes that `routes` makes.
    ///
    /// A prefix that one UPDATE both withdraws and announces is announced (RFC 4271 section 4.3).
    #[inline]
    pub fn of(routes: &Routes<'a>, path_ids: PathIds) -> Changes<'a> {
        Changes::with(routes, path_ids, StoredFamilies::default())
    }

    /// The same where some families are stored whose NLRI are not prefixes.
    #[inline]
    pub fn with(routes: &Routes<'a>, path_ids: PathIds, stored: StoredFamilies) -> Changes<'a> {
        // Filled in place, because they are several hundred octets.
        let mut changes = Changes::default();
        changes.fill(routes, path_ids, stored);
        changes
    }

    fn fill(&mut self, routes: &Routes<'a>, path_ids: PathIds, stored: StoredFamilies) {
        for group in &routes.announced {
            let next_hop = group.next_hop.as_ref();
            match &group.nlri {
                NlriSet::Prefixes(nlri) => match group.family.unicast() {
                    None => self.not_stored.push(group.family),
                    Some(_) if nlri.is_empty() => {}
                    Some(afi) => {
                        let route = EncodedRoute::encode(next_hop, &routes.attributes, group.path_status);
                        self.announced
                            .push((FamilyTable::unicast(afi), NewRoutes::Alike(route, path_ids.applied_to(nlri))));
                    }
                },
                NlriSet::Labeled(nlri) => {
                    let kind = if group.family.safi == 128 { Labeled::Vpn } else { Labeled::Unicast };
                    let shared = LabeledRoutes::encode(next_hop, &routes.attributes, group.path_status, kind);
                    for (slot, all) in by_slot(nlri) {
                        self.announced.push((slot, NewRoutes::Each(encoded(slot, &all, path_ids, &shared))));
                    }
                }
                NlriSet::Opaque(field) if stored.contains(group.family) => {
                    let all = self.others(group.family, field).map(|(path_id, nlri)| {
                        let key = path_ids.key(key_of(&nlri.key, path_id));
                        (key, EncodedRoute::encode_nlri(next_hop, &routes.attributes, group.path_status, &nlri))
                    });
                    let all: Vec<_> = all.collect();
                    if !all.is_empty() {
                        self.announced.push((FamilyTable::nlri(group.family), NewRoutes::Each(all)));
                    }
                }
                NlriSet::Opaque(_) => self.not_stored.push(group.family),
            }
        }
        for group in &routes.withdrawn {
            match &group.nlri {
                NlriSet::Prefixes(nlri) => match group.family.unicast() {
                    None => self.not_stored.push(group.family),
                    Some(afi) => {
                        let slot = FamilyTable::unicast(afi);
                        self.withdrawn.push((slot, self.drop_announced(slot, path_ids.applied_to(nlri))));
                    }
                },
                NlriSet::Labeled(nlri) => {
                    for (slot, all) in by_slot(nlri) {
                        let nlri = Prefixes::Listed(all.into_iter().map(|route| path_ids.key(route.nlri)).collect());
                        self.withdrawn.push((slot, self.drop_announced(slot, nlri)));
                    }
                }
                NlriSet::Opaque(field) if stored.contains(group.family) => {
                    let slot = FamilyTable::nlri(group.family);
                    let all = self.others(group.family, field).map(|(path_id, nlri)| key_of(&nlri.key, path_id));
                    let nlri = Prefixes::Listed(all.map(|nlri| path_ids.key(nlri)).collect());
                    self.withdrawn.push((slot, self.drop_announced(slot, nlri)));
                }
                NlriSet::Opaque(_) => self.not_stored.push(group.family),
            }
        }
    }

    /// Returns the NLRI of a stored family that are well-formed.
    fn others(
        &mut self,
        family: AfiSafi,
        field: &OpaqueNlri<'_>,
    ) -> impl Iterator<Item = (Option<PathId>, NlriMembers)> + use<> {
        let all = match field.decode(family) {
            None => Vec::new(),
            Some(Ok(all)) => all.into_iter().map(|nlri| (nlri.path_id, nlri.fields)).collect(),
            Some(Err(error)) => {
                self.unreadable.get_or_insert(error);
                Vec::new()
            }
        };
        self.malformed += all.iter().filter(|(_, fields)| fields.is_err()).count();
        all.into_iter().filter_map(move |(path_id, fields)| {
            let fields = fields.ok()?;
            Some((path_id, NlriMembers { family, key: fields.key(), fields: fields.into_json() }))
        })
    }

    /// Returns the tables whose stored routes this UPDATE changes.
    pub(crate) fn slots(&self) -> impl Iterator<Item = FamilyTable> {
        self.withdrawn.iter().map(|(slot, _)| *slot).chain(self.announced.iter().map(|(slot, _)| *slot))
    }

    /// Returns the anomalies of what is not stored; `has_room` is false if a table of it was refused.
    pub(crate) fn anomalies(&self, has_room: bool) -> impl Iterator<Item = Anomaly> {
        let families = self.not_stored.iter().map(|_| Anomaly::FamilyNotStored);
        let malformed = (0..self.malformed).map(|_| Anomaly::MalformedNlri);
        families.chain(malformed).chain((!has_room).then_some(Anomaly::TableNotStored))
    }

    fn drop_announced(&self, slot: FamilyTable, withdrawn: Prefixes<'a>) -> Prefixes<'a> {
        if withdrawn.is_empty() || self.announced.is_empty() {
            return withdrawn;
        }
        let mut announced = HashSet::new();
        self.announced.iter().filter(|(of, _)| *of == slot).for_each(|(_, routes)| routes.collect_keys(&mut announced));
        withdrawn.iter().filter(|nlri| !announced.contains(nlri)).collect()
    }
}

impl PathIds {
    fn applied_to<'a>(self, nlri: &Prefixes<'a>) -> Prefixes<'a> {
        match self {
            PathIds::Keyed => nlri.clone(),
            PathIds::Ignored => nlri.clone().without_path_ids(),
        }
    }

    fn key(self, nlri: Nlri) -> Nlri {
        match self {
            PathIds::Keyed => nlri,
            PathIds::Ignored => Nlri { path_id: None, ..nlri },
        }
    }
}

/// Returns the key under which an NLRI of another family is stored: a hash of its own key, 128 bits, in the place of a
/// prefix.
fn key_of(key: &str, path_id: Option<PathId>) -> Nlri {
    let hash = Sha256::digest(key.as_bytes());
    let prefix = Prefix::new(Afi::Ipv6, &hash[..16], 128).expect("16 octets have 128 bits");
    Nlri { prefix, path_id }
}

/// Returns the routes of each table, in the order of the message.
fn by_slot(all: &[LabeledNlri]) -> Vec<(FamilyTable, Vec<&LabeledNlri>)> {
    let slot = |route: &LabeledNlri| {
        let part = route.rd.map_or(TableKind::Labeled, TableKind::Vpn);
        FamilyTable { afi: route.nlri.prefix.afi(), part }
    };
    let mut groups: Vec<(FamilyTable, Vec<&LabeledNlri>)> = Vec::new();
    let mut places: HashMap<FamilyTable, usize> = HashMap::new();
    // Most UPDATEs are one run, which is then one allocation.
    for run in all.chunk_by(|one, next| slot(one) == slot(next)) {
        let slot = slot(&run[0]);
        let place = *places.entry(slot).or_insert_with(|| {
            groups.push((slot, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.extend(run);
    }
    groups
}

/// Returns the routes of one table with their columns. Consecutive routes in the message mostly have the same labels,
/// and then share everything.
fn encoded(
    slot: FamilyTable,
    all: &[&LabeledNlri],
    path_ids: PathIds,
    shared: &LabeledRoutes,
) -> Vec<(Nlri, EncodedRoute)> {
    let rd = slot.rd().map_or(String::new(), |rd| rd.to_string());
    let mut routes = Vec::with_capacity(all.len());
    for run in all.chunk_by(|one, next| one.labels == next.labels) {
        let route = shared.route(&rd, &run[0].labels);
        routes.extend(run.iter().map(|one| (path_ids.key(one.nlri), route.clone())));
    }
    routes
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::model::{NextHop, PathAttributes};
    use crate::wire::bgp::routes::{Announced, Withdrawn};

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

    fn alike<'c>(changes: &Changes<'c>, at: usize) -> Prefixes<'c> {
        match &changes.announced[at].1 {
            NewRoutes::Alike(_, nlri) => nlri.clone(),
            each @ NewRoutes::Each(_) => panic!("{each:?}"),
        }
    }

    /// Returns the first octet and `attrs` of labeled routes, in order.
    fn each(changes: &Changes<'_>, at: usize) -> Vec<(u8, String)> {
        let NewRoutes::Each(all) = &changes.announced[at].1 else { panic!("{:?}", changes.announced[at]) };
        let attrs = |route: &EncodedRoute| {
            let columns = String::from_utf8_lossy(&route.columns()).into_owned();
            columns[columns.rfind('{').unwrap()..].to_owned()
        };
        all.iter().map(|(nlri, route)| (nlri.prefix.octets()[0], attrs(route))).collect()
    }

    #[test]
    fn an_update_does_not_withdraw_what_it_announces() {
        let changes = Changes::of(&routes(vec![nlri(10, None), nlri(11, None)], vec![nlri(10, None)]), PathIds::Keyed);
        let listed = |all: &[Nlri]| Prefixes::Listed(all.to_vec());
        assert_eq!(changes.withdrawn[..], [(FamilyTable::unicast(Afi::Ipv4), listed(&[nlri(11, None)]))]);
        assert_eq!(alike(&changes, 0), listed(&[nlri(10, None)]));
    }

    #[test]
    fn a_refused_table_is_another_anomaly_than_a_family() {
        let family = AfiSafi { afi: 25, safi: 70 };
        let changes = Changes { not_stored: vec![family; 2], ..Changes::default() };
        let check = |changes: &Changes<'_>, has_room, want: &[Anomaly]| {
            assert_eq!(changes.anomalies(has_room).collect::<Vec<_>>(), want);
        };
        check(&changes, true, &[Anomaly::FamilyNotStored; 2]);
        check(&changes, false, &[Anomaly::FamilyNotStored, Anomaly::FamilyNotStored, Anomaly::TableNotStored]);
        check(&Changes::default(), false, &[Anomaly::TableNotStored]);
        check(&Changes::default(), true, &[]);
    }

    #[test]
    fn path_identifiers_can_be_left_out_of_the_key() {
        let announced = vec![nlri(10, Some(1)), nlri(10, Some(2))];
        let keyed = Changes::of(&routes(vec![], announced.clone()), PathIds::Keyed);
        assert_eq!(alike(&keyed, 0), Prefixes::Listed(announced.clone()));
        let ignored = Changes::of(&routes(vec![], announced), PathIds::Ignored);
        assert_eq!(alike(&ignored, 0), Prefixes::Listed(vec![nlri(10, None), nlri(10, None)]));
    }

    #[test]
    fn vpn_and_labeled_routes_have_tables_of_their_own() {
        let rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 7]);
        let one = |octet, rd, labels: &[u32]| LabeledNlri { nlri: nlri(octet, None), rd, labels: labels.into() };
        let mut routes = routes(vec![], vec![nlri(10, None)]);
        let vpn = AfiSafi { afi: 1, safi: 128 };
        let all = vec![one(10, Some(rd), &[16]), one(11, Some(rd), &[17]), one(12, Some(rd), &[16])];
        routes.announced.push(Announced {
            family: vpn,
            next_hop: None,
            nlri: NlriSet::Labeled(all),
            path_status: None,
        });
        let gone = vec![one(10, Some(rd), &[0]), one(13, Some(rd), &[0])];
        routes.withdrawn.push(Withdrawn { family: vpn, nlri: NlriSet::Labeled(gone) });
        let labeled = AfiSafi { afi: 1, safi: 4 };
        let all = vec![one(10, None, &[3, 4])];
        routes.announced.push(Announced {
            family: labeled,
            next_hop: None,
            nlri: NlriSet::Labeled(all),
            path_status: None,
        });
        let changes = Changes::of(&routes, PathIds::Keyed);
        let names: Vec<_> = changes
            .announced
            .iter()
            .map(|(slot, routes)| (slot.name("red".into()).to_string(), routes.len()))
            .collect();
        let vpn = "red|rd:0:65000:7".to_owned();
        assert_eq!(names, [("red".to_owned(), 1), (vpn, 3), ("red|labelled".to_owned(), 1)]);
        let attrs = |labels| format!(r#"{{"rd": "0:65000:7", "labels": [{labels}]}}"#);
        assert_eq!(each(&changes, 1), [(10, attrs("16")), (11, attrs("17")), (12, attrs("16"))]);
        assert_eq!(each(&changes, 2), [(10, r#"{"labels": [3, 4]}"#.to_owned())]);
        // The same UPDATE announces 10.0.0.0/8 in the same table.
        let (slot, gone) = changes.withdrawn.last().unwrap();
        assert_eq!((slot.rd(), gone.iter().collect::<Vec<_>>()), (Some(rd), vec![nlri(13, None)]));
    }

    #[test]
    fn labels_keep_message_order_and_share_attributes() {
        let one = |octet, labels: &[u32]| LabeledNlri { nlri: nlri(octet, None), rd: None, labels: labels.into() };
        let mut routes = routes(vec![], vec![]);
        let all = vec![one(10, &[200]), one(11, &[7]), one(10, &[3]), one(10, &[200])];
        routes.announced[0] = Announced {
            family: AfiSafi { afi: 1, safi: 4 },
            next_hop: None,
            nlri: NlriSet::Labeled(all),
            path_status: None,
        };
        routes.attributes.communities = Some((0..5_000).map(crate::model::Community).collect::<Vec<_>>().into());
        let changes = Changes::of(&routes, PathIds::Keyed);
        let got: Vec<(u8, String)> = each(&changes, 0);
        let want = [(10, "[200]"), (11, "[7]"), (10, "[3]"), (10, "[200]")];
        assert_eq!(got, want.map(|(octet, labels)| (octet, format!("{{\"labels\": {labels}}}"))));
        let NewRoutes::Each(all) = &changes.announced[0].1 else { panic!() };
        assert!(all.iter().all(|(_, route)| route.shared_at() == all[0].1.shared_at()));
        assert!(all.iter().all(|(_, route)| route.own_size() < 200 && route.size() > 40_000));
        assert_eq!(all[0].1, all[3].1);
        for (_, route) in all {
            // The columns as the database returns them.
            assert_eq!(*route, EncodedRoute::from_columns(&route.columns()));
        }
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
