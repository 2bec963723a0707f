//! Events that are left when another collector takes their router. Nothing more may be written of it, and the other
//! collector's dump has what became of the routes: a row `gap` just before its claim reports the events, and they are
//! counted.

use super::health::Health;
use super::refused_rows::Writer;
use crate::model::{RouterId, Timestamp};
use crate::store::{owner, sync};

/// Records that `events` of a router are lost. `None`: the shutdown grace period is over.
pub(super) fn tell_gap(writer: &mut Writer, router: &RouterId, events: usize) -> Option<()> {
    let reason = format!("{events} events could not be stored before another collector took the router");
    log::warn!("router {router}: {reason}");
    Health::count(&writer.health.events_lost, u64::try_from(events).unwrap_or(u64::MAX));
    let rows = writer.connection.retry_forever(|client| {
        let from = owner::since(client, router)?.unwrap_or_else(Timestamp::now);
        let before = Timestamp::from_unix_micros(from.unix_micros() - 1);
        sync::insert_gap(client, router, before, &reason, events)
    })?;
    writer.options.notices.push(rows);
    Some(())
}
