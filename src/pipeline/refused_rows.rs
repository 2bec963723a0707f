//! Rows that the database refused: one line of text each in the rejected file of their router.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::{RouterId, Timestamp};
use crate::quarantine::RejectedFile;

/// The minimum time between two log lines about refused rows.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// One writer's access to the rejected files.
#[derive(Debug)]
pub(super) struct RejectedRows {
    folder: PathBuf,
    warned: Option<Instant>,
    silent: u64,
}

impl RejectedRows {
    /// Creates a writer of rejected files below `state_dir`, which need not exist yet.
    pub(super) fn new(state_dir: &Path) -> RejectedRows {
        RejectedRows { folder: state_dir.join("rejected"), warned: None, silent: 0 }
    }

    /// Appends `row` to the router's rejected file, with the reason why it is not in the database.
    pub(super) fn keep(&mut self, router: &RouterId, row: &dyn Display, reason: &dyn Display) {
        let line = format!("{} {reason}: {row}\n", Timestamp::now());
        let kept = RejectedFile::new(&self.folder, router.as_str(), "rows").append(line.as_bytes());
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            let more = if self.silent > 0 { format!(", and {} more rows before", self.silent) } else { String::new() };
            let place = match kept {
                Ok(true) => "kept in the rejected file".to_owned(),
                Ok(false) => "not kept, there is no room in the rejected folder".to_owned(),
                Err(error) => format!("not kept: {error}"),
            };
            log::warn!("router {router}: the database refused a row ({place}{more}): {row}: {reason}");
            (self.warned, self.silent) = (Some(Instant::now()), 0);
        } else {
            self.silent += 1;
        }
    }
}
