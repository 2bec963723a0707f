//! RPKI, as the process that loads VRPs counts and measures it.

use std::sync::Mutex;

use super::number::{CounterByLabel, Gauge, lock};
use crate::model::Timestamp;

/// Routes of a router by state: valid, invalid, not-found.
pub type RouterStates = (String, [u64; 3]);

/// Counters of RPKI. All are zero where another process loads VRPs.
#[derive(Debug, Default)]
pub struct RpkiMeter {
    /// The results of tries to get a set: `taken`, `unchanged`, `held`, `failed`.
    pub fetches: CounterByLabel,
    /// The duration of the last scan of all routers, in microseconds.
    pub scan_took: Gauge,
    /// The distinct pairs of prefix and origin of that scan.
    pub scanned: Gauge,
    set: Mutex<Option<SetGauges>>,
    routers: Mutex<Vec<RouterStates>>,
}

/// The set in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetGauges {
    /// When it was made; `None`: there is none.
    pub generated: Option<Timestamp>,
    /// True if it is not too old.
    pub is_usable: bool,
    /// True if a newer one is held.
    pub is_held: bool,
    /// True if the last try gave no set.
    pub is_failing: bool,
    /// VRPs by trust anchor, before SLURM.
    pub trust_anchors: Vec<(String, u64)>,
}

impl RpkiMeter {
    /// Sets what is measured of the set; `None`: another process loads VRPs.
    pub fn set_gauges(&self, gauges: Option<SetGauges>) {
        *lock(&self.set) = gauges;
    }

    /// Returns what is measured of the set.
    pub fn gauges(&self) -> Option<SetGauges> {
        lock(&self.set).clone()
    }

    /// Sets the routes of these routers by state, and with `is_all` forgets all others.
    pub fn set_routers(&self, routers: Vec<RouterStates>, is_all: bool) {
        let mut known = lock(&self.routers);
        if is_all {
            *known = routers;
            return;
        }
        for new in routers {
            match known.iter_mut().find(|(name, _)| *name == new.0) {
                Some(old) => *old = new,
                None => known.push(new),
            }
        }
    }

    /// Returns the routes of each router by state.
    pub fn routers(&self) -> Vec<RouterStates> {
        lock(&self.routers).clone()
    }
}
