//! The spool from the start of the collector to its end: opened, filled and synchronized by two threads, and what an
//! earlier process left in it replayed in the order in which it was received.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{error, warn};

use super::begin::{self, StartError};
use crate::config::Settings;
use crate::model::{RouterId, SessionEventKind};
use crate::pipeline::{PipelineEnd, StateItem};
use crate::session::intakes::{self, Parked};
use crate::session::peer_records::router_note;
use crate::session::{Shared, run};
use crate::spool::{Spool, Stream};

/// Opens the spool, with the streams that an earlier process left in it. Without the folder there is no spool, and the
/// collector runs anyway.
pub(super) fn open(settings: &Settings) -> Result<(Arc<Spool>, Vec<Stream>), StartError> {
    let folder = settings.state_dir.join("spool");
    match Spool::open(&folder, settings.spool_max_bytes) {
        Ok(opened) => Ok(opened),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StartError::Failed(format!(
            "{}: another collector uses this folder; give each one its own RIB_INGESTER_STATE_DIR",
            folder.display()
        ))),
        Err(error) => {
            error!("spool: {}: {error}; without it routers wait while the database is down", folder.display());
            Ok((Spool::off(), Vec::new()))
        }
    }
}

/// Starts the threads that write to the spool.
pub(super) fn spawn(shared: &Arc<Shared>, stall: Duration) -> [JoinHandle<()>; 2] {
    let (spooler, sync) = (Arc::clone(shared), Arc::clone(shared));
    [
        begin::spawn("spooler", move || spooler.intakes.run_spooler(&spooler.spool, stall, &spooler.stop)),
        begin::spawn("spool-sync", move || intakes::run_sync(&sync.spool, &sync.stop)),
    ]
}

/// Returns the router and the source address of a stream.
pub(super) fn router_of(stream: &Stream) -> (Option<RouterId>, IpAddr) {
    (stream.context().router.clone(), stream.context().source)
}

/// Starts the thread that applies the streams one after the other.
pub(super) fn spawn_replay(shared: &Arc<Shared>, spooled: Vec<Stream>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    begin::spawn("replay", move || {
        for unreadable in shared.spool.take_unreadable() {
            tell_gap(&shared, &unreadable);
        }
        for stream in spooled {
            if shared.stop.is_stopping() {
                return;
            }
            let (router, source) = router_of(&stream);
            run::replay(&shared, &shared.registry.connect_spooled(stream.number(), source), stream);
            shared.registry.spooled_applied(router.as_ref(), source);
        }
    })
}

fn tell_gap(shared: &Shared, what: &str) {
    let note = router_note(SessionEventKind::Gap, Some(what), None);
    // If the writers are gone, their end is reported elsewhere.
    let _ = shared.pipeline.any_state().send(StateItem::Note(None, note));
}

/// Logs input that was read and is not in the database.
pub(super) fn report_left(end: &PipelineEnd, parked: Parked, spool: &Spool) {
    if parked.failed > 0 {
        error!(
            "collector: {} changes not written, and the input of {} sessions is not in the spool and is lost",
            end.given_up, parked.failed
        );
    }
    if parked.lost > 0 {
        error!("collector: input of {} sessions was lost, see above", parked.lost);
    }
    if parked.sessions > 0 {
        warn!(
            "collector: unwritten input of {} sessions stays in the spool for the next start, {} bytes",
            parked.sessions,
            spool.counters().bytes.load(Ordering::Relaxed)
        );
    }
}
