//! The reader of birdwatcher's API that Alice-LG is: what it takes from each answer, and where it gives up.
//!
//! The rules are those of its source `single_table` (46dca7e): a missing member or one of another type ends a refresh,
//! a time of another form is the year 1, and a route of a protocol that is no neighbor is not found by a search.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::common::ingester::{Ingester, answer};

/// A neighbor as Alice-LG counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    pub address: String,
    pub asn: i64,
    pub state: String,
    pub description: String,
    pub accepted: i64,
    pub filtered: Option<i64>,
    pub exported: Option<i64>,
}

/// A route as Alice-LG shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub network: String,
    pub neighbor: String,
    pub gateway: String,
    pub is_primary: bool,
    pub as_path: Vec<String>,
    pub next_hop: String,
    pub communities: Vec<Vec<i64>>,
    pub large_communities: Vec<Vec<i64>>,
    pub ext_communities: Vec<[String; 3]>,
    pub bgp: Map<String, Value>,
}

/// What a refresh gives.
#[derive(Debug)]
pub struct Refreshed {
    pub status: Map<String, Value>,
    pub neighbors: BTreeMap<String, Neighbor>,
    /// All routes of `/routes/table/master`, and those that are filtered.
    pub imported: Vec<Route>,
    pub filtered: Vec<Route>,
}

/// Reads one router as Alice-LG does.
pub struct Alice<'a> {
    pub ingester: &'a mut Ingester,
    pub router: &'a str,
    /// Further header lines.
    pub headers: String,
}

impl Alice<'_> {
    /// The status and the body of a call. Alice-LG looks at the body only.
    pub fn get(&mut self, call: &str) -> (u16, String) {
        let request = format!("GET /birdwatcher/{}{call} HTTP/1.0\r\n{}\r\n", self.router, self.headers);
        let (status, _, body) = answer(self.ingester.http(), request.as_bytes());
        (status, body)
    }

    /// An answer whose version and times can be read.
    pub fn object(&mut self, call: &str) -> Map<String, Value> {
        let (status, body) = self.get(call);
        let value: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{call}: {status} {error}: {body}"));
        let object = value.as_object().unwrap_or_else(|| panic!("{call}: {body}")).clone();
        let api = object.get("api").and_then(Value::as_object).unwrap_or_else(|| panic!("{call}: {body}"));
        assert!(api["Version"].is_string() && api["result_from_cache"].is_boolean(), "{call}: {api:?}");
        for time in [&api["cache_status"]["cached_at"]["date"], &object["ttl"]] {
            let time = time.as_str().unwrap_or_else(|| panic!("{call}: no time: {body}"));
            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{call}: {time}");
        }
        object
    }

    /// The routes of a call.
    pub fn routes(&mut self, call: &str) -> Vec<Route> {
        let object = self.object(call);
        let routes = object["routes"].as_array().unwrap_or_else(|| panic!("{call}: no array"));
        routes.iter().map(route).collect()
    }

    /// All that a refresh asks for, and that the answers agree with each other.
    pub fn refresh(&mut self) -> Refreshed {
        let status = self.object("/status")["status"].as_object().expect("a status").clone();
        for field in ["current_server", "last_reboot", "last_reconfig"] {
            time(&status[field]);
        }
        let protocols = self.object("/protocols/bgp")["protocols"].as_object().expect("protocols").clone();
        let neighbors: BTreeMap<String, Neighbor> =
            protocols.iter().map(|(id, protocol)| (id.clone(), neighbor(id, protocol))).collect();
        let short = self.object("/protocols/short?uncached=true")["protocols"].as_object().expect("protocols").clone();
        assert!(short.keys().eq(neighbors.keys()));
        for (id, protocol) in &short {
            assert_eq!(text(&protocol["state"]), neighbors[id].state);
            time(&protocol["since"]);
        }
        let imported = self.routes("/routes/table/master");
        let filtered = self.routes("/routes/table/master/filtered");
        for (id, neighbor) in &neighbors {
            let own =
                |routes: &[Route]| routes.iter().filter(|route| route.neighbor == *id).cloned().collect::<Vec<_>>();
            let (accepted, rejected) =
                (self.routes(&format!("/routes/protocol/{id}")), self.routes(&format!("/routes/filtered/{id}")));
            assert_eq!(accepted.len(), usize::try_from(neighbor.accepted).unwrap(), "{id}");
            assert_eq!(rejected.len(), usize::try_from(neighbor.filtered.unwrap_or(0)).unwrap(), "{id}");
            assert!(
                accepted == own(&imported) && rejected == own(&filtered),
                "{id}: its routes are not those of the table"
            );
            // Filtered routes of another gateway are dropped, and accepted ones of a network that is filtered.
            assert!(accepted.iter().chain(&rejected).all(|route| route.gateway == neighbor.address), "{id}");
            assert!(rejected.iter().all(|one| accepted.iter().all(|other| other.network != one.network)), "{id}");
            self.routes(&format!("/routes/noexport/{id}"));
        }
        // A search shows routes of neighbors only.
        assert!(imported.iter().chain(&filtered).all(|route| neighbors.contains_key(&route.neighbor)));
        Refreshed { status, neighbors, imported, filtered }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// A time in the form that the documented configuration names.
fn time(value: &Value) {
    let text = text(value);
    assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", &text).is_ok(), "{text:?} is no time");
}

fn is_name(text: &str) -> bool {
    (1..=80).contains(&text.len()) && text.chars().all(|one| one.is_ascii_alphanumeric() || "_:.".contains(one))
}

fn neighbor(id: &str, protocol: &Value) -> Neighbor {
    assert!(is_name(id), "{id}");
    let routes = protocol["routes"].as_object().unwrap_or_else(|| panic!("{id}: {protocol}"));
    for channel in ["ipv4", "ipv6"] {
        let channel = &protocol["channels"][channel];
        assert!(channel["routes"].is_object() && channel["routes_count"].is_object(), "{id}: {channel}");
    }
    time(&protocol["state_changed"]);
    text(&protocol["last_error"]);
    let state = text(&protocol["state"]);
    assert!(["up", "down", "start"].contains(&state.as_str()), "{state}");
    Neighbor {
        address: text(&protocol["neighbor_address"]),
        asn: number(&protocol["neighbor_as"]),
        state,
        description: text(&protocol["description"]),
        accepted: number(&routes["imported"]),
        filtered: routes.get("filtered").map(number),
        exported: routes.get("exported").map(number),
    }
}

fn route(route: &Value) -> Route {
    let route = route.as_object().expect("a route is an object");
    let bgp = route["bgp"].as_object().expect("its attributes are an object");
    for (field, is_fine) in [
        ("interface", Value::is_string as fn(&Value) -> bool),
        ("learnt_from", Value::is_string),
        ("metric", Value::is_i64),
        ("primary", Value::is_boolean),
    ] {
        assert!(is_fine(&route[field]), "{field}: {route:?}");
    }
    assert!(route["metric"].as_i64() >= Some(0));
    assert_eq!(route["learnt_from"], route["gateway"], "{route:?}");
    time(&route["age"]);
    let list = |value: &Value| value.as_array().unwrap_or_else(|| panic!("{value} is no array")).clone();
    assert!(list(&route["type"]).iter().all(Value::is_string));
    // Absent attributes are left out; what is there is text, also where it is a number.
    for field in ["origin", "local_pref", "med", "otc"] {
        assert!(bgp.get(field).is_none_or(Value::is_string), "{field}: {bgp:?}");
    }
    for field in ["local_pref", "med", "otc"] {
        assert!(bgp.get(field).is_none_or(|value| text(value).parse::<u32>().is_ok()), "{field}: {bgp:?}");
    }
    let communities = |field: &str, length: usize| -> Vec<Vec<i64>> {
        let all =
            list(&bgp[field]).iter().map(|one| list(one).iter().map(number).collect::<Vec<_>>()).collect::<Vec<_>>();
        assert!(all.iter().all(|one| one.len() == length), "{field}: {all:?}");
        all
    };
    let ext = list(&bgp["ext_communities"])
        .iter()
        .map(|one| list(one).iter().map(text).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    Route {
        network: text(&route["network"]),
        neighbor: text(&route["from_protocol"]),
        gateway: text(&route["gateway"]),
        is_primary: route["primary"] == true,
        as_path: list(&bgp["as_path"]).iter().map(text).collect(),
        next_hop: text(&bgp["next_hop"]),
        communities: communities("communities", 2),
        large_communities: communities("large_communities", 3),
        ext_communities: ext.into_iter().map(|one| one.try_into().expect("exactly three")).collect(),
        bgp: bgp.clone(),
    }
}
