//! What of a session's input is lost, and why; said at once, whatever the session ends by.

use super::{Inner, Intake, SessionEnd};
use crate::spool::{Spool, Stream};

impl Intake {
    /// What of the input is given up when the session ends by `end` without having applied so many messages that it was
    /// given; `None`: nothing.
    pub fn lost(&self, spool: &Spool, end: &SessionEnd, skipped: usize) -> Option<String> {
        let mut inner = self.lock();
        let unread = inner.stream.as_ref().map_or(0, Stream::unread);
        let is_applied = unread == 0 && skipped == 0;
        let what = match end {
            // All of it was applied, or the next start does it; or it is no router's that we may write.
            SessionEnd::Stopping
            | SessionEnd::WritersGone
            | SessionEnd::Termination { .. }
            | SessionEnd::Lost(_)
            | SessionEnd::Stalled
            | SessionEnd::Mute
            | SessionEnd::Unnamed(_)
            | SessionEnd::Refused(_)
            | SessionEnd::OutOfStep(_)
            | SessionEnd::Spool(_)
            | SessionEnd::SpoolDamaged(_)
            | SessionEnd::SpoolRead => None,
            // It has changed nothing.
            SessionEnd::Superseded if self.standing.owner().is_none() && !inner.window.is_empty() => {
                Some(format!("{} bytes of input not applied", inner.window_bytes))
            }
            SessionEnd::Superseded
            | SessionEnd::OwnershipLost
            | SessionEnd::TooManyTables(_)
            | SessionEnd::DatabaseDiffers
            | SessionEnd::DatabaseRefused(_)
            | SessionEnd::AddPath(_)
            | SessionEnd::Drift(_) => {
                (!is_applied).then(|| format!("{skipped} messages and {unread} bytes of spooled input not applied"))
            }
            SessionEnd::Panicked => Some("input not applied".to_owned()),
        };
        if let Some(what) = what {
            inner.note_loss(self, spool, &format!("input lost: {what}: {end}"));
        }
        inner.lost.clone()
    }

    /// Whether any of it is lost.
    pub fn has_lost(&self) -> bool {
        self.lock().lost.is_some()
    }

    /// How the log names the router.
    fn subject(&self) -> String {
        match self.standing.router() {
            Some(router) => format!("router {router}"),
            None => format!("router at {}", self.source_address),
        }
    }
}

impl Inner {
    /// Input cannot be kept, or not be read back: what comes last is lost, whatever the session ends by.
    pub(super) fn lose(&mut self, intake: &Intake, spool: &Spool, end: SessionEnd) -> SessionEnd {
        self.close();
        if let SessionEnd::Spool(error) = &end {
            spool.note_error(error);
        }
        self.note_loss(intake, spool, &end.to_string());
        end
    }

    /// Says it at once; the row in the database follows when that can be.
    fn note_loss(&mut self, intake: &Intake, spool: &Spool, what: &str) {
        spool.count_gap();
        log::error!("{}: {what}", intake.subject());
        self.lost.get_or_insert_with(|| what.to_owned());
    }
}
