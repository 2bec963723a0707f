//! Teams that share a collector: their records become watches, what these find becomes their incidents and numbers.

use crate::store::{self, Client, tenants};

/// Works on the schema `tenant` once.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn round(client: &mut Client) -> store::Result<()> {
    let Some(due) = tenants::due(client)? else { return Ok(()) };
    tenants::make_watches(client, due.all_watches)?;
    tenants::acknowledge(client)?;
    tenants::follow_incidents(client)?;
    if due.analytics {
        tenants::analyze(client)?;
    }
    if due.retention {
        tenants::retention::forget(client)?;
    }
    Ok(())
}
