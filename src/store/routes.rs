//! `current_routes`, `adj_rib_in` and `adj_rib_out`: a batch is sent by COPY into a staging table and applied from
//! there by one statement.
//!
//! Everything here runs inside the caller's transaction, next to [`owner::lost`](super::owner::lost).

use std::io::Write;
use std::net::IpAddr;

use postgres::Transaction;
use postgres::types::{ToSql, Type};

use super::copy_encoding::{self, EncodedRoute};
use super::copy_fields;
use super::counts::CountChanges;
use super::error::{Error, Result};
use super::statement::PerRib;
use super::table_columns::TableColumns;
use super::table_columns::read_afi;
use crate::model::{Prefix, RibKind, RouterId, Table, View};

/// The octets of a COPY that are sent together. Smaller pieces cost a system call each, larger ones gain nothing.
const COPY_CHUNK_BYTES: usize = 256 * 1024;

/// The longest time the removal of a whole table may take: a million routes take about a second.
const REMOVE_TIMEOUT: &str = "10min";

static STAGE_ROUTES: PerRib = PerRib::new(include_str!("../../sql/statements/staging_routes.sql"));
static STAGE_KEYS: PerRib = PerRib::new(include_str!("../../sql/statements/staging_keys.sql"));
static INSERT: PerRib = PerRib::new(include_str!("../../sql/statements/insert_routes.sql"));
static COPY_ROUTES: PerRib = PerRib::new("COPY {staged}_routes FROM STDIN (FORMAT binary)");
static UPSERT: PerRib = PerRib::new(include_str!("../../sql/statements/upsert_routes.sql"));
static COPY_KEYS: PerRib = PerRib::new("COPY {staged}_keys FROM STDIN (FORMAT binary)");
static DELETE: PerRib = PerRib::new(include_str!("../../sql/statements/delete_routes.sql"));
static DELETE_STALE: PerRib = PerRib::new(include_str!("../../sql/statements/delete_stale_routes.sql"));
static DELETE_TABLES: PerRib = PerRib::new(include_str!("../../sql/statements/delete_tables.sql"));
static DELETE_ROUTER: PerRib = PerRib::new(include_str!("../../sql/statements/delete_router.sql"));
static FORGET: PerRib = PerRib::new(include_str!("../../sql/statements/forget_routes.sql"));
static FORGET_PEER: PerRib = PerRib::new(include_str!("../../sql/statements/forget_peer_routes.sql"));

/// The key of one row of `current_routes`, or of the table for its kind of RIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey<'a> {
    /// The table.
    pub table: &'a Table,
    /// The destination.
    pub prefix: Prefix,
    /// The `path_id` column.
    pub path_id: u32,
}

impl RouteKey<'_> {
    /// Returns the number of fields that [`RouteKey::put_fields`] writes.
    pub fn fields(&self) -> usize {
        RouteKey::table_fields(self.table) + 2
    }

    /// Returns the number of those that name the table.
    pub(super) fn table_fields(table: &Table) -> usize {
        match table.view.kind() {
            RibKind::LocRib | RibKind::NlriLocRib => 3,
            RibKind::AdjRibIn | RibKind::AdjRibOut | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut => 5,
        }
    }

    /// Appends the fields of a binary COPY: `router_id`, for an Adj-RIB `peer_address` and `is_post_policy`,
    /// `table_name`, `afi`, `prefix`, `path_id`.
    pub fn put_fields(&self, out: &mut Vec<u8>) {
        copy_encoding::put_table(out, self.table);
        copy_fields::put_cidr(out, &self.prefix);
        copy_fields::put_bigint(out, i64::from(self.path_id));
    }
}

/// Inserts rows that are not stored yet, sorted by key, without staging or searching for stored ones.
///
/// # Errors
/// When a statement fails or the connection is lost: 23505 if a row is stored after all, and then none was inserted.
pub fn insert<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    rows: impl Iterator<Item = (RouteKey<'a>, &'a EncodedRoute)>,
    changes: &mut CountChanges,
) -> Result<u64> {
    let mut last: Option<(&Table, u64)> = None;
    let counted = rows.inspect(|(key, _)| match &mut last {
        // The rows of a table follow each other.
        Some((table, routes)) if std::ptr::eq(*table, key.table) => *routes += 1,
        _ => {
            if let Some((table, routes)) = last.replace((key.table, 1)) {
                changes.inserted(table, routes);
            }
        }
    });
    let inserted = put_routes(Copy::begin(transaction, INSERT.on(kind))?, counted)?;
    if let Some((table, routes)) = last {
        changes.inserted(table, routes);
    }
    Ok(inserted)
}

/// The result of [`upsert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upserted {
    /// Rows inserted or updated.
    pub written: u64,
    /// The rows among them that were not stored before.
    pub new: u64,
}

/// Inserts or updates rows, sorted by key and each key once.
///
/// # Errors
/// When a statement fails or the connection is lost; class 22 and 23 if a value is at fault.
pub(crate) fn upsert<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    rows: impl Iterator<Item = (RouteKey<'a>, &'a EncodedRoute)>,
    changes: &mut CountChanges,
) -> Result<Upserted> {
    let written = put_routes(Copy::into_staging(transaction, STAGE_ROUTES.on(kind), COPY_ROUTES.on(kind))?, rows)?;
    let new = transaction.query_typed(UPSERT.on(kind), &[])?;
    Ok(Upserted { written, new: changes.take(kind, &new, 1)? })
}

/// Deletes rows by key, sorted. Returns the number of rows deleted.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn delete<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    keys: impl Iterator<Item = RouteKey<'a>>,
    changes: &mut CountChanges,
) -> Result<u64> {
    stage_keys(transaction, kind, keys)?;
    let gone = transaction.query_typed(DELETE.on(kind), &[])?;
    changes.take(kind, &gone, -1)
}

/// Deletes rows of one kind of RIB by key, if they are older than their table's `session_start_time`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn delete_stale<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    keys: impl Iterator<Item = RouteKey<'a>>,
    changes: &mut CountChanges,
) -> Result<u64> {
    stage_keys(transaction, kind, keys)?;
    let gone = transaction.query_typed(DELETE_STALE.on(kind), &[])?;
    changes.take(kind, &gone, -1)
}

fn stage_keys<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    keys: impl Iterator<Item = RouteKey<'a>>,
) -> Result<()> {
    let mut copy = Copy::into_staging(transaction, STAGE_KEYS.on(kind), COPY_KEYS.on(kind))?;
    for key in keys {
        key.put_fields(copy.row(key.fields())?);
    }
    copy.finish()?;
    Ok(transaction.batch_execute(include_str!("../../sql/statements/key_join_settings.sql"))?)
}

fn put_routes<'a>(mut copy: Copy<'_>, rows: impl Iterator<Item = (RouteKey<'a>, &'a EncodedRoute)>) -> Result<u64> {
    for (key, route) in rows {
        let speaker = copy_encoding::speaker_columns(key.table);
        let out = copy.row(key.fields() + speaker + copy_encoding::ATTRIBUTE_COLUMNS)?;
        key.put_fields(out);
        copy_encoding::put_speaker(out, key.table);
        route.put(out);
    }
    copy.finish()
}

/// A table of a router in all its families.
pub(crate) type WholeTable<'a> = (&'a RouterId, &'a View, &'a str);

/// Deletes all routes of tables. Returns the number of routes of each, in the same order.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn remove(
    transaction: &mut Transaction<'_>,
    tables: &[WholeTable<'_>],
    changes: &mut CountChanges,
) -> Result<Vec<u64>> {
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{REMOVE_TIMEOUT}'"))?;
    transaction.batch_execute(include_str!("../../sql/statements/load_settings.sql"))?;
    let mut removed = vec![0; tables.len()];
    for kind in RibKind::ALL {
        let of_kind: Vec<usize> = (0..tables.len()).filter(|i| tables[*i].1.kind() == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let columns = TableColumns::of_all_families(of_kind.iter().map(|i| tables[*i]));
        let sql = DELETE_TABLES.on(kind);
        for row in transaction.query_typed(sql, &columns.parameters_of_all_families())? {
            let number = usize::try_from(row.get::<_, i64>("number") - 1).ok();
            let Some(place) = number.and_then(|number| of_kind.get(number)).copied() else { continue };
            let (router, view, name) = tables[place];
            let routes: i64 = row.get("routes");
            changes.deleted((router, *view, name), read_afi(row.get("afi"))?, routes);
            removed[place] += u64::try_from(routes).unwrap_or(0);
        }
    }
    Ok(removed)
}

/// Deletes all routes of a router, and their numbers. Returns how many there were.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn remove_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<u64> {
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{REMOVE_TIMEOUT}'"))?;
    let mut removed = 0;
    for kind in RibKind::ALL {
        let sql = DELETE_ROUTER.on(kind);
        removed += transaction.execute_typed(sql, &[(&router.as_str(), Type::TEXT)])?;
    }
    for table in ["route_counts", "nlri_route_counts"] {
        let sql = format!("DELETE FROM {table} WHERE router_id = $1");
        transaction.execute_typed(&sql, &[(&router.as_str(), Type::TEXT)])?;
    }
    Ok(removed)
}

/// Deletes at most `limit` routes of one kind of RIB of a router. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn forget_some(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    router: &RouterId,
    limit: i64,
) -> Result<u64> {
    let gone = transaction.query_typed(FORGET.on(kind), &[(&router.as_str(), Type::TEXT), (&limit, Type::INT8)])?;
    let mut changes = CountChanges::default();
    let rows = changes.take(kind, &gone, -1)?;
    changes.write(transaction)?;
    Ok(rows)
}

/// Deletes at most `limit` routes of a peer of a router from its Adj-RIBs of this kind.
pub(super) fn forget_some_of_peer(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    (router, peer): (&RouterId, IpAddr),
    limit: i64,
) -> Result<u64> {
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&router.as_str(), Type::TEXT), (&peer, Type::INET), (&limit, Type::INT8)];
    let gone = transaction.query_typed(FORGET_PEER.on(kind), &parameters)?;
    let mut changes = CountChanges::default();
    let rows = changes.take(kind, &gone, -1)?;
    changes.write(transaction)?;
    Ok(rows)
}

/// A binary COPY FROM STDIN that collects rows and sends them in large pieces.
pub(super) struct Copy<'a> {
    writer: postgres::CopyInWriter<'a>,
    buffer: Vec<u8>,
}

impl<'a> Copy<'a> {
    /// Begins a COPY of this statement.
    pub(super) fn begin(transaction: &'a mut Transaction<'_>, statement: &str) -> Result<Copy<'a>> {
        let writer = transaction.copy_in(statement)?;
        let mut buffer = Vec::with_capacity(COPY_CHUNK_BYTES + 4096);
        buffer.extend_from_slice(copy_encoding::COPY_HEADER);
        Ok(Copy { writer, buffer })
    }

    /// The same into a staging table, which `create` creates where this connection does not have it yet.
    pub(super) fn into_staging(
        transaction: &'a mut Transaction<'_>,
        create: &str,
        statement: &str,
    ) -> Result<Copy<'a>> {
        transaction.batch_execute(create)?;
        Copy::begin(transaction, statement)
    }

    /// Begins a new row of `fields` fields and returns the buffer.
    pub(super) fn row(&mut self, fields: usize) -> Result<&mut Vec<u8>> {
        if self.buffer.len() >= COPY_CHUNK_BYTES {
            self.send()?;
        }
        let fields = i16::try_from(fields).map_err(|_| Error::Unexpected(format!("a row of {fields} columns")))?;
        self.buffer.extend_from_slice(&fields.to_be_bytes());
        Ok(&mut self.buffer)
    }

    pub(super) fn finish(mut self) -> Result<u64> {
        self.buffer.extend_from_slice(&copy_encoding::COPY_TRAILER);
        self.send()?;
        Ok(self.writer.finish()?)
    }

    fn send(&mut self) -> Result<()> {
        self.writer.write_all(&self.buffer)?;
        self.writer.flush()?;
        self.buffer.clear();
        Ok(())
    }
}
