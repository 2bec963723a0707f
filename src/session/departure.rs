//! The end of an identified router's session: its routes are removed, become stale or are left to another session.

use log::warn;

use super::connection::Connection;
use super::end::{RoutesAfter, SessionEnd};
use super::messages::IdentifiedRouter;
use super::peer_records::router_note;
use super::registry::Loss;
use super::shared::Shared;
use super::sharing::names_of;
use crate::model::{SessionEventKind, SessionState};
use crate::pipeline::PeersOf;

impl IdentifiedRouter {
    /// Records the session's end for the tables and peers that it alone reports (for a Termination see RFC 7854
    /// section 4.5).
    pub(super) fn end(&mut self, end: &SessionEnd, shared: &Shared, connection: &Connection) -> Result<(), SessionEnd> {
        let reason = end.to_string();
        self.tables.outbox().set_ending();
        match end.consequences().routes {
            RoutesAfter::Purged => {
                // The next session of the router must not begin before the removal of its tables is queued.
                let (own, is_alone) = shared.registry.own(&self.router, connection);
                let of = if is_alone { PeersOf::Router } else { PeersOf::Named(names_of(&own)) };
                let terminated = self.tables.terminate(of, &reason);
                shared.registry.leave(&self.router, connection);
                terminated
            }
            RoutesAfter::Stale(kind) => self.lose(kind, &reason, shared, connection),
            RoutesAfter::Kept => {
                shared.registry.leave(&self.router, connection);
                self.tables.outbox().session_event(router_note(
                    SessionEventKind::CollectorStopped,
                    Some(&reason),
                    None,
                ))?;
                self.tables.close(SessionState::Stale, &reason)
            }
            // Another session of the router continues, and treats the tables that it does not begin as stale.
            RoutesAfter::LeftToNewer => {
                let marked = self.tables.mark_stale(&reason);
                shared.registry.close(&self.router, connection);
                marked.and_then(|()| self.tables.close(SessionState::Ended, &reason))
            }
            RoutesAfter::Untouched | RoutesAfter::Refused(_) => {
                shared.registry.leave(&self.router, connection);
                self.tables.close(SessionState::Ended, &reason)
            }
        }
    }

    fn lose(
        &mut self,
        kind: SessionEventKind,
        reason: &str,
        shared: &Shared,
        connection: &Connection,
    ) -> Result<(), SessionEnd> {
        // Marked before another session of the router can begin these tables.
        self.tables.mark_stale(reason)?;
        let loss = match kind == SessionEventKind::SessionLost {
            true => shared.registry.lose(&self.router, connection),
            false => shared.registry.close(&self.router, connection),
        };
        match loss {
            Loss::Replaced => self.tables.close(SessionState::Ended, reason),
            Loss::Stale => self.tables.note_loss(kind, reason),
            Loss::Isolated { lost } => {
                warn!(
                    "collector: {lost} sessions lost within seconds: stale routes do not expire until routers reconnect"
                );
                let reason_all = format!("{lost} sessions lost within seconds, stale routes are kept");
                self.tables.outbox().session_event(router_note(SessionEventKind::Isolated, Some(&reason_all), None))?;
                self.tables.note_loss(kind, reason)?;
                self.tables.close(SessionState::Isolated, reason)
            }
        }
    }
}
