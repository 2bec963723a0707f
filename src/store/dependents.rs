//! Statements that the schemas of what depends on routes share.

use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;

use super::error::{Error, Result};
use super::suitable::identifier;

/// The longest time of one statement.
const TIMEOUT: &str = "5min";

/// Tries the lock under which one collector of a database keeps these schemas up to date. Returns false if another
/// process has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn lock(client: &mut Client) -> Result<bool> {
    let row = client.query_typed_one("SELECT pg_try_advisory_lock(hashtext('rib_dependents'))", &[])?;
    client.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'"))?;
    Ok(row.get(0))
}

/// Adds to an error for lack of a privilege the statement that gives this role the rights of the owner of the schema.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn with_remedy(client: &mut Client, schema: &str, error: Error) -> Result<Error> {
    if error.code() != Some(SqlState::INSUFFICIENT_PRIVILEGE.code()) {
        return Ok(error);
    }
    let rows = client.query_typed(
        "SELECT pg_get_userbyid(nspowner)::text, current_user::text
         FROM pg_namespace WHERE nspname = $1 AND NOT pg_has_role(current_user, nspowner, 'USAGE')",
        &[(&schema, Type::TEXT)],
    )?;
    Ok(match rows.first() {
        Some(row) => Error::Unsuitable { found: error.to_string(), remedy: rights_of(row.get(0), row.get(1)) },
        None => error,
    })
}

/// Returns the statement that gives a role the rights of the owner of a schema, row-level security included.
pub(crate) fn rights_of(owner: &str, role: &str) -> String {
    format!("as a superuser: GRANT {} TO {}", identifier(owner), identifier(role))
}
