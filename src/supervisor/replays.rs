//! What an earlier process left in the spool is applied, in the order in which it came.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use log::error;

use super::spawn;
use crate::model::RouterId;
use crate::pipeline::{SessionEventKind, StateItem};
use crate::session::tables::router_note;
use crate::session::{Shared, run};
use crate::spool::Stream;

/// When so many processes died while they applied a stream, none further on than the one before, it is set aside: whatever
/// ends a process without a word (memory that is over, a stack, a signal) would end the next one too.
const DEATHS_MAX: u32 = 3;

/// Whose input a stream is.
pub(super) fn spooled_router(stream: &Stream) -> (Option<RouterId>, IpAddr) {
    (stream.context().router.clone(), stream.context().source)
}

/// Applies the streams one after the other.
pub(super) fn spawn_replay(shared: &Arc<Shared>, spooled: Vec<Stream>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    spawn("replay", move || {
        for unreadable in shared.spool.take_unreadable() {
            tell_gap(&shared, None, &unreadable);
        }
        for stream in spooled {
            if shared.stop.is_stopping() {
                return;
            }
            let (router, source) = spooled_router(&stream);
            match stream.begin_try() {
                died if died >= DEATHS_MAX => set_aside(&shared, stream, died),
                _ => {
                    let folder = stream.folder().to_owned();
                    run::replay(&shared, &shared.registry.connect_spooled(stream.number(), source), stream);
                    Stream::end_try(&folder);
                }
            }
            shared.registry.spooled_applied(router.as_ref(), source);
        }
    })
}

fn set_aside(shared: &Shared, stream: Stream, died: u32) {
    let (router, source) = spooled_router(&stream);
    let (bytes, number) = (stream.unread(), stream.number());
    let who = router.as_ref().map_or_else(|| format!("router at {source}"), |id| format!("router {id}"));
    match stream.set_aside() {
        Ok(folder) => {
            let folder = folder.display();
            let what = format!(
                "{bytes} bytes of spooled input are not applied: {died} processes died at the same place of it; kept in {folder}"
            );
            error!("{who}: {what}, move it back into the spool to have it tried again");
            shared.spool.count_gap();
            tell_gap(shared, router, &what);
        }
        Err(error) => error!("{who}: spooled stream {number} ends each process and cannot be set aside: {error}"),
    }
}

fn tell_gap(shared: &Shared, router: Option<RouterId>, what: &str) {
    let note = router_note(SessionEventKind::Gap, Some(what), None);
    // The writers being gone is reported by whoever ended them.
    let _ = shared.pipeline.any_state().send(StateItem::Note(router, note));
}
