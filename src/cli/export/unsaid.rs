//! The parts of routes that MRT has no place for.

use std::collections::BTreeMap;

use crate::cli::command::{counted, say};
use crate::model::{Prefix, RouteColumns};
use crate::mrt::attributes::encode;
use crate::mrt::destinations::{Destination, RibPart};

/// The longest attributes that are written, octets: an UPDATE has room for them.
const ATTRIBUTES_MAX: usize = 64_000;

/// The counts of routes by what is not said of them.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    parts: BTreeMap<String, u64>,
    left_out: BTreeMap<&'static str, u64>,
}

impl Unsaid {
    /// Encodes the destination and the attributes of a route; `None` if it cannot be written at all.
    pub(super) fn encode(
        &mut self,
        part: RibPart,
        prefix: &Prefix,
        columns: &RouteColumns<'_>,
    ) -> Option<(Destination, Vec<u8>)> {
        let Some(destination) = part.announced(prefix, &columns.labels()) else {
            *self.left_out.entry("without labels, or with more than NLRI have").or_default() += 1;
            return None;
        };
        let encoded = encode(part.family(prefix.afi()), columns);
        if encoded.octets.len() > ATTRIBUTES_MAX {
            *self.left_out.entry("attributes of more than 64,000 octets").or_default() += 1;
            return None;
        }
        for key in encoded.unsaid {
            *self.parts.entry(key).or_default() += 1;
        }
        Some((destination, encoded.octets))
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
