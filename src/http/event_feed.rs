//! The stream of events: one thread reads what happens to incidents and conditions, and tells all clients.
//!
//! The database has one reader however many clients there are, and none while there is no client. A change of an
//! incident is told once it is seen; numbers are given before a transaction commits, so a smaller one may come after a
//! larger one, for up to [`LATE_MAX`]. A client that does not take its bytes is dropped; one that comes back names the
//! last number that it has, and gets what it has missed of the last hour.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use log::warn;

use super::problem::Problem;
use super::stream::{Piece, PieceSender, stream};
use super::waker::Waker;
use crate::metrics::Meters;
use crate::store::api::events::{self, Happening};
use crate::store::{Client, Pool, Result};

/// The largest number of clients.
pub(super) const CLIENTS_MAX: usize = 100;

/// The interval at which the database is asked while there are clients.
const INTERVAL: Duration = Duration::from_secs(1);

/// The interval of comments to a client that nothing else is sent to.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The time after which a transaction with a smaller number has committed.
const LATE_MAX: Duration = Duration::from_secs(30);

/// The largest number of changes that are read at once, and of those that one client has missed.
const CHANGES_MAX: i64 = 1_000;

/// The number of conditions above which their changes are not told.
const CONDITIONS_MAX: i64 = 20_000;

/// The largest number of conditions that a new client is told of.
const FIRST_MAX: usize = 1_000;

/// The longest time that one round may take: a few statements of three seconds each.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The end of those who have new clients.
#[derive(Debug)]
pub(in crate::http) struct EventFeed {
    subscribers: Sender<Subscriber>,
    clients: Arc<AtomicUsize>,
    meters: Arc<Meters>,
}

/// The thread.
pub(crate) struct EventFeeder {
    subscribers: Receiver<Subscriber>,
    pool: Arc<Pool>,
    meters: Arc<Meters>,
}

/// The interest of a client.
#[derive(Debug)]
pub(in crate::http) struct Interest {
    /// The team of its token; `None`: all.
    pub(in crate::http) team: Option<String>,
    /// Watches by number or name; `None`: all.
    pub(in crate::http) watches: Option<Vec<String>>,
    /// The number of the last change that it has.
    pub(in crate::http) last: Option<i64>,
}

#[derive(Debug)]
struct Subscriber {
    interest: Interest,
    sender: PieceSender,
    sent_at: Instant,
    /// Its place among those that there may be.
    place: Place,
}

/// One of the places for clients; free again when it is dropped.
#[derive(Debug)]
struct Place {
    taken: Arc<AtomicUsize>,
    meters: Arc<Meters>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.meters.api.event_clients.lower();
    }
}

/// Returns the way of new clients to the thread, and the thread's part.
pub(super) fn feed(pool: &Arc<Pool>, meters: &Arc<Meters>) -> (EventFeed, EventFeeder) {
    let (sender, subscribers) = unbounded();
    let feed = EventFeed { subscribers: sender, clients: Arc::default(), meters: Arc::clone(meters) };
    (feed, EventFeeder { subscribers, pool: Arc::clone(pool), meters: Arc::clone(meters) })
}

impl EventFeed {
    /// Adds a client. Returns the pieces of its answer.
    ///
    /// # Errors
    /// There are too many.
    pub(in crate::http) fn subscribe(
        &self,
        interest: Interest,
        waker: &Waker,
    ) -> std::result::Result<Receiver<Piece>, Problem> {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        self.meters.api.event_clients.raise();
        let place = Place { taken: Arc::clone(&self.clients), meters: Arc::clone(&self.meters) };
        if before >= CLIENTS_MAX {
            return Err(Problem::busy(format!("{CLIENTS_MAX} clients hear of events already: try again later")));
        }
        let (sender, pieces) = stream(waker);
        let subscriber = Subscriber { interest, sender, sent_at: Instant::now(), place };
        // The thread ends with the port: its clients are gone then.
        let _ = self.subscribers.send(subscriber);
        Ok(pieces)
    }
}

impl Subscriber {
    fn wants(&self, one: &Happening) -> bool {
        let of_team = self.interest.team.is_none() || self.interest.team == one.team;
        let is_named = |wanted: &String| {
            one.watch.as_ref() == Some(wanted) || one.watch_id.is_some_and(|id| id.to_string() == *wanted)
        };
        of_team && self.interest.watches.as_ref().is_none_or(|watches| watches.iter().any(is_named))
    }

    /// Sends a text without waiting. Returns whether the client is still there.
    fn tell(&mut self, text: String) -> bool {
        self.sent_at = Instant::now();
        self.place.meters.api.bytes.add(text.len());
        self.sender.try_send(text.into_bytes()).is_ok()
    }
}

/// Returns a change of an incident as the client gets it.
fn change_text(change: &Happening) -> String {
    format!("id: {}\nevent: incident\ndata: {}\n\n", change.id, change.json)
}

/// Returns a condition as the client gets it.
fn condition_text(condition: &Happening, holds: bool) -> String {
    let members = condition.json.strip_prefix('{').unwrap_or_default();
    format!("event: condition\ndata: {{\"holds\": {holds}, {}\n\n", members.trim_start())
}

/// The changes and conditions that were told already.
struct Told {
    /// Changes up to this number are told.
    floor: i64,
    /// Those above it that are told, and when they were seen.
    above: BTreeMap<i64, Instant>,
    /// The conditions that hold; `None`: more than are told of.
    conditions: Option<BTreeSet<Happening>>,
}

impl Told {
    /// Begins with what is there now.
    fn begin(client: &mut Client) -> Result<Told> {
        let mut told = Told { floor: events::settled(client, LATE_MAX)?, above: BTreeMap::new(), conditions: None };
        told.news(client, Instant::now())?;
        Ok(told)
    }

    fn has(&self, id: i64) -> bool {
        id <= self.floor || self.above.contains_key(&id)
    }

    /// Returns what is new, each with its text.
    fn news(&mut self, client: &mut Client, now: Instant) -> Result<Vec<(Happening, String)>> {
        let mut news = Vec::new();
        loop {
            let changes = events::changes(client, self.floor, CHANGES_MAX)?;
            let is_full = i64::try_from(changes.len()).is_ok_and(|count| count >= CHANGES_MAX);
            let newest = changes.last().map(|change| change.id);
            for change in changes {
                if let Entry::Vacant(place) = self.above.entry(change.id) {
                    place.insert(now);
                    let text = change_text(&change);
                    news.push((change, text));
                }
            }
            match newest {
                // A full page may have more after it: its late numbers are not waited for.
                Some(newest) if is_full => self.settle_to(newest),
                Some(_) | None => break,
            }
        }
        let settled = self.above.iter().take_while(|(_, seen)| now.duration_since(**seen) > LATE_MAX).last();
        if let Some(id) = settled.map(|(id, _)| *id) {
            self.settle_to(id);
        }
        let present = conditions(client)?;
        if let (Some(before), Some(present)) = (&self.conditions, &present) {
            news.extend(before.difference(present).map(|one| (one.clone(), condition_text(one, false))));
            news.extend(present.difference(before).map(|one| (one.clone(), condition_text(one, true))));
        }
        self.conditions = present;
        Ok(news)
    }

    fn settle_to(&mut self, id: i64) {
        self.floor = id;
        self.above = self.above.split_off(&(id + 1));
    }

    /// Returns what a new client gets at first: the conditions that hold, and the changes that it has missed.
    fn first(&self, client: &mut Client, subscriber: &Subscriber) -> Result<String> {
        let mut text = "retry: 5000\n\n".to_owned();
        let holding = self.conditions.iter().flatten().filter(|one| subscriber.wants(one));
        for one in holding.take(FIRST_MAX) {
            text.push_str(&condition_text(one, true));
        }
        let Some(last) = subscriber.interest.last else { return Ok(text) };
        let missed = events::changes(client, last, CHANGES_MAX)?;
        let is_whole = i64::try_from(missed.len()).is_ok_and(|count| count < CHANGES_MAX);
        if !is_whole || !events::reaches(client, last)? {
            // Too much, or too long ago: the lists have it.
            text.push_str("event: reset\ndata: {}\n\n");
            return Ok(text);
        }
        // The next round tells of the others.
        for change in missed.iter().filter(|change| self.has(change.id) && subscriber.wants(change)) {
            text.push_str(&change_text(change));
        }
        Ok(text)
    }
}

/// Returns the conditions that hold; `None`: too many.
fn conditions(client: &mut Client) -> Result<Option<BTreeSet<Happening>>> {
    let all = events::conditions(client, CONDITIONS_MAX + 1)?;
    let is_whole = i64::try_from(all.len()).is_ok_and(|count| count <= CONDITIONS_MAX);
    Ok(is_whole.then(|| all.into_iter().collect()))
}

impl EventFeeder {
    /// Tells clients until the port is closed; `thread` names the caller's thread.
    pub(crate) fn run(&self, thread: &str) {
        let heartbeat = self.meters.heartbeat(thread, STANDSTILL_MAX);
        let (mut clients, mut waiting): (Vec<Subscriber>, Vec<Subscriber>) = (Vec::new(), Vec::new());
        let (mut told, mut is_failing, mut asked_at): (Option<Told>, bool, Option<Instant>) = (None, false, None);
        loop {
            match self.subscribers.recv_timeout(INTERVAL) {
                Ok(subscriber) => waiting.push(subscriber),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            waiting.extend(self.subscribers.try_iter());
            if clients.is_empty() && waiting.is_empty() {
                told = None;
                continue;
            }
            heartbeat.progress();
            // Many new clients at once do not ask more often.
            if asked_at.is_none_or(|at| at.elapsed() >= INTERVAL / 4) || told.is_none() {
                asked_at = Some(Instant::now());
                let round = self.pool.read_for_api(|client| round(client, &mut told, &mut clients, &mut waiting));
                match &round {
                    Err(error) if !is_failing => warn!("http: events cannot be read, trying again: {error}"),
                    Err(_) | Ok(()) => {}
                }
                is_failing = round.is_err();
            }
            keep_alive(&mut clients);
            keep_alive(&mut waiting);
            heartbeat.idle();
        }
    }
}

/// Sends a comment to those that have heard nothing for long, so that a proxy keeps the connection; those that take nothing
/// are dropped.
fn keep_alive(clients: &mut Vec<Subscriber>) {
    clients.retain_mut(|one| one.sent_at.elapsed() < HEARTBEAT || one.tell(":\n\n".to_owned()));
}

/// Tells the clients what is new, and new clients what they have missed.
fn round(
    client: &mut Client,
    told: &mut Option<Told>,
    clients: &mut Vec<Subscriber>,
    waiting: &mut Vec<Subscriber>,
) -> Result<()> {
    let told = match told {
        Some(told) => told,
        None => told.insert(Told::begin(client)?),
    };
    let news = told.news(client, Instant::now())?;
    clients.retain_mut(|one| {
        let text: String = news.iter().filter(|(what, _)| one.wants(what)).map(|(_, text)| text.as_str()).collect();
        text.is_empty() || one.tell(text)
    });
    while let Some(mut subscriber) = waiting.pop() {
        match told.first(client, &subscriber) {
            Ok(text) => {
                if subscriber.tell(text) {
                    clients.push(subscriber);
                }
            }
            Err(error) => {
                waiting.push(subscriber);
                return Err(error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(id: i64, team: Option<&str>, watch: &str) -> Happening {
        let (team, watch) = (team.map(str::to_owned), Some(watch.to_owned()));
        Happening { id, team, watch_id: Some(7), watch, json: "{\"a\" : 1}".to_owned() }
    }

    fn subscriber(waker: &Waker, interest: Interest, sent_at: Instant) -> (Subscriber, Receiver<Piece>) {
        let place = Place { taken: Arc::new(AtomicUsize::new(1)), meters: Arc::default() };
        let (sender, pieces) = stream(waker);
        (Subscriber { interest, sender, sent_at, place }, pieces)
    }

    #[test]
    fn a_client_hears_of_its_team_and_watches() {
        let (waker, _wakeups) = crate::http::waker::pair().unwrap();
        let wants = |team: Option<&str>, watches: &[&str], one: &Happening| {
            let watches = (!watches.is_empty()).then(|| watches.iter().map(|&name| name.to_owned()).collect());
            let interest = Interest { team: team.map(str::to_owned), watches, last: None };
            subscriber(&waker, interest, Instant::now()).0.wants(one)
        };
        let (ours, nobodys) = (happening(1, Some("noc"), "w"), happening(2, None, "w"));
        assert!(wants(None, &[], &ours) && wants(None, &[], &nobodys));
        assert!(wants(Some("noc"), &[], &ours) && !wants(Some("noc"), &[], &nobodys) && !wants(Some("x"), &[], &ours));
        assert!(wants(None, &["v", "w"], &ours) && wants(None, &["7"], &ours) && !wants(None, &["v", "70"], &ours));
        assert!(!wants(Some("x"), &["w"], &ours));
    }

    #[test]
    fn silence_is_broken_and_who_takes_nothing_is_cut() {
        let (waker, _wakeups) = crate::http::waker::pair().unwrap();
        let everything = || Interest { team: None, watches: None, last: None };
        let long_ago = Instant::now().checked_sub(HEARTBEAT).unwrap();
        let (quiet, heard) = subscriber(&waker, everything(), long_ago);
        let (busy, nothing) = subscriber(&waker, everything(), Instant::now());
        let mut clients = vec![quiet, busy];
        keep_alive(&mut clients);
        assert!(matches!(heard.try_recv(), Ok(Piece::Data(text)) if text == b":\n\n"));
        assert!(nothing.try_recv().is_err() && clients.len() == 2);
        keep_alive(&mut clients);
        assert!(heard.try_recv().is_err(), "told again before the time is over");

        // One client reads, the other does not.
        let meters = Arc::clone(&clients[0].place.meters);
        for _ in 0..100 {
            clients.iter_mut().for_each(|one| one.sent_at = long_ago);
            keep_alive(&mut clients);
            let _ = heard.try_recv();
        }
        assert_eq!(clients.len(), 1, "who takes nothing has no place any more");
        assert!(Arc::ptr_eq(&clients[0].place.meters, &meters));
        let pieces = nothing.iter().count();
        assert!((1..=8).contains(&pieces), "{pieces} pieces, then the end without the last one: it is cut");
    }

    #[test]
    fn late_numbers_are_told_once() {
        let now = Instant::now();
        let mut told = Told { floor: 5, above: BTreeMap::from([(7, now), (9, now)]), conditions: None };
        assert!(told.has(5) && told.has(7) && !told.has(6) && !told.has(8));
        told.settle_to(7);
        assert!(told.has(6) && told.has(9) && !told.has(8) && told.above.len() == 1);
    }

    #[test]
    fn events_are_one_line_each() {
        assert_eq!(change_text(&happening(3, None, "w")), "id: 3\nevent: incident\ndata: {\"a\" : 1}\n\n");
        let text = "event: condition\ndata: {\"holds\": false, \"a\" : 1}\n\n";
        assert_eq!(condition_text(&happening(0, None, "w"), false), text);
    }
}
