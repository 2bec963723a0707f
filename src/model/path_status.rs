//! A router's status for a path (draft-ietf-grow-bmp-path-marking-tlv-05 section 3).

use serde_json::{Value, json};

/// The status of one path and the reason for it: `attrs.path_status`, as `{"reason": .., "status": [..]}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathStatus {
    /// The status bits; several may be set.
    pub bits: u32,
    /// The code of the reason for which the path is not the best, or not valid; `None` unless the router sends one.
    pub reason: Option<u16>,
}

/// The names of the bits, lowest first (section 3.1 of the draft).
const NAMES: [&str; 12] = [
    "invalid",
    "best",
    "nonselected",
    "primary",
    "backup",
    "non_installed",
    "best_external",
    "add_path",
    "filtered_in",
    "filtered_out",
    "stale",
    "suppressed",
];

/// The names of the reasons, from number 1 on (section 3.2 of the draft).
const REASONS: [&str; 11] = [
    "as_loop",
    "unresolvable_next_hop",
    "local_preference",
    "as_path_length",
    "origin",
    "med",
    "peer_type",
    "igp_cost",
    "router_id",
    "peer_address",
    "aigp",
];

impl PathStatus {
    /// Decodes the value of a path marking TLV: four octets of status, then two of reason or none. `None` if it is
    /// shorter than four.
    pub fn from_wire(value: &[u8]) -> Option<PathStatus> {
        let (bits, rest) = value.split_first_chunk()?;
        let reason = rest.first_chunk().map(|reason| u16::from_be_bytes(*reason));
        Some(PathStatus { bits: u32::from_be_bytes(*bits), reason })
    }

    /// Iterates over the names of the set bits, lowest first; bits without a name are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.bits >> bit & 1 == 1).map(|(_, name)| name)
    }

    /// Returns the value of `attrs.path_status`. A reason without a name is its number.
    pub fn json(self) -> Value {
        let status: Vec<&str> = self.names().collect();
        let Some(number) = self.reason else { return json!({ "status": status }) };
        match REASONS.get(usize::from(number).wrapping_sub(1)) {
            Some(name) => json!({ "reason": name, "status": status }),
            None => json!({ "reason": number, "status": status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_reason_by_name() {
        let check = |value: &[u8], want: Option<Value>| {
            assert_eq!(PathStatus::from_wire(value).map(PathStatus::json), want, "{value:?}");
        };
        check(&[0, 0, 0], None);
        check(&[0, 0, 0, 10], Some(json!({ "status": ["best", "primary"] })));
        check(
            &[0, 0, 8, 4, 0, 3],
            Some(json!({ "status": ["nonselected", "suppressed"], "reason": "local_preference" })),
        );
        check(&[0, 0, 0, 4, 0, 11], Some(json!({ "status": ["nonselected"], "reason": "aigp" })));
        check(&[0x80, 0, 0, 1, 0, 12], Some(json!({ "status": ["invalid"], "reason": 12 })));
        check(&[0, 0, 0, 1, 0, 0], Some(json!({ "status": ["invalid"], "reason": 0 })));
    }
}
