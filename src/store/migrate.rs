//! The schema, embedded in the binary, and its migrations, each applied once.

use std::time::{Duration, Instant};

use postgres::Client;
use postgres::types::Type;
use sha2::{Digest, Sha256};

use super::error::{Error, Result};

/// A migration by the name of its file.
macro_rules! migration {
    ($name:literal) => {
        Migration { name: $name, sql: include_str!(concat!("../../sql/migrations/", $name, ".sql")) }
    };
}

/// All migrations, in the order in which they are applied, which is that of their names. An applied one is never
/// edited.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_routes"),
    migration!("0002_adj_rib"),
    migration!("0003_sessions"),
    migration!("0004_peers"),
    migration!("0005_reading"),
    migration!("0006_snapshots"),
    migration!("0007_history"),
    migration!("0010_watch"),
    migration!("0011_callbacks"),
    migration!("0012_rpki"),
    migration!("0013_conditions"),
    migration!("0014_flapping"),
    migration!("0015_counts"),
    migration!("0016_compare"),
    migration!("0017_delivery_targets"),
    migration!("0018_registry"),
    migration!("0019_inventory"),
    migration!("0020_tenants"),
    migration!("0021_tenant_access"),
    migration!("0022_watch_sources"),
    migration!("0023_names"),
    migration!("0024_overview"),
    migration!("0025_compare_peers"),
    migration!("0026_journal"),
    migration!("0029_two_stations"),
    migration!("0031_history_pages"),
    migration!("0032_index_sizes"),
    migration!("0035_archive"),
    migration!("0037_nlri_routes"),
    migration!("0038_standby"),
    migration!("0039_nlri_events"),
    migration!("0040_positions_of_open_sessions"),
    migration!("0041_nlri_counts"),
    migration!("0042_nlri_archive"),
    migration!("0043_nlri_families"),
];

/// The key of the advisory lock under which migrations run: "ribmigr" in ASCII.
const LOCK: i64 = 0x0072_6962_6d69_6772;

/// The longest time a migration may take.
const TIMEOUT: &str = "10min";

/// The longest wait for another collector's migrations.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// The interval at which the lock is tried again.
const LOCK_POLL: Duration = Duration::from_millis(200);

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The progress of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for the lock that another process has.
    Waits {
        /// That process, its application name and address.
        holder: String,
    },
    /// It begins.
    Begins {
        /// Its number, from 1.
        number: usize,
        /// The number of migrations to apply.
        of: usize,
    },
    /// It was applied in this time.
    Applied(Duration),
}

/// Applies the migrations that this database lacks and returns their names; an empty list means it was up to date.
///
/// # Errors
/// As `migrate_telling`.
pub fn migrate(client: &mut Client) -> Result<Vec<&'static str>> {
    migrate_telling(client, |_, _| ())
}

/// Does the same, and calls `told` with the name of each migration before and after it, and with the holder of the lock
/// while it waits.
///
/// Collectors that start together queue up on an advisory lock; the second one finds nothing to do.
///
/// # Errors
/// When the database has migrations that are not ours, a statement fails or the connection is lost.
pub(crate) fn migrate_telling(
    client: &mut Client,
    mut told: impl FnMut(&'static str, Step),
) -> Result<Vec<&'static str>> {
    client.batch_execute(&format!("SET lock_timeout = '{TIMEOUT}'; SET statement_timeout = '{TIMEOUT}'"))?;
    take_lock(client, &mut told)?;
    let applied = apply_missing(client, told);
    // A broken connection has lost the lock as well; its error is the one to report.
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]);
    let applied = applied?;
    unlocked?;
    Ok(applied)
}

/// Takes the advisory lock, and reports its holder while it is taken.
fn take_lock(client: &mut Client, told: &mut impl FnMut(&'static str, Step)) -> Result<()> {
    let begin = Instant::now();
    let mut last = None;
    loop {
        if client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)])?.get(0) {
            return Ok(());
        }
        let rows = client.query_typed(include_str!("../../sql/statements/lock_holder.sql"), &[(&LOCK, Type::INT8)])?;
        // The holder may have released it just now.
        if let Some(holder) = rows.first().map(|row| row.get::<_, String>(0)) {
            if begin.elapsed() >= LOCK_WAIT_MAX {
                return Err(Error::Locked(format!("the migration lock is held by {holder}")));
            }
            if last.as_ref() != Some(&holder) {
                told("", Step::Waits { holder: holder.clone() });
                last = Some(holder);
            }
        }
        std::thread::sleep(LOCK_POLL);
    }
}

/// Returns the names of our migrations that this database lacks, including those that it has with another text.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn missing(client: &mut Client) -> Result<Vec<&'static str>> {
    let known: bool = client.query_typed_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[])?.get(0);
    let stored = if known { stored(client)? } else { Vec::new() };
    Ok(lacking(&stored).iter().map(|migration| migration.name).collect())
}

fn lacking(stored: &[(String, String)]) -> Vec<&'static Migration> {
    MIGRATIONS.iter().filter(|migration| !stored.iter().any(|row| migration.is(row))).collect()
}

/// Returns names and checksums of the migrations that this database has, by name.
fn stored(client: &mut Client) -> Result<Vec<(String, String)>> {
    let rows = client.query_typed("SELECT name, checksum FROM schema_migrations ORDER BY name COLLATE \"C\"", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Accepts a database whose migrations are all ours. One that is not, and comes after all of ours, is a newer
/// version's.
fn check(stored: &[(String, String)]) -> Result<()> {
    let is_other = |row: &&(String, String)| !MIGRATIONS.iter().any(|migration| migration.is(row));
    let Some((name, _)) = stored.iter().find(is_other) else { return Ok(()) };
    let (name, is_later) = (name.clone(), MIGRATIONS.iter().all(|migration| migration.name < name.as_str()));
    Err(if is_later { Error::NewerSchema { name } } else { Error::EarlierLayout { name } })
}

fn apply_missing(client: &mut Client, mut told: impl FnMut(&'static str, Step)) -> Result<Vec<&'static str>> {
    client.batch_execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             name       TEXT PRIMARY KEY,
             checksum   TEXT        NOT NULL,
             applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
         );
         COMMENT ON TABLE schema_migrations IS 'Internal: the migrations that this database has.'",
    )?;
    let stored = stored(client)?;
    check(&stored)?;
    let missing = lacking(&stored);
    let mut applied = Vec::new();
    for (i, migration) in missing.iter().enumerate() {
        told(migration.name, Step::Begins { number: i + 1, of: missing.len() });
        let began = Instant::now();
        let mut transaction = client.transaction()?;
        transaction.batch_execute(migration.sql)?;
        transaction.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)",
            &[&migration.name, &migration.checksum()],
        )?;
        transaction.commit()?;
        told(migration.name, Step::Applied(began.elapsed()));
        applied.push(migration.name);
    }
    Ok(applied)
}

impl Migration {
    /// Returns true for a row of `schema_migrations` with this name and text.
    fn is(&self, (name, checksum): &(String, String)) -> bool {
        self.name == name && self.checksum() == *checksum
    }

    /// Returns the SHA-256 of the text in lower-case hex.
    fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
