//! Registry, inventory and tenants, as the process that keeps them up to date counts them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::{CounterByLabel, lock};
use crate::model::Timestamp;

/// Counters of these schemas. All are empty where another process does the work.
#[derive(Debug, Default)]
pub struct DependentsMeter {
    /// Rounds that failed, by schema.
    pub failures: CounterByLabel,
    rounds: Mutex<BTreeMap<&'static str, Timestamp>>,
    registry: Mutex<Option<RegistryCounts>>,
}

/// The sessions of the registry, and what does not fit them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryCounts {
    /// The number of sessions by the names of status and verdict.
    pub sessions: Vec<(String, String, u64)>,
    /// Sessions that wait too long for their setup.
    pub overdue: u64,
    /// Peers that are up and that no session knows.
    pub unregistered_peers: u64,
    /// Received routes that do not fit the policy of their session.
    pub policy_misfits: u64,
}

impl DependentsMeter {
    /// Notes that a schema is up to date.
    pub fn set_round(&self, schema: &'static str, at: Timestamp) {
        lock(&self.rounds).insert(schema, at);
    }

    /// Returns when each schema was brought up to date last.
    pub fn rounds(&self) -> Vec<(&'static str, Timestamp)> {
        lock(&self.rounds).iter().map(|(schema, at)| (*schema, *at)).collect()
    }

    /// Sets what is counted of the registry; `None`: there is none, or another process does the work.
    pub fn set_registry(&self, counts: Option<RegistryCounts>) {
        *lock(&self.registry) = counts;
    }

    /// Returns what is counted of the registry.
    pub fn registry(&self) -> Option<RegistryCounts> {
        lock(&self.registry).clone()
    }
}
