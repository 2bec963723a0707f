//! The thread of one session: it reads chunks of input and applies their messages until the session ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConnection;

use super::connection::Connection;
use super::end::SessionEnd;
use super::intake::{Intake, Next, for_each_frame};
use super::messages::Session;
use super::read_timeout::ReadTimeout;
use super::shared::Shared;
use super::standing::Standing;
use super::stream::RouterStream;
use crate::spool::{Chunk, Stream};

/// The time that a read waits for the socket before the session checks its timers.
const TICK: Duration = Duration::from_secs(1);

/// Runs one session to its end, over `tls` if given. A panic ends this session only.
pub fn run(shared: &Arc<Shared>, connection: &Arc<Connection>, tls: Option<ServerConnection>) {
    let standing = Arc::new(Standing::default());
    let mut session = Session::new(Arc::clone(shared), Arc::clone(connection), Arc::clone(&standing));
    match RouterStream::new(connection, TICK, tls) {
        Err(error) => finish(shared, connection, &mut session, &SessionEnd::Lost(Some(error))),
        Ok(source) => {
            let (message_max, read_timeout) =
                (shared.options.message_max, ReadTimeout::new(shared.options.message_time_max));
            let intake = Intake::new(connection, Box::new(source), message_max, read_timeout, standing);
            live(shared, connection, &mut session, &Arc::new(intake));
        }
    }
}

/// Applies the input that an earlier process left of a session; its end counts as a lost connection.
pub fn replay(shared: &Arc<Shared>, connection: &Arc<Connection>, stream: Stream) {
    let standing = Arc::new(Standing::resume(stream.context()));
    let mut session = Session::new(Arc::clone(shared), Arc::clone(connection), Arc::clone(&standing));
    let context = stream.context().clone();
    log::info!(
        "{}: {} bytes of spooled input since {} are being applied",
        context.router.as_ref().map_or_else(|| format!("router at {}", context.source), |id| format!("router {id}")),
        stream.unread(),
        context.began
    );
    let intake = Arc::new(Intake::replay(stream, shared.options.message_max, standing));
    session.resume(&context);
    live(shared, connection, &mut session, &intake);
}

fn live(shared: &Arc<Shared>, connection: &Connection, session: &mut Session, intake: &Arc<Intake>) {
    shared.intakes.add(intake);
    let end = catch_unwind(AssertUnwindSafe(|| {
        let end = read(shared, connection, session, intake);
        session.settle_at_end(end)
    }));
    let end = end.unwrap_or(SessionEnd::Panicked);
    let lost = intake.lost(&shared.spool, &end, session.skipped());
    if lost.is_some() && matches!(end, SessionEnd::Stopping | SessionEnd::WritersGone) {
        shared.intakes.give_up();
    }
    session.set_lost(lost);
    finish(shared, connection, session, &end);
    match end {
        // The rest of the input is applied at the next start.
        SessionEnd::Stopping | SessionEnd::WritersGone => intake.leave(),
        // Input that caused a panic would cause it again. A session must not write what another session or collector
        // owns.
        SessionEnd::Panicked | SessionEnd::Refused(_) | SessionEnd::Unnamed(_) | SessionEnd::OwnershipLost => {
            intake.discard();
        }
        SessionEnd::Termination { .. }
        | SessionEnd::Lost(_)
        | SessionEnd::Stalled
        | SessionEnd::Mute
        | SessionEnd::OutOfStep(_)
        | SessionEnd::AddPath(_)
        | SessionEnd::DatabaseDiffers
        | SessionEnd::DatabaseRefused(_)
        | SessionEnd::Drift(_)
        | SessionEnd::Superseded
        | SessionEnd::Spool(_)
        | SessionEnd::SpoolDamaged(_)
        | SessionEnd::SpoolRead => intake.complete(),
    }
}

fn finish(shared: &Shared, connection: &Connection, session: &mut Session, end: &SessionEnd) {
    // The router must become free even if this panics.
    if catch_unwind(AssertUnwindSafe(|| session.end(end))).is_err() {
        log::error!("router at {}: internal error at the end of its session", connection.source);
    }
    shared.registry.disconnect(connection);
}

fn read(shared: &Shared, connection: &Connection, session: &mut Session, intake: &Intake) -> SessionEnd {
    if let Err(end) = session.settle_resumed() {
        return end;
    }
    let mut had_input = true;
    loop {
        connection.end_work(had_input);
        let next = intake.next(&shared.spool);
        connection.begin_work();
        had_input = !matches!(next, Next::Silence(_));
        if let Err(end) = session.hand_over() {
            return end;
        }
        let result = match next {
            Next::Chunk(chunk, waited) => {
                let result = session.idle(waited);
                apply(&chunk, session, shared, result, intake)
            }
            // A short wait means that part of a message arrived.
            Next::Silence(waited) if waited >= TICK / 2 => {
                if connection.is_superseded() {
                    return SessionEnd::Superseded;
                }
                shared.registry.stop_waiting_for(connection);
                session.idle(waited)
            }
            Next::Silence(waited) => session.idle(waited),
            Next::Damaged(what) => {
                session.gap(&what);
                Ok(())
            }
            // Both a stop and a newer session appear as the end of the stream.
            Next::End(_) if connection.is_superseded() => return SessionEnd::Superseded,
            Next::End(_) if shared.stop.is_stopping() => return SessionEnd::Stopping,
            Next::End(end) => return end,
        };
        if let Err(end) = result.and_then(|()| session.bound_unnamed(|| intake.held())) {
            return end;
        }
        if shared.stop.is_stopping() {
            return SessionEnd::Stopping;
        }
    }
}

/// Applies the messages of one chunk until one ends the session, or none if `result` is an error already; counts those
/// that are not applied.
fn apply(
    chunk: &Chunk,
    session: &mut Session,
    shared: &Shared,
    mut result: Result<(), SessionEnd>,
    intake: &Intake,
) -> Result<(), SessionEnd> {
    session.begin_chunk(chunk.number);
    let (mut skipped, mut read) = (0, 0);
    for_each_frame(&chunk.bytes, shared.options.message_max, |frame| {
        read += frame.bytes.len();
        match result {
            Ok(()) => result = session.message(frame, chunk.received_at),
            Err(_) => skipped += 1,
        }
    });
    session.skip(skipped);
    // The chunk was split into messages by the same rules, unless an earlier process did it with other settings.
    if read < chunk.bytes.len() {
        session.gap(&intake.out_of_step(&shared.spool, &chunk.bytes[read..]));
    }
    result.and_then(|()| session.flush()).inspect(|()| session.end_chunk(chunk.number))
}
