//! Refused connections: each one is logged, and each source gets a row of `session_events` periodically.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;

use super::peer_records::router_note;
use crate::model::SessionEventKind;
use crate::pipeline::{PipelineSender, StateItem};

/// A refused source gets one row of `session_events` per this time, however often it reconnects: often enough for
/// `status`, which covers the last week, and seldom enough for the 400 days that the rows are kept.
const NOTE_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// The maximum number of refused sources remembered; further ones are logged but get no rows.
const SOURCES_MAX: usize = 1_024;

/// Refused sources, with the time of each one's last row.
#[derive(Debug, Default)]
pub struct Refusals {
    noted: Mutex<HashMap<IpAddr, Instant>>,
}

impl Refusals {
    /// Logs that a connection from `source` was refused and writes a row if one is due; `why` tells the operator how to
    /// fix it.
    pub fn refuse(&self, pipeline: &PipelineSender, source: IpAddr, why: &str) {
        warn!("router at {source}: refused: {why}");
        if self.is_due(source, Instant::now()) {
            let mut note = router_note(SessionEventKind::Refused, Some(why), None);
            note.peer_address = Some(source);
            // Unauthorized sources must not be able to block the listener: when the queues are full, only the log line
            // is written.
            let _ = pipeline.any_state().try_send(StateItem::Note(None, note));
        }
    }

    fn is_due(&self, source: IpAddr, now: Instant) -> bool {
        // A panic elsewhere leaves the map consistent.
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|_, at| now.duration_since(*at) < NOTE_EVERY);
        if noted.len() >= SOURCES_MAX || noted.contains_key(&source) {
            return false;
        }
        noted.insert(source, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_comes_back_has_a_row_every_six_hours() {
        let refusals = Refusals::default();
        let (source, begin) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let due = |minutes: u64| refusals.is_due(source, begin + Duration::from_secs(minutes * 60));
        let rows: Vec<u64> = (0..24 * 60).filter(|minutes| due(*minutes)).collect();
        assert_eq!(rows, [0, 360, 720, 1_080]);
    }

    #[test]
    fn a_flood_of_sources_does_not_fill_the_memory() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let due = (0..10_000u32).filter(|i| refusals.is_due(std::net::Ipv4Addr::from(*i).into(), now)).count();
        assert_eq!(due, SOURCES_MAX);
        assert_eq!(refusals.noted.lock().unwrap().len(), SOURCES_MAX);
    }
}
