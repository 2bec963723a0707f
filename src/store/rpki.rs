//! The schema `rpki`: the set of VRPs in force, and the validity of routes.

mod fields;
mod origins;
mod replace;
pub mod validity;

use postgres::types::Type;
use postgres::{Client, GenericClient};

use super::error::Result;
use crate::model::Timestamp;

pub use origins::{DecidingVrp, OriginState};
pub(crate) use origins::{OriginPair, origin_states};
pub use replace::{NewSet, Replaced, replace};

/// The longest time that one statement may take: one of a scan reads every route.
const TIMEOUT: &str = "10min";

/// Takes the lock of the one process of this database that loads VRPs, on this connection. `false` if another one has
/// it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lock(client: &mut Client) -> Result<bool> {
    let row = client.query_typed_one("SELECT pg_try_advisory_lock(hashtext('rib_rpki'))", &[])?;
    client.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'"))?;
    Ok(row.get(0))
}

/// The row of `rpki.vrp_set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetState {
    /// Counts the changes of the VRPs; 0: no set was ever taken.
    pub version: i64,
    /// Where the set came from.
    pub source: Option<String>,
    /// When it was made.
    pub generated: Option<Timestamp>,
    /// When it was fetched or confirmed last.
    pub fetched_at: Option<Timestamp>,
    /// Until when it is valid.
    pub valid_until: Option<Timestamp>,
    /// True if it is there and not too old.
    pub is_usable: bool,
    /// False if no collector has loaded VRPs for an hour: nobody has `RIB_INGESTER_VRPS` any more.
    pub is_in_use: bool,
    /// The number of VRPs.
    pub vrps: i64,
    /// The number of customers with ASPAs.
    pub aspas: i64,
    /// The number of VRPs that SLURM removed, and added.
    pub slurm: (i64, i64),
    /// Why the last try gave no set.
    pub last_error: Option<String>,
    /// Since when no source gives a set.
    pub failing_since: Option<Timestamp>,
    /// The set that is held.
    pub held: Option<HeldState>,
    /// True if an operator accepted the held set.
    pub is_accepted: bool,
    /// When a held set was taken because its time had passed.
    pub taken_after_hold: Option<(Timestamp, String)>,
    /// The version that the last scan used.
    pub scanned_version: i64,
    /// When the last scan ended.
    pub scanned_at: Option<Timestamp>,
    /// The time of the database.
    pub now: Timestamp,
}

impl SetState {
    /// Returns the state without a set.
    pub fn none(now: Timestamp) -> SetState {
        SetState {
            version: 0,
            source: None,
            generated: None,
            fetched_at: None,
            valid_until: None,
            is_usable: false,
            is_in_use: false,
            vrps: 0,
            aspas: 0,
            slurm: (0, 0),
            last_error: None,
            failing_since: None,
            held: None,
            is_accepted: false,
            taken_after_hold: None,
            scanned_version: 0,
            scanned_at: None,
            now,
        }
    }
}

/// A set that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldState {
    /// Since when.
    pub since: Timestamp,
    /// When it is taken.
    pub until: Timestamp,
    /// The missing parts.
    pub reason: String,
    /// Where it came from.
    pub source: String,
    /// The number of its VRPs.
    pub vrps: i64,
}

/// Returns the state of the set.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn state(client: &mut Client) -> Result<SetState> {
    let row = client.query_typed_one(include_str!("../../sql/statements/rpki_state.sql"), &[])?;
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(Timestamp::from_unix_micros);
    let held = time(12).zip(time(13)).map(|(since, until)| HeldState {
        since,
        until,
        reason: row.get::<_, Option<String>>(14).unwrap_or_default(),
        source: row.get::<_, Option<String>>(15).unwrap_or_default(),
        vrps: row.get::<_, Option<i64>>(16).unwrap_or_default(),
    });
    Ok(SetState {
        version: row.get(0),
        source: row.get(1),
        generated: time(2),
        fetched_at: time(3),
        valid_until: time(4),
        is_usable: row.get(5),
        is_in_use: is_in_use(client)?,
        vrps: row.get(6),
        aspas: row.get(7),
        slurm: (row.get(8), row.get(9)),
        last_error: row.get(10),
        failing_since: time(11),
        held,
        is_accepted: row.get(17),
        taken_after_hold: time(18).map(|at| (at, row.get::<_, Option<String>>(19).unwrap_or_default())),
        scanned_version: row.get(20),
        scanned_at: time(21),
        now: Timestamp::from_unix_micros(row.get(22)),
    })
}

/// Returns whether a collector loads VRPs, or did within the last hour.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn is_in_use(client: &mut impl GenericClient) -> Result<bool> {
    Ok(client.query_typed_one(include_str!("../../sql/statements/rpki_is_in_use.sql"), &[])?.get(0))
}

/// Returns the number of VRPs and of ASPAs of each trust anchor of the set in force, before SLURM.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn trust_anchors(client: &mut Client) -> Result<Vec<(String, i64)>> {
    let rows = client.query_typed("SELECT trust_anchor, vrps FROM rpki.trust_anchors ORDER BY vrps DESC, 1", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Stores that no source gives a set.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn note_failure(client: &mut Client, error: &str, max_age_secs: i32) -> Result<()> {
    client.execute_typed(
        "UPDATE rpki.vrp_set SET tried_at = now(), last_error = $1, failing_since = COALESCE(failing_since, now()), max_age_secs = $2",
        &[(&error, Type::TEXT), (&max_age_secs, Type::INT4)],
    )?;
    Ok(())
}

/// Stores that the set in force is what its source still has.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn note_unchanged(client: &mut Client, max_age_secs: i32) -> Result<()> {
    client.execute_typed(
        "UPDATE rpki.vrp_set SET tried_at = now(), fetched_at = now(), last_error = NULL, failing_since = NULL, max_age_secs = $1",
        &[(&max_age_secs, Type::INT4)],
    )?;
    Ok(())
}

/// Stores that a set is held, and returns since when: an earlier one may have been.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn hold(client: &mut Client, held: (&str, &str, i64), hold_secs: i64, max_age_secs: i32) -> Result<()> {
    let (reason, source, vrps) = held;
    client.execute_typed(
        include_str!("../../sql/statements/rpki_hold.sql"),
        &[
            (&reason, Type::TEXT),
            (&source, Type::TEXT),
            (&vrps, Type::INT8),
            (&hold_secs, Type::INT8),
            (&max_age_secs, Type::INT4),
        ],
    )?;
    Ok(())
}

/// Asks the process that loads VRPs to take the held set, and forgets that one was taken after its time. Returns what
/// was held, if anything was.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn accept(client: &mut Client, by: &str) -> Result<Option<HeldState>> {
    let held = state(client)?.held;
    client.execute_typed(include_str!("../../sql/statements/rpki_accept.sql"), &[(&by, Type::TEXT)])?;
    Ok(held)
}
