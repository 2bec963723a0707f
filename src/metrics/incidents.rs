//! Watches and incidents of the database, as the probe counts them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::{Number, lock};
use crate::model::watch::{Condition, Severity};

/// The number of open incidents by condition and severity.
pub type IncidentCounts = BTreeMap<(Condition, Severity), u64>;

/// Counts of watches and incidents.
#[derive(Debug, Default)]
pub struct IncidentMeter {
    /// Enabled watches.
    pub watches: Number,
    /// Collectors that are alive and evaluate watches, or would if another one stopped.
    pub evaluators: Number,
    /// The seconds for which the oldest change has waited to be evaluated.
    pub outbox_oldest_secs: Number,
    incidents: Mutex<IncidentCounts>,
}

impl IncidentMeter {
    /// Sets the number of incidents that are not closed.
    pub fn set_incidents(&self, incidents: IncidentCounts) {
        *lock(&self.incidents) = incidents;
    }

    /// Returns the number of incidents that are not closed. Those of a judged condition have a count even if there are
    /// none, so that an alert on them ends.
    pub fn incidents(&self) -> IncidentCounts {
        let mut counts = lock(&self.incidents).clone();
        for condition in Condition::ALL.into_iter().filter(|condition| condition.is_judged()) {
            for severity in Severity::ALL {
                counts.entry((condition, severity)).or_default();
            }
        }
        counts
    }
}
