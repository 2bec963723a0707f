//! Metrics of registry, inventory and tenants, where this collector keeps them up to date.

use super::series::{COUNTER, Exposition, GAUGE, count, seconds};
use crate::metrics::DependentsMeter;

/// Adds all of them.
pub(super) fn families(out: &mut Exposition, meter: &DependentsMeter) {
    let help = "When this schema was brought up to date last.";
    out.all("rib_ingester_dependents_last_round_timestamp_seconds", GAUGE, help, |series| {
        for (schema, at) in meter.rounds() {
            series.add(&[("schema", schema)], seconds(at.unix_micros().unsigned_abs()));
        }
    });
    out.all("rib_ingester_dependents_failures_total", COUNTER, "Rounds of this schema that failed.", |series| {
        for (schema, times) in meter.failures.all() {
            series.add(&[("schema", schema)], count(times));
        }
    });
    let Some(registry) = meter.registry() else { return };
    let help = "Sessions of the registry by their status and what their router says.";
    out.all("rib_ingester_registry_sessions", GAUGE, help, |series| {
        for (status, verdict, sessions) in &registry.sessions {
            series.add(&[("status", status), ("verdict", verdict)], count(*sessions));
        }
    });
    let help = "Sessions of the registry that wait too long for their setup.";
    out.one("rib_ingester_registry_sessions_overdue", GAUGE, help, count(registry.overdue));
    let help = "Peers that are up and that no session of the registry knows.";
    out.one("rib_ingester_registry_unregistered_peers", GAUGE, help, count(registry.unregistered_peers));
    let help = "Received routes that do not fit the policy of their session; at most 10,000 are counted.";
    out.one("rib_ingester_registry_policy_misfits", GAUGE, help, count(registry.policy_misfits));
}
