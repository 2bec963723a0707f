//! The checks of `doctor` on the server: its version, settings, connections and clock.

use indicatif::HumanBytes;

use super::check::CheckResult;
use crate::config::Settings;
use crate::store::diagnostics::Facts;
use crate::store::suitable::{ENCODING_REMEDY, is_encoding_suitable};

/// The oldest version of PostgreSQL that is tested.
const VERSION_MIN: i32 = 150_000;

/// The clock difference from which `received_at` is inaccurate enough for a warning, in microseconds.
const CLOCK_WARNING_MICROS: u64 = 1_000_000;

/// The clock difference from which something is badly wrong, in microseconds.
const CLOCK_FAULT_MICROS: u64 = 60_000_000;

/// Connections besides those of the writers and loaders: those that pages, probe and maintenance share (6), expiry, the
/// heartbeat, the lock of `COLLECTOR_ID`, notifications, the evaluator of watches and its targets, deliveries, the records
/// of dependents, and a command such as `status`.
const CONNECTIONS_BESIDE_WRITERS: i64 = 15;

/// The database size above which PostgreSQL's default settings are too small, in bytes.
const LARGE_DATABASE: i64 = 2 << 30;

/// Below these values, a load of a full table spends its time in checkpoints.
const SHARED_BUFFERS_MIN: i64 = 512 << 20;
const MAX_WAL_MIN: i64 = 4 << 30;

pub(super) fn server(facts: &Facts) -> CheckResult {
    const NAME: &str = "server";
    let version = format!("PostgreSQL {}.{}", facts.version / 10_000, facts.version % 10_000);
    if facts.is_read_only {
        return CheckResult::fault(
            NAME,
            format!("{version} accepts no writes: a standby, or default_transaction_read_only"),
            "set RIB_INGESTER_DATABASE_URL to the primary",
        );
    }
    if facts.version < VERSION_MIN {
        return CheckResult::fault(NAME, format!("{version} is too old"), "upgrade to PostgreSQL 15 or newer");
    }
    CheckResult::fine(NAME, version)
}

pub(super) fn encoding(facts: &Facts) -> CheckResult {
    const NAME: &str = "encoding";
    let encoding = &facts.encoding;
    if is_encoding_suitable(encoding) {
        return CheckResult::fine(NAME, encoding);
    }
    CheckResult::fault(NAME, format!("{encoding} cannot represent all text from routers"), ENCODING_REMEDY)
}

pub(super) fn connections(settings: &Settings, facts: &Facts) -> CheckResult {
    const NAME: &str = "connections";
    // Each state writer has a second connection that reads what is stored, and a third that removes large tables.
    let writers = 3 * settings.state_writers + if settings.history { settings.history_writers } else { 0 };
    let needed = i64::try_from(writers).unwrap_or(i64::MAX).saturating_add(CONNECTIONS_BESIDE_WRITERS);
    let free = i64::from(facts.connections_max) - facts.connections;
    if facts.live_collectors.is_empty() && free < needed {
        return CheckResult::fault(
            NAME,
            format!("{free} free of {}, the collector needs {needed}", facts.connections_max),
            "raise max_connections, or lower RIB_INGESTER_STATE_WRITERS and _HISTORY_WRITERS",
        );
    }
    CheckResult::fine(NAME, format!("{free} free of {}", facts.connections_max))
}

pub(super) fn server_settings(facts: &Facts) -> Vec<CheckResult> {
    const NAME: &str = "settings";
    let mut checks = Vec::new();
    if !facts.autovacuum {
        checks.push(CheckResult::fault(
            NAME,
            "autovacuum is off",
            "ALTER SYSTEM SET autovacuum = on: the tables grow without end",
        ));
    }
    if !facts.fsync || !facts.full_page_writes {
        let found = "fsync or full_page_writes is off";
        checks.push(CheckResult::fault(
            NAME,
            found,
            "ALTER SYSTEM SET both on: a crash of the machine loses the database",
        ));
    }
    let is_large = facts.database_bytes > LARGE_DATABASE;
    if is_large && facts.shared_buffers_bytes < SHARED_BUFFERS_MIN {
        let size = |count: i64| HumanBytes(u64::try_from(count).unwrap_or(0));
        let found = format!(
            "shared_buffers is {}, the database {}",
            size(facts.shared_buffers_bytes),
            size(facts.database_bytes)
        );
        checks.push(CheckResult::warning(
            NAME,
            found,
            "ALTER SYSTEM SET shared_buffers to a quarter of the memory, restart PostgreSQL",
        ));
    }
    if is_large && (facts.max_wal_bytes < MAX_WAL_MIN || facts.checkpoint_seconds < 600) {
        let found = format!(
            "max_wal_size is {}, checkpoint_timeout {} s",
            HumanBytes(u64::try_from(facts.max_wal_bytes).unwrap_or(0)),
            facts.checkpoint_seconds
        );
        checks.push(CheckResult::warning(
            NAME,
            found,
            "ALTER SYSTEM SET max_wal_size = '8GB', checkpoint_timeout = '15min': a dump is mostly WAL",
        ));
    }
    if checks.is_empty() {
        checks.push(CheckResult::fine(NAME, "no problem found"));
    }
    checks
}

pub(super) fn clock(facts: &Facts) -> CheckResult {
    const NAME: &str = "clock";
    let ahead = facts.clock_ahead;
    // The answer may have been given at any time of the round trip.
    let doubt = u64::try_from(ahead.round_trip.as_micros() / 2).unwrap_or(u64::MAX);
    let difference = ahead.micros.unsigned_abs().saturating_sub(doubt);
    let way = if ahead.micros < 0 { "behind" } else { "ahead of" };
    let found =
        format!("this machine is {}.{:01} s {way} the database", difference / 1_000_000, difference / 100_000 % 10);
    let remedy = "run NTP on both: received_at is this machine's time, everything else the database's";
    match difference {
        CLOCK_FAULT_MICROS.. => CheckResult::fault(NAME, found, remedy),
        CLOCK_WARNING_MICROS.. => CheckResult::warning(NAME, found, remedy),
        _ => CheckResult::fine(NAME, "as the database's"),
    }
}
