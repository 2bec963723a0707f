//! A list of the API: a page of it, or all of it, row by row.

use std::fmt;
use std::ops::ControlFlow;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};

use super::json_rows::{JsonRows, with_columns};
use super::{ApiRow, read};
use crate::store::error::Result;
use crate::store::portal::each_row;

/// A list that is asked for: a statement and its values. The last two parameters of the statement are the key after which
/// the rows begin and the largest number of rows; of a list without pages, that number is the last one.
pub(crate) struct ListQuery {
    statement: &'static str,
    /// The statement for a page, with the same parameters.
    of_page: &'static str,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    has_pages: bool,
}

impl fmt::Debug for ListQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListQuery").field("statement", &self.statement).field("values", &self.values.len()).finish()
    }
}

impl ListQuery {
    pub(super) fn new(statement: &'static str) -> ListQuery {
        ListQuery { statement, of_page: statement, values: Vec::new(), has_pages: true }
    }

    /// Pages have another statement, with the same parameters.
    pub(super) fn with_pages_by(mut self, statement: &'static str) -> ListQuery {
        self.of_page = statement;
        self
    }

    /// The list has no keys.
    pub(super) fn without_pages(mut self) -> ListQuery {
        self.has_pages = false;
        self
    }

    /// Adds the value of the next parameter.
    pub(super) fn with(mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> ListQuery {
        self.values.push((Box::new(value), kind));
        self
    }

    /// Returns at most `limit` rows after the key `after`.
    ///
    /// # Errors
    /// When the query fails or takes too long, or the connection is lost.
    pub(crate) fn page(&self, client: &mut Client, after: Option<&str>, limit: i64) -> Result<Vec<ApiRow>> {
        let rows = client.query_typed(self.of_page, &self.parameters(&after, &limit))?;
        Ok(rows.iter().map(read).collect())
    }

    /// Calls `deliver` with every row as JSON, until it breaks off. All of them are of one moment.
    ///
    /// # Errors
    /// When the query fails or takes too long, or the connection is lost.
    pub(crate) fn each(&self, client: &mut Client, deliver: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<()> {
        let mut transaction = client.transaction()?;
        transaction.batch_execute(include_str!("../../../sql/statements/api_stream_settings.sql"))?;
        let mut rows = JsonRows::default();
        let mut take = |row: &Row| Ok(deliver(rows.write(row)?));
        let (after, limit) = (None::<&str>, i64::MAX);
        if each_row(&mut transaction, &with_columns(self.statement), self.parameters(&after, &limit), &mut take)?
            .is_continue()
        {
            transaction.commit()?;
        }
        Ok(())
    }

    fn parameters<'a>(&'a self, after: &'a Option<&str>, limit: &'a i64) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        let mut all: Vec<(&(dyn ToSql + Sync), Type)> =
            self.values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
        if self.has_pages {
            all.push((after, Type::TEXT));
        }
        all.push((limit, Type::INT8));
        all
    }
}
