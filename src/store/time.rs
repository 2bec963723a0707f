//! Times between the model and the client of PostgreSQL.

use std::time::{Duration, SystemTime};

use super::error::{Error, Result};
use crate::model::Timestamp;

/// Converts a `timestamptz` from the client's type.
pub(super) fn read_time(time: SystemTime) -> Result<Timestamp> {
    let absurd = |_| Error::Unexpected("a time that cannot be".to_owned());
    let micros = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).map_err(absurd)?,
        Err(before) => -i64::try_from(before.duration().as_micros()).map_err(absurd)?,
    };
    Ok(Timestamp::from_unix_micros(micros))
}

/// Converts a time to the client's type.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    let micros = Duration::from_micros(time.unix_micros().unsigned_abs());
    if time.unix_micros() < 0 { SystemTime::UNIX_EPOCH - micros } else { SystemTime::UNIX_EPOCH + micros }
}
