//! The journal from the start of the collector to its end: opened, brought to the disk by a thread, and what an earlier
//! process left in it replayed in the order in which it was received.

use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use log::{error, warn};

use super::begin::{self, StartError};
use crate::config::Settings;
use crate::journal::{Checkpoint, Journal, Loss, LossNote, Unfinished};
use crate::model::{RouterId, SessionEventKind};
use crate::pipeline::{Gap, PipelineEnd, StateItem, StoredPositions, WhenStored};
use crate::session::inputs::Parked;
use crate::session::peer_records::router_note;
use crate::session::{Shared, run};
use crate::store::sync::OwnedRouter;

/// The number of routers whose earlier input is applied at the same time.
const REPLAYS_AT_ONCE: usize = 8;

/// Opens the journal, with the streams that an earlier process left in it. Without the folder there is no journal, and the
/// collector runs anyway.
pub(super) fn open(settings: &Settings) -> Result<(Arc<Journal>, Vec<Unfinished>), StartError> {
    refuse_spool(&settings.state_dir.join("spool"))?;
    let folder = settings.state_dir.join("journal");
    let bytes_max = if settings.journal { settings.journal_max_bytes } else { Some(0) };
    match Journal::open(&folder, bytes_max) {
        Ok(opened) => Ok(opened),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StartError::Failed(format!(
            "{}: another collector uses this folder; give each one its own RIB_INGESTER_STATE_DIR",
            folder.display()
        ))),
        Err(error) => {
            error!("journal: {}: {error}; without it routers wait while the database is down", folder.display());
            Ok((Journal::off(), Vec::new()))
        }
    }
}

/// Refuses input that a version with a spool has left: this one cannot read it.
fn refuse_spool(folder: &Path) -> Result<(), StartError> {
    let is_stream = |entry: io::Result<DirEntry>| entry.is_ok_and(|entry| entry.path().is_dir());
    if !fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_stream)) {
        return Ok(());
    }
    Err(StartError::Failed(format!(
        "{} has input of an earlier version, which only that version can store: start it until the folder is empty, or \
         remove the folder",
        folder.display()
    )))
}

/// Starts the thread that brings the journal to the disk.
pub(super) fn spawn(shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    begin::spawn("journal-sync", move || shared.inputs.run_sync(&shared.journal, &shared.stop))
}

/// Leaves out what the database has: what is before the last checkpoint of that, and all of a stream if everything in it
/// is stored. The stream itself goes if another collector has its router now.
pub(super) fn without_stored(
    left: Vec<Unfinished>,
    owned: &[OwnedRouter],
    positions: &HashMap<String, StoredPositions>,
) -> Vec<Unfinished> {
    let skip = |(mut stream, checkpoint): Unfinished| {
        let stored = positions.get(&checkpoint.session).map_or(0, |positions| positions.least());
        // What cannot be read is applied as far as it can be.
        let last = stream.last_chunk().unwrap_or_default().filter(|last| stored >= last.end());
        let is_ours = |router| owned.iter().any(|owned| owned.router == router);
        if last.is_some() && checkpoint.router.clone().is_some_and(|router| !is_ours(router)) {
            stream.remove();
            return None;
        }
        let mut checkpoint = stream.skip_stored(stored).unwrap_or(checkpoint);
        // A Termination has removed the routes: what follows from it is not what follows from a loss.
        if let Some(last) = last.filter(|last| checkpoint.router.is_some() && !run::ends_with_termination(last)) {
            stream.skip_all();
            // Before the end: what the session reports as it begins is stored too.
            checkpoint = Checkpoint { octet: last.end() - 1, peer_ups: Vec::new(), ..checkpoint };
        }
        Some((stream, checkpoint))
    };
    left.into_iter().filter_map(skip).collect()
}

/// Returns the router and the source address of a stream.
pub(super) fn router_of((_, checkpoint): &Unfinished) -> (Option<RouterId>, IpAddr) {
    (checkpoint.router.clone(), checkpoint.source)
}

/// Starts the thread that applies what earlier processes left: each router's streams in their order, several routers at
/// a time.
pub(super) fn spawn_replay(shared: &Arc<Shared>, left: Vec<Unfinished>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    begin::spawn("replay", move || {
        for (loss, note) in shared.journal.take_unreported() {
            report_gap(&shared, &loss, note);
        }
        let groups = by_router(left);
        let threads = groups.len().min(REPLAYS_AT_ONCE);
        let groups = Mutex::new(groups.into_iter());
        let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(group) = next() {
                        group.into_iter().for_each(|left| replay(&shared, left));
                    }
                });
            }
        });
    })
}

/// Puts the streams of one router, or of one address, together, in their order.
fn by_router(left: Vec<Unfinished>) -> Vec<Vec<Unfinished>> {
    let mut groups: Vec<Vec<Unfinished>> = Vec::new();
    for one in left {
        let (router, source) = router_of(&one);
        let is_same = |other: &Unfinished| {
            let (its_router, its_source) = router_of(other);
            its_source == source || router.is_some() && its_router == router
        };
        match groups.iter_mut().find(|group| group.iter().any(is_same)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn replay(shared: &Arc<Shared>, left: Unfinished) {
    if shared.stop.is_stopping() {
        return;
    }
    let (router, source) = router_of(&left);
    let (stream, checkpoint) = left;
    run::replay(shared, &shared.registry.connect_replay(stream.number(), source), stream, checkpoint);
    shared.registry.replay_is_over(router.as_ref(), source);
}

fn report_gap(shared: &Shared, loss: &Loss, note: Option<LossNote>) {
    let mut row = router_note(SessionEventKind::Gap, Some(&loss.what), None);
    row.peer_address = loss.source.as_ref().and_then(|source| source.parse().ok());
    let router = loss.router.as_deref().map(RouterId::new);
    let state = match &router {
        Some(router) => shared.pipeline.state(router),
        None => shared.pipeline.any_state(),
    };
    // If the writers are gone, their end is reported elsewhere.
    let _ = state.send(StateItem::Gap(Gap {
        router: router.clone(),
        row,
        stored: note.map(|note| WhenStored::new(|| note.forget())),
    }));
}

/// Logs input that was read and is not in the database.
pub(super) fn report_left(end: &PipelineEnd, parked: Parked, journal: &Journal) {
    if parked.failed > 0 {
        error!(
            "collector: {} changes not written, and the input of {} sessions is in no journal and is lost",
            end.given_up, parked.failed
        );
    }
    if parked.lost > 0 {
        error!("collector: input of {} sessions was lost, see above", parked.lost);
    }
    if parked.sessions > 0 {
        warn!(
            "collector: unwritten input of {} sessions stays in the journal for the next start, {} bytes",
            parked.sessions,
            journal.counters().bytes.load(Ordering::Relaxed)
        );
    }
}
