//! The reasons for which a session ends, and what follows from each: one table.
//!
//! A cause decides everything by its row in the table of [`Cause`]; no other file asks which cause it is in order to
//! decide what to do. The page docs/architecture.md has the same table.

use std::fmt;

use log::Level;

use crate::model::SessionEventKind;

/// The consequences of one cause.
#[derive(Clone, Copy, Debug)]
pub struct Consequences {
    /// The label of the metric that counts ended sessions.
    pub label: &'static str,
    /// The text for the log and for `reason` of `session_events` and `bmp_sessions`; `{}` stands for the detail.
    pub text: &'static str,
    /// The level of the line in the log.
    pub level: Level,
    /// The fate of the input that is not stored yet.
    pub input: InputAfter,
    /// The fate of the router's routes.
    pub routes: RoutesAfter,
    /// The condition under which input that was not applied is lost, which makes a row `gap`.
    pub gap: GapAfter,
    /// The fate of messages that wait because the router is not identified yet.
    pub waiting: WaitingMessages,
}

/// The input of a session that is over, as far as it is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAfter {
    /// It is on its way to the writers, and kept until they have stored it.
    Complete,
    /// It is kept for the next start of the collector, which applies it.
    Left,
    /// It is dropped: it would cause the same end again, or is of a router that the session must not write.
    Discarded,
}

/// The routes of a router whose session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutesAfter {
    /// They are removed at once.
    Purged,
    /// They are stale, unless another session of the router has them; the row of `session_events` is of this kind.
    Stale(SessionEventKind),
    /// They are as they were: the next start goes on from them.
    Kept,
    /// They are stale: the newer session of the router confirms or removes them.
    LeftToNewer,
    /// They are another session's or collector's, or were never stored.
    Untouched,
    /// None are stored, and the connection counts as refused, by this label.
    Refused(&'static str),
}

/// The condition under which input that was not applied is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapAfter {
    /// Never by this cause: all of it was applied, or it is no router's that the session may write.
    Never,
    /// Never by this cause: the next start applies it. If some was lost before, the collector's exit status is 1.
    ExitStatus,
    /// Input is lost, and that was reported when it happened.
    Reported,
    /// Input is left that was not applied.
    IfUnapplied,
    /// As `IfUnapplied`; it would be refused again, so its bytes are set aside.
    IfUnappliedSetAside,
    /// Always: nobody knows how much was applied. Its bytes are set aside.
    AlwaysSetAside,
}

/// The messages of a session that ends before its router is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingMessages {
    /// They identify the router, as well as they can, and are applied.
    Applied,
    /// They are dropped: none has arrived, or the session may not write.
    Dropped,
}

macro_rules! causes {
    ($($(#[$meta:meta])* $cause:ident = $label:literal, $text:literal,
        $level:expr, $input:expr, $routes:expr, $gap:expr, $waiting:expr;)*) => {
        /// The cause for which a session is over.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Cause {
            $($(#[$meta])* $cause,)*
        }

        impl Cause {
            /// Every cause.
            pub const ALL: [Cause; [$($label),*].len()] = [$(Cause::$cause),*];

            /// Returns its consequences.
            pub const fn consequences(self) -> Consequences {
                use GapAfter::{AlwaysSetAside, ExitStatus, IfUnapplied, IfUnappliedSetAside, Never, Reported};
                use InputAfter::{Complete, Discarded, Left};
                use Level::{Info, Warn};
                use RoutesAfter::{Kept, LeftToNewer, Purged, Refused, Stale, Untouched};
                use SessionEventKind::{Drift, SessionClosed, SessionLost};
                use WaitingMessages::{Applied, Dropped};
                match self {
                    $(Cause::$cause => Consequences {
                        label: $label,
                        text: $text,
                        level: $level,
                        input: $input,
                        routes: $routes,
                        gap: $gap,
                        waiting: $waiting,
                    },)*
                }
            }
        }
    };
}

// Each cause with its consequences, in the order of the fields of [`Consequences`].
causes! {
    /// The router sent a Termination (RFC 7854 section 4.5); the detail is its reason.
    Termination = "terminated", "terminated by the router: {}",
        Info, Complete, Purged, Never, Applied;
    /// The connection was closed without a Termination.
    Closed = "closed", "closed by the router without Termination",
        Warn, Complete, Stale(SessionLost), Never, Applied;
    /// The connection broke without a Termination; the detail is the system's error.
    Lost = "lost", "lost: {}",
        Warn, Complete, Stale(SessionLost), Never, Applied;
    /// A message began and did not end in time.
    Stalled = "stalled", "stalled inside a message",
        Warn, Complete, Stale(SessionLost), Never, Applied;
    /// No BMP message was received.
    Mute = "mute", "no BMP message received",
        Warn, Complete, Stale(SessionLost), Never, Dropped;
    /// All input that an earlier process left in the journal is applied.
    JournalRead = "journal_read", "end of the input in the journal",
        Info, Complete, Stale(SessionLost), Never, Applied;
    /// The stream is not, or no longer, BMP: the next message boundary cannot be found.
    OutOfStep = "out_of_step", "not BMP: {}",
        Warn, Complete, Stale(SessionClosed), Never, Applied;
    /// More routes than are kept were misread, with path identifiers or without: a new dump is read correctly.
    AddPath = "add_path", "routes decoded the wrong way, a new dump is needed: {}",
        Warn, Complete, Stale(SessionClosed), IfUnapplied, Dropped;
    /// The stored routes have differed from the router's statistics for too long: a new dump is needed.
    Drift = "drift", "drift: {}",
        Warn, Complete, Stale(Drift), IfUnapplied, Dropped;
    /// The database has other routes than the session expects: the router's next dump repairs that.
    DatabaseDiffers = "database_differs", "database does not match the session; resync required",
        Warn, Complete, Stale(SessionClosed), IfUnapplied, Dropped;
    /// History was suspended and works again: it lacks what came meanwhile, and begins anew with a dump.
    HistoryResumed = "history_resumed", "history was suspended; a new dump is needed",
        Warn, Complete, Stale(SessionClosed), IfUnapplied, Dropped;
    /// The database refused a command that the session depends on; the detail is the refusal.
    DatabaseRefused = "database_refused", "the database refused a command: {}",
        Warn, Complete, Stale(SessionClosed), IfUnappliedSetAside, Dropped;
    /// Its input could not be kept: the latest input is lost.
    Journal = "journal", "input lost: {}",
        Warn, Complete, Stale(SessionClosed), Reported, Applied;
    /// Some of its replayed input cannot be read back.
    JournalDamaged = "journal_damaged", "{} bytes of input cannot be read back",
        Warn, Complete, Stale(SessionClosed), Reported, Applied;
    /// An internal error: the thread panicked.
    Panicked = "panicked", "internal error",
        Warn, Discarded, Stale(SessionClosed), AlwaysSetAside, Dropped;
    /// A newer session of the same router exists, from the same address.
    Superseded = "superseded", "superseded by a newer session of the same router",
        Warn, Complete, LeftToNewer, IfUnapplied, Dropped;
    /// Another collector, or a newer session, owns the router.
    OwnershipLost = "ownership_lost", "router is owned by another collector or a newer session",
        Warn, Discarded, Untouched, IfUnapplied, Dropped;
    /// Another collector has the router, as the detail says: the session stands by, and ends by another cause.
    StandsBy = "stands_by", "stands by: collector {} has the router",
        Info, Discarded, Untouched, Never, Dropped;
    /// The session stood by, and the router is now this collector's; the detail says from whom.
    TakesOver = "takes_over", "takes over from {}: waits for the router's new session",
        Info, Discarded, Untouched, Never, Dropped;
    /// The router is handed over to another collector, which the detail names.
    HandedOver = "handed_over", "handed over to collector {}",
        Info, Complete, Stale(SessionClosed), IfUnapplied, Dropped;
    /// A station that the session is relayed to, named by the detail, needs a new dump.
    Relay = "relay", "closed for a new dump, which is relayed to {}",
        Info, Complete, Stale(SessionClosed), IfUnapplied, Dropped;
    /// The router's identifier belongs to another session; the detail names the remedy.
    Refused = "refused", "refused: {}",
        Warn, Discarded, Refused("identifier_taken"), Never, Dropped;
    /// The router sends messages, but none that identifies it; the detail names the limit that was exceeded.
    Unnamed = "unnamed", "router not identified: {}",
        Warn, Discarded, Refused("unnamed"), Never, Dropped;
    /// The collector stops.
    Stopping = "stopping", "collector stops",
        Info, Left, Kept, ExitStatus, Applied;
    /// The writers are gone: the collector is ending.
    WritersGone = "writers_gone", "writers have ended",
        Warn, Left, Untouched, ExitStatus, Dropped;
}

/// The reason why a session is over: a cause, and its detail. What returns it as an error returns it if the session has
/// to end: the writers are gone, the ownership of the router is lost, the database refused a write, or as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// The cause.
    pub cause: Cause,
    /// The text that the cause's own text leaves open; empty for most.
    pub detail: String,
}

impl SessionEnd {
    /// Returns the end by this cause, with what its text leaves open.
    pub fn new(cause: Cause, detail: impl fmt::Display) -> SessionEnd {
        SessionEnd { cause, detail: detail.to_string() }
    }

    /// Returns its consequences.
    pub(crate) fn consequences(&self) -> Consequences {
        self.cause.consequences()
    }

    /// Returns true if the router, or whatever is between, ended the connection.
    pub(crate) fn is_by_connection(&self) -> bool {
        matches!(self.cause, Cause::Closed | Cause::Lost)
    }

    /// Returns true if the received bytes ended the session, whatever became of the connection since.
    pub(crate) fn is_by_content(&self) -> bool {
        matches!(self.cause, Cause::OutOfStep)
    }
}

impl From<Cause> for SessionEnd {
    fn from(cause: Cause) -> SessionEnd {
        SessionEnd { cause, detail: String::new() }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.consequences().text;
        match text.split_once("{}") {
            None => f.write_str(text),
            Some((before, after)) => write!(f, "{before}{}{after}", self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_a_row_and_a_label_of_its_own() {
        let labels: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.consequences().label).collect();
        assert_eq!(labels.len(), Cause::ALL.len());
    }

    #[test]
    fn the_text_of_an_end_has_its_detail_in_its_place() {
        let check = |end: SessionEnd, text: &str| assert_eq!(end.to_string(), text);
        check(Cause::Closed.into(), "closed by the router without Termination");
        check(SessionEnd::new(Cause::Lost, "reset {} by peer"), "lost: reset {} by peer");
        check(SessionEnd::new(Cause::JournalDamaged, 7), "7 bytes of input cannot be read back");
    }

    #[test]
    fn only_a_termination_removes_routes_at_once() {
        let purges = |cause: &&Cause| cause.consequences().routes == RoutesAfter::Purged;
        assert_eq!(Cause::ALL.iter().filter(purges).collect::<Vec<_>>(), [&Cause::Termination]);
        // Input that is left for the next start cannot be of stale routes: the next start goes on from them.
        for cause in Cause::ALL {
            let Consequences { input, routes, gap, .. } = cause.consequences();
            assert_eq!(input == InputAfter::Left, gap == GapAfter::ExitStatus, "{cause:?}");
            assert!(input != InputAfter::Left || !matches!(routes, RoutesAfter::Stale(_)), "{cause:?}");
        }
    }
}
