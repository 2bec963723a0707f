//! One file: compared with the database, written anew if events are missing in it, verified and recorded.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;

use super::failure::Failure;
use super::merge::{Merge, Origin};
use super::names;
use super::reader::Events;
use super::report::Archived;
use super::schema::{Row, completed};
use super::sums::Sums;
use super::writer::Writer;
use crate::store::Client;
use crate::store::archive::{self as rows, History, Tally};
use crate::store::partitions::Partition;

/// A partition, and those of its events that are of one day and router.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) history: History,
    pub(super) partition: &'a Partition,
    pub(super) tally: &'a Tally,
}

/// Returns whether there is a file, with the BMP messages if they are wanted.
pub(super) fn is_there(history: History, path: &Path, with_raw: bool) -> bool {
    matches!(Events::open(history, path), Ok(Some(events)) if events.has_raw() || !with_raw)
}

/// Brings the events of a partition that are of one day and router into their file, and records it.
///
/// # Errors
/// The database, the disk or what one of them has; the file is as it was.
pub(super) fn archive(
    client: &mut Client,
    part: Part<'_>,
    (path, with_raw): (&Path, bool),
) -> Result<Archived, Failure> {
    let Part { history, tally, .. } = part;
    let old = Events::open(history, path)?;
    let rows_before = old.as_ref().map_or(0, Events::event_count);
    // A file without messages that is to get them is written anew, even if no event has one: so it says that it has all.
    let has_raw = old.as_ref().is_some_and(Events::has_raw);
    let compared = match old {
        Some(old) if has_raw || !with_raw => compare(client, part, (old, has_raw))?,
        _ => None,
    };
    let sums = match compared {
        Some(sums) => sums,
        None => write(client, part, (path, with_raw || has_raw))?,
    };
    let (rows, bytes) = (sums.rows(), fs::metadata(path).map_err(|error| Failure::of_disk(path, &error))?.len());
    let file = path.to_str().ok_or_else(|| Failure::Content(format!("{} is not UTF-8", path.display())))?;
    rows::record(client, (history, &tally.router, tally.day), file, &sums.verified())?;
    Ok(Archived { history, day: tally.day, router: tally.router.clone(), rows, rows_before, bytes })
}

/// Reads the whole file beside the events of the database. Returns the sums of the file if it has all of them.
fn compare(client: &mut Client, part: Part<'_>, (old, with_raw): (Events, bool)) -> Result<Option<Sums>, Failure> {
    let mut sums = Sums::default();
    let mut missing: u64 = 0;
    let merge = Merge::new(Some(old), |row, origin| {
        missing += u64::from(origin == Origin::Database);
        sums.add(&row);
        Ok(())
    });
    merged(client, part, with_raw, merge)?;
    Ok((missing == 0).then_some(sums))
}

/// Writes the file with the events that it has and those of the database, and reads it back before it gets its name.
fn write(client: &mut Client, part: Part<'_>, (path, with_raw): (&Path, bool)) -> Result<Sums, Failure> {
    let draft = names::draft(path);
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| Failure::of_disk(folder, &error))?;
    let written = write_draft(client, part, (path, &draft, with_raw));
    let verified = written.and_then(|written| {
        let mut read = Sums::default();
        for row in Events::open(part.history, &draft)?.into_iter().flatten() {
            read.add(&row?);
        }
        if written != read.rows() {
            let why = format!("{written} events were written, and reading the file back finds {}", read.rows());
            return Err(Failure::Content(format!("{}: {why}", draft.display())));
        }
        rename(&draft, path)?;
        Ok(read)
    });
    verified.inspect_err(|_| {
        // What it takes is what a full disk lacks.
        let _ = fs::remove_file(&draft);
    })
}

fn write_draft(
    client: &mut Client,
    part: Part<'_>,
    (path, draft, with_raw): (&Path, &Path, bool),
) -> Result<u64, Failure> {
    let mut writer = Writer::create(part.history, draft, with_raw)?;
    let merge = Merge::new(Events::open(part.history, path)?, |row: Row, _| writer.add(&row));
    merged(client, part, with_raw, merge)?;
    writer.finish()
}

/// Merges all events of the database.
fn merged(
    client: &mut Client,
    part: Part<'_>,
    with_raw: bool,
    mut merge: Merge<impl FnMut(Row, Origin) -> Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut failure = None;
    let Part { history, partition, tally } = part;
    let of = (&tally.router, tally.day);
    rows::events(client, (history, partition), of, with_raw, &mut |row| match completed(history, row)
        .and_then(|row| merge.take(row))
    {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failure {
        Some(failure) => Err(failure),
        None => merge.finish(),
    }
}

/// Gives a draft its name, and waits until the name is on the disk, with those of the folders above.
fn rename(draft: &Path, path: &Path) -> Result<(), Failure> {
    fs::rename(draft, path).map_err(|error| Failure::of_disk(path, &error))?;
    // The router, the day, the table, the archive itself.
    for folder in path.ancestors().skip(1).take(4) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Failure::of_disk(folder, &error))?;
    }
    Ok(())
}
