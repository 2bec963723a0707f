//! The names of a router's tables: the name that the router gives, with a suffix where several tables would share one
//! name.
//!
//! A name belongs to one peer or Loc-RIB instance in one RIB. The first one has it without a suffix, a later one gets a
//! suffix: `|as:<number>` for a peer at an address that another one has too, `|id:<BGP ID>` for a Loc-RIB instance
//! whose BGP ID is not the router's, else `|instance:<distinguisher>`. Assigned names are stored in the database, so
//! they do not depend on the order of Peer Ups. A `|` in a name from the router is escaped: one in a `table_name`
//! always begins a suffix.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::peer_id::PeerId;
use crate::model::{AfiSafi, RibKind};
use crate::wire::bmp::peer::PeerKind;

/// The `table_name` of a table that the router does not name.
pub(crate) const UNKNOWN_TABLE: &str = "UNKNOWN";

/// The maximum number of table names remembered per router, about 300 bytes each.
const NAMES_MAX: usize = 262_144;

/// The names that Peer Ups gave the tables of one peer or instance, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenNames {
    /// The name for families that no Peer Up announced (RFC 9069 section 5.2.1).
    all: Option<Arc<str>>,
    /// The names by family of the Peer Ups that gave them; `None` for a family whose Peer Up came before any name was
    /// given. Routers send a Peer Up for each family.
    by_family: BTreeMap<AfiSafi, Option<Arc<str>>>,
}

impl GivenNames {
    /// Notes that a Peer Up of these families named the table.
    pub fn name(&mut self, families: impl IntoIterator<Item = AfiSafi>, name: &Arc<str>) {
        self.name_families(families, name);
        if self.all.as_ref().is_none_or(|all| !self.is_of_a_family(all)) {
            self.all = Some(Arc::clone(name));
        }
    }

    /// Notes that a Peer Up of these families named the table as Junos does, where the text may also be a description:
    /// it does not apply to other families, nor where a Table Name TLV named the table.
    pub(crate) fn name_families(&mut self, families: impl IntoIterator<Item = AfiSafi>, name: &Arc<str>) {
        self.by_family.extend(families.into_iter().map(|family| (family, Some(Arc::clone(name)))));
    }

    /// Notes that a Peer Up of these families named no table.
    pub fn leave(&mut self, families: impl IntoIterator<Item = AfiSafi>) {
        if self.all.is_none() {
            for family in families {
                self.by_family.entry(family).or_default();
            }
        }
    }

    /// Returns whether a Table Name TLV named the table.
    pub fn is_named(&self) -> bool {
        self.all.is_some()
    }

    /// Returns the name of this family's table, if one was given.
    pub fn given(&self, family: AfiSafi) -> Option<&Arc<str>> {
        self.by_family.get(&family).unwrap_or(&self.all).as_ref()
    }

    /// Returns the name of this family's table: the given one; else `UNKNOWN`, or `rd:<distinguisher>` where that would
    /// merge VRFs.
    pub fn of(&self, kind: PeerKind, family: AfiSafi) -> Arc<str> {
        if let Some(name) = self.given(family) {
            return Arc::clone(name);
        }
        let rd = kind.rd();
        if rd.is_zero() { UNKNOWN_TABLE.into() } else { format!("rd:{rd}").into() }
    }

    /// Returns whether any table has this name.
    pub fn has(&self, name: &str) -> bool {
        self.all.as_deref() == Some(name) || self.is_of_a_family(name)
    }

    /// Forgets the name of a table that went down while others of its peer stay up.
    pub fn forget(&mut self, name: &str) {
        self.by_family.retain(|_, given| given.as_deref() != Some(name));
        self.all.take_if(|all| **all == *name);
    }

    fn is_of_a_family(&self, name: &str) -> bool {
        self.by_family.values().any(|given| given.as_deref() == Some(name))
    }
}

/// The names of a peer's tables before and after a Peer Up that changed them.
#[derive(Debug, PartialEq, Eq)]
pub struct Renamed {
    kind: PeerKind,
    before: GivenNames,
    after: GivenNames,
}

impl Renamed {
    /// Returns the change of the names of a peer of this type.
    pub fn new(kind: PeerKind, before: GivenNames, after: GivenNames) -> Renamed {
        Renamed { kind, before, after }
    }

    /// Returns the former name of this family's table, if it changed.
    pub fn before(&self, family: AfiSafi) -> Option<Arc<str>> {
        let before = self.before.of(self.kind, family);
        (before != self.after.of(self.kind, family)).then_some(before)
    }

    /// Returns whether the name was in use and no longer is.
    pub(super) fn drops(&self, given: &str) -> bool {
        self.before.has(given) && !self.after.has(given)
    }

    /// Returns the new name that the router gave this family's table.
    pub fn after(&self, family: AfiSafi) -> Option<&Arc<str>> {
        self.after.given(family)
    }
}

/// Escapes a name from the router for use in a `table_name`: `|` as `%7C`, and a `%` before `7C` or `25` as `%25`, so
/// that different names stay different.
pub(crate) fn escape(name: &str) -> Cow<'_, str> {
    if !name.contains(['|', '%']) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for (at, character) in name.char_indices() {
        match character {
            '|' => out.push_str("%7C"),
            '%' if name[at + 1..].starts_with("7C") || name[at + 1..].starts_with("25") => out.push_str("%25"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// The name of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The name that the router gave, escaped, without a suffix.
    pub given: Arc<str>,
    /// The `table_name` in the database, if it is a unicast table.
    pub stored: Arc<str>,
}

/// The assigned names of one router's tables, by peer.
#[derive(Debug, Default)]
pub struct TableNames {
    /// The router's BGP identifier; `None` if unknown.
    router_id: Option<Ipv4Addr>,
    peers: HashMap<PeerId, BTreeMap<(RibKind, Arc<str>), TakenName>>,
    /// The peer that has a stored name, with the name that the router gave.
    holders: HashMap<NameScope, (PeerId, Arc<str>)>,
    /// The number of peers at one address that the router gave the same name.
    sharing: HashMap<NameScope, usize>,
    count: usize,
    /// True once `count` has reached `NAMES_MAX`. It stays true when names are released: a table that got a name
    /// without a reservation keeps it.
    is_full: bool,
}

/// A name and its scope, the RIB and the peer address, within which it has to be unique.
type NameScope = (RibKind, Option<IpAddr>, Arc<str>);

#[derive(Clone, Debug)]
struct TakenName {
    stored: Arc<str>,
    /// True if the peer is down, so another peer may get the name.
    is_free: bool,
}

impl TableNames {
    /// Sets the BGP identifier of the router itself: a Loc-RIB instance with another BGP ID may get that as a suffix.
    pub(crate) fn set_router_id(&mut self, id: Option<Ipv4Addr>) {
        self.router_id = id;
    }

    /// Returns the router's BGP identifier, once set.
    pub fn router_id(&self) -> Option<Ipv4Addr> {
        self.router_id
    }

    /// Returns the stored name of the table that the router calls `given` at this peer, and assigns one at the first
    /// call. It stays the same as long as it is remembered.
    pub fn of(&mut self, rib: RibKind, peer: &PeerId, given: &Arc<str>) -> Arc<str> {
        let known = self.peers.get_mut(peer).and_then(|names| names.get_mut(&(rib, Arc::clone(given))));
        if let Some(taken) = known {
            taken.is_free = false;
            return Arc::clone(&taken.stored);
        }
        self.is_full |= self.count >= NAMES_MAX;
        let candidates = candidates(given, peer, self.router_id);
        let is_free = |name: &&Arc<str>| match self.holders.get(&(rib, peer.address, Arc::clone(name))) {
            None => true,
            Some((holder, given)) => {
                let taken = self.peers.get(holder).and_then(|names| names.get(&(rib, Arc::clone(given))));
                taken.is_none_or(|taken| taken.is_free)
            }
        };
        // The last candidate has all suffixes that distinguish two peers: it needs no reservation.
        let free = if self.is_full { None } else { candidates.iter().find(is_free) };
        let chosen = free.or(candidates.last()).unwrap_or(given).clone();
        self.remember(rib, *peer, Arc::clone(given), Arc::clone(&chosen));
        chosen
    }

    /// Assigns a stored name to a peer. A previous holder loses it. Does nothing once there have been `NAMES_MAX`
    /// names.
    pub(crate) fn remember(&mut self, rib: RibKind, peer: PeerId, given: Arc<str>, stored: Arc<str>) {
        self.is_full |= self.count >= NAMES_MAX;
        if self.is_full {
            return;
        }
        let place = (rib, peer.address, Arc::clone(&stored));
        if let Some((holder, name)) = self.holders.insert(place, (peer, Arc::clone(&given)))
            && (holder, &name) != (peer, &given)
        {
            self.drop(rib, &holder, &name);
        }
        let taken = TakenName { stored: Arc::clone(&stored), is_free: false };
        match self.peers.entry(peer).or_default().insert((rib, Arc::clone(&given)), taken) {
            None => {
                self.count += 1;
                *self.sharing.entry((rib, peer.address, given)).or_default() += 1;
            }
            Some(before) if before.stored != stored => {
                self.holders.remove(&(rib, peer.address, before.stored));
            }
            Some(_) => {}
        }
    }

    /// Releases the names of a peer or instance for which `is_gone` is true. A name that it shared stays reserved for
    /// it until another peer needs it; others are forgotten.
    pub fn release(&mut self, peer: &PeerId, is_gone: impl Fn(&str) -> bool) {
        let Some(names) = self.peers.get_mut(peer) else { return };
        let mut gone = Vec::new();
        for ((rib, given), taken) in names.iter_mut().filter(|((_, given), _)| is_gone(given)) {
            taken.is_free = true;
            if self.sharing.get(&(*rib, peer.address, Arc::clone(given))).is_none_or(|sharing| *sharing < 2) {
                gone.push((*rib, Arc::clone(given), Arc::clone(&taken.stored)));
            }
        }
        for (rib, given, stored) in gone {
            self.holders.remove(&(rib, peer.address, stored));
            self.drop(rib, peer, &given);
        }
    }

    fn drop(&mut self, rib: RibKind, peer: &PeerId, given: &Arc<str>) {
        let Some(names) = self.peers.get_mut(peer) else { return };
        if names.remove(&(rib, Arc::clone(given))).is_none() {
            return;
        }
        if names.is_empty() {
            self.peers.remove(peer);
        }
        self.count -= 1;
        let place = (rib, peer.address, Arc::clone(given));
        if let Some(sharing) = self.sharing.get_mut(&place) {
            *sharing -= 1;
            if *sharing == 0 {
                self.sharing.remove(&place);
            }
        }
    }
}

/// Returns the possible names of a table, the best first.
fn candidates(given: &Arc<str>, peer: &PeerId, router_id: Option<Ipv4Addr>) -> Vec<Arc<str>> {
    let PeerId { kind, address, asn, bgp_id } = *peer;
    let rd = kind.rd();
    let (number, instance) = (format!("|as:{asn}"), format!("|instance:{rd}"));
    let id = if bgp_id.is_unspecified() { String::new() } else { format!("|id:{bgp_id}") };
    let mut all = vec![Arc::clone(given)];
    let mut add = |parts: &[&str]| all.push(format!("{given}{}", parts.concat()).into());
    if address.is_none() {
        // An instance with a zero BGP ID or that of the router is distinguished by its distinguisher only.
        if id.is_empty() || router_id == Some(bgp_id) {
            add(&[&instance]);
        } else {
            add(&[&id]);
        }
        add(&[&id, &instance]);
    } else {
        add(&[&number]);
        if !id.is_empty() {
            add(&[&number, &id]);
        }
        add(&[&number, &id, &instance]);
        add(&[&number, &id, &instance, &format!("|type:{}", kind.type_code())]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, Rd};

    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn rd(number: u8) -> Rd {
        Rd([0, 0, 0, 1, 0, 0, 0, number])
    }

    fn instance(number: u8, id: u8) -> PeerId {
        let kind = PeerKind::LocRib(if number == 0 { Rd::default() } else { rd(number) });
        PeerId { kind, address: None, asn: Asn(0), bgp_id: Ipv4Addr::new(10, 0, 0, id) }
    }

    fn peer(number: u8, asn: u32, id: u8) -> PeerId {
        let kind = if number == 0 { PeerKind::Global } else { PeerKind::Vrf(rd(number)) };
        let bgp_id = if id == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, id) };
        PeerId { kind, address: Some([192, 0, 2, 1].into()), asn: Asn(asn), bgp_id }
    }

    fn names() -> TableNames {
        TableNames { router_id: Some(ROUTER), ..TableNames::default() }
    }

    /// Returns the stored names of the peers, assigned in this order.
    fn called<const N: usize>(names: &mut TableNames, rib: RibKind, all: [PeerId; N]) -> [String; N] {
        all.map(|peer| names.of(rib, &peer, &"red".into()).to_string())
    }

    #[test]
    fn a_name_is_that_of_the_families_of_its_peer_up() {
        const V4: AfiSafi = AfiSafi::IPV4_UNICAST;
        const V6: AfiSafi = AfiSafi::IPV6_UNICAST;
        const VPN: AfiSafi = AfiSafi { afi: 1, safi: 128 };
        let kind = PeerKind::LocRib(rd(1));
        let check = |names: &GivenNames, want: [&str; 3]| {
            assert_eq!([V4, V6, VPN].map(|family| names.of(kind, family).to_string()), want);
        };
        let mut names = GivenNames::default();
        check(&names, ["rd:0:1:1"; 3]);
        // A family that was up without a name keeps its table when the Peer Up of another family gives a name.
        names.leave([V4]);
        names.name([V6], &"red".into());
        check(&names, ["rd:0:1:1", "red", "red"]);
        names.name([V4], &"blue".into());
        check(&names, ["blue", "red", "red"]);
        names.name([V4, V6], &"green".into());
        check(&names, ["green"; 3]);
        names.leave([V4, V6, VPN]);
        check(&names, ["green"; 3]);
        names.name([V6], &"red".into());
        names.forget("green");
        check(&names, ["rd:0:1:1", "red", "rd:0:1:1"]);
    }

    #[test]
    fn different_names_stay_different() {
        let check = |name: &str, escaped: &str| assert_eq!(escape(name), escaped);
        check("red", "red");
        check("a|b", "a%7Cb");
        check("a%7Cb", "a%257Cb");
        check("a%257Cb", "a%25257Cb");
        check("100%", "100%");
        check("%7c%2", "%7c%2");
        check("%%7C|", "%%257C%7C");
    }

    #[test]
    fn instances_of_one_name_are_told_apart() {
        let mut names = names();
        let all = [instance(1, 1), instance(2, 1), instance(0, 9), instance(3, 9), instance(4, 9)];
        let want = [
            "red",
            "red|instance:0:1:2",
            "red|id:10.0.0.9",
            "red|id:10.0.0.9|instance:0:1:3",
            "red|id:10.0.0.9|instance:0:1:4",
        ];
        assert_eq!(called(&mut names, RibKind::LocRib, all), want);
        assert_eq!(called(&mut names, RibKind::LocRib, all), want);
        let unnamed = PeerId { bgp_id: Ipv4Addr::UNSPECIFIED, ..instance(5, 0) };
        assert_eq!(called(&mut names, RibKind::LocRib, [unnamed]), ["red|instance:0:1:5"]);
    }

    #[test]
    fn peers_of_one_address_are_told_apart() {
        let mut names = names();
        let all = [peer(1, 1, 0), peer(2, 1, 0), peer(3, 1, 0), peer(4, 1, 0), peer(0, 2, 0), peer(0, 2, 3)];
        let want = [
            "red",
            "red|as:1",
            "red|as:1|instance:0:1:3",
            "red|as:1|instance:0:1:4",
            "red|as:2",
            "red|as:2|id:10.0.0.3",
        ];
        assert_eq!(called(&mut names, RibKind::AdjRibIn, all), want);
        assert_eq!(called(&mut names, RibKind::AdjRibOut, [all[1]]), ["red"]);
        let elsewhere = PeerId { address: Some([192, 0, 2, 2].into()), ..all[1] };
        assert_eq!(called(&mut names, RibKind::AdjRibIn, [elsewhere]), ["red"]);
    }

    #[test]
    fn a_shared_name_comes_back_whatever_the_order() {
        let mut names = names();
        let (one, two) = (instance(1, 1), instance(2, 1));
        called(&mut names, RibKind::LocRib, [one, two]);
        names.release(&one, |_| true);
        names.release(&two, |_| true);
        assert_eq!(called(&mut names, RibKind::LocRib, [two, one]), ["red|instance:0:1:2", "red"]);
        let mut remembering = self::names();
        remembering.remember(RibKind::LocRib, two, "red".into(), "red|instance:0:1:2".into());
        remembering.remember(RibKind::LocRib, one, "red".into(), "red".into());
        assert_eq!(called(&mut remembering, RibKind::LocRib, [two, one]), ["red|instance:0:1:2", "red"]);
    }

    #[test]
    fn the_name_of_one_that_is_gone_is_free() {
        let mut names = names();
        let (one, two, three) = (instance(1, 1), instance(2, 1), instance(3, 1));
        called(&mut names, RibKind::LocRib, [one]);
        names.release(&one, |_| true);
        assert_eq!((names.count, names.holders.len(), names.sharing.len(), names.peers.len()), (0, 0, 0, 0));
        assert_eq!(called(&mut names, RibKind::LocRib, [two, one]), ["red", "red|instance:0:1:1"]);
        // The name was shared: it stays reserved for its holder, unless another peer needs it first.
        names.release(&two, |_| true);
        assert_eq!(called(&mut names, RibKind::LocRib, [three, two]), ["red", "red|instance:0:1:2"]);
        assert_eq!(names.count, 3);
    }

    #[test]
    fn without_room_a_name_has_every_suffix() {
        let mut names = names();
        names.count = NAMES_MAX;
        let want = ["red|as:1|id:10.0.0.1|instance:0:1:1|type:1", "red|as:1|id:10.0.0.1|instance:0:1:2|type:1"];
        assert_eq!(called(&mut names, RibKind::AdjRibIn, [peer(1, 1, 1), peer(2, 1, 1)]), want);
        assert!(names.peers.is_empty() && names.holders.is_empty());
        // Released names make room, but a table keeps the name that it has.
        names.count = 0;
        assert_eq!(called(&mut names, RibKind::AdjRibIn, [peer(1, 1, 1), peer(2, 1, 1)]), want);
    }

    #[test]
    fn a_peer_holds_only_its_latest_name() {
        let mut names = names();
        let (one, two) = (instance(1, 1), instance(2, 1));
        names.remember(RibKind::LocRib, one, "red".into(), "red".into());
        names.remember(RibKind::LocRib, one, "red".into(), "red|instance:0:1:1".into());
        assert_eq!(names.holders.len(), 1);
        let want = ["red", "red|instance:0:1:1"];
        assert_eq!(called(&mut names, RibKind::LocRib, [two, one]), want);
        assert_eq!(called(&mut names, RibKind::LocRib, [two, one]), want);
    }
}
