//! Statements that a connection keeps prepared, so that what is asked often is planned once and not each time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use postgres::types::{ToSql, Type};
use postgres::{Row, Statement, Transaction};

use super::error::Result;

/// The time after which a statement is prepared anew. A plan is made for the sizes that tables have then, and a table that
/// was empty may have a million rows before anything else makes the server plan again.
const KEPT: Duration = Duration::from_secs(30);

/// The statements that one connection has prepared, by their text, and when.
#[derive(Default)]
pub(crate) struct Statements(HashMap<&'static str, (Statement, Instant)>);

impl Statements {
    /// Runs a statement, and prepares it before if the connection does not have it.
    ///
    /// # Errors
    /// When the statement fails or the connection is lost.
    pub(super) fn query(
        &mut self,
        transaction: &mut Transaction<'_>,
        text: &'static str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        if let Some((statement, _)) = self.0.get(text).filter(|(_, at)| at.elapsed() < KEPT) {
            return Ok(transaction.query(statement, &values)?);
        }
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = transaction.prepare_typed(text, &types)?;
        let rows = transaction.query(&statement, &values)?;
        self.0.insert(text, (statement, Instant::now()));
        Ok(rows)
    }

    /// Forgets all of them: after a change of the schema they may fail.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
