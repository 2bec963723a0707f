//! Sessions that stand by: another collector has the router. Such a session stays open and is read, so that the router
//! is never held back. It applies what it reads and sends nothing (`take_over`): when the router is this collector's to
//! take, it goes on with what it has.
//!
//! Without `RIB_INGESTER_STANDBY_WINDOW_SECS`, or if it is relayed, it keeps nothing of what it reads and is closed when
//! the router is to be taken. The router then connects again, and the new session claims it and gets a dump; unchanged
//! routes of a dump are not stored again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::info;

use super::connection::Connection;
use super::end::{Cause, SessionEnd};
use super::input::{Input, InputProgress, Next};
use super::window::WindowMemory;
use crate::model::{RouterId, Timestamp};
use crate::stop::Stop;

/// A session that stands by.
#[derive(Clone, Debug)]
pub struct Standby {
    /// The router.
    pub router: RouterId,
    /// Its key in `bmp_sessions`.
    pub session: String,
    /// The collector that has the router.
    pub owner: String,
    /// True if the router is to be taken, by a session that keeps what it hears.
    pub(super) is_wanted: Arc<AtomicBool>,
    /// The octets of its input that had been read when it found that out: what the owner may have stored.
    pub(super) wanted_at: Option<u64>,
}

impl Standby {
    /// Returns one whose router is not to be taken.
    pub fn new(router: RouterId, session: String, owner: String) -> Standby {
        Standby { router, session, owner, is_wanted: Arc::default(), wanted_at: None }
    }

    /// Returns why it stands by.
    pub(super) fn why(&self) -> String {
        format!("collector {} has the router", self.owner)
    }
}

/// All sessions of this collector that stand by.
#[derive(Default)]
pub struct Standbys {
    inner: Mutex<Inner>,
    memory: Arc<WindowMemory>,
}

#[derive(Default)]
struct Inner {
    /// By the numbers of their connections.
    open: BTreeMap<u64, Open>,
    /// The keys of those that are over, with the reasons.
    ended: Vec<(String, String)>,
}

struct Open {
    standby: Standby,
    connection: Arc<Connection>,
    /// The input of one that keeps what it hears.
    input: Option<Arc<Input>>,
}

impl Standbys {
    /// Returns their number.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.lock().open.len()).unwrap_or(u64::MAX)
    }

    /// Returns the memory that what they keep takes.
    pub(crate) fn memory(&self) -> &Arc<WindowMemory> {
        &self.memory
    }

    /// Returns the progress of those that keep what they hear, at this time, by their keys.
    pub(crate) fn progress(&self, now: Timestamp) -> Vec<(String, InputProgress)> {
        let inner = self.lock();
        let progress = |open: &Open| Some((open.standby.session.clone(), open.input.as_ref()?.progress(now)?));
        inner.open.values().filter_map(progress).collect()
    }

    /// Returns their routers, each once.
    pub(crate) fn routers(&self) -> Vec<RouterId> {
        let mut routers: Vec<RouterId> = self.lock().open.values().map(|open| open.standby.router.clone()).collect();
        routers.sort_unstable();
        routers.dedup();
        routers
    }

    /// Has the sessions of a router take it that is now this collector's to take, or closes those that keep nothing;
    /// the text says `from` whom.
    pub(crate) fn take(&self, router: &RouterId, from: &str) {
        for open in self.lock().open.values().filter(|open| open.standby.router == *router) {
            match open.input {
                Some(_) => open.standby.is_wanted.store(true, Ordering::Release),
                None => open.connection.ask_to_end(SessionEnd::new(Cause::TakesOver, from)),
            }
        }
    }

    /// Returns the keys of sessions that are over since the last call, with the reasons.
    pub(crate) fn take_ended(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.lock().ended)
    }

    /// Puts back what could not be stored.
    pub(crate) fn put_back(&self, ended: Vec<(String, String)>) {
        self.lock().ended.extend(ended);
    }

    /// Adds a session; `input` is that of one that keeps what it hears.
    pub(super) fn begin(&self, standby: &Standby, connection: &Arc<Connection>, input: Option<&Arc<Input>>) {
        let (standby, connection, input) = (standby.clone(), Arc::clone(connection), input.map(Arc::clone));
        self.lock().open.insert(connection.number(), Open { standby, connection, input });
    }

    /// Removes a session, if it stands by.
    pub(super) fn end(&self, connection: &Connection, reason: &str) {
        let mut inner = self.lock();
        if let Some(open) = inner.open.remove(&connection.number()) {
            inner.ended.push((open.standby.session, reason.to_owned()));
        }
    }

    /// A panic elsewhere leaves the map consistent: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a session stand by that keeps nothing, until it ends. Returns why it does.
pub(super) fn run(
    standby: &Standby,
    standbys: &Standbys,
    (connection, input): (&Arc<Connection>, &Input),
    stop: &Stop,
    tick: Duration,
) -> SessionEnd {
    let (router, why) = (&standby.router, standby.why());
    info!("router {router}: session from {} stands by: {why}", connection.source);
    input.stand_by(false);
    standbys.begin(standby, connection, None);
    let end = loop {
        if let Next::End(end) = input.next(tick) {
            break end;
        }
        if stop.is_stopping() {
            break Cause::Stopping.into();
        }
    };
    connection.asked_to_end().unwrap_or(if stop.is_stopping() { Cause::Stopping.into() } else { end })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn sessions_of_a_router_are_asked_to_end() {
        let standbys = Standbys::default();
        let of = |router: &str, number| {
            let standby = Standby::new(RouterId::new(router), format!("key {number}"), "one".to_owned());
            let connection = Arc::new(Connection::new(IpAddr::V4(Ipv4Addr::LOCALHOST), number, None));
            standbys.begin(&standby, &connection, None);
            (standby, connection)
        };
        let all = [of("b", 1), of("a", 2), of("b", 3)];
        assert_eq!((standbys.count(), standbys.routers()), (3, vec![RouterId::new("a"), RouterId::new("b")]));
        standbys.take(&RouterId::new("b"), "collector one, which is not alive");
        let asked: Vec<bool> = all.iter().map(|(_, connection)| connection.asked_to_end().is_some()).collect();
        assert_eq!(asked, [true, false, true]);
        let (_, connection) = &all[0];
        standbys.end(connection, &connection.asked_to_end().unwrap().to_string());
        standbys.end(connection, "once more");
        let told = "takes over from collector one, which is not alive: waits for the router's new session";
        assert_eq!(standbys.take_ended(), [("key 1".to_owned(), told.to_owned())]);
        assert_eq!((standbys.count(), standbys.take_ended().len()), (2, 0));
    }
}
