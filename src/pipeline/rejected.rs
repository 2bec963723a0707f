//! Rows that the database refused: one line of text each, in `<state dir>/rejected/<router>.rows`.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::{RouterId, Timestamp};

/// How large one router's file may grow; what comes then is only counted.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often the log speaks of rejected rows.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// One writer's way to the rejected files.
#[derive(Debug)]
pub(super) struct RejectedRows {
    folder: PathBuf,
    warned: Option<Instant>,
    silent: u64,
}

impl RejectedRows {
    /// Writes below `state_dir`, which need not exist yet.
    pub(super) fn new(state_dir: &Path) -> RejectedRows {
        RejectedRows { folder: state_dir.join("rejected"), warned: None, silent: 0 }
    }

    /// Keeps `row` with the reason why it is not in the database.
    pub(super) fn keep(&mut self, router: &RouterId, row: &dyn Display, reason: &dyn Display) {
        let line = format!("{} {reason}: {row}\n", Timestamp::now());
        let kept = self.append(router, &line);
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            let more = if self.silent > 0 { format!(", and {} more rows before", self.silent) } else { String::new() };
            let place = match kept {
                Ok(true) => "kept in the rejected file".to_owned(),
                Ok(false) => "not kept, the rejected file is full".to_owned(),
                Err(error) => format!("not kept: {error}"),
            };
            log::warn!("router {router}: the database refused a row ({place}{more}): {row}: {reason}");
            (self.warned, self.silent) = (Some(Instant::now()), 0);
        } else {
            self.silent += 1;
        }
    }

    fn append(&self, router: &RouterId, line: &str) -> io::Result<bool> {
        fs::create_dir_all(&self.folder)?;
        let mut file = OpenOptions::new().create(true).append(true).open(self.folder.join(file_name(router)))?;
        if file.metadata()?.len() >= FILE_BYTES_MAX {
            return Ok(false);
        }
        file.write_all(line.as_bytes())?;
        Ok(true)
    }
}

/// A router's identifier may be any text: what could lead out of the folder becomes an underscore.
fn file_name(router: &RouterId) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-') { c } else { '_' };
    let name: String = router.as_str().chars().map(safe).take(200).collect();
    format!("{}.rows", name.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        let check = |id: &str, name: &str| assert_eq!(file_name(&RouterId::new(id)), name);
        check("10.0.0.2", "10.0.0.2.rows");
        check("2001:db8::1", "2001:db8::1.rows");
        check("../../etc/passwd", "_.._etc_passwd.rows");
        check("..", ".rows");
    }
}
