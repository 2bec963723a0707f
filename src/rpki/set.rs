//! A set on its way into the database: without what is not used, and with local exceptions.

use std::sync::Arc;

use super::hold::Counts;
use super::parsed::ParsedSet;
use super::slurm::{Excepted, Slurm};
use crate::model::Timestamp;
use crate::model::rpki::Aspa;
use crate::store::rpki::NewSet;

/// A set that may be taken.
#[derive(Debug)]
pub struct VrpSet {
    /// VRPs by trust anchor, before SLURM.
    pub counts: Counts,
    /// The VRPs after SLURM.
    pub excepted: Excepted,
    /// The ASPAs.
    pub aspas: Vec<Aspa>,
    /// When it was made.
    pub generated: Timestamp,
    /// False if neither the set nor its source says so.
    pub is_generated_known: bool,
    /// Until when it is valid.
    pub valid_until: Option<Timestamp>,
}

impl VrpSet {
    /// Makes it of what a validator gave. `made` is when its source says that it was made, for sets that do not
    /// say so themselves; no set is from the future.
    ///
    /// # Errors
    /// Nothing is left of it.
    pub fn of(
        parsed: ParsedSet,
        ignored: &[String],
        slurm: &Slurm,
        made: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<VrpSet, String> {
        let ParsedSet { mut vrps, mut aspas, generated, valid_until } = parsed;
        let is_over = |expires: Option<Timestamp>| expires.is_some_and(|expires| expires <= now);
        vrps.retain(|vrp| !ignored.iter().any(|ignored| **ignored == *vrp.trust_anchor));
        if vrps.is_empty() {
            return Err("has only VRPs of trust anchors that RIB_INGESTER_VRPS_IGNORE_TA names".to_owned());
        }
        vrps.retain(|vrp| !is_over(vrp.expires));
        if vrps.is_empty() {
            return Err("has only VRPs that have expired".to_owned());
        }
        aspas.retain(|aspa| !is_over(aspa.expires));
        let mut counts = Counts::new();
        for vrp in &vrps {
            match counts.get_mut(&vrp.trust_anchor) {
                Some(count) => *count += 1,
                None => drop(counts.insert(Arc::clone(&vrp.trust_anchor), 1)),
            }
        }
        let generated = generated.or(made);
        Ok(VrpSet {
            counts,
            excepted: slurm.apply(vrps),
            aspas,
            generated: generated.unwrap_or(now).min(now),
            is_generated_known: generated.is_some(),
            valid_until,
        })
    }

    /// Returns it as the database takes it.
    pub(super) fn to_store<'a>(
        &'a self,
        source: &'a str,
        max_age_secs: i32,
        after_hold: Option<&'a str>,
        is_recovered: bool,
    ) -> NewSet<'a> {
        NewSet {
            vrps: &self.excepted.vrps,
            filtered: &self.excepted.filtered,
            added: self.excepted.added,
            aspas: &self.aspas,
            trust_anchors: self.counts.iter().map(|(name, count)| (&**name, *count)).collect(),
            source,
            generated: self.generated,
            is_generated_known: self.is_generated_known,
            valid_until: self.valid_until,
            max_age_secs,
            after_hold,
            is_recovered,
        }
    }
}
