//! Answers on their way to the thread of the sockets, and the replies of handlers that become answers.

use crossbeam_channel::{Receiver, Sender};

use super::problem::Problem;
use super::response::Response;
use super::stream::{Gone, Piece, StreamWriter};
use super::waker::Waker;
use crate::store;

/// An answer for the connection that asked.
pub(super) struct Answer {
    /// The identifier of the connection.
    pub(super) id: u64,
    /// The answer, or its head if a stream follows.
    pub(super) response: Response,
    /// False: the head alone is sent (HEAD).
    pub(super) has_body: bool,
    /// The body, if it is sent while it is made.
    pub(super) pieces: Option<Receiver<Piece>>,
}

/// The way of answers to the thread of the sockets.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) answers: Sender<Answer>,
    pub(super) waker: Waker,
}

impl Answers {
    /// Hands an answer over; when the port is closed, it has no receiver.
    pub(super) fn send(&self, answer: Answer) {
        if self.answers.send(answer).is_ok() {
            self.waker.wake();
        }
    }
}

/// The reason why a stream ends early.
#[derive(Debug)]
pub(in crate::http) enum StreamError {
    /// The client no longer takes it.
    Gone,
    /// The database does not give it.
    Database(store::Error),
}

impl From<Gone> for StreamError {
    fn from(_: Gone) -> StreamError {
        StreamError::Gone
    }
}

impl From<store::Error> for StreamError {
    fn from(error: store::Error) -> StreamError {
        StreamError::Database(error)
    }
}

/// The work of producing a stream.
pub(in crate::http) type Production = Box<dyn FnOnce(&mut StreamWriter<'_>) -> Result<(), StreamError> + Send>;

/// The reply of a handler.
pub(in crate::http) enum Reply {
    /// The whole answer.
    Whole(Response),
    /// An answer of this head that a thread for streams produces, one of the few that run at a time.
    Stream(Response, Production),
    /// An answer of this head whose pieces another thread sends, through the [`PieceSender`](super::stream::PieceSender)
    /// that belongs to them.
    Open(Response, Receiver<Piece>),
}

/// The outcome of a handler.
pub(in crate::http) type Outcome = Result<Reply, Problem>;
