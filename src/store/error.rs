//! Database errors, classified by what has to happen next.

use std::fmt;
use std::io;

use postgres::error::SqlState;

/// The commands that copy the rows of a database with the last layout before the first release. A partition's table and
/// its rows come before its own indexes; those of the whole table come with the partition.
const KEEP_ROWS: &str = r#"RIB_INGESTER_DATABASE_URL="$NEW" rib-ingester migrate
pg_dump --section=pre-data --no-owner --no-privileges --table='route_events_*' --table='route_snapshots_*' "$OLD" |
    psql -qX --single-transaction --set=ON_ERROR_STOP=1 --output=/dev/null "$NEW"
pg_dump --section=data --exclude-table=schema_migrations --exclude-table=detached_partitions "$OLD" |
    psql -qX --single-transaction --set=ON_ERROR_STOP=1 --output=/dev/null "$NEW"
pg_dump --section=post-data --table='route_events_*' "$OLD" | grep '^CREATE INDEX' |
    psql -qX --single-transaction --set=ON_ERROR_STOP=1 "$NEW"
"#;

/// The errors of this module.
#[derive(Debug)]
pub enum Error {
    /// PostgreSQL or the connection to it failed.
    Database(postgres::Error),
    /// The database URL is invalid or asks for something that does not exist.
    Url(String),
    /// The database has tables of a version from before the first release.
    EarlierLayout {
        /// A migration that this binary does not have, as in `schema_migrations`.
        name: String,
    },
    /// The database was migrated by a newer binary.
    NewerSchema {
        /// A later migration than this binary has, as in `schema_migrations`.
        name: String,
    },
    /// Our last transaction is still running in a server process that has not noticed that its client is gone.
    InDoubt,
    /// This machine lacks something that a connection needs.
    Local(String),
    /// No answer arrived in the time allowed.
    NoAnswer(String),
    /// Another collector or command does the same work and keeps the lock for too long.
    Locked(String),
    /// The database or the way to it is of a kind that does not work, and waiting does not change that; with the
    /// remedy.
    Unsuitable {
        /// The unsuitable thing, in words.
        found: String,
        /// The remedy.
        remedy: String,
    },
    /// The database answered with something other than what was asked for.
    Unexpected(String),
    /// The database lacks what it had committed: a standby was promoted before it had everything, or a backup restored.
    WentBack(String),
}

/// The result of everything in this module.
pub type Result<T> = std::result::Result<T, Error>;

/// The reaction of a writer to an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// The connection is gone and it is unknown whether the transaction was committed: reconnect, send the same batch.
    Reconnect,
    /// The transaction was rolled back for a transient reason (deadlock): send the same batch after a pause.
    Again,
    /// The day's partition is missing: create it, then send the same batch.
    NoPartition,
    /// A key exists already: after a direct COPY, the checking path sorts it out.
    Duplicate,
    /// A value is at fault: halve the batch until its row is alone.
    BadRow,
    /// A value or the statement is at fault (a limit is exceeded, a feature is missing): halve the batch. A row that
    /// fails alone is at fault if another row of its kind is stored by the same statement.
    RowOrStatement,
    /// It took too long: halve the batch.
    TooLong,
    /// Anything else (disk full, read only, no privilege, a lock that someone keeps too long): send the same batch
    /// until someone fixes it.
    NeedsOperator,
    /// The database lacks what it had committed: nothing more is written, the collector starts again from its journal.
    Restart,
}

impl Error {
    /// Returns what a writer does about it.
    pub fn verdict(&self) -> Recovery {
        match self {
            Error::Database(error) => database_verdict(error),
            Error::InDoubt | Error::Locked(_) => Recovery::Again,
            Error::NoAnswer(_) => Recovery::Reconnect,
            Error::Url(_)
            | Error::EarlierLayout { .. }
            | Error::NewerSchema { .. }
            | Error::Local(_)
            | Error::Unsuitable { .. }
            | Error::Unexpected(_) => Recovery::NeedsOperator,
            Error::WentBack(_) => Recovery::Restart,
        }
    }

    /// Returns whether waiting will not help a collector that starts: wrong credentials or no right to connect (class
    /// 28), no such database (3D000), an invalid URL, a database of another version.
    pub fn is_configuration(&self) -> bool {
        match self {
            Error::Database(error) => error
                .code()
                .is_some_and(|code| code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME),
            Error::Url(_) | Error::EarlierLayout { .. } | Error::NewerSchema { .. } | Error::Unsuitable { .. } => true,
            Error::InDoubt
            | Error::Local(_)
            | Error::NoAnswer(_)
            | Error::Locked(_)
            | Error::Unexpected(_)
            | Error::WentBack(_) => false,
        }
    }

    /// Returns whether the server refused the role or its password (class 28), which a new password file may change.
    pub(crate) fn is_login_refused(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("28"))
    }

    /// Returns whether no answer arrived: no server, or a silent one.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Error::Database(error) => error.code().is_none(),
            Error::NoAnswer(_) => true,
            Error::Url(_)
            | Error::EarlierLayout { .. }
            | Error::NewerSchema { .. }
            | Error::InDoubt
            | Error::Local(_)
            | Error::Locked(_)
            | Error::Unsuitable { .. }
            | Error::Unexpected(_)
            | Error::WentBack(_) => false,
        }
    }

    /// Returns whether another transaction may have changed what this one had read: a deadlock or a conflict (class 40),
    /// a row that refers to one that was deleted meanwhile (23503), a key that was taken (23505). Working once more on
    /// what is there now finds out.
    pub(crate) fn may_be_overtaken(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("40") || code == "23503" || code == "23505")
    }

    /// Returns a key that distinguishes causes: the SQLSTATE, or the text without its digits.
    pub fn cause(&self) -> String {
        let text = || self.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
        self.code().map_or_else(text, str::to_owned)
    }

    /// Returns the SQLSTATE, if PostgreSQL reported one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Database(error) => error.code().map(SqlState::code),
            Error::Url(_)
            | Error::EarlierLayout { .. }
            | Error::NewerSchema { .. }
            | Error::InDoubt
            | Error::Local(_)
            | Error::NoAnswer(_)
            | Error::Locked(_)
            | Error::Unsuitable { .. }
            | Error::Unexpected(_)
            | Error::WentBack(_) => None,
        }
    }
}

fn database_verdict(error: &postgres::Error) -> Recovery {
    let Some(code) = error.code() else {
        // Without a SQLSTATE nothing came from the server: the socket broke, or the answer made no sense. Either way
        // this connection is of no more use.
        return Recovery::Reconnect;
    };
    // A CHECK violation names its constraint; a missing partition has none (both are 23514).
    let names_constraint = error.as_db_error().is_some_and(|db| db.constraint().is_some());
    // The statement was planned before the table was changed: a new connection has no such plan.
    if code.code() == "0A000" && error.as_db_error().is_some_and(is_outdated_plan) {
        return Recovery::Reconnect;
    }
    match (code.code(), names_constraint) {
        ("57014", _) => Recovery::TooLong,
        ("23505", _) => Recovery::Duplicate,
        ("23514", false) | ("42P01", _) => Recovery::NoPartition,
        ("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04", _) => Recovery::Reconnect,
        (code, _) if code.starts_with("40") => Recovery::Again,
        (code, _) if code.starts_with("08") => Recovery::Reconnect,
        (code, _) if ["54", "21", "0A"].iter().any(|class| code.starts_with(class)) => Recovery::RowOrStatement,
        (code, _) if code.starts_with("22") || code.starts_with("23") => Recovery::BadRow,
        _ => Recovery::NeedsOperator,
    }
}

/// Returns true for "cached plan must not change result type", regardless of the language of the server's messages.
fn is_outdated_plan(error: &postgres::error::DbError) -> bool {
    error.routine() == Some("RevalidateCachedQuery") || error.message().contains("cached plan")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Database(error) => match error.as_db_error() {
                Some(db) => {
                    write!(f, "{} (SQLSTATE {})", db.message(), db.code().code())?;
                    db.detail().map_or(Ok(()), |detail| write!(f, ": {detail}"))
                }
                None => write_chain(f, error),
            },
            Error::Url(why) => write!(f, "the database URL: {why}"),
            Error::EarlierLayout { name } => write!(
                f,
                "this database has the layout of a version from before the first release (migration {name}): copy its rows \
                 into an empty database, with the connection strings of the two in OLD and NEW, and use that one:\n\n{KEEP_ROWS}"
            ),
            Error::NewerSchema { name } => {
                write!(
                    f,
                    "this database has migration {name}, which this version does not know: install a newer version"
                )
            }
            Error::InDoubt => f.write_str("the last transaction is still running on a connection that is gone"),
            Error::Local(what) => write!(f, "this machine: {what}"),
            Error::NoAnswer(what) | Error::Locked(what) => f.write_str(what),
            Error::Unsuitable { found, remedy } => write!(f, "{found}: {remedy}"),
            Error::Unexpected(what) => write!(f, "unexpected answer of the database: {what}"),
            Error::WentBack(what) => write!(f, "the database lacks what it had committed: {what}"),
        }
    }
}

/// Writes an error with its causes: the client's own texts ("error communicating with the server") say little without
/// them.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &dyn std::error::Error) -> fmt::Result {
    let text = error.to_string();
    f.write_str(&text)?;
    let mut said = text;
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        // Some of the client's errors already include their source in their text.
        if !said.contains(&text) {
            write!(f, ": {text}")?;
        }
        said = text;
        next = source.source();
    }
    Ok(())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Database(error) => Some(error),
            Error::Url(_)
            | Error::EarlierLayout { .. }
            | Error::NewerSchema { .. }
            | Error::InDoubt
            | Error::Local(_)
            | Error::NoAnswer(_)
            | Error::Locked(_)
            | Error::Unsuitable { .. }
            | Error::Unexpected(_)
            | Error::WentBack(_) => None,
        }
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Error {
        Error::Database(error)
    }
}

/// COPY reads and writes through `io::Error`, which wraps the client's own error or our reader's.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.downcast::<postgres::Error>() {
            Ok(error) => Error::Database(error),
            Err(error) => Error::Unexpected(error.to_string()),
        }
    }
}
