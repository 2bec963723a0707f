//! Wakes the thread that serves the sockets when another thread has something for it to send.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end of the threads that produce answers.
#[derive(Clone, Debug)]
pub(super) struct Waker(Arc<UnixStream>);

/// The end of the thread that polls.
#[derive(Debug)]
pub(super) struct Wakeups(UnixStream);

/// Returns both ends.
///
/// # Errors
/// The process has no file descriptor left.
pub(super) fn pair() -> io::Result<(Waker, Wakeups)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((Waker(Arc::new(ours)), Wakeups(theirs)))
}

impl Waker {
    /// Wakes the other thread, now or before it sleeps next.
    pub(super) fn wake(&self) {
        // With a full buffer it is about to wake anyway; without a reader the port is closed.
        let _ = (&*self.0).write(&[0]);
    }
}

impl Wakeups {
    /// Forgets the calls so far.
    pub(super) fn clear(&self) {
        let mut piece = [0; 256];
        while (&self.0).read(&mut piece).is_ok_and(|length| length == piece.len()) {}
    }
}

impl AsFd for Wakeups {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
