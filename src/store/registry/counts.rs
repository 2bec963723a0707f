//! The counts of the registry for metrics.

use postgres::Client;

use super::super::error::Result;

/// The counts of a registry that has sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The number of sessions by the names of status and verdict.
    pub(crate) sessions: Vec<(String, String, i64)>,
    /// Sessions that wait too long for their setup.
    pub(crate) overdue: i64,
    /// Peers that are up and that no session knows.
    pub(crate) unregistered_peers: i64,
    /// Received routes that do not fit the policy of their session, up to a limit.
    pub(crate) policy_misfits: i64,
}

/// Counts; `None`: there is no session.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn counts(client: &mut Client) -> Result<Option<Counts>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/registry_session_counts.sql"), &[])?;
    if rows.is_empty() {
        return Ok(None);
    }
    let row = client.query_typed_one(include_str!("../../../sql/statements/registry_counts.sql"), &[])?;
    Ok(Some(Counts {
        sessions: rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
        overdue: row.get(0),
        unregistered_peers: row.get(1),
        policy_misfits: row.get(2),
    }))
}
