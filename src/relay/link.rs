//! One session on its way to one station.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outlet::Outlet;
use crate::journal::{Feed, FeedReader, Part};

/// The time for which a station may take nothing of what waits for it.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);

/// The octets that are read from the journal before any are sent; one chunk more may be.
const READ_AT_ONCE: usize = 256 << 10;

/// The most that is sent before other sessions have their turn, octets.
const TURN_MAX: usize = 1 << 20;

/// The interval at which a link looks whether the station has closed the connection.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// A session, and the connection to the station that is its alone.
pub(super) struct Link {
    reader: FeedReader,
    outlet: Outlet,
    is_ready: bool,
    /// The octets that were read, and how many of them are sent.
    octets: Vec<u8>,
    sent: usize,
    /// When the station last took something, or there was nothing to take.
    moved: Instant,
    since: Instant,
    listened: Instant,
    /// True once the station has closed the connection after everything that was sent.
    is_closed: bool,
}

/// The state of a link after its turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// There is more to do now; this many octets were sent.
    Sent(usize),
    /// There is nothing to do now.
    Rest,
    /// All of the session is sent, or nothing more may be.
    Over,
    /// The connection was not made.
    Refused(String),
    /// The connection broke.
    Broken(String),
    /// The station is too slow.
    Slow(Slow),
}

/// The result of sending what was read.
enum Sent {
    /// The station took this many octets.
    Octets(usize),
    /// The station takes no more now.
    Blocked,
    /// Everything is sent.
    All,
}

/// The reason for which a station is too slow.
#[derive(Debug)]
pub(super) enum Slow {
    /// It took nothing for [`STALL_MAX`].
    Stalled,
    /// The journal does not have the next octets any more.
    Unreadable(String),
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slow::Stalled => write!(f, "it took nothing for {} s", STALL_MAX.as_secs()),
            Slow::Unreadable(why) => write!(f, "it is too far behind: {why}"),
        }
    }
}

impl Link {
    /// A link that sends `octets`, and then what `reader` reads.
    pub(super) fn new(reader: FeedReader, outlet: Outlet, octets: Vec<u8>) -> Link {
        let now = Instant::now();
        Link {
            reader,
            outlet,
            is_ready: false,
            octets,
            sent: 0,
            moved: now,
            since: now,
            listened: now,
            is_closed: false,
        }
    }

    pub(super) fn feed(&self) -> &Arc<Feed> {
        self.reader.feed()
    }

    /// Returns the octets of the session that are not sent.
    pub(super) fn lag(&self) -> u64 {
        let waiting = u64::try_from(self.octets.len() - self.sent).unwrap_or(u64::MAX);
        self.feed().octets().saturating_sub(self.reader.octet()).saturating_add(waiting)
    }

    /// Returns for how long it has existed.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Sends what can be sent now.
    pub(super) fn turn(&mut self) -> Turn {
        if !self.is_ready {
            match self.outlet.is_ready() {
                Ok(false) => return Turn::Rest,
                Ok(true) => (self.is_ready, self.moved) = (true, Instant::now()),
                Err(error) => return Turn::Refused(error.to_string()),
            }
        }
        if self.listened.elapsed() >= LISTEN_EVERY {
            self.listened = Instant::now();
            if let Err(error) = self.outlet.listen() {
                // A station closes after a Termination, perhaps before the session is over here.
                let was_closed = std::mem::replace(&mut self.is_closed, true);
                if was_closed || self.sent < self.octets.len() {
                    return Turn::Broken(error.to_string());
                }
            }
        }
        let mut sent = 0;
        while sent < TURN_MAX {
            let next = match self.read() {
                Ok(next) => next,
                Err(error) => return Turn::Slow(Slow::Unreadable(error.to_string())),
            };
            if next == Part::Cut {
                return Turn::Over;
            }
            match self.send() {
                Ok(Sent::Octets(count)) => sent += count,
                Ok(Sent::Blocked) => break,
                Ok(Sent::All) if next == Part::End => return Turn::Over,
                Ok(Sent::All) => {
                    self.moved = Instant::now();
                    break;
                }
                Err(error) => return Turn::Broken(error.to_string()),
            }
        }
        if self.moved.elapsed() > STALL_MAX {
            return Turn::Slow(Slow::Stalled);
        }
        if sent > 0 { Turn::Sent(sent) } else { Turn::Rest }
    }

    /// Reads more once everything is sent. Returns what comes after that.
    fn read(&mut self) -> std::io::Result<Part> {
        if self.sent < self.octets.len() {
            return Ok(Part::Nothing);
        }
        self.octets.clear();
        self.sent = 0;
        loop {
            match self.reader.next_part()? {
                Part::Bytes(chunk) => self.octets.extend_from_slice(&chunk.bytes),
                part => return Ok(part),
            }
            if self.octets.len() >= READ_AT_ONCE {
                return Ok(Part::Nothing);
            }
        }
    }

    /// Sends what was read.
    fn send(&mut self) -> std::io::Result<Sent> {
        if self.sent == self.octets.len() {
            return Ok(if self.outlet.flush()? { Sent::All } else { Sent::Blocked });
        }
        let count = self.outlet.send(&self.octets[self.sent..])?;
        if count == 0 {
            return Ok(Sent::Blocked);
        }
        (self.sent, self.moved) = (self.sent + count, Instant::now());
        Ok(Sent::Octets(count))
    }

    /// Closes the connection after everything that was sent.
    pub(super) fn close(self) {
        self.outlet.close();
    }
}
