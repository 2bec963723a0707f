//! The results of a run, for the log and for whoever runs the command.

use std::fmt;

use indicatif::HumanBytes;
use jiff::civil::Date;

use crate::model::RouterId;
use crate::store::archive::History;

/// A file that was written or found to have everything.
#[derive(Debug)]
pub(crate) struct Archived {
    pub(crate) history: History,
    pub(crate) day: Date,
    pub(crate) router: RouterId,
    /// The number of events in the file.
    pub(crate) rows: u64,
    /// The number of events that it had before.
    pub(crate) rows_before: u64,
    /// The size of the file in bytes.
    pub(crate) bytes: u64,
}

impl fmt::Display for Archived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Archived { history, day, router, rows, rows_before, bytes } = self;
        let bytes = HumanBytes(*bytes);
        let what = events_of(*history);
        write!(f, "{day} of router {router}: {rows} {what}, {bytes}")?;
        match rows - rows_before {
            0 => write!(f, ", which the file had"),
            _ if *rows_before == 0 => Ok(()),
            added => write!(f, ", {added} of them new"),
        }
    }
}

/// Returns the word for events of a history.
pub(super) fn events_of(history: History) -> &'static str {
    match history {
        History::Routes => "events",
        History::OtherFamilies => "events of other families",
    }
}

/// The results of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The files that were written or newly recorded.
    pub(crate) files: Vec<Archived>,
    /// Failures in words; each file is tried again at the next run.
    pub(crate) failures: Vec<String>,
    /// True if the time was over before everything was in files.
    pub(crate) is_cut: bool,
    /// True if the disk failed: it will fail for the next file too, so none was begun.
    pub(crate) is_of_disk: bool,
}
