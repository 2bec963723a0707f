//! Refused connections: a router that connects again every few seconds, or a health check that is not in the allow-list,
//! costs a line an hour, and each source gets a row of `session_events` periodically.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::peer_records::router_note;
use crate::model::SessionEventKind;
use crate::pipeline::{PipelineSender, StateItem};

/// A refused source gets one row of `session_events` per this time, however often it reconnects: often enough for
/// `status`, which covers the last week, and seldom enough for the 400 days that the rows are kept.
const NOTE_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// A refused source gets one line of the log per this time for each reason.
const LINE_EVERY: Duration = Duration::from_secs(60 * 60);

/// The maximum number of refused sources remembered, and of their reasons; further ones are logged but get no rows.
const SOURCES_MAX: usize = 1_024;

/// Refused sources.
#[derive(Debug, Default)]
pub struct Refusals {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The time of each source's last row.
    noted: HashMap<IpAddr, Instant>,
    /// The last line of each source and reason.
    told: HashMap<(IpAddr, String), Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// The refusals since.
    more: u64,
}

impl Refusals {
    /// Logs that a connection from `source` was refused, and writes a row, if they are due; `why` tells the operator how
    /// to fix it.
    pub fn refuse(&self, pipeline: &PipelineSender, source: IpAddr, why: &str) {
        let now = Instant::now();
        match self.line_due(source, why, now) {
            None => debug!("router at {source}: refused again: {why}"),
            Some(0) => warn!("router at {source}: refused: {why}"),
            Some(more) => warn!("router at {source}: refused: {why}; {more} more times since the last such line"),
        }
        if self.is_due(source, now) {
            let mut note = router_note(SessionEventKind::Refused, Some(why), None);
            note.peer_address = Some(source);
            // Unauthorized sources must not be able to block the listener: when the queues are full, only the log line
            // is written.
            let _ = pipeline.any_state().try_send(StateItem::Note(None, note));
        }
    }

    /// Returns the refusals since the last line if one is due.
    fn line_due(&self, source: IpAddr, why: &str, now: Instant) -> Option<u64> {
        // A panic elsewhere leaves the maps consistent.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = inner.told.len() >= SOURCES_MAX;
        if let Some(told) = inner.told.get_mut(&(source, why.to_owned())) {
            if now.duration_since(told.at) < LINE_EVERY {
                told.more += 1;
                return None;
            }
            return Some(std::mem::replace(told, Told { at: now, more: 0 }).more);
        }
        if is_full {
            inner.told.retain(|_, told| now.duration_since(told.at) < LINE_EVERY);
        }
        if inner.told.len() < SOURCES_MAX {
            inner.told.insert((source, why.to_owned()), Told { at: now, more: 0 });
        }
        Some(0)
    }

    fn is_due(&self, source: IpAddr, now: Instant) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.noted.retain(|_, at| now.duration_since(*at) < NOTE_EVERY);
        if inner.noted.len() >= SOURCES_MAX || inner.noted.contains_key(&source) {
            return false;
        }
        inner.noted.insert(source, now);
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
        assert_eq!(refusals.inner.lock().unwrap().noted.len(), SOURCES_MAX);
    }
    #[test]
    fn a_source_that_comes_back_has_a_line_every_hour() {
        let refusals = Refusals::default();
        let (source, begin) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let due = |seconds: u64, why| refusals.line_due(source, why, begin + Duration::from_secs(seconds));
        let lines: Vec<(u64, u64)> =
            (0..9_000).step_by(5).filter_map(|second| Some((second, due(second, "why")?))).collect();
        assert_eq!(lines, [(0, 0), (3_600, 719), (7_200, 719)]);
        assert_eq!((due(9_000, "another reason"), due(9_001, "another reason")), (Some(0), None));
    }

    #[test]
    fn a_flood_of_sources_has_lines_of_its_own() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let line = |i: u32, at| refusals.line_due(std::net::Ipv4Addr::from(i).into(), "why", at);
        // The first ones are remembered, the others are logged each time.
        assert_eq!((0..10_000).filter(|i| line(*i, now).is_some()).count(), 10_000);
        assert_eq!((line(0, now), line(9_999, now)), (None, Some(0)));
        assert_eq!(refusals.inner.lock().unwrap().told.len(), SOURCES_MAX);
        assert_eq!((line(9_999, now + LINE_EVERY), line(9_999, now + LINE_EVERY)), (Some(0), None));
    }
}
