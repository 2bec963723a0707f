//! The identity of a router: its `router_id`, determined once per session.
//!
//! The BGP identifier is taken from the best place that names one: the per-peer header of the global Loc-RIB instance,
//! the Sent OPEN of a Peer Up, the TCP source address. Initiation arrives before all of them and is kept until then.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Asn, RouterId, RouterRecord, Text};
use crate::wire::bmp::peer::{PeerKey, PeerKind, PerPeerHeader, Rib};
use crate::wire::bmp::{Information, Message, PeerUp};

/// The rule that chooses a router's identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityRule {
    /// The BGP identifier; the source address where none is named.
    #[default]
    BgpId,
    /// The TCP source address.
    Address,
    /// The sysName of the Initiation; the BGP identifier where none is sent.
    SysName,
}

/// The facts about the router that the session has received so far.
#[derive(Debug)]
pub(crate) struct Identity {
    source: IpAddr,
    rule: IdentityRule,
    hostname: Option<String>,
    description: Option<String>,
    /// From the global Loc-RIB instance's per-peer header.
    loc_rib_id: Option<Ipv4Addr>,
    loc_rib_asn: Option<Asn>,
    /// From the Sent OPEN of a Peer Up that is not a VRF's.
    global_open_id: Option<Ipv4Addr>,
    /// From the Sent OPEN of a VRF's Peer Up, which may be the VRF's own.
    vrf_open_id: Option<Ipv4Addr>,
    /// From the Sent OPEN of a Peer Up that is not a VRF's.
    open_asn: Option<Asn>,
    /// From a VRF, which may have an AS number of its own (local-as): used if nothing else has named one.
    vrf_asn: Option<Asn>,
    /// Loc-RIB routes have arrived: a Peer Up need not follow.
    loc_rib_routes: bool,
    /// Other routes have arrived.
    other_routes: bool,
    /// A Peer Up has arrived, whether or not it names an identifier.
    peer_ups: bool,
}

impl Identity {
    /// Creates the identity of a router that has only connected.
    pub fn new(source: IpAddr, rule: IdentityRule) -> Identity {
        Identity {
            source,
            rule,
            hostname: None,
            description: None,
            loc_rib_id: None,
            loc_rib_asn: None,
            global_open_id: None,
            vrf_open_id: None,
            open_asn: None,
            vrf_asn: None,
            loc_rib_routes: false,
            other_routes: false,
            peer_ups: false,
        }
    }

    /// Records what a message says about the router.
    pub fn learn(&mut self, message: &Message<'_>) {
        match message {
            Message::Initiation(information) => self.initiation(information),
            Message::PeerUp(up) => self.peer_up(up),
            Message::RouteMonitoring(monitoring) => self.route_monitoring(&monitoring.peer),
            Message::StatisticsReport(_)
            | Message::PeerDown(_)
            | Message::Termination(_)
            | Message::RouteMirroring(_)
            | Message::Unknown { .. } => {}
        }
    }

    /// Records an Initiation (RFC 7854 section 4.3): the last value of each kind applies.
    fn initiation(&mut self, information: &[Information<'_>]) {
        for tlv in information {
            let told = |text: Text| Some(text.as_str().to_owned()).filter(|text| !text.is_empty());
            match tlv.type_code {
                // The name may become the router's identifier.
                Information::SYS_NAME => self.hostname = told(tlv.key()).or(self.hostname.take()),
                Information::SYS_DESCR => self.description = told(tlv.note()).or(self.description.take()),
                _ => {}
            }
        }
    }

    /// Records a Peer Up.
    fn peer_up(&mut self, up: &PeerUp<'_>) {
        self.peer_ups = true;
        self.header(&up.peer.peer);
        let id = named(up.sent_open.bgp_id);
        let asn = Some(up.sent_open.asn).filter(|asn| *asn != Asn(0) && *asn != Asn::TRANS);
        if is_vrf(up.peer.peer.kind) {
            self.vrf_open_id = self.vrf_open_id.or(id);
            self.vrf_asn = self.vrf_asn.or(asn);
        } else {
            self.global_open_id = self.global_open_id.or(id);
            self.open_asn = self.open_asn.or(asn);
        }
    }

    /// Records the per-peer header of a Route Monitoring message.
    fn route_monitoring(&mut self, header: &PerPeerHeader) {
        self.header(&header.peer);
        match header.rib {
            Rib::LocRib { .. } => self.loc_rib_routes = true,
            Rib::AdjRibIn(_) | Rib::AdjRibOut(_) => self.other_routes = true,
        }
    }

    fn header(&mut self, peer: &PeerKey) {
        if let PeerKind::LocRib(rd) = peer.kind {
            let asn = Some(peer.asn).filter(|asn| *asn != Asn(0));
            if rd.is_zero() {
                self.loc_rib_id = self.loc_rib_id.or(named(peer.bgp_id));
                self.loc_rib_asn = self.loc_rib_asn.or(asn);
            } else {
                self.vrf_asn = self.vrf_asn.or(asn);
            }
        }
    }

    /// Returns true if the identifier can be determined now: the global instance has named one, or Loc-RIB routes have
    /// arrived, which cannot wait.
    pub fn is_ready(&self) -> bool {
        self.loc_rib_id.is_some() || self.global_open_id.is_some() || self.loc_rib_routes
    }

    /// Returns true if the identifier can be determined now, or if at least the Peer Up of a VRF has named one.
    pub(crate) fn has_candidate(&self) -> bool {
        self.is_ready() || self.vrf_open_id.is_some()
    }

    /// Returns true if peers or routes have arrived, which have to be stored.
    pub(crate) fn has_peers_or_routes(&self) -> bool {
        self.peer_ups || self.loc_rib_routes || self.other_routes
    }

    /// Returns true if the rule requires a BGP identifier and no message has named one, so that only the address is
    /// left.
    pub(crate) fn has_address_alone(&self) -> bool {
        let asks = match self.rule {
            IdentityRule::BgpId => true,
            IdentityRule::Address => false,
            IdentityRule::SysName => self.hostname.is_none(),
        };
        asks && self.loc_rib_id.or(self.global_open_id).or(self.vrf_open_id).is_none()
    }

    /// Returns the router's row. `known` are the identifiers stored for the router's source address: one of them that
    /// the session also names is kept.
    pub fn settle(&self, known: &[RouterId]) -> RouterRecord {
        let ids: Vec<RouterId> = [self.loc_rib_id, self.global_open_id, self.vrf_open_id]
            .into_iter()
            .flatten()
            .map(|id| RouterId::new(&id.to_string()))
            .collect();
        let address = RouterId::new(&self.source.to_string());
        let by_bgp_id = || ids.iter().find(|id| known.contains(id)).or(ids.first()).cloned().unwrap_or(address.clone());
        let router = match self.rule {
            IdentityRule::BgpId => by_bgp_id(),
            IdentityRule::Address => address.clone(),
            IdentityRule::SysName => self.hostname.as_deref().map_or_else(by_bgp_id, RouterId::new),
        };
        self.record(router)
    }

    /// Returns the row of an identified router, with everything that is known by now.
    pub fn record(&self, router: RouterId) -> RouterRecord {
        RouterRecord {
            router,
            address: self.source,
            hostname: self.hostname.clone(),
            asn: self.open_asn.or(self.loc_rib_asn).or(self.vrf_asn),
            description: self.description.clone(),
        }
    }

    /// Returns the router's own BGP identifier, which is its `router_id` unless a rule says otherwise.
    pub fn bgp_id(&self, router: &RouterId) -> Option<Ipv4Addr> {
        let named = [self.loc_rib_id, self.global_open_id, self.vrf_open_id].into_iter().flatten();
        named.clone().find(|id| router.as_str() == id.to_string()).or(named.clone().next())
    }

    /// Returns the identifier from the best place that has named one, to detect a router that contradicts itself.
    pub(crate) fn named_id(&self) -> Option<Ipv4Addr> {
        self.loc_rib_id.or(self.global_open_id)
    }
}

fn named(id: Ipv4Addr) -> Option<Ipv4Addr> {
    (!id.is_unspecified()).then_some(id)
}

fn is_vrf(kind: PeerKind) -> bool {
    match kind {
        PeerKind::Global => false,
        PeerKind::GlobalVrf(_) | PeerKind::Vrf(_) => true,
        PeerKind::Local(rd) | PeerKind::LocRib(rd) | PeerKind::Unknown { rd, .. } => !rd.is_zero(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rd;
    use crate::wire::bgp::open::Open;
    use crate::wire::bmp::InformationList;
    use crate::wire::bmp::peer::{AsWidth, Policy};

    fn header(kind: PeerKind, bgp_id: &str) -> PerPeerHeader {
        let rib = match kind {
            PeerKind::LocRib(_) => Rib::LocRib { filtered: false },
            _ => Rib::AdjRibIn(Policy::Pre),
        };
        let address = Ipv4Addr::UNSPECIFIED.into();
        let peer = PeerKey { kind, address, asn: Asn(64_500), bgp_id: bgp_id.parse().unwrap() };
        PerPeerHeader { peer, rib, as_width: AsWidth::Four, time: None }
    }

    fn up(kind: PeerKind, header_id: &str, open_asn: u32, open_id: &str) -> PeerUp<'static> {
        let open = Open {
            version: 4,
            my_as: 23_456,
            asn: Asn(open_asn),
            hold_time: 0,
            bgp_id: open_id.parse().unwrap(),
            capabilities: vec![],
            defect: None,
        };
        PeerUp {
            peer: header(kind, header_id),
            local_address: Ipv4Addr::UNSPECIFIED.into(),
            local_port: 0,
            remote_port: 0,
            sent_open: open.clone(),
            received_open: open,
            information: InformationList::default(),
        }
    }

    const GLOBAL: PeerKind = PeerKind::LocRib(Rd([0; 8]));
    const VRF: PeerKind = PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, 1]));

    fn identity(rule: IdentityRule) -> Identity {
        Identity::new("192.0.2.9".parse().unwrap(), rule)
    }

    #[test]
    fn the_best_named_identifier_wins() {
        let check = |ups: &[PeerUp<'_>], ready: bool, id: &str, asn: Option<u32>| {
            let mut identity = identity(IdentityRule::BgpId);
            ups.iter().for_each(|up| identity.peer_up(up));
            let record = identity.settle(&[]);
            assert_eq!((identity.is_ready(), record.router.as_str(), record.asn), (ready, id, asn.map(Asn)), "{ups:?}");
        };
        check(&[], false, "192.0.2.9", None);
        // FRR 10 sends dummy OPENs for a Loc-RIB, but the header is correct.
        check(&[up(GLOBAL, "10.0.0.1", 0, "0.0.0.0")], true, "10.0.0.1", Some(64_500));
        check(&[up(PeerKind::Global, "10.9.9.9", 64_501, "10.0.0.2")], true, "10.0.0.2", Some(64_501));
        // A VRF may have an identifier of its own: it is used only if no better one arrives.
        check(&[up(VRF, "10.9.9.9", 64_501, "10.0.0.3")], false, "10.0.0.3", Some(64_501));
        let both = [up(VRF, "10.9.9.9", 64_501, "10.0.0.3"), up(GLOBAL, "10.0.0.1", 64_501, "0.0.0.0")];
        check(&both, true, "10.0.0.1", Some(64_501));
        // The same is true of its AS number.
        let both = [up(VRF, "10.9.9.9", 64_999, "10.0.0.3"), up(GLOBAL, "10.0.0.1", 64_501, "0.0.0.0")];
        check(&both, true, "10.0.0.1", Some(64_501));
    }

    #[test]
    fn a_known_identifier_named_again_is_kept() {
        let mut identity = identity(IdentityRule::BgpId);
        identity.peer_up(&up(VRF, "10.9.9.9", 64_501, "10.0.0.3"));
        identity.peer_up(&up(GLOBAL, "10.0.0.1", 64_501, "10.0.0.2"));
        let settle = |known: &str| identity.settle(&[RouterId::new(known)]).router.as_str().to_owned();
        assert_eq!((settle("10.0.0.3").as_str(), settle("10.7.7.7").as_str()), ("10.0.0.3", "10.0.0.1"));
    }

    #[test]
    fn routes_that_are_not_stored_wait_for_a_name() {
        let mut identity = identity(IdentityRule::BgpId);
        identity.route_monitoring(&header(PeerKind::Global, "0.0.0.0"));
        assert!(!identity.is_ready() && !identity.has_candidate() && identity.has_peers_or_routes());
        identity.peer_up(&up(PeerKind::Global, "10.9.9.9", 64_501, "10.0.0.2"));
        assert!(identity.is_ready());
        assert_eq!(identity.settle(&[]).router.as_str(), "10.0.0.2");
    }

    #[test]
    fn a_rule_overrides_the_identifier_and_initiation() {
        let tlv = |type_code, value| Information { type_code, value };
        for (rule, id) in [(IdentityRule::Address, "192.0.2.9"), (IdentityRule::SysName, "edge1")] {
            let mut identity = identity(rule);
            identity.initiation(&[tlv(Information::SYS_NAME, b"edge1"), tlv(Information::SYS_DESCR, b"")]);
            identity.route_monitoring(&header(GLOBAL, "10.0.0.1"));
            let record = identity.settle(&[]);
            assert_eq!((record.router.as_str(), record.hostname.as_deref()), (id, Some("edge1")));
            assert_eq!(record.description, None);
        }
    }
}
