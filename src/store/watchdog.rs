//! Bounds on our side for every wait on PostgreSQL: a stream that knows whether an answer is due, and a thread that
//! cuts connections whose answer is overdue.
//!
//! The client crate bounds nothing but the TCP connect, and a server that is frozen, or a load balancer without a
//! server, sends neither an answer nor a timeout. So the stream reads the frames that pass through it: a Query or a
//! Sync asks for a ReadyForQuery, and while one is outstanding the other side may be silent for as long as the last
//! `SET statement_timeout` allows the server, plus [`MARGIN`]. Then the wait ends with an error, the connection is
//! dropped, and the waiting thread continues as after any lost connection. [`abandon`] ends all waits of the process
//! immediately.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use postgres::tls::{ChannelBinding, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, statement_timeout_in};

/// The time beyond the server's own timeout that a statement may be without an answer.
const MARGIN: Duration = Duration::from_secs(5);

/// The interval at which the thread checks the connections.
const TICK: Duration = Duration::from_millis(100);

/// One connection's state.
#[derive(Debug)]
pub(super) struct ConnectionWatch {
    thread: String,
    state: Mutex<WatchState>,
}

#[derive(Debug)]
struct WatchState {
    /// The longest silence of the other side while an answer is due.
    limit: Duration,
    /// The limit outside of a transaction that has a limit of its own (`SET LOCAL`).
    session_limit: Duration,
    /// True if frames are read and counted; before that, the login has one deadline.
    is_open: bool,
    sent: Frames,
    received: Frames,
    /// The number of ReadyForQuery messages that are due.
    due: usize,
    /// The time since which nothing was sent or received while an answer is due.
    silent_since: Option<Instant>,
    /// The reason for which the wait was ended.
    cut: Option<String>,
    /// The waker of the task that polls the connection.
    waker: Option<Waker>,
}

/// All connections of the process.
static WATCHES: Mutex<Vec<Weak<ConnectionWatch>>> = Mutex::new(Vec::new());

/// Wakes the thread when there is a connection to check.
static OPENED: Condvar = Condvar::new();

/// True once no thread may wait for PostgreSQL any more.
static IS_ABANDONED: AtomicBool = AtomicBool::new(false);

/// The reason with which waits end at the stop.
const ABANDONED: &str = "the collector stops";

/// Ends every wait of this process for PostgreSQL, now and later: the time for its stop is over.
pub fn abandon() {
    IS_ABANDONED.store(true, Ordering::Release);
    for watch in watches() {
        watch.lock().cut(ABANDONED.to_owned());
    }
}

/// Returns whether [`abandon`] was called.
pub(super) fn is_abandoned() -> bool {
    IS_ABANDONED.load(Ordering::Acquire)
}

/// Returns the thread and the silence of the connection that has waited longest for an answer without an octet in
/// either direction, among those whose thread's name begins with one of `threads`.
pub fn longest_silence(threads: &[&str]) -> Option<(String, Duration)> {
    let silences = watches().into_iter().filter(|watch| threads.iter().any(|name| watch.thread.starts_with(name)));
    silences.filter_map(|watch| Some((watch.thread.clone(), watch.silence()?))).max_by_key(|(_, silence)| *silence)
}

fn watches() -> Vec<Arc<ConnectionWatch>> {
    let mut all = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|watch| watch.strong_count() > 0);
    all.iter().filter_map(Weak::upgrade).collect()
}

impl WatchState {
    /// Ends the wait, unless it was ended before.
    fn cut(&mut self, why: String) {
        self.cut.get_or_insert(why);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionWatch {
    /// Begins the watch over a connection that is being opened: its login may take `limit`.
    pub(super) fn begin(thread: &str, limit: Duration) -> Arc<ConnectionWatch> {
        let state = WatchState {
            limit,
            session_limit: limit,
            is_open: false,
            sent: Frames::default(),
            received: Frames::default(),
            due: 0,
            silent_since: Some(Instant::now()),
            cut: is_abandoned().then(|| ABANDONED.to_owned()),
            waker: None,
        };
        let watch = Arc::new(ConnectionWatch { thread: thread.to_owned(), state: Mutex::new(state) });
        WATCHES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watch));
        start_thread();
        OPENED.notify_all();
        watch
    }

    /// Ends the login; from here on each statement has its own time, by default that of the login.
    pub(super) fn opened(&self) {
        let mut state = self.lock();
        state.is_open = true;
        state.silent_since = None;
    }

    fn silence(&self) -> Option<Duration> {
        self.lock().silent_since.map(|since| since.elapsed())
    }

    /// Cuts the connection if its time is over at `now`. Decided and done under one lock: an answer that arrives in
    /// between is in time.
    fn check_time(&self, now: Instant) {
        let mut state = self.lock();
        let margin = if state.is_open { MARGIN } else { Duration::ZERO };
        let silence = state.silent_since.map(|since| now.saturating_duration_since(since));
        if let Some(silence) = silence.filter(|silence| *silence >= state.limit.saturating_add(margin)) {
            state.cut(format!("no answer for {} s", silence.as_secs()));
        }
    }

    /// Returns an error if the wait was ended; otherwise the polling task is woken when it is.
    pub(super) fn check(&self, context: &Context<'_>) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(why) = &state.cut {
            return Err(io::Error::new(io::ErrorKind::TimedOut, why.clone()));
        }
        if state.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self, octets: &[u8]) {
        let mut state = self.lock();
        if !state.is_open {
            return;
        }
        let WatchState { sent, due, limit, session_limit, .. } = &mut *state;
        sent.read(octets, |kind, body| match kind {
            b'Q' => {
                *due += 1;
                if let Some((timeout, is_local)) = statement_timeout_in(body) {
                    *limit = timeout;
                    if !is_local {
                        *session_limit = timeout;
                    }
                }
            }
            b'S' => *due += 1,
            _ => {}
        });
        state.silent_since = (state.due > 0).then(Instant::now);
    }

    fn received(&self, octets: &[u8]) {
        let mut state = self.lock();
        if !state.is_open {
            return;
        }
        let WatchState { received, due, limit, session_limit, .. } = &mut *state;
        received.read(octets, |kind, body| match kind {
            b'Z' => {
                *due = due.saturating_sub(1);
                // Outside of a transaction: the SET LOCAL no longer applies.
                if body.first() == Some(&b'I') {
                    *limit = *session_limit;
                }
            }
            // CopyInResponse: the server skips the Sync after the COPY command and answers the one after its data.
            b'G' => *due = due.saturating_sub(1),
            _ => {}
        });
        state.silent_since = (state.due > 0).then(Instant::now);
    }
}

fn start_thread() {
    static START: Once = Once::new();
    START.call_once(|| {
        let started = std::thread::Builder::new().name("db-watchdog".to_owned()).spawn(run);
        if let Err(error) = started {
            log::error!("database: no thread to watch over connections: {error}");
        }
    });
}

fn run() {
    loop {
        let watches = watches();
        if watches.is_empty() {
            let all = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
            // Woken by the next connection; a spurious wake-up costs one check.
            drop(OPENED.wait_timeout(all, Duration::from_secs(1)));
            continue;
        }
        let now = Instant::now();
        watches.iter().for_each(|watch| watch.check_time(now));
        drop(watches);
        std::thread::sleep(TICK);
    }
}

/// A connection's stream, in the clear or inside TLS, whose waits end when they take too long.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) watch: Arc<ConnectionWatch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Watched { stream, watch } = self.get_mut();
        watch.check(context)?;
        let before = into.filled().len();
        let polled = Pin::new(stream).poll_read(context, into);
        if matches!(polled, Poll::Ready(Ok(()))) {
            watch.received(&into.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let Watched { stream, watch } = self.get_mut();
        watch.check(context)?;
        let polled = Pin::new(stream).poll_write(context, octets);
        if let Poll::Ready(Ok(written)) = &polled {
            watch.sent(&octets[..*written]);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Watched { stream, watch } = self.get_mut();
        watch.check(context)?;
        Pin::new(stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Watched { stream, watch } = self.get_mut();
        watch.check(context)?;
        Pin::new(stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    #[test]
    fn a_login_that_takes_too_long_is_cut() {
        let watch = ConnectionWatch::begin("test-login", Duration::from_millis(50));
        let context = Context::from_waker(Waker::noop());
        assert!(watch.check(&context).is_ok());
        let until = Instant::now() + Duration::from_secs(20);
        let error = loop {
            match watch.check(&context) {
                Err(error) => break error,
                Ok(()) => assert!(Instant::now() < until, "never cut"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::TimedOut, "no answer for 0 s"));
    }

    #[test]
    fn an_answer_in_time_is_not_cut() {
        let watch = ConnectionWatch::begin("test-time", Duration::from_secs(60));
        watch.opened();
        watch.sent(&message(b'Q', b"SELECT 1\0"));
        let context = Context::from_waker(Waker::noop());
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        watch.check_time(after(64));
        watch.received(&message(b'Z', b"I"));
        watch.check_time(after(66));
        assert!(watch.check(&context).is_ok());
        watch.sent(&message(b'Q', b"SELECT 1\0"));
        watch.check_time(after(66));
        assert!(watch.check(&context).is_err());
    }

    #[test]
    fn only_what_is_asked_is_waited_for() {
        let watch = ConnectionWatch::begin("test-frames", Duration::from_secs(60));
        watch.opened();
        assert_eq!(watch.silence(), None);
        watch.sent(&message(b'Q', b"SET statement_timeout = '10min'\0"));
        assert!(watch.silence().is_some() && longest_silence(&["test-f"]).is_some());
        watch.received(&message(b'Z', b"I"));
        assert_eq!((watch.silence(), watch.lock().limit.as_secs()), (None, 600));
        // Inside a transaction, for that transaction only.
        watch.sent(&message(b'Q', b"BEGIN\0"));
        watch.received(&message(b'Z', b"T"));
        watch.sent(&message(b'Q', b"SET LOCAL statement_timeout = '1s'\0"));
        watch.received(&message(b'Z', b"T"));
        assert_eq!(watch.lock().limit.as_secs(), 1);
        watch.sent(&message(b'Q', b"COMMIT\0"));
        watch.received(&message(b'Z', b"I"));
        assert_eq!((watch.silence(), watch.lock().limit.as_secs()), (None, 600));
        // Two queries in flight; the first answer is not the last.
        watch.sent(&[message(b'C', b"Sx\0"), message(b'S', b""), message(b'Q', b"SELECT 1\0")].concat());
        watch.received(&message(b'Z', b"I"));
        assert!(watch.silence().is_some());
        watch.received(&[message(b'D', &[0; 5000]), message(b'Z', b"I")].concat());
        assert_eq!(watch.silence(), None);
        // COPY IN: the Sync after the command is skipped.
        watch.sent(&[message(b'B', b""), message(b'E', b""), message(b'S', b"")].concat());
        watch.received(&message(b'G', &[0; 7]));
        watch.sent(&[message(b'd', &[b'Q'; 9000]), message(b'c', b""), message(b'S', b"")].concat());
        assert!(watch.silence().is_some());
        watch.received(&message(b'Z', b"I"));
        assert_eq!(watch.silence(), None);
    }
}
