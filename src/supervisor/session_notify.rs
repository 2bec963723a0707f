//! The thread that notifies the listeners of `rib_session` of committed rows of `session_events`.

use std::sync::Arc;
use std::time::Duration;

use super::heartbeat::Collector;
use super::reported::Reported;
use crate::metrics::Heartbeat;
use crate::pipeline::{Health, Notices};
use crate::stop::Stop;
use crate::store::sync;

/// The longest time that one round may take: a new connection and a statement of a minute.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The thread's name, also in `pg_stat_activity`.
pub(super) const THREAD: &str = "session-notify";

/// The interval at which an idle thread looks whether everything is written.
const STOP_POLL: Duration = Duration::from_millis(100);

/// The rows of one statement.
const ROWS_MAX: usize = 1000;

/// Notifies until the writers have ended.
pub(super) fn run(
    collector: &Collector,
    notices: &Notices,
    health: &Arc<Health>,
    heartbeat: &Heartbeat,
    written: &Stop,
) {
    let mut connection = Reported::new(THREAD, &collector.database_url, health, written);
    let receiver = notices.receiver();
    loop {
        heartbeat.idle();
        let is_last = written.is_stopping();
        let Ok(mut rows) = receiver.recv_timeout(if is_last { Duration::ZERO } else { STOP_POLL }) else {
            if is_last {
                return;
            }
            continue;
        };
        while rows.len() < ROWS_MAX
            && let Ok(more) = receiver.try_recv()
        {
            rows.extend(more);
        }
        heartbeat.progress();
        // While the database is away there is nobody to listen: listeners connect again and read the table.
        connection.attempt(|client| sync::notify(client, &rows));
    }
}
