//! Checks that the collector can work on this database and through this way to it; waiting would not change the answer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use postgres::Client;

use super::error::{Error, Result};

/// The query for the server process that answers, distinguished from every other one that has ever had its number.
const WHO_ANSWERS: &str = "SELECT pid || ' ' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";

/// The number of turns in which two connections ask alternately. If others use the pool at the same time, it takes some
/// turns for the two to meet.
const TURNS: usize = 4;

/// The URLs whose connections are known to keep one server process.
static PROVEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Rejects a pooler that gives each transaction or statement a server process of its choice: our settings, locks and
/// temporary tables would reach others, and theirs would reach us. Runs before anything is set, until it has proven the
/// URL once in a process; `another` opens a second connection in the same way.
///
/// # Errors
/// [`Error::Unsuitable`], or when a statement on the first connection fails or that connection is lost. A second
/// connection that cannot be opened, or fails, proves nothing: the next connection tries again.
pub(super) fn keeps_sessions(url: &str, first: &mut Client, another: impl FnOnce() -> Result<Client>) -> Result<()> {
    if PROVEN.lock().unwrap_or_else(PoisonError::into_inner).contains(url) {
        return Ok(());
    }
    let mine = who_answers(first)?;
    if who_answers(first)? != mine {
        return Err(pooled());
    }
    let mut second = match another() {
        Ok(second) => second,
        Err(error) => {
            log::debug!("database: no second connection to try the first one by: {error}");
            return Ok(());
        }
    };
    for _ in 0..TURNS {
        // The pool may cause an error as well: it may have no server process to spare.
        let Ok(theirs) = who_answers(&mut second) else { return Ok(()) };
        if theirs == mine || who_answers(first)? != mine {
            return Err(pooled());
        }
    }
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned());
    Ok(())
}

fn who_answers(client: &mut Client) -> Result<String> {
    // As text and in one message: a pooler may reject prepared statements.
    let answers = client.simple_query(WHO_ANSWERS)?;
    let row = answers.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.map(str::to_owned).ok_or_else(|| Error::Unexpected("no row about our own server process".to_owned()))
}

fn pooled() -> Error {
    Error::Unsuitable {
        found: "the server is a connection pooler that keeps no session (transaction or statement pooling)".to_owned(),
        remedy: "use session pooling or a direct connection".to_owned(),
    }
}

/// Rejects a database whose encoding cannot represent what routers send. SQL_ASCII accepts any octets, and receives
/// UTF-8.
///
/// # Errors
/// [`Error::Unsuitable`], or when a statement fails or the connection is lost.
pub(crate) fn check_encoding(client: &mut Client) -> Result<()> {
    let encoding: String = client.query_typed_one("SELECT current_setting('server_encoding')", &[])?.get(0);
    match is_encoding_suitable(&encoding) {
        true => Ok(()),
        false => Err(Error::Unsuitable {
            found: format!("the database's encoding is {encoding}, which cannot represent all text from routers"),
            remedy: ENCODING_REMEDY.to_owned(),
        }),
    }
}

/// Returns whether a database of this encoding can store text from the wire.
pub(crate) fn is_encoding_suitable(encoding: &str) -> bool {
    matches!(encoding, "UTF8" | "SQL_ASCII")
}

/// The remedy for another encoding, which cannot be changed.
pub(crate) const ENCODING_REMEDY: &str = "make another database, CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and name it in \
                                   RIB_INGESTER_DATABASE_URL";

/// Returns a query from whose rows psql makes statements that give a role all tables of a schema, after a restore by
/// someone else.
pub(crate) fn take_ownership(schema: &str, role: &str) -> String {
    let [schema, role] = [schema, role].map(literal);
    format!(
        "SELECT format('ALTER TABLE %I.%I OWNER TO %I', n.nspname, relname, {role}) FROM pg_class c JOIN pg_namespace n ON \
         n.oid = relnamespace WHERE n.nspname = {schema} AND relkind IN ('r', 'p', 'v', 'm') \\gexec"
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a name as SQL reads it: in quotes, unless it is a plain word in lower case.
pub fn identifier(name: &str) -> Cow<'_, str> {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(format!("\"{}\"", name.replace('"', "\"\""))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_where_sql_would_read_another_one() {
        assert_eq!(["rib", "rib_2", "_x"].map(identifier), ["rib", "rib_2", "_x"]);
        assert_eq!(
            ["MySchema", "a-b", "2x", "", "a\"b"].map(identifier),
            ["\"MySchema\"", "\"a-b\"", "\"2x\"", "\"\"", "\"a\"\"b\""]
        );
    }
}
