//! Deletes by age: closed incidents with everything of theirs, and silences that are over.

use postgres::Client;
use postgres::types::Type;

use crate::model::Timestamp;
use crate::store::error::Result;
use crate::store::time::system_time;

/// The incidents that one statement deletes.
const CHUNK: i64 = 2_000;

/// The statements of one call: what is left is deleted by the next one.
const CHUNKS_MAX: usize = 50;

/// Deletes what has been closed, or over, for this many days at this time. Returns the number of incidents.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget(client: &mut Client, now: Timestamp, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let now = system_time(now);
    let mut forgotten = 0;
    for _ in 0..CHUNKS_MAX {
        let statement = include_str!("../../../sql/statements/watch_forget_incidents.sql");
        let gone =
            client.execute_typed(statement, &[(&days, Type::INT4), (&CHUNK, Type::INT8), (&now, Type::TIMESTAMPTZ)])?;
        forgotten += gone;
        if i64::try_from(gone).is_ok_and(|gone| gone < CHUNK) {
            break;
        }
    }
    client.execute_typed(
        "DELETE FROM watch.silences s WHERE LEAST(s.ends_at, s.ended_at) < $2::timestamptz - make_interval(days => $1)
             AND NOT EXISTS (SELECT FROM watch.incidents i WHERE i.silence_id = s.id AND i.state <> 'closed')",
        &[(&days, Type::INT4), (&now, Type::TIMESTAMPTZ)],
    )?;
    Ok(forgotten)
}
