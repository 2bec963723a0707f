//! Keys of tables, in the form of columns of a set-based statement.

use std::net::IpAddr;

use postgres::Row;
use postgres::types::{ToSql, Type};

use super::error::{Error, Result};
use crate::model::{AdjRibKey, Afi, NlriView, Policy, RibKind, RouterId, Table, TableKey, View};

/// The keys of tables, column by column: the parameters $1 to $5 of the statements that work on a set of tables.
#[derive(Debug, Default)]
pub(super) struct TableColumns<'a> {
    routers: Vec<&'a str>,
    names: Vec<&'a str>,
    afis: Vec<i16>,
    addresses: Vec<Option<IpAddr>>,
    policies: Vec<Option<bool>>,
}

/// A parameter with its type, as the client accepts them.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl<'a> TableColumns<'a> {
    /// Returns the keys of `tables`, in their order.
    pub(super) fn of(tables: impl IntoIterator<Item = &'a Table>) -> TableColumns<'a> {
        let mut columns = TableColumns::default();
        for table in tables {
            columns.push(&table.router, &table.view, &table.name);
            columns.afis.push(table.afi.column());
        }
        columns
    }

    /// Returns the keys of the tables of routers.
    pub(super) fn of_keys(tables: impl IntoIterator<Item = (&'a RouterId, &'a TableKey)>) -> TableColumns<'a> {
        let mut columns = TableColumns::default();
        for (router, table) in tables {
            columns.push(router, &table.view, &table.name);
            columns.afis.push(table.afi.column());
        }
        columns
    }

    /// Returns the keys of tables in all their families: without `afi`.
    pub(super) fn of_all_families(
        tables: impl IntoIterator<Item = (&'a RouterId, &'a View, &'a str)>,
    ) -> TableColumns<'a> {
        let mut columns = TableColumns::default();
        tables.into_iter().for_each(|(router, view, name)| columns.push(router, view, name));
        columns
    }

    fn push(&mut self, router: &'a RouterId, view: &View, name: &'a str) {
        let peer = view.peer();
        self.routers.push(router.as_str());
        self.names.push(name);
        self.addresses.push(peer.map(|of| of.address));
        self.policies.push(peer.map(|of| of.policy.is_post()));
    }

    /// Returns `router_id`, `table_name`, `afi`, `peer_address`, `is_post_policy`; the last two are NULL for a Loc-RIB.
    pub(super) fn parameters(&self) -> [Parameter<'_>; 5] {
        [
            (&self.routers, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.afis, Type::INT2_ARRAY),
            (&self.addresses, Type::INET_ARRAY),
            (&self.policies, Type::BOOL_ARRAY),
        ]
    }

    /// Returns the same without `afi`.
    pub(super) fn parameters_of_all_families(&self) -> [Parameter<'_>; 4] {
        [
            (&self.routers, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.addresses, Type::INET_ARRAY),
            (&self.policies, Type::BOOL_ARRAY),
        ]
    }
}

/// Reads the columns of a statement's hole `{peer}`, which a Loc-RIB does not have.
pub(super) fn read_view(kind: RibKind, row: &Row) -> View {
    let peer = || AdjRibKey {
        address: row.get("peer_address"),
        policy: if row.get("is_post_policy") { Policy::Post } else { Policy::Pre },
    };
    match kind {
        RibKind::LocRib => View::LocRib,
        RibKind::AdjRibIn => View::AdjRibIn(peer()),
        RibKind::AdjRibOut => View::AdjRibOut(peer()),
        RibKind::NlriLocRib => View::Nlri(NlriView::LocRib),
        RibKind::NlriAdjRibIn => View::Nlri(NlriView::AdjRibIn(peer())),
        RibKind::NlriAdjRibOut => View::Nlri(NlriView::AdjRibOut(peer())),
    }
}

/// Converts the `afi` column to a family.
pub(super) fn read_afi(column: i16) -> Result<Afi> {
    match column {
        4 => Ok(Afi::Ipv4),
        6 => Ok(Afi::Ipv6),
        other => Err(Error::Unexpected(format!("afi {other}"))),
    }
}
