//! Relays: other stations get each router's session as it was read, octet by octet.
//!
//! ```text
//! journal: feed of each session --> [relay] one thread a station --> one connection a session --> station
//! ```
//!
//! A station tells routers apart by their connections, so each session has its own, from its first message to its end. The
//! thread of a station never waits for it: what it does not take at once stays in the journal, which keeps it as long as
//! it is not more than half full. A station that takes nothing for `STALL_MAX` is dropped for the session.
//!
//! A connection that breaks cannot be continued in the middle. When the station can be reached again, the session is
//! sent again from its first octet if the journal still has it, else its router is made to dump again: its session is
//! closed, once, and the next one is sent. Without that ([`Options::resync`]) the station gets the Initiation, the live
//! Peer Ups, and what comes from then on.

mod link;
mod outlet;
mod reach;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use crate::journal::{Feed, FeedReader, Feeds, ReaderState};
use crate::metrics::{Heartbeat, Meters, RelayMeter};
use crate::stop::Stop;
use link::{Link, Turn};
use reach::Reach;
pub use reach::Station;

/// The name of a station's thread.
pub const THREAD: &str = "relay";

/// The longest time for one round: a name may have to be resolved.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The pause after a round in which there was nothing to send.
const TICK: Duration = Duration::from_millis(20);

/// The interval at which the meter is set.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// The time that a station has to take the rest when the collector stops.
const END_MAX: Duration = Duration::from_secs(3);

/// The settings of a station's thread.
#[derive(Clone, Debug)]
pub struct Options {
    /// The station.
    pub station: Station,
    /// Its number as a reader of the feeds.
    pub reader: usize,
    /// True if routers have to dump again for a station that missed some of their sessions.
    pub resync: bool,
    /// The input of all sessions.
    pub feeds: Arc<Feeds>,
    /// The metrics.
    pub meters: Arc<Meters>,
}

/// Relays all sessions to a station until the collector stops.
pub fn run(options: &Options, heartbeat: &Heartbeat, stop: &Stop) {
    let meter = options.meters.relay(&options.station.name);
    let reach = Reach::new(&options.station, &meter);
    let mut relay = Relay { options, reach, meter, seen: 0, idle: Vec::new(), links: Vec::new() };
    let (mut end, mut measured) = (None, Instant::now());
    loop {
        heartbeat.progress();
        if stop.is_stopping() {
            let end = end.get_or_insert_with(|| Instant::now() + END_MAX);
            if relay.links.is_empty() || Instant::now() >= *end {
                return;
            }
        } else {
            relay.meet();
            relay.reach.probe();
            relay.begin_links();
        }
        let is_busy = relay.turn_links();
        if measured.elapsed() >= MEASURE_EVERY {
            measured = Instant::now();
            relay.measure();
        }
        if !is_busy {
            heartbeat.idle();
            std::thread::sleep(TICK);
        }
    }
}

/// All sessions on their way to one station.
struct Relay<'a> {
    options: &'a Options,
    reach: Reach<'a>,
    meter: Arc<RelayMeter>,
    /// The number of feeds that were met.
    seen: u64,
    /// Sessions that are not being sent.
    idle: Vec<Idle>,
    links: Vec<Link>,
}

/// A session that is not being sent.
struct Idle {
    feed: Arc<Feed>,
    /// True once it was closed for a new dump.
    is_asked: bool,
}

impl Relay<'_> {
    /// Takes in sessions that are new.
    fn meet(&mut self) {
        let opened = self.options.feeds.opened();
        if opened == self.seen {
            return;
        }
        self.seen = opened;
        let known = self.idle.iter().map(|idle| &idle.feed).chain(self.links.iter().map(Link::feed));
        let known: HashSet<*const Feed> = known.map(Arc::as_ptr).collect();
        let new = self.options.feeds.all().into_iter().filter(|feed| !known.contains(&Arc::as_ptr(feed)));
        self.idle.extend(new.map(|feed| Idle { feed, is_asked: false }));
    }

    /// Begins to send sessions that can be sent.
    fn begin_links(&mut self) {
        for mut idle in std::mem::take(&mut self.idle) {
            let reader = self.options.reader;
            let is_begun = match idle.feed.state_of(reader) {
                ReaderState::Over => {
                    idle.feed.leave(reader);
                    continue;
                }
                ReaderState::Early => false,
                ReaderState::Ready if self.reach.is_up() => self.begin(&idle.feed, 0, Vec::new()),
                ReaderState::Ready => {
                    if self.reach.is_down() {
                        // The journal need not keep it for a station that may stay away.
                        idle.feed.miss(reader);
                    }
                    false
                }
                ReaderState::Missed => self.reach.is_trusted() && self.make_up(&mut idle),
            };
            if !is_begun {
                self.idle.push(idle);
            }
        }
    }

    /// Does what the station needs to get a session that it has missed. Returns whether it is being sent.
    fn make_up(&mut self, idle: &mut Idle) -> bool {
        let Options { reader, resync, feeds, station, .. } = self.options;
        if idle.feed.want_all(*reader) {
            return self.begin(&idle.feed, 0, Vec::new());
        }
        if !resync {
            let Some((octet, messages)) = idle.feed.want_rest(*reader) else { return false };
            return self.begin(&idle.feed, octet, messages.to_vec());
        }
        if !idle.is_asked && feeds.ask_for_dump(&idle.feed, &station.name) {
            idle.is_asked = true;
            self.meter.dumps.add(1);
            info!("relay: station {}: {} has to dump again for it", station.name, idle.feed.subject());
        }
        false
    }

    /// Begins a connection for a session: first these octets, then its input after `octet`. Returns whether it did.
    fn begin(&mut self, feed: &Arc<Feed>, octet: u64, octets: Vec<u8>) -> bool {
        match self.reach.connect() {
            Ok(outlet) => {
                let reader = FeedReader::new(Arc::clone(feed), self.options.reader, octet);
                self.links.push(Link::new(reader, outlet, octets));
                true
            }
            Err(error) => {
                feed.miss(self.options.reader);
                self.reach.fail(&error.to_string());
                false
            }
        }
    }

    /// Gives each link its turn. Returns whether one has more to do at once.
    fn turn_links(&mut self) -> bool {
        let mut is_busy = false;
        for mut link in std::mem::take(&mut self.links) {
            match link.turn() {
                Turn::Rest => self.links.push(link),
                Turn::Sent(octets) => {
                    is_busy = true;
                    self.meter.octets.add(octets);
                    self.links.push(link);
                }
                Turn::Over => {
                    link.feed().leave(self.options.reader);
                    link.close();
                }
                Turn::Refused(why) => {
                    self.give_up(&link);
                    self.reach.fail(&why);
                }
                Turn::Broken(why) => {
                    self.give_up(&link);
                    self.reach.broke(link.age(), &link.feed().subject(), &why);
                }
                Turn::Slow(why) => {
                    self.give_up(&link);
                    self.meter.dropped.add(1);
                    self.reach.slow(&link.feed().subject(), &format!("{why}, {} octets behind", link.lag()));
                }
            }
        }
        is_busy
    }

    fn give_up(&mut self, link: &Link) {
        link.feed().miss(self.options.reader);
        self.idle.push(Idle { feed: Arc::clone(link.feed()), is_asked: false });
    }

    fn measure(&self) {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        self.meter.is_up.set(u64::from(self.reach.is_up()));
        self.meter.sessions.set(count(self.links.len()));
        let is_missed = |idle: &&Idle| idle.feed.state_of(self.options.reader) == ReaderState::Missed;
        self.meter.missed.set(count(self.idle.iter().filter(is_missed).count()));
        self.meter.lag.set(self.links.iter().map(Link::lag).sum());
    }
}
