//! `add_path_evidence`: the path identifiers that routers have sent or omitted.

use std::net::IpAddr;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Transaction};

use super::error::{Error, Result};
use super::time::system_time;
use crate::model::{AddPathPlace, AddPathRecord, AfiSafi, Asn, PeerName, RibKind, RouterId, Timestamp};

/// Returns the stored evidence of a router.
///
/// # Errors
/// When a statement fails, the connection is lost, or a row has values that this version cannot have written.
pub fn of_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<AddPathRecord>> {
    let rows = transaction.query_typed(
        "SELECT rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, afi, safi, is_sent,
                is_announced, closed_at IS NOT NULL
         FROM add_path_evidence WHERE router_id = $1",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AddPathRecord> {
    let unexpected = |what: &str| Error::Unexpected(format!("add_path_evidence.{what}"));
    let rib: &str = row.get(0);
    let rib = RibKind::ALL.into_iter().find(|kind| kind.as_str() == rib).ok_or_else(|| unexpected("rib"))?;
    let asn = u32::try_from(row.get::<_, i64>(5)).map_err(|_| unexpected("peer_asn"))?;
    let IpAddr::V4(bgp_id) = row.get(6) else { return Err(unexpected("peer_bgp_id")) };
    let afi = u16::try_from(row.get::<_, i32>(7)).map_err(|_| unexpected("afi"))?;
    let safi = u8::try_from(row.get::<_, i16>(8)).map_err(|_| unexpected("safi"))?;
    let peer = PeerName { kind: row.get(2), distinguisher: row.get(3), address: row.get(4), asn: Asn(asn) };
    Ok(AddPathRecord {
        place: AddPathPlace { rib, is_post_policy: row.get(1), peer, bgp_id },
        family: AfiSafi { afi, safi },
        is_sent: row.get(9),
        is_announced: row.get(10),
        is_closed_once: row.get(11),
    })
}

/// Stores evidence, each row once.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn upsert<'a>(
    transaction: &mut Transaction<'_>,
    records: impl Iterator<Item = (&'a RouterId, &'a AddPathRecord)> + Clone,
) -> Result<()> {
    if records.clone().next().is_none() {
        return Ok(());
    }
    fn column<'a, T>(
        records: impl Iterator<Item = (&'a RouterId, &'a AddPathRecord)> + Clone,
        of: impl Fn(&'a AddPathRecord) -> T,
    ) -> Vec<T> {
        records.map(|(_, record)| of(record)).collect()
    }
    let routers: Vec<&str> = records.clone().map(|(router, _)| router.as_str()).collect();
    let all = || records.clone();
    let columns: [(Box<dyn ToSql + Sync>, Type); 12] = [
        (Box::new(column(all(), |one| one.place.rib.as_str())), Type::TEXT_ARRAY),
        (Box::new(column(all(), |one| one.place.is_post_policy)), Type::BOOL_ARRAY),
        (Box::new(column(all(), |one| one.place.peer.kind.clone())), Type::TEXT_ARRAY),
        (Box::new(column(all(), |one| one.place.peer.distinguisher.clone())), Type::TEXT_ARRAY),
        (Box::new(column(all(), |one| one.place.peer.address)), Type::INET_ARRAY),
        (Box::new(column(all(), |one| i64::from(one.place.peer.asn.0))), Type::INT8_ARRAY),
        (Box::new(column(all(), |one| IpAddr::V4(one.place.bgp_id))), Type::INET_ARRAY),
        (Box::new(column(all(), |one| i32::from(one.family.afi))), Type::INT4_ARRAY),
        (Box::new(column(all(), |one| i16::from(one.family.safi))), Type::INT2_ARRAY),
        (Box::new(column(all(), |one| one.is_sent)), Type::BOOL_ARRAY),
        (Box::new(column(all(), |one| one.is_announced)), Type::BOOL_ARRAY),
        (Box::new(column(all(), |one| one.is_closed_once)), Type::BOOL_ARRAY),
    ];
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&routers, Type::TEXT_ARRAY)];
    parameters.extend(columns.iter().map(|(column, kind)| (&**column, kind.clone())));
    transaction.execute_typed(include_str!("../../sql/statements/upsert_add_path.sql"), &parameters)?;
    Ok(())
}

/// Deletes evidence that is more than `days` days old at this time and whose peer is no longer known. Returns the number of rows.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget(client: &mut Client, now: Timestamp, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let sql = include_str!("../../sql/statements/forget_add_path.sql");
    Ok(client.execute_typed(sql, &[(&days, Type::INT4), (&system_time(now), Type::TIMESTAMPTZ)])?)
}
