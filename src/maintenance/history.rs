//! Days of history that are over: into files first, where there is an archive, and then out of the database.

use std::path::PathBuf;

use jiff::ToSpan;
use jiff::civil::Date;

use super::report::Report;
use crate::archive::Archive;
use crate::store::archive::{self, History};
use crate::store::partitions::{self, EVENTS, Gate, NLRI_EVENTS, Partition, SNAPSHOTS, Series};
use crate::store::{self, Client, snapshots};

/// The days that a day has been over before it goes into a file: until then late events make its file anew too often.
const CLOSED_DAYS: i64 = 1;

/// The archive of a collector or command.
#[derive(Debug)]
pub(crate) struct Archiving {
    folder: Option<PathBuf>,
    /// Kept from run to run: it knows what was counted a short time ago.
    archive: Option<Archive>,
}

impl Archiving {
    /// Returns the archive in a folder; `None`: there is none, and nothing waits for it.
    pub(crate) fn new(folder: Option<PathBuf>) -> Archiving {
        Archiving { folder, archive: None }
    }

    /// Returns the archive, opened if the folder is there by now.
    fn open(&mut self, client: &mut Client) -> store::Result<Result<Option<&mut Archive>, String>> {
        let Some(folder) = &self.folder else { return Ok(Ok(None)) };
        if self.archive.is_none() {
            match Archive::open(folder, false) {
                Ok(archive) => self.archive = Some(archive),
                Err(why) => return Ok(Err(why)),
            }
        }
        let Some(archive) = &mut self.archive else { return Ok(Ok(None)) };
        Ok(archive.check(client)?.map(|()| Some(archive)))
    }
}

impl Report {
    /// Brings days that are over into files, and drops those before `oldest`, snapshots included: with an archive only
    /// days of which every event is in a file.
    pub(super) fn keep_history(
        &mut self,
        client: &mut Client,
        archiving: &mut Archiving,
        today: Date,
        oldest: Option<Date>,
    ) -> store::Result<()> {
        match self.step(client, "opening the archive", |client| archiving.open(client))? {
            Some(Ok(None)) => {
                self.retire(client, &EVENTS, oldest, &mut |_, _| Ok(()))?;
                self.retire(client, &NLRI_EVENTS, oldest, &mut |_, _| Ok(()))?;
            }
            Some(Ok(Some(archive))) => self.archive(client, archive, today, oldest)?,
            Some(Err(why)) => {
                self.archive_failures = Some(1);
                self.failures.push(format!("{why}; history is kept"));
            }
            None => self.archive_failures = Some(1),
        }
        if let Some(oldest) = oldest {
            self.step(client, "forgetting old snapshots", |client| snapshots::forget(client, oldest))?;
        }
        self.retire(client, &SNAPSHOTS, oldest, &mut |_, _| Ok(()))
    }

    fn archive(
        &mut self,
        client: &mut Client,
        archive: &mut Archive,
        today: Date,
        oldest: Option<Date>,
    ) -> store::Result<()> {
        if self.step(client, "locking the archive", archive::begin)? != Some(true) {
            // A command writes files right now; the next run sees what it has left.
            return Ok(());
        }
        let before = today.checked_sub(CLOSED_DAYS.days()).unwrap_or(Date::MIN);
        let run = self.step(client, "archiving", |client| archive.run(client, before, true))?;
        self.archive_failures = Some(run.as_ref().map_or(1, |run| run.failures.len()));
        let run = run.unwrap_or_default();
        self.archived.extend(run.files.iter().map(ToString::to_string));
        self.failures.extend(run.failures);
        // Days that the time did not suffice for are in no file yet: retention waits without a word. A disk that is full
        // has said so.
        if !run.is_cut && !run.is_of_disk {
            for history in History::ALL {
                let mut secure =
                    |client: &mut Client, partition: &Partition| archive.secure(client, history, partition);
                self.retire(client, history.series(), oldest, &mut secure)?;
            }
        }
        archive::end(client)
    }

    fn retire(
        &mut self,
        client: &mut Client,
        series: &Series,
        oldest: Option<Date>,
        gate: Gate<'_>,
    ) -> store::Result<()> {
        let Some(oldest) = oldest else { return Ok(()) };
        let retire = |client: &mut Client| partitions::retire(client, series, oldest, gate);
        let Some(retired) = self.step(client, "listing partitions", retire)? else { return Ok(()) };
        self.dropped.extend(retired.dropped);
        let waiting = retired.waiting.into_iter().map(|(name, why)| format!("dropping {name}: {why}"));
        self.failures.extend(waiting);
        Ok(())
    }
}
