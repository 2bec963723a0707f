//! A router's last minutes as they are stored, for a session that stood by and takes the router over.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postgres::Row;
use postgres::Transaction;
use postgres::types::{FromSql, Type};

use super::copy_encoding::{self, ATTRIBUTE_COLUMNS};
use super::copy_fields::FieldReader;
use super::error::Result;
use super::table_columns::{read_afi, read_view};
use super::time::read_time;
use crate::model::{Asn, Nlri, PathId, PeerName, RibKind, RouterId, TableKey, Timestamp};

/// The column of the first attribute in `newest_events.sql`; the prefix and the path identifier are before it.
const ATTRIBUTES: usize = 11;

/// A router's last minutes as they are stored.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// The newest event of each key that has one.
    pub newest: Vec<NewestEvent>,
    /// The peers that are known.
    pub peers: Vec<StoredPeer>,
    /// The tables that were removed.
    pub removals: Vec<Removal>,
}

/// A peer as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// The key.
    pub name: PeerName,
    /// True if it is up.
    pub is_up: bool,
    /// When it came up or went down, by the database's clock.
    pub since: Timestamp,
}

/// A row of `session_events` that says that tables were removed, or that a peer without tables went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The peer's address; `None`: a Loc-RIB.
    pub address: Option<IpAddr>,
    /// The name of the table, or of the unicast table of the peer whose tables were removed; `None`: all, or none.
    pub table_name: Option<Arc<str>>,
    /// When it was stored, by the database's clock.
    pub at: Timestamp,
    /// True for a Peer Down, false for a Termination, the end of the stale time, or a view that is not stored any more.
    pub is_down: bool,
}

/// The newest stored event of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestEvent {
    /// The table.
    pub table: TableKey,
    /// The key.
    pub nlri: Nlri,
    /// When it was stored, by the database's clock.
    pub stored_at: Timestamp,
    /// The fingerprint of the announced attributes; `None`: withdrawn.
    pub announced: Option<u64>,
    /// When the collector that stored it read the message.
    pub received_at: Timestamp,
    /// The time stamp of the router, if it gives one.
    pub router_time: Option<Timestamp>,
}

/// Returns what is stored of the last `age` of a router.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn of_router(transaction: &mut Transaction<'_>, router: &RouterId, age: Duration) -> Result<Recent> {
    let (id, seconds) = (router.as_str(), age.as_secs_f64());
    let rows = transaction.query_typed(
        include_str!("../../sql/statements/newest_events.sql"),
        &[(&id, Type::TEXT), (&seconds, Type::FLOAT8)],
    )?;
    let newest = rows.iter().filter_map(|row| newest_event(row).transpose()).collect::<Result<_>>()?;
    let rows = transaction.query_typed(
        "SELECT peer_type, distinguisher, peer_address, peer_asn, state, since FROM peers WHERE router_id = $1",
        &[(&id, Type::TEXT)],
    )?;
    let peer = |row: &Row| {
        let asn = Asn(u32::try_from(row.get::<_, i64>(3)).ok()?);
        let name = PeerName { kind: row.get(0), distinguisher: row.get(1), address: row.get(2), asn };
        let since = read_time(row.get(5));
        Some(since.map(|since| StoredPeer { name, is_up: row.get::<_, &str>(4) == "up", since }))
    };
    let peers = rows.iter().filter_map(peer).collect::<Result<_>>()?;
    let rows = transaction.query_typed(
        "SELECT peer_address, table_name, event_time, kind = 'peer_down' FROM session_events
         WHERE router_id = $1 AND kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped')
           AND event_time >= now() - make_interval(secs => $2)",
        &[(&id, Type::TEXT), (&seconds, Type::FLOAT8)],
    )?;
    let removal = |row: &Row| {
        let table_name = row.get::<_, Option<&str>>(1).map(Arc::from);
        Ok(Removal { address: row.get(0), table_name, at: read_time(row.get(2))?, is_down: row.get(3) })
    };
    let removals = rows.iter().map(removal).collect::<Result<_>>()?;
    Ok(Recent { newest, peers, removals })
}

/// Reads an event; `None` if this program cannot have written it.
fn newest_event(row: &Row) -> Result<Option<NewestEvent>> {
    let rib: Option<&str> = row.get("rib");
    let kind = RibKind::ALL.into_iter().find(|kind| kind.as_str() == rib.unwrap_or(RibKind::LocRib.as_str()));
    let received_at: Option<SystemTime> = row.get("received_at");
    let mut key = Vec::new();
    (ATTRIBUTES - 2..ATTRIBUTES).for_each(|column| put(&mut key, row, column));
    let mut key = FieldReader::new(&key);
    let (Some(kind), Some(received_at), Some(prefix), Some(path_id)) = (kind, received_at, key.prefix(), key.path_id())
    else {
        return Ok(None);
    };
    let mut columns = Vec::new();
    (ATTRIBUTES..ATTRIBUTES + ATTRIBUTE_COLUMNS).for_each(|column| put(&mut columns, row, column));
    let is_announced = row.get::<_, &str>("action") == "A";
    Ok(Some(NewestEvent {
        table: TableKey {
            view: read_view(kind, row),
            name: row.get::<_, &str>("table_name").into(),
            afi: read_afi(row.get("afi"))?,
        },
        nlri: Nlri { prefix, path_id: (path_id != 0).then_some(PathId(path_id)) },
        stored_at: read_time(row.get("ingest_time"))?,
        announced: is_announced.then(|| copy_encoding::fingerprint_of(&columns)),
        received_at: read_time(received_at)?,
        router_time: row.get::<_, Option<SystemTime>>("router_time").map(read_time).transpose()?,
    }))
}

/// Appends a column as a field of binary COPY.
fn put(out: &mut Vec<u8>, row: &Row, column: usize) {
    match row.get::<_, Option<Sent<'_>>>(column) {
        Some(Sent(value)) => {
            out.extend(i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
            out.extend_from_slice(value);
        }
        None => out.extend((-1_i32).to_be_bytes()),
    }
}

/// A value as PostgreSQL sends it.
struct Sent<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Sent<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Sent<'a>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Sent(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
