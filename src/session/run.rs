//! The threads of one session: one reads its socket, the other applies the messages until the session ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection::Connection;
use super::end::{Cause, GapAfter, InputAfter, SessionEnd};
use super::input::{Input, Next, for_each_frame, octets};
use super::messages::Session;
use super::read_timeout::ReadTimeout;
use super::reader::Reader;
use super::rules::Moment;
use super::shared::Shared;
use super::standby;
use super::stream::RouterStream;
use crate::journal::{Checkpoint, Chunk, Stream};
use crate::model::Timestamp;
use crate::wire::bmp::{self, Message};

/// The time that a session waits for input before it checks its timers.
const TICK: Duration = Duration::from_secs(1);

/// Runs one session to its end, over `tls` if given. A panic ends this session only.
pub fn run(shared: &Arc<Shared>, connection: &Arc<Connection>, tls: Option<rustls::Connection>) {
    let feed = shared.journal.open_feed(&shared.feeds, connection.number(), connection.source);
    let input = Input::new(connection.number(), connection.source, &shared.journal).with_feed(feed);
    let input = Arc::new(input);
    let mut session = Session::new(Arc::clone(shared), Arc::clone(connection), Arc::clone(&input));
    match read_socket(shared, connection, &input, tls) {
        Err(error) => finish(shared, connection, &mut session, &SessionEnd::new(Cause::Lost, error)),
        Ok(reader) => {
            live(shared, connection, &mut session, &input);
            // Its own panic was caught and ended the session.
            let _ = reader.join();
        }
    }
}

fn read_socket(
    shared: &Shared,
    connection: &Arc<Connection>,
    input: &Arc<Input>,
    tls: Option<rustls::Connection>,
) -> std::io::Result<JoinHandle<()>> {
    let source = RouterStream::new(connection, TICK, tls)?;
    let read_timeout = ReadTimeout::new(shared.options.message_time_max);
    let reader = Reader::new(input, connection, source, shared.options.message_max, read_timeout);
    thread::Builder::new().name(format!("read-{}", connection.source)).spawn(move || reader.run())
}

/// Returns whether the last message of a chunk is a Termination (RFC 7854 section 4.5).
pub(crate) fn ends_with_termination(chunk: &Chunk) -> bool {
    let mut is_termination = false;
    for_each_frame(&chunk.bytes, usize::MAX, |frame| {
        is_termination = matches!(bmp::decode(frame), Ok(Message::Termination(_)));
    });
    is_termination
}

/// Applies the input that an earlier process left of a session; its end counts as a lost connection. Where all of it is
/// stored, no stored route is read.
pub fn replay(shared: &Arc<Shared>, connection: &Arc<Connection>, stream: Stream, checkpoint: Checkpoint) {
    log::info!(
        "{}: {} bytes of input since {} are being applied",
        checkpoint
            .router
            .as_ref()
            .map_or_else(|| format!("router at {}", checkpoint.source), |id| format!("router {id}")),
        stream.unread(),
        checkpoint.began
    );
    let input = Arc::new(Input::replay(stream, &checkpoint, &shared.journal));
    let mut session = Session::new(Arc::clone(shared), Arc::clone(connection), Arc::clone(&input));
    session.resume(checkpoint);
    live(shared, connection, &mut session, &input);
}

fn live(shared: &Arc<Shared>, connection: &Arc<Connection>, session: &mut Session, input: &Arc<Input>) {
    shared.inputs.add(input);
    let end = catch_unwind(AssertUnwindSafe(|| {
        let end = read(shared, connection, session, input);
        session.settle_at_end(end)
    }));
    let mut end = end.unwrap_or(Cause::Panicked.into());
    if let Some(standby) = session.standby.as_ref().filter(|_| end.cause == Cause::StandsBy) {
        end = standby::run(standby, &shared.standbys, (connection, input), &shared.stop, TICK);
    }
    shared.standbys.end(connection, &end.to_string());
    // Nothing more is read, whatever was not applied.
    connection.close();
    let stands_by = session.forget_standby();
    let lost = if stands_by { None } else { input.lost(&end, session.skipped, &session.peer_ups()) };
    let consequences = end.consequences();
    if lost.is_some() && consequences.gap == GapAfter::ExitStatus {
        shared.inputs.give_up();
    }
    session.lost = lost;
    finish(shared, connection, session, &end);
    match consequences.input {
        _ if stands_by => input.discard(),
        InputAfter::Complete => input.complete(),
        InputAfter::Left => input.leave(),
        InputAfter::Discarded => input.discard(),
    }
}

fn finish(shared: &Shared, connection: &Connection, session: &mut Session, end: &SessionEnd) {
    // The router must become free even if this panics.
    if catch_unwind(AssertUnwindSafe(|| session.end(end))).is_err() {
        log::error!("router at {}: internal error at the end of its session", connection.source);
    }
    shared.registry.disconnect(connection);
}

fn read(shared: &Shared, connection: &Connection, session: &mut Session, input: &Input) -> SessionEnd {
    if let Err(end) = session.settle_resumed() {
        return end;
    }
    let mut had_input = true;
    loop {
        if let Some(reader) = input.serve_feed(|| session.peer_ups()) {
            connection.ask_to_end(SessionEnd::new(Cause::Relay, reader));
        }
        if let Err(end) = session.take_over_if_wanted(moment(connection).at) {
            return end;
        }
        connection.end_work(had_input);
        let next = input.next(TICK);
        connection.begin_work();
        had_input = !matches!(next, Next::Silence(_));
        if let Err(end) = session.hand_over() {
            return end;
        }
        let result = match next {
            Next::Chunk(chunk, waited) => {
                if let Some(due) = input.due_before(chunk.start)
                    && let Some(checkpoint) = session.checkpoint()
                {
                    input.store_checkpoint(&due, checkpoint);
                }
                let result = session.idle(waited, moment(connection));
                apply(&chunk, session, shared, result, input)
            }
            Next::Silence(waited) => {
                if connection.is_superseded() {
                    return Cause::Superseded.into();
                }
                shared.registry.stop_waiting_for(connection);
                if let Some(due) = input.due_by_age()
                    && let Some(checkpoint) = session.checkpoint()
                {
                    input.store_checkpoint(&due, checkpoint);
                }
                session.idle(waited, moment(connection))
            }
            Next::Damaged(what) => {
                session.hole(&what);
                Ok(())
            }
            Next::End(end) => {
                if let Some(end) = ended_from_here(&end, connection, shared.stop.is_stopping()) {
                    return end;
                }
                return session.end_replay().err().unwrap_or(end);
            }
        };
        if let Err(end) = result.and_then(|()| session.bound_unnamed(connection.age(), || input.size())) {
            return end;
        }
        if shared.stop.is_stopping() {
            return Cause::Stopping.into();
        }
    }
}

/// Returns why the collector itself closed a connection whose stream ended like this. A stop and a newer session both
/// appear as the end of the stream, but never as bytes that are not BMP. A router that is handed over may be back before
/// its session is over here.
fn ended_from_here(end: &SessionEnd, connection: &Connection, is_stopping: bool) -> Option<SessionEnd> {
    let handed_over = connection.asked_to_end().filter(|asked| asked.cause == Cause::HandedOver);
    if let Some(handed_over) = handed_over.filter(|_| !end.is_by_content()) {
        Some(handed_over)
    } else if connection.is_superseded() {
        Some(Cause::Superseded.into())
    } else if end.is_by_content() {
        None
    } else if is_stopping {
        Some(Cause::Stopping.into())
    } else {
        connection.asked_to_end()
    }
}

fn moment(connection: &Connection) -> Moment {
    Moment { at: Timestamp::now(), age: connection.age() }
}

/// Applies the messages of one chunk until one ends the session, or none if `result` is an error already; counts those
/// that are not applied.
fn apply(
    chunk: &Chunk,
    session: &mut Session,
    shared: &Shared,
    mut result: Result<(), SessionEnd>,
    input: &Input,
) -> Result<(), SessionEnd> {
    session.begin_chunk(chunk);
    let mut read = 0;
    for_each_frame(&chunk.bytes, shared.options.message_max, |frame| {
        read += frame.bytes.len();
        match result {
            Ok(()) => {
                result = session.message(frame, chunk.received_at);
                if result.is_ok() {
                    session.set_position(chunk.start + octets(read));
                }
            }
            Err(_) => session.skipped += 1,
        }
    });
    // The chunk was split into messages by the same rules, unless an earlier process did it with other settings.
    if read < chunk.bytes.len() {
        session.hole(&input.out_of_step(&chunk.bytes[read..]));
    }
    match result {
        Ok(()) => {
            session.set_position(chunk.end());
            session.flush()
        }
        // The next start goes on with what is left out.
        Err(end) if end.consequences().input == InputAfter::Left => Err(end),
        Err(end) => {
            session.pass_over(chunk.end());
            Err(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn a_stop_explains_a_close_but_not_nonsense() {
        let connection = Connection::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1, None);
        let cause = |end: Cause, connection: &Connection, is_stopping| {
            ended_from_here(&end.into(), connection, is_stopping).map(|end| end.cause)
        };
        assert_eq!(cause(Cause::Closed, &connection, true), Some(Cause::Stopping));
        assert_eq!(cause(Cause::Closed, &connection, false), None);
        assert_eq!(cause(Cause::OutOfStep, &connection, true), None);
        connection.ask_to_end(Cause::Relay.into());
        assert_eq!(cause(Cause::Lost, &connection, false), Some(Cause::Relay));
        assert_eq!(cause(Cause::OutOfStep, &connection, false), None);
        connection.supersede();
        assert_eq!(cause(Cause::OutOfStep, &connection, true), Some(Cause::Superseded));
    }
}
