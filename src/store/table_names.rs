//! `table_names`: the names of a router's tables, and the peer that each name belongs to.

use std::net::{IpAddr, Ipv4Addr};

use postgres::Transaction;
use postgres::types::Type;

use super::error::Result;
use super::routes::WholeTable;
use super::statement::PerRib;
use crate::model::{Asn, PeerName, RibKind, RouterId, TableNameRecord};

static FORGET: PerRib = PerRib::new(include_str!("../../sql/statements/forget_table_names.sql"));

/// Stores names. Must run before the first row of their tables is stored.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn store(transaction: &mut Transaction<'_>, router: &RouterId, records: &[&TableNameRecord]) -> Result<()> {
    let router = router.as_str();
    let text = |of: fn(&TableNameRecord) -> &str| records.iter().map(|record| of(record)).collect::<Vec<&str>>();
    let ids: Vec<String> = records.iter().map(|record| bgp_id(record.bgp_id)).collect();
    let ribs: Vec<&str> = records.iter().map(|record| record.rib.as_str()).collect();
    let addresses: Vec<IpAddr> = records.iter().map(|record| record.peer.address).collect();
    let asns: Vec<i64> = records.iter().map(|record| record.peer.asn.0.into()).collect();
    let safis: Vec<i16> = records.iter().map(|record| record.safi.into()).collect();
    let (kinds, distinguishers) = (text(|record| &record.peer.kind), text(|record| &record.peer.distinguisher));
    let (names, stored) = (text(|record| &record.name), text(|record| &record.table_name));
    let (rds, unicast) = (text(|record| &record.route_distinguisher), text(|record| &record.unicast));
    let mut parameters: Vec<(&(dyn postgres::types::ToSql + Sync), Type)> = vec![
        (&router, Type::TEXT),
        (&ribs, Type::TEXT_ARRAY),
        (&kinds, Type::TEXT_ARRAY),
        (&distinguishers, Type::TEXT_ARRAY),
        (&ids, Type::TEXT_ARRAY),
        (&addresses, Type::INET_ARRAY),
        (&asns, Type::INT8_ARRAY),
        (&names, Type::TEXT_ARRAY),
        (&stored, Type::TEXT_ARRAY),
        (&safis, Type::INT2_ARRAY),
        (&rds, Type::TEXT_ARRAY),
    ];
    transaction.execute_typed(include_str!("../../sql/statements/drop_table_names.sql"), &parameters)?;
    parameters.push((&unicast, Type::TEXT_ARRAY));
    transaction.execute_typed(include_str!("../../sql/statements/store_table_names.sql"), &parameters)?;
    Ok(())
}

/// Returns the names of a router's tables. Rows that this program cannot have written are skipped.
pub(super) fn of_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<TableNameRecord>> {
    let rows = transaction.query_typed(
        "SELECT rib, peer_type, distinguisher, bgp_id, peer_address, peer_asn, name, table_name, safi, route_distinguisher,
                unicast_table_name
         FROM table_names WHERE router_id = $1",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    let records = rows.iter().filter_map(|row| {
        let rib: &str = row.get(0);
        let id: &str = row.get(3);
        Some(TableNameRecord {
            rib: RibKind::ALL.into_iter().find(|kind| kind.as_str() == rib)?,
            peer: PeerName {
                kind: row.get(1),
                distinguisher: row.get(2),
                address: row.get(4),
                asn: Asn(u32::try_from(row.get::<_, i64>(5)).ok()?),
            },
            bgp_id: if id.is_empty() { Ipv4Addr::UNSPECIFIED } else { id.parse().ok()? },
            name: row.get::<_, &str>(6).into(),
            table_name: row.get::<_, &str>(7).into(),
            safi: u8::try_from(row.get::<_, i16>(8)).ok()?,
            route_distinguisher: row.get(9),
            unicast: row.get::<_, &str>(10).into(),
        })
    });
    Ok(records.collect())
}

/// Deletes the names of tables of one kind of RIB that were removed.
pub(super) fn forget(transaction: &mut Transaction<'_>, kind: RibKind, tables: &[WholeTable<'_>]) -> Result<()> {
    let routers: Vec<&str> = tables.iter().map(|(router, ..)| router.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|(_, _, name)| *name).collect();
    let addresses: Vec<Option<IpAddr>> = tables.iter().map(|(_, view, _)| view.peer().map(|of| of.address)).collect();
    transaction.execute_typed(
        FORGET.on(kind),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&kind.as_str(), Type::TEXT),
        ],
    )?;
    Ok(())
}

/// Returns the value of the `bgp_id` column.
fn bgp_id(id: Ipv4Addr) -> String {
    if id.is_unspecified() { String::new() } else { id.to_string() }
}
