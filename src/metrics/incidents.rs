//! Watches and incidents of the database, as the probe counts them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::{Gauge, lock};
use crate::model::watch::{Condition, Severity};

/// The number of open incidents by condition and severity.
pub type IncidentCounts = BTreeMap<(Condition, Severity), u64>;

/// Counts of watches and incidents.
#[derive(Debug, Default)]
pub struct IncidentMeter {
    /// Enabled watches.
    pub watches: Gauge,
    /// Collectors that are alive and evaluate watches, or would if another one stopped.
    pub evaluators: Gauge,
    /// The seconds for which the oldest change has waited to be evaluated.
    pub outbox_oldest_secs: Gauge,
    incidents: Mutex<IncidentCounts>,
    by_watch: Mutex<Vec<WatchIncidents>>,
}

/// The number of open incidents of a watch, or of all watches of a team and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchIncidents {
    /// The team; empty: the operator.
    pub team: String,
    /// The name of the watch; empty: all of the team and kind.
    pub watch: String,
    /// The kind.
    pub kind: String,
    /// The number of incidents that are not closed.
    pub incidents: u64,
}

impl IncidentMeter {
    /// Sets the number of incidents that are not closed.
    pub fn set_incidents(&self, incidents: IncidentCounts) {
        *lock(&self.incidents) = incidents;
    }

    /// Sets the number of open incidents of each watch.
    pub fn set_by_watch(&self, by_watch: Vec<WatchIncidents>) {
        *lock(&self.by_watch) = by_watch;
    }

    /// Returns the number of open incidents of each watch.
    pub fn by_watch(&self) -> Vec<WatchIncidents> {
        lock(&self.by_watch).clone()
    }

    /// Returns the number of incidents that are not closed. Those of a judged condition have a count even if there are
    /// none, so that an alert on them ends.
    pub fn incidents(&self) -> IncidentCounts {
        let mut counts = lock(&self.incidents).clone();
        for condition in Condition::ALL {
            for severity in Severity::ALL {
                counts.entry((condition, severity)).or_default();
            }
        }
        counts
    }
}
