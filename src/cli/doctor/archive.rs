//! The check of `doctor` on the files of the history.

use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;

use super::check::CheckResult;
use crate::archive::Archive;
use crate::store::{self, Client, partitions};

const NAME: &str = "archive";

/// The days that a day may be over without being in a file: maintenance waits for one, and has another one for it.
const LATE_DAYS: i64 = 2;

/// Returns the result; `None`: there is no archive.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn check(folder: Option<&Path>, client: &mut Client) -> store::Result<Option<CheckResult>> {
    let Some(folder) = folder else { return Ok(None) };
    let remedy = "create it, mount it, or correct RIB_INGESTER_ARCHIVE_DIR; history is kept until then";
    let archive = match Archive::open(folder, false) {
        Ok(archive) => archive,
        Err(why) => return Ok(Some(CheckResult::fault(NAME, why, remedy))),
    };
    if let Err(why) = archive.check(client)? {
        return Ok(Some(CheckResult::fault(NAME, why, remedy)));
    }
    let before = partitions::today(client)?.checked_sub(LATE_DAYS.days()).unwrap_or(Date::MIN);
    let lacking = archive.lacking(client, before)?;
    Ok(Some(match lacking.as_slice() {
        [] => CheckResult::fine(NAME, format!("{}: has the days that are over", folder.display())),
        [first, ..] => CheckResult::warning(
            NAME,
            format!("partitions that are over and not in it: {}, the first is {first}", lacking.len()),
            "run `rib-ingester archive`: it says why",
        ),
    }))
}
