//! The progress of a session through its input, and its continuation where another process left it.

use super::end::SessionEnd;
use super::intake::for_each_frame;
use super::messages::{Resumed, Session};
use crate::spool::Context;

impl Session {
    /// Goes on from what another process left.
    pub(crate) fn resume(&mut self, context: &Context) {
        let (router, since) = (context.router.clone(), context.began);
        self.resumed = Some(Resumed { router, since, behind: context.behind, repeats: true });
        self.preamble.clone_from(&context.preamble);
    }

    /// Takes in what the session before had heard, if there was one.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn settle_resumed(&mut self) -> Result<(), SessionEnd> {
        let Some(resumed) = &self.resumed else { return Ok(()) };
        // Before anything is stored, the stream itself says all of the router.
        let (is_known, since) = (resumed.router.is_some() && resumed.behind > 0, resumed.since);
        let preamble = std::mem::take(&mut self.preamble);
        let mut result = Ok(());
        for_each_frame(&preamble, self.shared.options.message_max, |frame| {
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
        self.flush()
    }

    /// The messages of another chunk of the session's input come.
    pub(crate) fn begin_chunk(&mut self, number: u64) {
        self.standing.begin_chunk(number);
        self.chunk = number;
    }

    /// All messages of the chunk are taken in and passed on.
    pub(crate) fn end_chunk(&self, number: u64) {
        if let Some(identified) = &self.identified {
            identified.owner.progress.set_processed(number);
        }
    }
}
