//! The rows of `current_routes` that a state writer has in its hands: copied where nothing is stored, upserted or
//! deleted otherwise.

use std::fmt;
use std::sync::Arc;

use super::op::{Existing, RouteChange};
use crate::model::{Nlri, Prefix, RibKind, RouterId, Table};
use crate::store::copy_encoding::EncodedRoute;
use crate::store::counts::CountChanges;
use crate::store::routes::{self, RouteKey};
use crate::store::{self, Transaction};

/// One change to `current_routes`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The table of the route.
    pub(super) table: Arc<Table>,
    /// The destination prefix.
    pub(super) prefix: Prefix,
    /// The `path_id` column.
    pub(super) path_id: u32,
    /// The attributes after this change; `None`: the route is gone.
    pub(super) route: Option<EncodedRoute>,
    /// A hint whether a row existed before this batch.
    pub(super) was: Existing,
}

impl Row {
    pub(super) fn new(table: Arc<Table>, nlri: &Nlri, change: RouteChange, was: Existing) -> Row {
        let route = match change {
            RouteChange::Announce(route) => Some(route),
            RouteChange::Withdraw(_) => None,
        };
        Row { table, prefix: nlri.prefix, path_id: nlri.path_id_column(), route, was }
    }

    /// Returns the new attributes, if `was` is the hint of this row.
    pub(super) fn route_if(&self, was: Existing) -> Option<&EncodedRoute> {
        self.route.as_ref().filter(|_| self.was == was)
    }

    /// Returns a canary: a change that the database cannot refuse for its values, written by the same statement.
    pub(super) fn harmless(&self) -> Row {
        let table = Table { router: RouterId::new("canary"), name: "canary".into(), ..(*self.table).clone() };
        let prefix = Prefix::new(table.afi, &[], 0).expect("the default route");
        let route = self.route.as_ref().map(|_| EncodedRoute::withdrawn());
        Row { table: Arc::new(table), prefix, path_id: 0, route, was: self.was }
    }

    pub(super) fn kind(&self) -> RibKind {
        self.table.view.kind()
    }

    pub(super) fn key(&self) -> RouteKey<'_> {
        RouteKey { table: &self.table, prefix: self.prefix, path_id: self.path_id }
    }
}

/// The row as text for the rejected file.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} path {}", self.table, self.prefix, self.path_id)?;
        let Some(route) = &self.route else { return f.write_str(" withdrawn") };
        f.write_str(" columns ")?;
        route.columns().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The numbers of rows that one transaction changed.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) written: u64,
    pub(super) deleted: u64,
    /// Rows that were missing where one was to be changed or deleted.
    pub(super) unexpected: u64,
    /// The same by table, for `route_counts`.
    pub(super) counts: CountChanges,
}

/// Writes rows of one kind of RIB, and adds the numbers to `done`.
pub(super) fn write_rows(transaction: &mut Transaction<'_>, rows: &[Row], done: &mut Done) -> store::Result<()> {
    let Some(kind) = rows.first().map(Row::kind) else { return Ok(()) };
    let of = |was| rows.iter().filter_map(move |row| Some((row.key(), row.route_if(was)?)));
    let mut inserts = of(Existing::No).peekable();
    let mut upserts = of(Existing::Maybe).peekable();
    let mut deletes = rows.iter().filter(|row| row.route.is_none()).map(Row::key).peekable();
    if inserts.peek().is_some() {
        done.written += routes::insert(transaction, kind, inserts, &mut done.counts)?;
    }
    if upserts.peek().is_some() {
        let upserted = routes::upsert(transaction, kind, upserts, &mut done.counts)?;
        done.written += upserted.written;
        done.unexpected += upserted.new;
    }
    if deletes.peek().is_some() {
        let expected = rows.iter().filter(|row| row.route.is_none() && row.was == Existing::Maybe).count();
        let deleted = routes::delete(transaction, kind, deletes, &mut done.counts)?;
        done.deleted += deleted;
        done.unexpected += u64::try_from(expected).unwrap_or(0).saturating_sub(deleted);
    }
    Ok(())
}
