//! The archive in a folder: which partitions are to be brought into files, and which may be dropped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::civil::Date;

use super::day::Part;
use super::failure::Failure;
use super::report::{Report, events_of};
use super::{day, names};
use crate::model::RouterId;
use crate::store::archive::{self as rows, History, Tally};
use crate::store::partitions::{self, EVENTS, Partition};
use crate::store::{Client, Error, Result};

/// The time from one count of the events of a partition whose days are in files to the next.
const COUNT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after which a run of maintenance begins no other file: partitions and retention do not wait longer.
const RUN_MAX: Duration = Duration::from_secs(10 * 60);

/// A folder with files, and what this process knows about the partitions that are in it.
#[derive(Debug)]
pub(crate) struct Archive {
    /// The absolute path of the folder.
    folder: PathBuf,
    /// True if the files get the BMP messages too.
    with_raw: bool,
    /// The time when all of a partition was last seen in files.
    counted: HashMap<String, Instant>,
    /// The events that were all found in files, of a partition that is about to be dropped.
    compared: HashMap<String, Vec<Tally>>,
}

/// The extent of a comparison of a partition with its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Files with as many events as the partition are complete: nothing deletes events, and only later ones are added.
    Counts,
    /// Each event is looked for.
    Events,
}

impl Archive {
    /// Opens the archive in a folder, which has to exist: a folder that is not mounted must not be filled.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(folder: &Path, with_raw: bool) -> std::result::Result<Archive, String> {
        let failed = |error: &dyn std::fmt::Display| format!("archive folder {}: {error}", folder.display());
        let whole = folder.canonicalize().map_err(|error| failed(&error))?;
        if !whole.is_dir() {
            return Err(failed(&"is not a folder"));
        }
        if whole.to_str().is_none() {
            return Err(failed(&"is not UTF-8, and the table archives holds its name"));
        }
        Ok(Archive { folder: whole, with_raw, counted: HashMap::new(), compared: HashMap::new() })
    }

    /// Refuses a history without partitions of PostgreSQL's own, and a folder that lost its files, as one that is not
    /// mounted.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn check(&self, client: &mut Client) -> Result<std::result::Result<(), String>> {
        if !partitions::is_partitioned(client, &EVENTS)? {
            let why = "route_events has no partitions of PostgreSQL's own, as with TimescaleDB: no day can be archived";
            return Ok(Err(why.to_owned()));
        }
        for history in History::ALL {
            let prefix = self.prefix(history);
            if !Path::new(&prefix).is_dir() && rows::has_files(client, &prefix)? {
                let why = "is empty, and archives has files in it: mount it; if they are gone, delete those rows";
                return Ok(Err(format!("archive folder {prefix}: {why}")));
            }
        }
        Ok(Ok(()))
    }

    /// Brings all partitions that end before `before` into files; the caller has the lock. With a limit it begins no
    /// other file after [`RUN_MAX`], and does not count partitions again that were whole a short time ago.
    ///
    /// # Errors
    /// The connection broke; failures of single files are in the report.
    pub(crate) fn run(&mut self, client: &mut Client, before: Date, is_limited: bool) -> Result<Report> {
        let started = Instant::now();
        let mut report = Report::default();
        let mut all = Vec::new();
        for history in History::ALL {
            all.extend(partitions::list(client, history.series())?.into_iter().map(|partition| (history, partition)));
        }
        self.counted.retain(|name, _| all.iter().any(|(_, partition)| partition.name == *name));
        self.compared.retain(|name, _| all.iter().any(|(_, partition)| partition.name == *name));
        for (history, partition) in all.iter().filter(|(_, partition)| partition.is_archivable(before)) {
            let is_recent = self.counted.get(&partition.name).is_some_and(|at| at.elapsed() < COUNT_EVERY);
            if is_limited && is_recent {
                continue;
            }
            let until = is_limited.then(|| started + RUN_MAX);
            let whole = self.store(client, (*history, partition), Extent::Counts, (until, &mut report));
            match whole {
                Ok(true) => {
                    self.counted.insert(partition.name.clone(), Instant::now());
                }
                Ok(false) if report.is_cut => break,
                Ok(false) => {}
                Err(error) if client.is_closed() => return Err(error),
                Err(error) => report.failures.push(format!("archiving {}: {error}", partition.name)),
            }
            if report.is_of_disk {
                break;
            }
        }
        Ok(report)
    }

    /// Makes sure that every event of a partition is in a file before the partition is detached, and once more before
    /// its table is dropped: events may have come in between. The caller has the lock.
    ///
    /// # Errors
    /// The partition has to stay.
    pub(crate) fn secure(&mut self, client: &mut Client, history: History, partition: &Partition) -> Result<()> {
        let counts = rows::tally(client, partition, &self.prefix(history))?;
        if self.compared.get(&partition.name).is_some_and(|compared| is_same(compared, &counts)) {
            return Ok(());
        }
        let mut report = Report::default();
        let is_whole = self.store(client, (history, partition), Extent::Events, (None, &mut report))?;
        if !is_whole {
            return Err(Error::Locked(format!("not in the archive: {}", report.failures.join("; "))));
        }
        self.compared.insert(partition.name.clone(), counts);
        Ok(())
    }

    /// Brings the events of a partition into files. Returns whether all are there.
    fn store(
        &self,
        client: &mut Client,
        (history, partition): (History, &Partition),
        extent: Extent,
        (until, report): (Option<Instant>, &mut Report),
    ) -> Result<bool> {
        let mut is_whole = true;
        for tally in rows::tally(client, partition, &self.prefix(history))? {
            let path = names::file(&self.folder, history, &tally.router, tally.day);
            let is_done = extent == Extent::Counts
                && partition.day() == Some(tally.day)
                && tally.archived == Some(tally.rows)
                && day::is_there(history, &path, self.with_raw);
            if is_done {
                continue;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                report.is_cut = true;
                return Ok(false);
            }
            match day::archive(client, Part { history, partition, tally: &tally }, (&path, self.with_raw)) {
                Ok(archived) => report.files.push(archived),
                Err(Failure::Store(error)) if client.is_closed() => return Err(error),
                Err(failure) => {
                    is_whole = false;
                    report.is_of_disk = matches!(failure, Failure::Disk(_));
                    let what = match history {
                        History::Routes => String::new(),
                        History::OtherFamilies => format!("{} of ", events_of(history)),
                    };
                    let of = format!("{} of router {}", tally.day, tally.router);
                    report.failures.push(format!("archiving {what}{of}: {failure}"));
                    if report.is_of_disk {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(is_whole)
    }

    /// Returns the partitions that end before `before`, have events and no file of their days: what a look can tell.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub(crate) fn lacking(&self, client: &mut Client, before: Date) -> Result<Vec<String>> {
        let mut lacking = Vec::new();
        for history in History::ALL {
            for partition in partitions::list(client, history.series())? {
                if partition.is_archivable(before) && rows::is_without_files(client, &partition, &self.prefix(history))?
                {
                    lacking.push(partition.name);
                }
            }
        }
        Ok(lacking)
    }

    /// Returns the beginning of the path of every file of a history.
    fn prefix(&self, history: History) -> String {
        names::prefix(&self.folder, history)
    }
}

/// Returns whether a partition has the same numbers of events as before.
fn is_same(before: &[Tally], now: &[Tally]) -> bool {
    let counts = |all: &[Tally]| -> Vec<(Date, RouterId, u64)> {
        all.iter().map(|tally| (tally.day, tally.router.clone(), tally.rows)).collect()
    };
    counts(before) == counts(now)
}
