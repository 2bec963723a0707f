//! The lost part of a session's input and the reason, reported at once, however the session ends.

use std::path::Path;

use super::{Inner, Intake, SessionEnd};
use crate::quarantine::RejectedFile;
use crate::spool::{Spool, Stream};

/// The maximum of unreadable input that is kept, bytes: the limit of a file of it.
const DAMAGE_MAX: u64 = 16 << 20;

impl Intake {
    /// Returns the part of the input that is given up when the session ends by `end` with `skipped` of its messages not
    /// applied; `None`: nothing.
    pub fn lost(&self, spool: &Spool, end: &SessionEnd, skipped: usize) -> Option<String> {
        let mut inner = self.lock();
        let unread = inner.stream.as_ref().map_or(0, Stream::unread);
        // A session that was not given its router has changed nothing.
        let is_unapplied = self.standing.owner().is_none()
            && self.standing.is_identified()
            && (inner.is_replay || !inner.window.is_empty());
        let is_applied = unread == 0 && skipped == 0 && !is_unapplied;
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
            SessionEnd::Superseded
            | SessionEnd::OwnershipLost
            | SessionEnd::DatabaseDiffers
            | SessionEnd::DatabaseRefused(_)
            | SessionEnd::AddPath(_)
            | SessionEnd::Drift(_) => (!is_applied).then(|| match (is_unapplied, unread) {
                (true, _) => "none of it is applied".to_owned(),
                (false, 0) => format!("{skipped} messages not applied"),
                (false, unread) => format!("{skipped} messages and {unread} bytes of spooled input not applied"),
            }),
            SessionEnd::Panicked => Some("input not applied".to_owned()),
        };
        if let Some(what) = what {
            // It would be the same at each start.
            let fails_again = inner.is_replay || matches!(end, SessionEnd::Panicked | SessionEnd::DatabaseRefused(_));
            let kept = if fails_again { inner.set_aside(self, spool) } else { String::new() };
            inner.note_loss(self, spool, &format!("input lost: {what}: {end}{kept}"));
        }
        inner.lost.clone()
    }

    /// Returns whether any of it is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.lock().lost.is_some()
    }

    /// Keeps the end of a chunk, which is no BMP by today's settings. Returns what is to be said of it.
    pub(crate) fn out_of_step(&self, spool: &Spool, rest: &[u8]) -> String {
        let mut file = self.file(&spool.set_aside_dir(), "bmp");
        let kept = keep(&mut file, rest);
        format!("{} bytes of spooled input are not BMP messages of an allowed length{kept}", rest.len())
    }

    /// A file of this session's input, for what is set aside.
    fn file(&self, folder: &Path, ending: &str) -> RejectedFile {
        let router = self.standing.router().map_or_else(|| self.source_address.to_string(), |id| id.to_string());
        RejectedFile::new(folder, &format!("{router}-{}", self.number), ending)
    }

    /// Returns the name of the router in the log.
    pub(super) fn subject(&self) -> String {
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

    /// Keeps the bytes of a record that cannot be read. Returns what is to be said of it.
    pub(super) fn set_damage_aside(&mut self, intake: &Intake, spool: &Spool, bytes: u64) -> String {
        let mut file = intake.file(&spool.set_aside_dir(), "damaged");
        let damage = self.stream.as_ref().map_or_else(|| Ok(Vec::new()), |stream| stream.damage(DAMAGE_MAX));
        let kept = match damage.and_then(|damage| file.append(&damage)) {
            Ok(true) => format!("kept in {}: ", file.path().display()),
            Ok(false) => format!("no room for them in {}: ", file.path().display()),
            Err(error) => format!("not kept: {error}: "),
        };
        format!("{kept}{bytes} bytes of spooled input cannot be read")
    }

    /// Keeps what is not stored of the input, in a form that `decode` reads: first what it has to know. Returns what is
    /// to be said of it.
    fn set_aside(&mut self, intake: &Intake, spool: &Spool) -> String {
        if let Err(error) = self.remember() {
            return format!("; not kept: {error}");
        }
        let mut file = intake.file(&spool.set_aside_dir(), "bmp");
        let (mut kept, mut all, mut error) = (0, 0, None);
        let mut keep = |bytes: &[u8]| {
            all += bytes.len();
            match if error.is_some() { Ok(false) } else { file.append(bytes) } {
                Ok(true) => kept += bytes.len(),
                Ok(false) => error = error.take().or_else(|| Some("no room for more".to_owned())),
                Err(failed) => error = Some(failed.to_string()),
            }
        };
        keep(&self.preamble.to_bytes());
        let stored = self.stored;
        let read =
            self.stream.as_ref().map_or(Ok(()), |stream| stream.reread(stored, u64::MAX, |chunk| keep(&chunk.bytes)));
        self.window.iter().filter(|chunk| chunk.number > stored).for_each(|chunk| keep(&chunk.bytes));
        let error = read.err().map(|failed| failed.to_string()).or(error);
        let why = error.map(|error| format!(": {error}")).unwrap_or_default();
        format!("; {kept} of {all} bytes are kept in {}{why}", file.path().display())
    }

    /// Says it at once; the row in the database follows when that can be.
    fn note_loss(&mut self, intake: &Intake, spool: &Spool, what: &str) {
        spool.count_gap();
        log::error!("{}: {what}", intake.subject());
        self.lost.get_or_insert_with(|| what.to_owned());
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
