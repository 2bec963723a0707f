//! The formats of RPKI validators: JSON of Routinator, rpki-client and StayRTR, CSV of Routinator and rpki-client.
//!
//! A set is taken whole or not at all: one entry that cannot be means that the others cannot be trusted either.

use std::collections::BTreeMap;

use super::parsed::{ParsedSet, plain};
use super::{csv_format, json_format};
use crate::model::Asn;
use crate::model::rpki::{Aspa, Vrp};

/// Reads a set in any of the formats.
///
/// # Errors
/// The first thing in it that cannot be.
pub fn parse(bytes: &[u8]) -> Result<ParsedSet, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let set = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err("is empty".to_owned()),
        Some(b'{' | b'[') => json_format::parse(bytes),
        Some(b'<') => return Err("is a web page, neither JSON nor CSV".to_owned()),
        Some(_) => csv_format::parse(bytes),
    };
    let mut set = set.map_err(|why| plain(&why))?;
    if set.vrps.is_empty() {
        return Err("has no VRPs".to_owned());
    }
    unite_vrps(&mut set.vrps);
    unite_aspas(&mut set.aspas);
    Ok(set)
}

/// Leaves each VRP once, with the latest of its times: it may come from several ROAs.
fn unite_vrps(vrps: &mut Vec<Vrp>) {
    vrps.sort_unstable_by(|a, b| {
        let key = |vrp: &Vrp| (vrp.prefix, vrp.max_length, vrp.asn);
        key(a).cmp(&key(b)).then_with(|| a.trust_anchor.cmp(&b.trust_anchor))
    });
    vrps.dedup_by(|later, kept| {
        let is_same = later.key() == kept.key();
        if is_same {
            kept.expires = kept.expires.zip(later.expires).map(|(a, b)| a.max(b));
        }
        is_same
    });
}

/// Unites the providers of each customer: it may have several ASPAs.
fn unite_aspas(aspas: &mut Vec<Aspa>) {
    let mut by_customer: BTreeMap<Asn, Aspa> = BTreeMap::new();
    for aspa in aspas.drain(..) {
        by_customer
            .entry(aspa.customer)
            .and_modify(|known| {
                known.providers.extend(&aspa.providers);
                known.expires = [known.expires, aspa.expires].into_iter().flatten().min();
            })
            .or_insert(aspa);
    }
    aspas.extend(by_customer.into_values().map(|mut aspa| {
        aspa.providers.sort_unstable();
        aspa.providers.dedup();
        aspa
    }));
}

#[cfg(test)]
mod tests;
