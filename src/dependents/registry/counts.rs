//! The counts of the registry in metrics.

use crate::metrics::{DependentsMeter, RegistryCounts};
use crate::store::registry::counts;
use crate::store::{Client, Result};

/// Counts sessions and what does not fit them.
pub(crate) fn count(client: &mut Client, meter: &DependentsMeter) -> Result<()> {
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let counted = counts::counts(client)?.map(|counts| RegistryCounts {
        sessions: counts.sessions.into_iter().map(|(status, verdict, all)| (status, verdict, number(all))).collect(),
        overdue: number(counts.overdue),
        unregistered_peers: number(counts.unregistered_peers),
        policy_misfits: number(counts.policy_misfits),
    });
    meter.set_registry(counted);
    Ok(())
}
