//! `route_events` and `nlri_route_events`: rows are written by COPY, or through a staging table if ids have to be
//! checked.
//!
//! COPY names the parent table: finding the day's partition costs PostgreSQL at most a twentieth of the time, and the
//! table may be partitioned other than by day (docs/scaling.md).

use std::time::{Duration, SystemTime};

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::copy_encoding::{self, EncodedRoute};
use super::copy_fields;
use super::error::Result;
use super::routes::Copy;
use super::statement::PerRib;
use super::time::read_time;
use crate::model::{Nlri, RibKind, RouterId, Table, Timestamp};

/// The columns in the order in which [`EventRow`]s are written.
const COLUMNS: &str = "event_id, ingest_time, router_id, table_name, afi, prefix, path_id, action, nexthop, as_path, origin, \
     localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs, bmp_raw, received_at, router_time, \
     peer_address, peer_asn, peer_bgp_id, is_post_policy, rib";

static STORE_NEW: PerRib = PerRib::new(include_str!("../../sql/statements/store_new_events.sql"));
static REACH: PerRib = PerRib::new(include_str!("../../sql/statements/history_reach.sql"));

/// The largest number of advisory locks that the checking path takes: routers are spread over this many.
const CHECK_LOCKS: i64 = 256;

/// The number space of those locks: "ribe" in ASCII, above the 32 bits of the lock's number.
const CHECK_LOCK_SPACE: i64 = 0x7269_6265 << 32;

/// A row of `route_events`.
#[derive(Clone, Copy, Debug)]
pub struct EventRow<'a> {
    /// The SHA-256 that identifies the event.
    pub id: &'a [u8; 32],
    /// `ingest_time`.
    pub time: Timestamp,
    /// The table.
    pub table: &'a Table,
    /// The key.
    pub nlri: &'a Nlri,
    /// Announce or withdraw.
    pub action: Action,
    /// The attribute columns.
    pub route: &'a EncodedRoute,
    /// The BMP message, compressed or not.
    pub raw: Option<&'a [u8]>,
    /// When the collector read the message.
    pub received_at: Timestamp,
    /// The per-peer timestamp.
    pub router_time: Option<Timestamp>,
}

impl EventRow<'_> {
    /// The number of fields that [`EventRow::put_fields`] writes.
    pub(crate) const FIELDS: usize = 8 + copy_encoding::ATTRIBUTE_COLUMNS + 8;

    /// Appends the fields of a binary COPY, `event_id` to `rib`.
    pub fn put_fields(&self, out: &mut Vec<u8>) {
        copy_fields::put_bytes(out, self.id);
        copy_fields::put_timestamp(out, self.time);
        copy_fields::put_text(out, self.table.router.as_str());
        copy_fields::put_text(out, &self.table.name);
        copy_fields::put_afi(out, self.table.afi);
        copy_fields::put_cidr(out, &self.nlri.prefix);
        match self.nlri.path_id {
            Some(id) => copy_fields::put_bigint(out, i64::from(id.0)),
            None => copy_fields::put_null(out),
        }
        copy_fields::put_text(
            out,
            match self.action {
                Action::Announce => "A",
                Action::Withdraw => "D",
            },
        );
        self.route.put(out);
        match self.raw {
            Some(raw) => copy_fields::put_bytes(out, raw),
            None => copy_fields::put_null(out),
        }
        copy_fields::put_timestamp(out, self.received_at);
        match self.router_time {
            Some(time) => copy_fields::put_timestamp(out, time),
            None => copy_fields::put_null(out),
        }
        copy_encoding::put_event_view(out, self.table);
    }
}

/// The `action` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `A`.
    Announce,
    /// `D`.
    Withdraw,
}

/// Returns the time of the database's clock.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn clock(client: &mut Client) -> Result<Timestamp> {
    read_time(client.query_typed_one("SELECT clock_timestamp()", &[])?.get(0))
}

/// Returns the time of a router's latest stored event, searched from the day before `base` on.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn latest(client: &mut Client, router: &RouterId, base: Timestamp) -> Result<Option<Timestamp>> {
    let since = epoch_seconds(base) - 86_400.0;
    let row = client.query_typed_one(
        include_str!("../../sql/statements/latest_event.sql"),
        &[(&router.as_str(), Type::TEXT), (&since, Type::FLOAT8)],
    )?;
    row.get::<_, Option<SystemTime>>(0).map(read_time).transpose()
}

/// Copies rows of routes to prefixes into `route_events` without checking for stored ones. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost: 23514 if a day has no partition, 23505 if an id and time are
/// already stored.
pub fn copy<'a>(transaction: &mut Transaction<'_>, rows: impl Iterator<Item = EventRow<'a>>) -> Result<u64> {
    put_rows(Copy::begin(transaction, &format!("COPY route_events ({COLUMNS}) FROM STDIN (FORMAT binary)"))?, rows)
}

/// The rules by which an event counts as already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The start of the search: earlier events are ignored.
    pub from: Timestamp,
    /// For an event of a dump: it counts as stored if the newest event of its key is not older than this and says the
    /// same.
    pub dumped_from: Option<Timestamp>,
    /// True if the stored event with the same id and time of receipt is this one.
    pub is_replayed: bool,
    /// True if it counts as stored when the newest event of its key says the same, whatever its id and times.
    pub is_shared: bool,
}

impl Check {
    /// The number of fields that [`Check::put_fields`] writes.
    const FIELDS: usize = 4;

    /// Returns rules under which only an event with the same id and the same time counts.
    pub fn none(time: Timestamp) -> Check {
        Check { from: time, dumped_from: None, is_replayed: false, is_shared: false }
    }

    fn put_fields(&self, out: &mut Vec<u8>) {
        copy_fields::put_timestamp(out, self.from);
        match self.dumped_from {
            Some(from) => copy_fields::put_timestamp(out, from),
            None => copy_fields::put_null(out),
        }
        copy_fields::put_bool(out, self.is_replayed);
        copy_fields::put_bool(out, self.is_shared);
    }
}

/// Stores the rows that are not already stored, under a lock per router. Those of a `kind` of other families go to
/// `nlri_route_events`: there withdrawals get the NLRI that they withdraw.
///
/// # Errors
/// When a statement fails or the connection is lost: 23514 if the day has no partition.
pub fn copy_checked<'a>(
    transaction: &mut Transaction<'_>,
    kind: RibKind,
    routers: &[&str],
    rows: impl Iterator<Item = (EventRow<'a>, Check)>,
) -> Result<u64> {
    transaction.execute_typed(
        "SELECT pg_advisory_xact_lock(key)
         FROM (SELECT DISTINCT $2 + abs(hashtext(router)::bigint % $3) AS key FROM unnest($1) AS router ORDER BY key) AS keys",
        &[(&routers, Type::TEXT_ARRAY), (&CHECK_LOCK_SPACE, Type::INT8), (&CHECK_LOCKS, Type::INT8)],
    )?;
    let (staged, create) = if kind.is_nlri() {
        ("staged_nlri_events", include_str!("../../sql/statements/staging_nlri_events.sql"))
    } else {
        ("staged_events", include_str!("../../sql/statements/staging_events.sql"))
    };
    let sql = format!(
        "COPY {staged} ({COLUMNS}, looked_from, dumped_from, is_replayed, is_shared) FROM STDIN (FORMAT binary)"
    );
    let mut copy = Copy::into_staging(transaction, create, &sql)?;
    for (event, check) in rows {
        let out = copy.row(EventRow::FIELDS + Check::FIELDS)?;
        event.put_fields(out);
        check.put_fields(out);
    }
    copy.finish()?;
    transaction.batch_execute(include_str!("../../sql/statements/key_join_settings.sql"))?;
    if kind.is_nlri() {
        transaction.execute_typed(include_str!("../../sql/statements/name_nlri_events.sql"), &[])?;
    }
    Ok(transaction.execute_typed(STORE_NEW.on(kind), &[])?)
}

/// Returns the time from which each table's events count, that is, its first event after its last mass removal. `None`
/// if there is none.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn reach(client: &mut Client, tables: &[&Table]) -> Result<Vec<Option<Timestamp>>> {
    let mut times = vec![None; tables.len()];
    let mut transaction = client.transaction()?;
    transaction.batch_execute(include_str!("../../sql/statements/key_join_settings.sql"))?;
    for kind in [RibKind::LocRib, RibKind::NlriLocRib] {
        let of_kind: Vec<usize> = (0..tables.len()).filter(|i| tables[*i].view.is_nlri() == kind.is_nlri()).collect();
        if of_kind.is_empty() {
            continue;
        }
        let all = || of_kind.iter().map(|i| tables[*i]);
        let routers: Vec<&str> = all().map(|table| table.router.as_str()).collect();
        let names: Vec<&str> = all().map(|table| &*table.name).collect();
        let afis: Vec<i16> = all().map(|table| table.afi.column()).collect();
        let addresses: Vec<_> = all().map(|table| table.view.peer().map(|of| of.address)).collect();
        let rows = transaction.query_typed(
            REACH.on(kind),
            &[
                (&routers, Type::TEXT_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&afis, Type::INT2_ARRAY),
                (&addresses, Type::INET_ARRAY),
            ],
        )?;
        for (place, row) in of_kind.iter().zip(rows) {
            times[*place] = row.get::<_, Option<SystemTime>>(1).map(read_time).transpose()?;
        }
    }
    transaction.commit()?;
    Ok(times)
}

fn put_rows<'a>(mut copy: Copy<'_>, rows: impl Iterator<Item = EventRow<'a>>) -> Result<u64> {
    for event in rows {
        event.put_fields(copy.row(EventRow::FIELDS)?);
    }
    copy.finish()
}

/// Returns whole seconds since 1970, which a double represents exactly.
fn epoch_seconds(time: Timestamp) -> f64 {
    Duration::from_micros(u64::try_from(time.unix_micros()).unwrap_or(0)).as_secs_f64().floor()
}
