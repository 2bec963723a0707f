//! The replay of the spool that an earlier process left, in the order in which it was received.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::spawn;
use crate::model::{RouterId, SessionEventKind};
use crate::pipeline::StateItem;
use crate::session::tables::router_note;
use crate::session::{Shared, run};
use crate::spool::Stream;

/// Returns the router and the source address of a stream.
pub(super) fn spooled_router(stream: &Stream) -> (Option<RouterId>, IpAddr) {
    (stream.context().router.clone(), stream.context().source)
}

/// Starts the thread that applies the streams one after the other.
pub(super) fn spawn_replay(shared: &Arc<Shared>, spooled: Vec<Stream>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    spawn("replay", move || {
        for unreadable in shared.spool.take_unreadable() {
            tell_gap(&shared, &unreadable);
        }
        for stream in spooled {
            if shared.stop.is_stopping() {
                return;
            }
            let (router, source) = spooled_router(&stream);
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
