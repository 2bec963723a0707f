//! An answer that is sent while it is made: one thread produces pieces, the thread of the sockets sends them.
//!
//! A stream holds at most [`PIECES_MAX`] pieces of about [`PIECE_BYTES`]. Whoever produces faster than the client reads
//! waits; when the connection is closed, because the client has gone or is too slow, the next piece fails with
//! [`Gone`]. A stream that ends without [`Piece::End`] is cut, so that the client does not take a part for the whole.

use std::mem;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::waker::Waker;

/// The size from which a piece is sent, in bytes.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// The number of pieces that may wait for the client.
const PIECES_MAX: usize = 4;

/// A part of the body of an answer.
#[derive(Debug)]
pub(super) enum Piece {
    /// Some bytes, at least one.
    Data(Vec<u8>),
    /// The answer is complete.
    End,
}

/// The client no longer takes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Gone;

/// The end of the producer.
#[derive(Clone, Debug)]
pub(in crate::http) struct PieceSender {
    pieces: Sender<Piece>,
    waker: Waker,
}

/// Returns both ends of a stream.
pub(super) fn stream(waker: &Waker) -> (PieceSender, Receiver<Piece>) {
    let (pieces, received) = bounded(PIECES_MAX);
    (PieceSender { pieces, waker: waker.clone() }, received)
}

impl PieceSender {
    /// Sends some bytes, once the client has taken earlier ones.
    pub(super) fn send(&self, piece: Piece) -> Result<(), Gone> {
        self.pieces.send(piece).map_err(|_| Gone)?;
        self.waker.wake();
        Ok(())
    }

    /// Sends some bytes without waiting. A client for which too many pieces wait is as good as gone: its producer serves
    /// others too.
    pub(in crate::http) fn try_send(&self, data: Vec<u8>) -> Result<(), Gone> {
        match self.pieces.try_send(Piece::Data(data)) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Gone),
        }
    }
}

/// Collects bytes into pieces. The first piece is what begins the answer, so until then the answer may still be an
/// error.
pub(in crate::http) struct StreamWriter<'a> {
    buffer: Vec<u8>,
    sender: PieceSender,
    /// Begins the answer; `None` once it has begun.
    begin: Option<Box<dyn FnOnce() + Send + 'a>>,
    /// Called with the bytes of each piece: the producer makes progress.
    progress: &'a dyn Fn(usize),
}

impl<'a> StreamWriter<'a> {
    pub(super) fn new(
        sender: PieceSender,
        begin: Box<dyn FnOnce() + Send + 'a>,
        progress: &'a dyn Fn(usize),
    ) -> StreamWriter<'a> {
        StreamWriter { buffer: Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8), sender, begin: Some(begin), progress }
    }

    /// Appends a text and a line end.
    ///
    /// # Errors
    /// The client no longer takes the answer.
    pub(in crate::http) fn line(&mut self, text: &str) -> Result<(), Gone> {
        self.write(text)?;
        self.write("\n")
    }

    /// Appends a text, and sends what is there if it is enough for a piece.
    ///
    /// # Errors
    /// The client no longer takes the answer.
    pub(in crate::http) fn write(&mut self, text: &str) -> Result<(), Gone> {
        self.buffer.extend_from_slice(text.as_bytes());
        if self.buffer.len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }

    /// Returns whether nothing was sent yet.
    pub(super) fn is_unsent(&self) -> bool {
        self.begin.is_some()
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if let Some(begin) = self.begin.take() {
            begin();
        }
        (self.progress)(self.buffer.len());
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
        self.sender.send(Piece::Data(piece))
    }

    /// Sends the rest and completes the answer.
    pub(super) fn finish(mut self) -> Result<(), Gone> {
        self.flush()?;
        self.sender.send(Piece::End)
    }
}
