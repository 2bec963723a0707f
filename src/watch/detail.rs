//! The findings at a vantage, as stored in `conditions.detail` and shown in summaries.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::model::{Afi, Timestamp};
use crate::store::watch::routes::RouteRow;

use super::flap_detail::FlapDetail;
use super::route_fault::RouteFault;

/// The longest text from the wire in a summary, in characters.
const WIRE_MAX: usize = 128;

/// The findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The origin: `AS64511`, or `AS_SET`.
    pub origin: Option<String>,
    /// An AS path.
    pub path: Option<String>,
    /// The wrong value, where it is neither the origin nor missing: an AS, a path, communities.
    pub value: Option<String>,
    /// The verdict of the VRPs, in words.
    pub rpki: Option<String>,
    /// The expected value.
    pub expected: Option<String>,
    /// True if only Adj-RIBs-In before the policy have it.
    pub is_before_policy: bool,
    /// A peer that sent it, or the peer that is down.
    pub peer: Option<IpAddr>,
    /// The peer's AS.
    pub peer_asn: Option<u32>,
    /// The router's name for the peer.
    pub description: Option<String>,
    /// The reason, in words.
    pub reason: Option<String>,
    /// The number of routes that went along.
    pub routes: Option<i64>,
    /// The number of watches that are not judged meanwhile.
    pub watches: Option<i64>,
    /// When the cause was, if that is not when it was found: last seen, or the Peer Down.
    pub cause_at: Option<Timestamp>,
    /// True if it did not come back after the router's session did.
    pub is_after_reload: bool,
    /// True if it held already when the watch was made or changed.
    pub is_baseline: bool,
    /// The counts of changes, where it flaps.
    pub flaps: Option<FlapDetail>,
    /// The fault of the number of routes.
    pub fault: Option<RouteFault>,
    /// The bound that it is outside of, or the usual number.
    pub against: Option<i64>,
    /// The family that it is about; `None`: all of them.
    pub family: Option<Afi>,
    /// The names of its ASes, by `AS64511`; of an incident only.
    pub names: BTreeMap<String, String>,
}

impl Detail {
    /// Returns what a route says.
    pub fn of_route(route: &RouteRow, origin: String) -> Detail {
        Detail {
            origin: Some(origin),
            path: route.path.as_deref().map(clean),
            is_before_policy: !route.in_loc_rib && !route.after_policy,
            peer: route.peer,
            ..Detail::default()
        }
    }

    /// Adds what another route with the same fault says: an accepted one tells more than one that is filtered.
    pub fn merge(&mut self, other: Detail) {
        if self.is_before_policy && !other.is_before_policy {
            *self = other;
        }
    }

    /// Returns the JSON of the column.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        put("origin", self.origin.clone().map(Value::from));
        put("path", self.path.clone().map(Value::from));
        put("value", self.value.clone().map(Value::from));
        put("expected", self.expected.clone().map(Value::from));
        put("rpki", self.rpki.clone().map(Value::from));
        put("before_policy", self.is_before_policy.then_some(Value::Bool(true)));
        put("peer", self.peer.map(|peer| peer.to_string().into()));
        put("peer_asn", self.peer_asn.map(Value::from));
        put("description", self.description.clone().map(Value::from));
        put("reason", self.reason.clone().map(Value::from));
        put("routes", self.routes.map(Value::from));
        put("watches", self.watches.map(Value::from));
        put("cause_at", self.cause_at.map(|at| at.unix_micros().into()));
        put("after_reload", self.is_after_reload.then_some(Value::Bool(true)));
        put("baseline", self.is_baseline.then_some(Value::Bool(true)));
        put("fault", self.fault.map(|fault| fault.as_str().into()));
        put("against", self.against.map(Value::from));
        put("family", self.family.map(|afi| afi.column().into()));
        put("names", (!self.names.is_empty()).then(|| serde_json::json!(self.names)));
        if let Some(flaps) = &self.flaps {
            flaps.put(&mut map);
        }
        Value::Object(map).to_string()
    }

    /// Reads the column; what is not understood is left out.
    pub fn from_json(json: &str) -> Detail {
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Detail {
            origin: text("origin"),
            path: text("path"),
            value: text("value"),
            expected: text("expected"),
            rpki: text("rpki"),
            is_before_policy: value["before_policy"] == true,
            peer: text("peer").and_then(|peer| peer.parse().ok()),
            peer_asn: value["peer_asn"].as_u64().and_then(|asn| asn.try_into().ok()),
            description: text("description"),
            reason: text("reason"),
            routes: value["routes"].as_i64(),
            watches: value["watches"].as_i64(),
            cause_at: value["cause_at"].as_i64().map(Timestamp::from_unix_micros),
            is_after_reload: value["after_reload"] == true,
            is_baseline: value["baseline"] == true,
            flaps: FlapDetail::from_json(&value),
            fault: text("fault").and_then(|fault| RouteFault::parse(&fault)),
            against: value["against"].as_i64(),
            family: value["family"].as_i64().and_then(family_of),
            names: serde_json::from_value(value["names"].clone()).unwrap_or_default(),
        }
    }
}

fn family_of(column: i64) -> Option<Afi> {
    [Afi::Ipv4, Afi::Ipv6].into_iter().find(|afi| i64::from(afi.column()) == column)
}

/// Returns text from the wire as it may stand in a message: cut, and without control, markup and mention characters.
pub fn clean(text: &str) -> String {
    let is_fine = |c: &char| !c.is_control() && !"<>@`*_~|\\\u{2028}\u{2029}\u{200b}\u{202e}".contains(*c);
    text.chars().filter(is_fine).take(WIRE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_come_back() {
        let detail = Detail {
            origin: Some("AS64511".to_owned()),
            path: Some("64500 64511".to_owned()),
            value: Some("AS64499".to_owned()),
            expected: Some("AS64500".to_owned()),
            rpki: Some("RPKI invalid".to_owned()),
            is_before_policy: true,
            peer: Some("2001:db8::1".parse().unwrap()),
            peer_asn: Some(u32::MAX),
            description: Some("Example".to_owned()),
            reason: Some("Hold Timer Expired".to_owned()),
            routes: Some(941_223),
            watches: Some(120),
            cause_at: Some(Timestamp::from_unix_micros(7)),
            is_after_reload: true,
            is_baseline: true,
            fault: Some(RouteFault::Down),
            against: Some(1_000_000),
            family: Some(Afi::Ipv6),
            names: BTreeMap::from([("AS64511".to_owned(), "Example".to_owned())]),
            flaps: Some(FlapDetail { changes: 31, secs: 600, per_minute: vec![1, 30], ..FlapDetail::default() }),
        };
        assert_eq!(Detail::from_json(&detail.to_json()), detail);
        assert_eq!(Detail::from_json("{}"), Detail::default());
        assert_eq!(Detail::default().to_json(), "{}");
    }

    #[test]
    fn text_from_the_wire_is_tamed() {
        assert_eq!(clean("<!here> @all *b*\u{7}\nx"), "!here all bx");
        assert_eq!(clean(&"é".repeat(300)).chars().count(), WIRE_MAX);
    }
}
