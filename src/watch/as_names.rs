//! The names of ASes in incidents, as far as the schema `names` has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::store::{Result, Transaction, names};

use super::candidates::{Candidate, Key};
use super::detail::{Detail, clean};
use super::known_routers::after;

/// The time after which names are read again.
const KEPT: Duration = Duration::from_secs(600);

/// The names that were asked for lately; `None`: the AS has none.
#[derive(Debug, Default)]
pub(super) struct AsNames {
    known: HashMap<u32, Option<String>>,
    /// When the first of them was read.
    read_at: Option<Timestamp>,
}

impl AsNames {
    /// Adds to the findings the names of the ASes that their lines name.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub(super) fn add(
        &mut self,
        transaction: &mut Transaction<'_>,
        candidates: &mut BTreeMap<Key, Candidate>,
        now: Timestamp,
    ) -> Result<()> {
        if self.read_at.is_some_and(|at| now >= after(at, KEPT)) {
            *self = AsNames::default();
        }
        let named = candidates.values().flat_map(|candidate| asns(&candidate.detail));
        let unknown: BTreeSet<u32> = named.filter(|asn| !self.known.contains_key(asn)).collect();
        if !unknown.is_empty() {
            let mut found = names::names(transaction, &unknown, &BTreeSet::new())?.asns;
            self.known.extend(unknown.into_iter().map(|asn| (asn, found.remove(&asn).map(|found| clean(&found.name)))));
            self.read_at.get_or_insert(now);
        }
        for candidate in candidates.values_mut() {
            let named = asns(&candidate.detail)
                .into_iter()
                .filter_map(|asn| Some((format!("AS{asn}"), self.known.get(&asn)?.clone()?)));
            candidate.detail.names = named.collect();
        }
        Ok(())
    }
}

/// Returns the ASes that a line may name: the origin, the AS next to it in the path, a peer.
fn asns(detail: &Detail) -> Vec<u32> {
    let number = |text: &String| text.strip_prefix("AS")?.parse().ok();
    let named = [&detail.origin, &detail.value].into_iter().flatten().filter_map(number);
    named.chain(detail.peer_asn).collect()
}
