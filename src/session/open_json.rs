//! An OPEN as a JSON object, as `decode` prints it, and its capabilities, as `peers` stores them.

use serde_json::{Value, json};

use crate::model::write_text::hex;
use crate::wire::bgp::open::{AddPathDirection, Capability, Open};

/// Returns the OPEN with all its capabilities.
pub fn value(open: &Open) -> Value {
    json!({
        "version": open.version,
        "my_as": open.my_as,
        "asn": open.asn.0,
        "bgp_id": open.bgp_id,
        "hold_time": open.hold_time,
        "capabilities": open.capabilities.iter().map(capability).collect::<Value>(),
    })
}

/// Returns one capability.
pub fn capability(capability: &Capability) -> Value {
    match capability {
        Capability::Multiprotocol(family) => {
            json!({ "code": 1, "name": "multiprotocol", "afi": family.afi, "safi": family.safi })
        }
        Capability::FourOctetAs(asn) => json!({ "code": 65, "name": "four_octet_as", "asn": asn.0 }),
        Capability::AddPath(families) => {
            let families: Value = families
                .iter()
                .map(|(family, direction)| {
                    let direction = match direction {
                        AddPathDirection::Receive => "receive",
                        AddPathDirection::Send => "send",
                        AddPathDirection::Both => "both",
                    };
                    json!({ "afi": family.afi, "safi": family.safi, "direction": direction })
                })
                .collect();
            json!({ "code": 69, "name": "add_path", "families": families })
        }
        Capability::Other { code, value } => match name(*code) {
            Some(name) => json!({ "code": code, "name": name, "hex": hex(value) }),
            None => json!({ "code": code, "hex": hex(value) }),
        },
    }
}

/// Returns the capability's name in the IANA registry of capability codes, in snake case.
fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "multiprotocol",
        2 => "route_refresh",
        3 => "outbound_route_filtering",
        5 => "extended_next_hop_encoding",
        6 => "extended_message",
        7 => "bgpsec",
        8 => "multiple_labels",
        9 => "bgp_role",
        64 => "graceful_restart",
        65 => "four_octet_as",
        67 => "dynamic_capability",
        68 => "multisession",
        69 => "add_path",
        70 => "enhanced_route_refresh",
        71 => "long_lived_graceful_restart",
        72 => "routing_policy_distribution",
        73 => "fqdn",
        74 => "bfd_strict_mode",
        75 => "software_version",
        76 => "paths_limit",
        128 => "prestandard_route_refresh",
        129 => "prestandard_outbound_route_filtering",
        130 => "prestandard_outbound_route_filtering_cisco",
        _ => return None,
    })
}
