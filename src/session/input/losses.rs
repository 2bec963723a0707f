//! The lost part of a session's input and the reason, reported at once, however the session ends.

use std::path::Path;

use super::super::end::{Cause, GapAfter};
use super::{Inner, Input, Next, SessionEnd};
use crate::journal::{JournalError, Loss, LossNote, Stream};
use crate::quarantine::RejectedFile;

/// The maximum of unreadable input that is kept, bytes: the limit of a file of it.
const DAMAGE_MAX: u64 = 16 << 20;

impl Input {
    /// Returns the part of the input that is given up when the session ends by `end` with `skipped` of its messages not
    /// applied; `None`: nothing.
    pub fn lost(&self, end: &SessionEnd, skipped: usize, peer_ups: &[u8]) -> Option<String> {
        let mut inner = self.lock();
        let unread = inner.read - inner.taken + inner.unread_of_replay();
        // A session that was not given its router has changed nothing.
        let is_unapplied = self.owner.get().is_none()
            && self.router.get().is_some()
            && (inner.is_replay || inner.read > 0 && inner.standby.is_none());
        let is_applied = unread == 0 && skipped == 0 && !is_unapplied;
        let gap = end.consequences().gap;
        let what = match gap {
            GapAfter::Never | GapAfter::ExitStatus | GapAfter::Reported => None,
            GapAfter::IfUnapplied | GapAfter::IfUnappliedSetAside => {
                (!is_applied).then(|| match (is_unapplied, unread) {
                    (true, _) => "none of it is applied".to_owned(),
                    (false, 0) => format!("{skipped} messages not applied"),
                    (false, unread) => format!("{skipped} messages and {unread} bytes of input not applied"),
                })
            }
            GapAfter::AlwaysSetAside => Some("input not applied".to_owned()),
        };
        if let Some(what) = what {
            // It would be the same at each start.
            let fails_again =
                inner.is_replay || matches!(gap, GapAfter::AlwaysSetAside | GapAfter::IfUnappliedSetAside);
            let kept = if fails_again { inner.set_aside(self, peer_ups) } else { String::new() };
            inner.note_loss(self, &format!("input lost: {what}: {end}{kept}"));
        }
        inner.lost.clone()
    }

    /// Takes the note of the loss, for the one who reports it without the input: the stream does not keep it any more.
    pub(crate) fn take_loss_note(&self) -> Option<LossNote> {
        let mut inner = self.lock();
        if inner.loss_note.is_none()
            && let Some(lost) = &inner.lost
        {
            let note = self.note_lost(lost);
            if note.is_some() {
                inner.stream.iter().for_each(Stream::forget_lost);
            }
            inner.loss_note = note;
        }
        inner.loss_note.take()
    }

    fn note_lost(&self, what: &str) -> Option<LossNote> {
        let router = self.router.get().map(|router| router.as_str().to_owned());
        let source = Some(self.source_address.to_string());
        self.journal.note_lost(&Loss { router, source, what: what.to_owned() })
    }

    /// Returns whether any of it is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.lock().lost.is_some()
    }

    /// Keeps the end of a chunk, which is no BMP by today's settings. Returns what is to be said of it.
    pub(crate) fn out_of_step(&self, rest: &[u8]) -> String {
        let mut file = self.file(&self.journal.set_aside_dir(), "bmp");
        let kept = keep(&mut file, rest);
        format!("{} bytes of input are not BMP messages of an allowed length{kept}", rest.len())
    }

    /// A file of this session's input, for what is set aside.
    fn file(&self, folder: &Path, ending: &str) -> RejectedFile {
        let router = self.router.get().map_or_else(|| self.source_address.to_string(), |id| id.to_string());
        RejectedFile::new(folder, &format!("{router}-{}", self.number), ending)
    }

    /// Returns the name of the router in the log.
    pub(super) fn subject(&self) -> String {
        match self.router.get() {
            Some(router) => format!("router {router}"),
            None => format!("router at {}", self.source_address),
        }
    }
}

impl Inner {
    /// Returns the bytes that an earlier process left and that were not read yet.
    pub(super) fn unread_of_replay(&self) -> u64 {
        self.stream.as_ref().filter(|_| self.is_replay).map_or(0, Stream::unread)
    }

    /// Some of the journal cannot be read. A session that goes on needs a new dump then.
    pub(super) fn damaged(&mut self, input: &Input, bytes: u64) -> Next {
        let what = self.set_damage_aside(input, bytes);
        if self.is_replay {
            return Next::Damaged(what);
        }
        let end = SessionEnd::new(Cause::JournalDamaged, bytes);
        self.note_loss(input, &what);
        Next::End(end)
    }

    /// The journal cannot be read: what comes last is lost, whatever ends the session.
    pub(super) fn lose_unread(&mut self, input: &Input, error: &JournalError) -> SessionEnd {
        input.journal.note_error(error);
        let end = SessionEnd::new(Cause::Journal, error);
        self.note_loss(input, &end.to_string());
        end
    }

    /// Keeps the bytes of a record that cannot be read. Returns what is to be said of it.
    pub(super) fn set_damage_aside(&mut self, input: &Input, bytes: u64) -> String {
        let mut file = input.file(&input.journal.set_aside_dir(), "damaged");
        let damage = self.stream.as_mut().map_or_else(|| Ok(Vec::new()), |stream| stream.damage(DAMAGE_MAX));
        let kept = match damage.and_then(|damage| file.append(&damage)) {
            Ok(true) => format!("kept in {}: ", file.path().display()),
            Ok(false) => format!("no room for them in {}: ", file.path().display()),
            Err(error) => format!("not kept: {error}: "),
        };
        format!("{kept}{bytes} bytes of input cannot be read")
    }

    /// Keeps what is not stored of the input, in a form that `decode` reads: first what it has to know. Returns what is
    /// to be said of it.
    fn set_aside(&mut self, input: &Input, peer_ups: &[u8]) -> String {
        let mut file = input.file(&input.journal.set_aside_dir(), "bmp");
        let (mut kept, mut all, mut error) = (0, 0, None);
        let mut keep = |bytes: &[u8]| {
            all += bytes.len();
            match if error.is_some() { Ok(false) } else { file.append(bytes) } {
                Ok(true) => kept += bytes.len(),
                Ok(false) => error = error.take().or_else(|| Some("no room for more".to_owned())),
                Err(failed) => error = Some(failed.to_string()),
            }
        };
        keep(peer_ups);
        let read = self.reread(&(input.stored().unwrap_or(0)..u64::MAX), |chunk| keep(&chunk.bytes));
        let error = read.err().map(|failed| failed.to_string()).or(error);
        let why = error.map(|error| format!(": {error}")).unwrap_or_default();
        format!("; {kept} of {all} bytes are kept in {}{why}", file.path().display())
    }

    /// Says it at once; the row in the database follows when that can be.
    pub(super) fn note_loss(&mut self, input: &Input, what: &str) {
        input.journal.count_gap();
        log::error!("{}: {what}", input.subject());
        self.keep_loss(input, what);
    }

    /// Keeps it for the next start, in case that this process does not get to report it.
    pub(super) fn keep_loss(&mut self, input: &Input, what: &str) {
        if self.lost.is_some() {
            return;
        }
        self.lost = Some(what.to_owned());
        if self.stream.as_ref().is_some_and(|stream| stream.note_lost(what).is_ok()) {
            return;
        }
        self.loss_note = input.note_lost(what);
    }

    /// Removes the note of the loss: it is reported, or nothing is lost.
    pub(super) fn forget_loss(&mut self) {
        self.loss_note.take().into_iter().for_each(LossNote::forget);
    }
}

/// Keeps these bytes; what is to be said of them.
fn keep(file: &mut RejectedFile, bytes: &[u8]) -> String {
    match file.append(bytes) {
        Ok(true) => format!("; kept in {}", file.path().display()),
        Ok(false) => format!("; no room for them in {}", file.path().display()),
        Err(error) => format!("; not kept: {}: {error}", file.path().display()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use super::*;
    use crate::journal::Journal;
    use crate::model::{RouterId, Timestamp};

    #[test]
    fn a_loss_outlives_its_input_until_it_is_reported() {
        let folder = std::env::temp_dir().join(format!("rib-ingester-losses-{}", std::process::id()));
        let open = || Journal::open(&folder.join("journal"), Some(1 << 30)).unwrap().0;
        let unreported = |journal: Arc<Journal>| {
            let all = journal.take_unreported().into_iter();
            all.map(|(loss, _)| (loss.router.unwrap_or_default(), loss.what)).collect::<Vec<_>>()
        };
        let (journal, source) = (open(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let [on_the_disk, not_there, unnamed] = [1, 2, 3].map(|number| Input::new(number, source, &journal));
        on_the_disk.identify(&RouterId::new("10.0.0.1"));
        assert!(on_the_disk.append(Timestamp::from_unix_micros(7), [1; 5].into()));
        not_there.identify(&RouterId::new("10.0.0.2"));
        let all = [&on_the_disk, &not_there, &unnamed];
        for (input, what) in all.into_iter().zip(["one", "two", "three"]) {
            input.lock().note_loss(input, what);
        }
        let notes: Vec<_> = all.iter().map(|input| input.take_loss_note().unwrap()).collect();
        on_the_disk.discard();
        not_there.discard();
        assert!(!unnamed.park(false).unwrap());
        drop((on_the_disk, not_there, unnamed));
        // As the death of the process does.
        let file = folder.join("journal/losses");
        let left = fs::read(&file).unwrap();
        notes.into_iter().for_each(LossNote::forget);
        drop(journal);
        assert_eq!(unreported(open()), []);
        fs::write(&file, left).unwrap();
        let want = [("10.0.0.2", "two"), ("", "three"), ("10.0.0.1", "one")];
        assert_eq!(unreported(open()), want.map(|(router, what)| (router.to_owned(), what.to_owned())));
        fs::remove_dir_all(&folder).unwrap();
    }
}
