//! Rows of other systems for the schemas beside the routes: a peering registry, an inventory, tenants.
//!
//! A [`source`] gives tables of rows in JSON; [`fit`] brings them to the columns that our tables have, by the names of
//! [`Schema`] and the types of the database's own catalogs; [`crate::store::imports`] compares them with what is stored
//! and writes the difference in one transaction. A second import of the same rows writes nothing.

pub(crate) mod csv_text;
pub(crate) mod fit;
pub(crate) mod http_json;
pub(crate) mod inventory;
pub(crate) mod ixf;
pub(crate) mod name_lists;
mod names;
pub(crate) mod netbox;
pub(crate) mod registry;
pub(crate) mod source;
pub(crate) mod tenants;
mod value;

/// A schema whose tables can be imported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Its name in the database.
    pub name: &'static str,
    /// Its tables, each after those that its foreign keys refer to.
    pub tables: &'static [Table],
    /// Tables of the source that are not stored, with the reason for the operator: secrets, most of all.
    pub left_out: &'static [&'static str],
}

/// A table that can be imported. Names are the same if their letters and digits are: `externalIp` is `external_ip`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// Its name in the schema.
    pub name: &'static str,
    /// Other names that sources have for it.
    pub sources: &'static [&'static str],
    /// Columns whose names differ: the source's, ours.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Columns of the source that are not stored.
    pub left_out: &'static [&'static str],
}
