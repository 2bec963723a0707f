//! Rows of `session_events` that say from when on history is not complete.
//!
//! Input that is left when another collector takes its router is a gap: nothing more may be written of the router, and
//! the other collector's dump has what became of the routes. Rows `gap` are dated just before its claim, so that its dump
//! ends them. History that is suspended is off until the router's next session.

use super::health::Health;
use super::lead::Suspended;
use super::op::Refusal;
use super::refused_rows::Writer;
use crate::model::{RouterId, SessionEvent, SessionEventKind, Timestamp};
use crate::store::{owner, sync};

/// Records that `events` of a router that another collector has taken are lost, and counts them.
///
/// # Errors
/// The database refuses the row; `None`: the shutdown grace period is over.
pub(super) fn report_events(writer: &mut Writer, router: &RouterId, events: usize) -> Result<(), Option<Refusal>> {
    let reason = format!("{events} events could not be stored before another collector took the router");
    log::warn!("router {router}: {reason}");
    Health::count(&writer.health.events_lost, u64::try_from(events).unwrap_or(u64::MAX));
    let gap = SessionEvent {
        kind: SessionEventKind::Gap,
        table_name: None,
        peer_address: None,
        afi: None,
        reason: Some(reason),
        routes: i64::try_from(events).ok(),
    };
    report_gap(writer, router, &gap)
}

/// Records that input of a router is lost: before another collector took the router, if one has it.
///
/// # Errors
/// The database refuses the row; `None`: the shutdown grace period is over.
pub(super) fn report_gap(writer: &mut Writer, router: &RouterId, gap: &SessionEvent) -> Result<(), Option<Refusal>> {
    let collector = writer.options.collector_id.clone();
    let rows = writer.command(router, |client, _| {
        let taken = owner::taken_at(client, router, &collector)?;
        let before = taken.map(|at| Timestamp::from_unix_micros(at.unix_micros() - 1));
        sync::insert_event(client, router, gap, before)
    })?;
    writer.options.notices.push(rows);
    Ok(())
}

/// Records from when on the history of a router is suspended: after the last event that its event writer has taken.
///
/// # Errors
/// The database refuses the row; `None`: the shutdown grace period is over.
pub(super) fn report_suspended(writer: &mut Writer, suspended: &Suspended) -> Result<(), Option<Refusal>> {
    let Suspended { owner, why, after } = suspended;
    let row = SessionEvent {
        kind: SessionEventKind::HistoryOff,
        table_name: None,
        peer_address: None,
        afi: None,
        reason: Some(format!("suspended: {why}")),
        routes: None,
    };
    let at = (after.unix_micros() > 0).then(|| Timestamp::from_unix_micros(after.unix_micros() + 1));
    let rows = writer.command(&owner.router, |client, _| sync::insert_event(client, &owner.router, &row, at))?;
    writer.options.notices.push(rows);
    Ok(())
}
