//! The sources of all pages: the counters and the database.

use std::sync::Arc;

use maud::{Markup, html};

use super::churn::Churn;
use super::layout::router_link;
use crate::metrics::Meters;
use crate::model::RouterId;
use crate::store::{self, Client, Pool};

/// The values that all pages share.
pub(super) struct PageContext {
    pub(super) meters: Arc<Meters>,
    pub(super) collector_id: String,
    pub(super) churn: Churn,
    /// True if there is a file of tokens, so that somebody may change something.
    pub(super) has_tokens: bool,
}

/// The database, of which pages name the parts that cannot be read.
pub(super) struct Database(pub(super) Arc<Pool>);

/// A router by its name, if it has one, linked to its page.
pub(super) struct RouterName {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

impl RouterName {
    /// The router with its table, and the view of an Adj-RIB.
    pub(super) fn with(&self, table: &str, view: &str) -> Markup {
        html! {
            a href=(router_link(&self.id)) { (self.name.as_deref().unwrap_or(&self.id)) } " "
            span.faint { @if self.name.is_some() { (self.id) " " } (table) @if !view.is_empty() { " " (view) } }
        }
    }
}

impl PageContext {
    /// Returns the router with the name from its session, else the stored one.
    pub(super) fn router(&self, id: &str, stored: Option<&str>) -> RouterName {
        let live = self.meters.known_router(&RouterId::new(id)).and_then(|meter| meter.hostname());
        RouterName { id: id.to_owned(), name: live.or_else(|| stored.map(str::to_owned)) }
    }
}

impl Database {
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Client) -> store::Result<T>) -> Result<T, String> {
        self.0.read(question).map_err(|error| error.to_string())
    }
}
