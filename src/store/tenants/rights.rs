//! The rights that keep teams apart, for `doctor`.

use postgres::Client;

use super::super::error::Result;

/// Faults of these rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TeamRights {
    /// The owner of the tables, where row-level security hides rows from this role, which is another.
    pub(crate) other_owner: Option<String>,
    /// Tables on which roles of teams have rights, as `t1 on watch.watches`; the first few.
    pub(crate) granted: Vec<String>,
}

/// Returns them.
///
/// # Errors
/// When a statement fails or the connection is lost: most of all, when this role may not read `watch.team_roles`.
pub(crate) fn read(client: &mut Client) -> Result<TeamRights> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/doctor_tenants.sql"), &[])?;
    let is_bound: bool = row.get("is_bound");
    Ok(TeamRights { other_owner: is_bound.then(|| row.get("owner")), granted: row.get("granted") })
}
