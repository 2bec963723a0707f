//! Indexes of routes that have outgrown their rows are rebuilt.
//!
//! A GIN index keeps an entry for each community that a route ever had: VACUUM empties it and never removes it. So
//! communities that never come back would let it grow forever.

use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use super::maintenance;

/// The longest time that a rebuild may take.
const REBUILD_TIMEOUT: &str = "1h";

/// The longest time that it may wait for transactions that are older than it. Neither readers nor writers wait for it.
const REBUILD_WAIT: &str = "10min";

/// The index and table sizes from which it is worth looking.
#[derive(Clone, Copy, Debug)]
pub struct Smallest {
    /// The rows of a table.
    pub rows: i64,
    /// The size of an index, in bytes.
    pub bytes: i64,
}

/// The sizes that maintenance uses. A smaller index is rebuilt in a second and does no harm.
pub(crate) const SMALLEST: Smallest = Smallest { rows: 10_000, bytes: 8 * 1024 * 1024 };

/// An index that was rebuilt.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Its name.
    pub name: String,
    /// Its size before, in bytes.
    pub before: i64,
    /// Its size now, in bytes.
    pub after: i64,
}

/// Rebuilds the index that has outgrown its rows most, if one has. Readers and writers continue meanwhile.
///
/// # Errors
/// When a statement fails or the connection is lost: 55P03 if an older transaction does not end, 57014 after an hour. Then the
/// next try is a day later.
pub fn rebuild_outgrown(client: &mut Client, smallest: Smallest) -> Result<Option<Rebuilt>> {
    for row in client.query_typed(include_str!("../../sql/statements/index_remains.sql"), &[])? {
        let index: String = row.get("index");
        client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"))?;
    }
    let outgrown = client.query_typed(
        include_str!("../../sql/statements/index_outgrown.sql"),
        &[(&smallest.rows, Type::INT8), (&smallest.bytes, Type::INT8)],
    )?;
    let Some(row) = outgrown.first() else { return Ok(None) };
    let (index, name, rows): (String, String, i64) = (row.get("index"), row.get("name"), row.get("rows"));
    client.execute_typed("UPDATE index_sizes SET tried_at = now() WHERE name = $1", &[(&name, Type::TEXT)])?;
    client.batch_execute(&format!("SET statement_timeout = '{REBUILD_TIMEOUT}'"))?;
    client.batch_execute(&format!("SET lock_timeout = '{REBUILD_WAIT}'"))?;
    let rebuilt = client.batch_execute(&format!("REINDEX INDEX CONCURRENTLY {index}"));
    maintenance::limit(client)?;
    rebuilt?;
    let after = client.query_typed_one(
        "UPDATE index_sizes SET bytes = pg_relation_size($2::text::regclass), rows = $3, noted_at = now()
         WHERE name = $1 RETURNING bytes",
        &[(&name, Type::TEXT), (&index, Type::TEXT), (&rows, Type::INT8)],
    )?;
    Ok(Some(Rebuilt { name, before: row.get("bytes"), after: after.get(0) }))
}
