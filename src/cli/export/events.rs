//! Events as BGP4MP_ET, in one file or in one for each step of time.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::output::Output;
use super::selection::{Selected, part_of};
use super::unsaid::Unsaid;
use crate::cli::command::{CommandError, counted};
use crate::model::Timestamp;
use crate::mrt::messages::{BgpSession, Change, route, state};
use crate::store::Transaction;
use crate::store::mrt::{MrtEvent, MrtEventKind, down_at_first, each_event};

/// The file that events go to, and those after it.
pub(super) struct Files {
    output: Option<Output>,
    /// The folder and the step, microseconds, where each step has a file.
    steps: Option<(PathBuf, i64)>,
    /// The end of the file's step.
    until: i64,
    count: u64,
}

impl Files {
    /// Everything goes to one file.
    pub(super) fn one(path: &Path) -> Result<Files, CommandError> {
        Ok(Files { output: Some(Output::create(path)?), steps: None, until: i64::MAX, count: 1 })
    }

    /// Each step of the clock from `from` on has a file in the folder.
    pub(super) fn steps(folder: &Path, step: i64, from: Timestamp) -> Result<Files, CommandError> {
        let begin = from.unix_micros().div_euclid(step) * step;
        let mut files = Files { output: None, steps: Some((folder.to_owned(), step)), until: begin, count: 0 };
        files.reach(begin)?;
        Ok(files)
    }

    /// Finishes the files that end before this time. An earlier time than the file's belongs into it: an event that the
    /// database took late.
    fn reach(&mut self, micros: i64) -> Result<&mut Output, CommandError> {
        while let Some((folder, step)) = &self.steps
            && micros >= self.until
        {
            let path = folder.join(name("updates", Timestamp::from_unix_micros(self.until)));
            self.until += step;
            let next = Output::create(&path)?;
            self.count += 1;
            if let Some(done) = self.output.replace(next) {
                done.finish()?;
            }
        }
        Ok(self.output.as_mut().expect("there is a file from the beginning on"))
    }

    /// Finishes all files up to a time. Returns how many there are.
    pub(super) fn finish(mut self, to: Timestamp) -> Result<u64, CommandError> {
        self.reach(to.unix_micros() - 1)?;
        if let Some(last) = self.output.take() {
            last.finish()?;
        }
        Ok(self.count)
    }
}

/// Returns the name of a file as RIS and RouteViews give it: `rib.20261126.0800.bz2`.
pub(super) fn name(kind: &str, time: Timestamp) -> String {
    let digits: String = time.to_string().chars().filter(char::is_ascii_digit).take("202611260800".len()).collect();
    let (day, minute) = digits.split_at("20261126".len());
    format!("{kind}.{day}.{minute}.bz2")
}

/// Writes the events of a span. Returns their number, in words.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    selected: &Selected,
    span: (Timestamp, Timestamp),
    files: &mut Files,
    unsaid: &mut Unsaid,
) -> Result<String, CommandError> {
    let down = down_at_first(transaction, &selected.rib, &selected.tables, span)?.into_iter().collect();
    let mut writer = Writer { selected, files, unsaid, down, changes: 0, states: 0 };
    let mut failure = None;
    each_event(transaction, &selected.rib, &selected.tables, span, &mut |event| match writer.event(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failure {
        None => Ok(format!("{}, {} of peers", counted(writer.changes, "change"), counted(writer.states, "state"))),
        Some(error) => Err(error),
    }
}

/// Writes events one after another.
struct Writer<'a> {
    selected: &'a Selected,
    files: &'a mut Files,
    unsaid: &'a mut Unsaid,
    /// The peers that are down; `None` is the Loc-RIB.
    down: HashSet<Option<IpAddr>>,
    changes: u64,
    states: u64,
}

impl Writer<'_> {
    fn event(&mut self, event: &MrtEvent<'_>) -> Result<(), CommandError> {
        let part = part_of(event.table.unwrap_or_default()).1;
        let (destination, path_id, attributes) = match &event.kind {
            MrtEventKind::Up => return self.state(event, true),
            MrtEventKind::Down => return self.state(event, false),
            MrtEventKind::Announced { prefix, path_id, columns } => {
                let Some((destination, attributes)) = self.unsaid.encode(part, prefix, columns) else { return Ok(()) };
                // That the peer is up is stored after its first routes.
                self.state(event, true)?;
                (destination, *path_id, Some(attributes))
            }
            MrtEventKind::Withdrawn { prefix, path_id } => (part.withdrawn(prefix), *path_id, None),
        };
        let session = self.session(event);
        let output = self.files.reach(event.time.unix_micros())?;
        let change = attributes.as_deref().map_or(Change::Withdrawn, Change::Announced);
        self.changes += 1;
        route(output.writer(), event.time, &session, (&destination, path_id), change)
            .map_err(|error| output.failed(&error))
    }

    /// Writes a state of the peer if it is another one: a peer that goes down has a row for each table.
    fn state(&mut self, event: &MrtEvent<'_>, is_up: bool) -> Result<(), CommandError> {
        let peer = event.peer.map(|peer| peer.address);
        let is_new = if is_up { self.down.remove(&peer) } else { self.down.insert(peer) };
        if !is_new {
            return Ok(());
        }
        let session = self.session(event);
        let output = self.files.reach(event.time.unix_micros())?;
        self.states += 1;
        state(output.writer(), event.time, &session, is_up).map_err(|error| output.failed(&error))
    }

    /// Returns the session of an event; the Loc-RIB is one of the router with itself.
    fn session(&self, event: &MrtEvent<'_>) -> BgpSession {
        let Selected { address, asn, .. } = *self.selected;
        let (peer, peer_asn) = event.peer.map_or((address, asn), |peer| (peer.address, peer.asn));
        BgpSession { peer, peer_asn, local: address, local_asn: asn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_their_minute() {
        let time = Timestamp::from_unix_micros(1_700_000_000_123_456);
        assert_eq!(name("updates", time), "updates.20231114.2213.bz2");
    }
}
