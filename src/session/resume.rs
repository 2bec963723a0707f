//! The place of a session in its input: what its later messages depend on, and its continuation from there.

use std::collections::BTreeMap;

use super::end::SessionEnd;
use super::event_id::EventIds;
use super::input::for_each_frame;
use super::messages::{Resumed, Session};
use crate::journal::{Checkpoint, Chunk};
use crate::pipeline::StoredPositions;

impl Session {
    /// Goes on from what another process left.
    pub(crate) fn resume(&mut self, checkpoint: Checkpoint) {
        self.position = checkpoint.octet;
        self.began = Some(checkpoint.began);
        self.misses_input = checkpoint.misses_input;
        self.resumed = Some(Resumed { checkpoint, repeats: true });
    }

    /// Takes in what the session before had heard, if there was one.
    pub(crate) fn settle_resumed(&mut self) -> Result<(), SessionEnd> {
        let Some(resumed) = &mut self.resumed else { return Ok(()) };
        // Before anything is applied, the input itself says all of the router.
        let is_known = resumed.checkpoint.router.is_some() && resumed.checkpoint.octet > 0;
        let (peer_ups, since) = (std::mem::take(&mut resumed.checkpoint.peer_ups), resumed.checkpoint.began);
        let mut result = Ok(());
        for_each_frame(&peer_ups, self.host.options().message_max, |frame| {
            if result.is_ok() {
                result = self.message(frame, since);
            }
        });
        result?;
        if is_known && self.identified.is_none() {
            self.identify()?;
        }
        if let Some(resumed) = &mut self.resumed {
            resumed.repeats = false;
        }
        if let Some(identified) = &mut self.identified {
            identified.tables.outbox().set_repeats(false);
        }
        self.flush()?;
        self.report_what_the_database_lost();
        Ok(())
    }

    /// Notes that all input that an earlier process had read is applied: what follows is not stored, even if a position
    /// is beyond the end of the journal, whose last second was lost with the machine. The tables that the earlier process
    /// had, and that nothing that is applied now has begun, are stale.
    pub(crate) fn end_replay(&mut self) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        identified.tables.outbox().end_replay();
        if self.resumed.is_some() { identified.tables.mark_earlier_stale() } else { Ok(()) }
    }

    /// Reports input that is in no journal any more, and that the database does not have: it is a standby that lacked
    /// the last commits, or was restored; or the process was killed before all was stored that it had heard while it
    /// stood by.
    fn report_what_the_database_lost(&mut self) {
        let Some(identified) = &mut self.identified else { return };
        let begins = self.position;
        let StoredPositions { state, history } = identified.tables.outbox().stored_before();
        let [state_then, history_then] = self.input.acknowledged_before();
        let lacks = |now: Option<u64>, then: u64| {
            let now = now.unwrap_or(0);
            (now < then.min(begins)).then_some(now)
        };
        let keeps_history = identified.tables.outbox().keeps_history();
        let lost = lacks(state, state_then).into_iter().chain(lacks(history, history_then).filter(|_| keeps_history));
        if let Some(from) = lost.min() {
            self.gap(&format!(
                "octets {from} to {begins} of the session's input are in no journal any more, and not stored: the database \
                 has lost them, or the collector was killed while it took the router over"
            ));
        }
    }

    /// Returns what later input depends on; `None` while messages wait for the router's name, or where the Peer Ups are
    /// too many to be repeated.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let identified = self.identified.as_ref().filter(|_| !self.peer_ups.is_cut())?;
        Some(Checkpoint {
            session: self.input.session().to_owned(),
            source: self.host.source(),
            router: Some(identified.router.clone()),
            began: self.began?,
            octet: self.position,
            tables: identified.tables.begun(),
            ids: identified.tables.ids.recent(),
            peer_ups: self.peer_ups.to_bytes(),
            misses_input: self.may_miss_peer_ups(),
        })
    }

    /// Returns the Initiation and the Peer Ups of all live peers, as the router sent them.
    pub(crate) fn peer_ups(&self) -> Vec<u8> {
        self.peer_ups.to_bytes()
    }

    /// The messages of another chunk of the session's input come.
    pub(crate) fn begin_chunk(&mut self, chunk: &Chunk) {
        self.began.get_or_insert(chunk.received_at);
    }

    /// Notes that all input up to this octet is applied.
    pub fn set_position(&mut self, octet: u64) {
        self.position = octet;
        if let Some(identified) = &mut self.identified {
            identified.tables.outbox().set_position(octet);
        }
    }

    /// Notes that input up to this octet is not wanted any more: the session is over. What a message changes that ended
    /// it before, in another process, is stored.
    pub(crate) fn pass_over(&mut self, octet: u64) {
        let is_stored = self.identified.as_mut().is_some_and(|identified| identified.tables.outbox().is_repeating());
        if !is_stored {
            self.set_position(octet);
        }
    }

    /// Returns the ids of the session's events, and the tables that it goes on with.
    pub(super) fn resumed_tables(&self) -> (EventIds, BTreeMap<String, bool>) {
        match &self.resumed {
            None => Default::default(),
            Some(Resumed { checkpoint, .. }) => {
                (EventIds::resume(&checkpoint.ids), checkpoint.tables.iter().cloned().collect())
            }
        }
    }
}
