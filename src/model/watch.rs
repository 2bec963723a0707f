//! Watches: what operators want to be told of, and the words for what is wrong with it.
//!
//! The texts are those of the columns of the schema `watch`, whose trigger `check_watch` refuses anything else.

pub mod flaps;
pub mod path_match;
pub mod trie;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::as_path::Asn;
use super::prefix::Prefix;
use super::route::RouterId;
use path_match::PathMatch;

/// The number of a row of `watch.watches`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub i64);

impl fmt::Display for WatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of thing that a watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Exactly one prefix, and what is more specific.
    Prefix,
    /// An address that some route must cover.
    Address,
    /// Everything that an AS originates.
    Origin,
    /// BGP sessions of a peer, or with an AS.
    Session,
    /// The number of routes of a peer.
    PeerRoutes,
    /// The BMP session of a router.
    Router,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Prefix, Kind::Address, Kind::Origin, Kind::Session, Kind::PeerRoutes, Kind::Router];

    /// Returns the text of the column `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Prefix => "prefix",
            Kind::Address => "address",
            Kind::Origin => "origin",
            Kind::Session => "session",
            Kind::PeerRoutes => "peer_routes",
            Kind::Router => "router",
        }
    }

    /// Returns the kind with this text.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Returns the conditions that a watch of this kind judges when it lists none.
    pub fn default_conditions(self) -> &'static [Condition] {
        match self {
            // `more_specific_own` is off unless listed: announcing a part of one's own prefix is everyday work.
            Kind::Prefix => &[
                Condition::Missing,
                Condition::Origin,
                Condition::MoreSpecific,
                Condition::Upstream,
                Condition::Downstream,
                Condition::Path,
                Condition::Mitigated,
                Condition::RpkiInvalid,
                Condition::RpkiUncovered,
                Condition::RoaExpiring,
                Condition::RoaChanged,
                Condition::Flapping,
            ],
            Kind::Address => &[Condition::Missing, Condition::DefaultOnly, Condition::Origin],
            Kind::Origin => &[
                Condition::Origin,
                Condition::Upstream,
                Condition::Downstream,
                Condition::RpkiInvalid,
                Condition::RpkiUncovered,
                Condition::RoaExpiring,
                Condition::RoaChanged,
                Condition::NewOriginPrefix,
            ],
            Kind::Session => &[Condition::SessionDown, Condition::Flapping],
            Kind::PeerRoutes => &[Condition::RouteCount],
            Kind::Router => &[Condition::BmpDown],
        }
    }
}

/// The urgency of an incident, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// For the record.
    Info,
    /// Someone should look at it in working hours.
    Warning,
    /// Someone should look at it today.
    Error,
    /// Someone must act now.
    Critical,
}

impl Severity {
    /// Every severity, ascending.
    pub const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    /// Returns the text of the columns `severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }

    /// Returns the severity with this text.
    pub fn parse(text: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// Something that can be wrong with a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// No route where there was one.
    Missing,
    /// Only a default route covers the address.
    DefaultOnly,
    /// A route with an origin that is not expected.
    Origin,
    /// A longer prefix with an origin that is not expected.
    MoreSpecific,
    /// A longer prefix with an expected origin.
    MoreSpecificOwn,
    /// The AS before the origin is not expected.
    Upstream,
    /// An AS that is not expected is behind the watched one.
    Downstream,
    /// The AS path does not match, or must not and does.
    Path,
    /// A route with an expected origin is dropped, drained or diverted on purpose.
    Mitigated,
    /// RPKI says invalid.
    RpkiInvalid,
    /// It was valid, and no VRP covers it any more.
    RpkiUncovered,
    /// A ROA expires soon.
    RoaExpiring,
    /// VRPs came or went.
    RoaChanged,
    /// The set of VRPs is too old.
    VrpsStale,
    /// A set of VRPs that lacks much was taken.
    VrpsReduced,
    /// The AS originates a prefix that was not accepted.
    NewOriginPrefix,
    /// The BGP session is not up.
    SessionDown,
    /// It comes and goes.
    Flapping,
    /// The number of routes is out of bounds.
    RouteCount,
    /// The router reports nothing.
    BmpDown,
    /// Most routers were lost at once: the collector is cut off.
    Isolated,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Condition; 21] = [
        Condition::Missing,
        Condition::DefaultOnly,
        Condition::Origin,
        Condition::MoreSpecific,
        Condition::MoreSpecificOwn,
        Condition::Upstream,
        Condition::Downstream,
        Condition::Path,
        Condition::Mitigated,
        Condition::RpkiInvalid,
        Condition::RpkiUncovered,
        Condition::RoaExpiring,
        Condition::RoaChanged,
        Condition::VrpsStale,
        Condition::VrpsReduced,
        Condition::NewOriginPrefix,
        Condition::SessionDown,
        Condition::Flapping,
        Condition::RouteCount,
        Condition::BmpDown,
        Condition::Isolated,
    ];

    /// Returns the text of the columns `condition`.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Missing => "missing",
            Condition::DefaultOnly => "default_only",
            Condition::Origin => "origin",
            Condition::MoreSpecific => "more_specific",
            Condition::MoreSpecificOwn => "more_specific_own",
            Condition::Upstream => "upstream",
            Condition::Downstream => "downstream",
            Condition::Path => "path",
            Condition::Mitigated => "mitigated",
            Condition::RpkiInvalid => "rpki_invalid",
            Condition::RpkiUncovered => "rpki_uncovered",
            Condition::RoaExpiring => "roa_expiring",
            Condition::RoaChanged => "roa_changed",
            Condition::VrpsStale => "vrps_stale",
            Condition::VrpsReduced => "vrps_reduced",
            Condition::NewOriginPrefix => "new_origin_prefix",
            Condition::SessionDown => "session_down",
            Condition::Flapping => "flapping",
            Condition::RouteCount => "route_count",
            Condition::BmpDown => "bmp_down",
            Condition::Isolated => "isolated",
        }
    }

    /// Returns the condition with this text.
    pub fn parse(text: &str) -> Option<Condition> {
        Condition::ALL.into_iter().find(|condition| condition.as_str() == text)
    }

    /// Returns the severity of its incidents unless the watch names one. `is_everywhere`: it holds at every router that
    /// is known.
    pub fn default_severity(self, is_everywhere: bool) -> Severity {
        match self {
            Condition::Origin | Condition::MoreSpecific => Severity::Critical,
            Condition::Missing | Condition::DefaultOnly | Condition::SessionDown if is_everywhere => Severity::Critical,
            Condition::RpkiInvalid => Severity::Error,
            Condition::RoaChanged | Condition::Mitigated => Severity::Info,
            Condition::Missing
            | Condition::DefaultOnly
            | Condition::SessionDown
            | Condition::MoreSpecificOwn
            | Condition::Upstream
            | Condition::Downstream
            | Condition::Path
            | Condition::RpkiUncovered
            | Condition::RoaExpiring
            | Condition::VrpsStale
            | Condition::VrpsReduced
            | Condition::NewOriginPrefix
            | Condition::Flapping
            | Condition::RouteCount
            | Condition::BmpDown
            | Condition::Isolated => Severity::Warning,
        }
    }

    /// Returns the time for which it must hold before its incident opens, unless the watch says another.
    pub fn default_open_after(self) -> Duration {
        Duration::from_secs(match self {
            Condition::Origin
            | Condition::MoreSpecific
            | Condition::RpkiUncovered
            | Condition::RoaExpiring
            | Condition::RoaChanged
            | Condition::VrpsStale
            | Condition::VrpsReduced
            | Condition::NewOriginPrefix
            | Condition::Flapping
            | Condition::Isolated => 0,
            Condition::Missing
            | Condition::DefaultOnly
            | Condition::MoreSpecificOwn
            | Condition::Upstream
            | Condition::Downstream
            | Condition::Path
            | Condition::Mitigated
            | Condition::SessionDown
            | Condition::RouteCount => 60,
            Condition::RpkiInvalid | Condition::BmpDown => 900,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One router's table, or a router where a condition has no table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vantage {
    /// The router.
    pub router: RouterId,
    /// Its table; `None` for the kinds `session`, `peer_routes` and `router`.
    pub table: Option<String>,
}

/// Writes the column `vantage`.
impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{}/{table}", self.router),
            None => self.router.fmt(f),
        }
    }
}

/// The communities that ask to drop or to drain a route: BLACKHOLE (RFC 7999) and GRACEFUL_SHUTDOWN (RFC 8326).
const MITIGATION: [&str; 2] = ["65535:666", "65535:0"];

/// Returns the communities that say that a route is mitigated: the well-known ones and those of the network.
pub fn mitigation(of_network: &[String]) -> Vec<String> {
    MITIGATION.into_iter().map(str::to_owned).chain(of_network.iter().cloned()).collect()
}

/// The time for which a condition must be over before its incident closes, unless the watch says another.
pub const CLOSE_AFTER: Duration = Duration::from_secs(300);

/// The time for which a vantage must be known before a watch judges it, unless the watch says another.
pub const SETTLE: Duration = Duration::from_secs(300);

/// The default limit for a drop below the usual number of routes, in percent.
pub const DROP_PERCENT: u16 = 20;

/// The default limit for a rise above the usual number of routes, in percent.
pub const RISE_PERCENT: u16 = 50;

/// An enabled row of `watch.watches`. Lists of expected ASes are empty where nothing is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its number.
    pub id: WatchId,
    /// The team that it belongs to; `None`: the operator.
    pub team: Option<String>,
    /// Its name, unique in its team.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The prefix of the kind `prefix`.
    pub prefix: Option<Prefix>,
    /// The address of the kind `address`.
    pub address: Option<IpAddr>,
    /// The AS of the kind `origin`, or of the peers.
    pub asn: Option<Asn>,
    /// The only router that is asked.
    pub router: Option<RouterId>,
    /// The only table that is asked.
    pub table: Option<String>,
    /// The address of the peer.
    pub peer: Option<IpAddr>,
    /// ASes that may originate it.
    pub expected_origins: Vec<Asn>,
    /// ASes that may come before the origin.
    pub expected_upstreams: Vec<Asn>,
    /// ASes that the watched AS may come before.
    pub expected_downstreams: Vec<Asn>,
    /// ASes of a mitigation service.
    pub expected_via: Vec<Asn>,
    /// The rule for AS paths.
    pub path_match: Option<PathMatch>,
    /// The longest prefix inside it that is expected; `None`: its own length.
    pub max_length: Option<u8>,
    /// The least number of routes of a peer.
    pub min_routes: Option<i64>,
    /// The largest number of routes of a peer.
    pub max_routes: Option<i64>,
    /// The limit for a drop below a peer's usual number of routes, in percent.
    pub drop_percent: u16,
    /// The limit for a rise above a peer's usual number of routes, in percent.
    pub rise_percent: u16,
    /// The least number of sessions that are up.
    pub min_up: u32,
    /// The number of routers at which a condition must hold.
    pub min_vantages: u32,
    /// The conditions that are judged; empty: none, it only says what is expected.
    pub conditions: Vec<Condition>,
    /// The time for which a condition must hold; `None`: the condition's default.
    pub open_after: Option<Duration>,
    /// The time for which it must be over.
    pub close_after: Duration,
    /// The time for which a vantage must be known.
    pub settle: Duration,
    /// The severity of its incidents; `None`: the condition's default.
    pub severity: Option<Severity>,
    /// The page that says what to do.
    pub runbook_url: Option<String>,
    /// The thing that made it: `manual` or the name of an import.
    pub source: String,
}

impl Watch {
    /// Returns whether it judges `condition` in this version.
    pub fn judges(&self, condition: Condition) -> bool {
        self.conditions.contains(&condition)
    }

    /// Returns the time for which `condition` must hold before its incident opens.
    pub fn open_after(&self, condition: Condition) -> Duration {
        self.open_after.unwrap_or(condition.default_open_after())
    }

    /// Returns the severity of an incident of `condition`.
    pub fn severity(&self, condition: Condition, is_everywhere: bool) -> Severity {
        self.severity.unwrap_or(condition.default_severity(is_everywhere))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        assert!(Kind::ALL.iter().all(|kind| Kind::parse(kind.as_str()) == Some(*kind)));
        assert!(Severity::ALL.iter().all(|severity| Severity::parse(severity.as_str()) == Some(*severity)));
        assert!(Condition::ALL.iter().all(|condition| Condition::parse(condition.as_str()) == Some(*condition)));
        assert_eq!((Kind::parse("Prefix"), Severity::parse(""), Condition::parse("gone")), (None, None, None));
        assert!(Severity::Critical > Severity::Error && Severity::Warning > Severity::Info);
    }

    #[test]
    fn severities_by_default() {
        let check = |condition: Condition, somewhere, everywhere| {
            assert_eq!((condition.default_severity(false), condition.default_severity(true)), (somewhere, everywhere));
        };
        check(Condition::Origin, Severity::Critical, Severity::Critical);
        check(Condition::MoreSpecific, Severity::Critical, Severity::Critical);
        check(Condition::Missing, Severity::Warning, Severity::Critical);
        check(Condition::SessionDown, Severity::Warning, Severity::Critical);
        check(Condition::BmpDown, Severity::Warning, Severity::Warning);
        check(Condition::RoaChanged, Severity::Info, Severity::Info);
    }
}
