//! The member export of an exchange (IX-F Member Export, schema 0.6 to 1.0): watches of the sessions that its route
//! servers expect, and of the number of routes that each member may send.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// The watches of an export.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Export {
    /// The source of the watches: `ix-f` and the short names of the exchanges.
    pub source: String,
    /// The columns of each watch.
    pub watches: Vec<Map<String, Value>>,
    /// The parts that are left out, one line each.
    pub left_out: Vec<String>,
}

/// Reads an export. `routers`: the route servers by identifier and name; none: sessions are watched wherever they are.
///
/// # Errors
/// A sentence, when it is no such export.
pub(crate) fn read(text: &str, routers: &[(String, String)]) -> Result<Export, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let version = document["version"].as_str().unwrap_or_default();
    if !["0.6", "0.7", "0.8", "1.0"].contains(&version) {
        return Err(format!("version \"{version}\" is not known; known: 0.6, 0.7, 0.8, 1.0"));
    }
    let (Some(exchanges), Some(members)) = (document["ixp_list"].as_array(), document["member_list"].as_array()) else {
        return Err("has no ixp_list or no member_list".to_owned());
    };
    let exchanges: BTreeMap<i64, String> = exchanges.iter().filter_map(exchange).collect();
    let names: Vec<&str> = exchanges.values().map(String::as_str).collect();
    let mut export = Export { source: format!("ix-f {}", names.join(" ")), ..Export::default() };
    let (mut known, mut left_out) = (BTreeSet::new(), BTreeMap::new());
    for member in members {
        for connection in member["connection_list"].as_array().into_iter().flatten() {
            let exchange = connection["ixp_id"].as_i64().and_then(|id| exchanges.get(&id));
            let Some(exchange) = exchange else {
                *left_out.entry("connections to an exchange that ixp_list does not name").or_insert(0_u64) += 1;
                continue;
            };
            for vlan in connection["vlan_list"].as_array().into_iter().flatten() {
                for end in [&vlan["ipv4"], &vlan["ipv6"]].into_iter().filter(|end| !end.is_null()) {
                    if let Err(why) = add(&mut export.watches, &mut known, (member, connection, end), exchange, routers)
                    {
                        *left_out.entry(why).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    export.left_out = left_out.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
    Ok(export)
}

fn exchange(exchange: &Value) -> Option<(i64, String)> {
    let name = exchange["shortname"].as_str().or_else(|| exchange["name"].as_str())?;
    Some((exchange["ixp_id"].as_i64()?, plain(name)))
}

/// Returns a name without what a watch's name must not have.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| if c == '/' || c.is_control() { '-' } else { c })
        .take(40)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Adds the watches of one address of a member.
fn add(
    watches: &mut Vec<Map<String, Value>>,
    known: &mut BTreeSet<IpAddr>,
    (member, connection, end): (&Value, &Value, &Value),
    exchange: &str,
    routers: &[(String, String)],
) -> Result<(), &'static str> {
    let state = connection["state"].as_str().unwrap_or("active");
    if !matches!(state, "active" | "connected" | "operational") {
        return Err("addresses of connections that are not active");
    }
    if end["routeserver"].as_bool() != Some(true) {
        return Err("addresses without a session to the route servers");
    }
    let address: Option<IpAddr> = end["address"].as_str().and_then(|address| address.parse().ok());
    let (Some(address), Some(asn)) = (address, member["asnum"].as_u64()) else {
        return Err("entries without an address or an AS number");
    };
    if !known.insert(address) {
        return Err("addresses that another connection has too");
    }
    let name = member["name"].as_str().unwrap_or("no name");
    let note = format!("{}, AS{asn}, at {exchange}", name.trim());
    let mut at = |router: Option<&(String, String)>| {
        let place = router.map_or(String::new(), |(_, name)| format!(" at {}", plain(name)));
        let id = router.map(|(id, _)| id);
        let mut put = |value: Value| {
            if let Value::Object(fields) = value {
                watches.push(fields);
            }
        };
        put(json!({"name": format!("{exchange} AS{asn} {address}{place}"), "kind": "session", "peer_address": address,
                   "router_id": id, "note": note}));
        if let Some(most) = end["max_prefix"].as_u64().filter(|most| *most > 0) {
            // The agreed number decides. Members are free to send more or fewer routes than yesterday.
            put(json!({"name": format!("{exchange} AS{asn} {address}{place} routes"), "kind": "peer_routes",
                       "peer_address": address, "router_id": id, "max_routes": most, "drop_percent": 100,
                       "rise_percent": 10_000, "note": note}));
        }
    };
    if routers.is_empty() {
        at(None);
    }
    routers.iter().for_each(|router| at(Some(router)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"version": "1.0", "timestamp": "2026-11-26T00:00:00Z",
        "ixp_list": [{"ixp_id": 4, "ixf_id": 1, "shortname": "Example/IX"}],
        "member_list": [
            {"asnum": 64500, "name": "Example Networks", "connection_list": [
                {"ixp_id": 4, "state": "active", "vlan_list": [
                    {"vlan_id": 1, "ipv4": {"address": "192.0.2.1", "routeserver": true, "max_prefix": 100},
                     "ipv6": {"address": "2001:db8::1", "routeserver": true}}]}]},
            {"asnum": 64501, "name": "Direct", "connection_list": [
                {"ixp_id": 4, "vlan_list": [{"ipv4": {"address": "192.0.2.2", "routeserver": false}}]},
                {"ixp_id": 4, "state": "inactive", "vlan_list": [{"ipv4": {"address": "192.0.2.3", "routeserver": true}}]},
                {"ixp_id": 9, "vlan_list": []}]}]}"#;

    fn shown(export: &Export) -> Vec<String> {
        let text = |fields: &Map<String, Value>| {
            let field = |name: &str| fields.get(name).filter(|value| !value.is_null()).map(|value| format!(" {value}"));
            ["kind", "name", "peer_address", "router_id", "max_routes"].into_iter().filter_map(field).collect()
        };
        export.watches.iter().map(text).collect()
    }

    #[test]
    fn members_become_watches() {
        let export = read(EXPORT, &[]).unwrap();
        assert_eq!(export.source, "ix-f Example-IX");
        assert_eq!(
            shown(&export),
            [
                r#" "session" "Example-IX AS64500 192.0.2.1" "192.0.2.1""#,
                r#" "peer_routes" "Example-IX AS64500 192.0.2.1 routes" "192.0.2.1" 100"#,
                r#" "session" "Example-IX AS64500 2001:db8::1" "2001:db8::1""#
            ]
        );
        assert_eq!(export.watches[0]["note"], "Example Networks, AS64500, at Example-IX");
        assert_eq!(
            export.left_out,
            [
                "1 addresses of connections that are not active",
                "1 addresses without a session to the route servers",
                "1 connections to an exchange that ixp_list does not name"
            ]
        );
        let routers = ["rs1", "rs2"].map(|name| (format!("id-{name}"), name.to_owned()));
        let export = read(EXPORT, &routers).unwrap();
        assert_eq!(export.watches.len(), 6);
        assert_eq!(shown(&export)[2], r#" "session" "Example-IX AS64500 192.0.2.1 at rs2" "192.0.2.1" "id-rs2""#);
    }

    #[test]
    fn other_exports_are_refused() {
        let check = |text, want: &str| assert!(read(text, &[]).unwrap_err().starts_with(want), "{text}");
        check("{", "is not JSON: ");
        check("{}", "version \"\" is not known; known: 0.6");
        check(r#"{"version": "1.0", "member_list": []}"#, "has no ixp_list or no member_list");
    }
}
