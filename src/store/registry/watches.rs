//! The watches that stand for sessions, where the operator wants incidents of them.

use std::net::IpAddr;

use postgres::Transaction;
use postgres::types::Type;

use super::super::error::Result;

/// Adds the watches of sessions that are missing and removes those that are too many. Returns both numbers.
///
/// Nothing is executed where nothing is to do: a statement that changes no watch would still have the state writers of
/// all collectors build their tries anew.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn keep(transaction: &mut Transaction<'_>) -> Result<(usize, usize)> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/registry_watch_changes.sql"), &[])?;
    let (mut names, mut uuids, mut routers, mut addresses) = (vec![], vec![], vec![], vec![]);
    let mut gone: Vec<String> = Vec::new();
    for row in &rows {
        match row.get::<_, Option<String>>(1) {
            Some(uuid) => {
                names.push(row.get::<_, String>(0));
                uuids.push(uuid);
                routers.push(row.get::<_, String>(2));
                addresses.push(row.get::<_, IpAddr>(3));
            }
            None => gone.push(row.get(0)),
        }
    }
    if !gone.is_empty() {
        transaction.execute_typed(
            "DELETE FROM watch.watches WHERE source = 'registry' AND team IS NULL AND name = ANY ($1)",
            &[(&gone, Type::TEXT_ARRAY)],
        )?;
    }
    if !names.is_empty() {
        transaction.execute_typed(
            include_str!("../../../sql/statements/registry_add_watches.sql"),
            &[
                (&names, Type::TEXT_ARRAY),
                (&uuids, Type::TEXT_ARRAY),
                (&routers, Type::TEXT_ARRAY),
                (&addresses, Type::INET_ARRAY),
            ],
        )?;
    }
    Ok((names.len(), gone.len()))
}
