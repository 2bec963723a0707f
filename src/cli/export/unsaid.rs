//! The parts of routes that MRT has no place for, or whose octets are not stored.

use std::collections::BTreeMap;

use crate::cli::command::{counted, say};
use crate::model::{Afi, RouteColumns};
use crate::mrt::attributes::encode;

/// The longest attributes that are written, octets: an UPDATE has room for them.
const ATTRIBUTES_MAX: usize = 64_000;

/// The counts of routes by what is not said of them.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    parts: BTreeMap<String, u64>,
    left_out: BTreeMap<&'static str, u64>,
}

impl Unsaid {
    /// Encodes the attributes of a route; `None` if it cannot be written at all.
    pub(super) fn encode(&mut self, afi: Afi, columns: &RouteColumns<'_>) -> Option<Vec<u8>> {
        if columns.is_labeled() {
            *self.left_out.entry("labeled or VPN").or_default() += 1;
            return None;
        }
        let encoded = encode(afi, columns);
        if encoded.octets.len() > ATTRIBUTES_MAX {
            *self.left_out.entry("attributes of more than 64,000 octets").or_default() += 1;
            return None;
        }
        for key in encoded.unsaid {
            *self.parts.entry(key).or_default() += 1;
        }
        Some(encoded.octets)
    }

    /// Says what is not in the file.
    pub(super) fn tell(&self) {
        for (why, count) in &self.left_out {
            say(format_args!("left out: {}, {why}", counted(*count, "route")));
        }
        for (key, count) in &self.parts {
            say(format_args!("not said: {key} of {}", counted(*count, "route")));
        }
    }
}
