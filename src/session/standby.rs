//! Sessions that stand by: another collector has the router. Such a session stays open, is read so that the router is
//! never held back, and keeps nothing of what it reads.
//!
//! When the router is this collector's to take, the session is closed. The router then connects again, and the new
//! session claims it and gets a dump; unchanged routes of a dump are not stored again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::info;

use super::connection::Connection;
use super::end::{Cause, SessionEnd};
use super::input::{Input, Next};
use crate::model::RouterId;
use crate::stop::Stop;

/// A session that stands by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// The router.
    pub router: RouterId,
    /// Its key in `bmp_sessions`.
    pub session: String,
    /// The collector that has the router.
    pub owner: String,
}

/// All sessions of this collector that stand by.
#[derive(Debug, Default)]
pub struct Standbys {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the numbers of their connections.
    open: BTreeMap<u64, (RouterId, Arc<Connection>)>,
    /// The keys of those that are over, with the reasons.
    ended: Vec<(String, String)>,
}

impl Standbys {
    /// Returns their number.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.lock().open.len()).unwrap_or(u64::MAX)
    }

    /// Returns their routers, each once.
    pub(crate) fn routers(&self) -> Vec<RouterId> {
        let mut routers: Vec<RouterId> = self.lock().open.values().map(|(router, _)| router.clone()).collect();
        routers.sort_unstable();
        routers.dedup();
        routers
    }

    /// Closes the sessions of a router that is now this collector's to take, `from` whom the text says.
    pub(crate) fn take(&self, router: &RouterId, from: &str) {
        for (_, connection) in self.lock().open.values().filter(|(of, _)| of == router) {
            connection.ask_to_end(SessionEnd::new(Cause::TakesOver, from));
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

    fn begin(&self, standby: &Standby, connection: &Arc<Connection>) {
        self.lock().open.insert(connection.number(), (standby.router.clone(), Arc::clone(connection)));
    }

    fn end(&self, standby: &Standby, connection: &Connection, end: &SessionEnd) {
        let mut inner = self.lock();
        inner.open.remove(&connection.number());
        inner.ended.push((standby.session.clone(), end.to_string()));
    }

    /// A panic elsewhere leaves the map consistent: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a session stand by until it ends. Returns why it does.
pub(super) fn run(
    standby: &Standby,
    standbys: &Standbys,
    (connection, input): (&Arc<Connection>, &Input),
    stop: &Stop,
    tick: Duration,
) -> SessionEnd {
    let Standby { router, owner, .. } = standby;
    info!("router {router}: session from {} stands by: collector {owner} has the router", connection.source);
    input.stand_by();
    standbys.begin(standby, connection);
    let end = loop {
        if let Next::End(end) = input.next(tick) {
            break end;
        }
        if stop.is_stopping() {
            break Cause::Stopping.into();
        }
    };
    let end = connection.asked_to_end().unwrap_or(if stop.is_stopping() { Cause::Stopping.into() } else { end });
    standbys.end(standby, connection, &end);
    end
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn sessions_of_a_router_are_asked_to_end() {
        let standbys = Standbys::default();
        let of = |router: &str, number| {
            let standby =
                Standby { router: RouterId::new(router), session: format!("key {number}"), owner: "one".to_owned() };
            let connection = Arc::new(Connection::new(IpAddr::V4(Ipv4Addr::LOCALHOST), number, None));
            standbys.begin(&standby, &connection);
            (standby, connection)
        };
        let all = [of("b", 1), of("a", 2), of("b", 3)];
        assert_eq!((standbys.count(), standbys.routers()), (3, vec![RouterId::new("a"), RouterId::new("b")]));
        standbys.take(&RouterId::new("b"), "collector one, which is not alive");
        let asked: Vec<bool> = all.iter().map(|(_, connection)| connection.asked_to_end().is_some()).collect();
        assert_eq!(asked, [true, false, true]);
        let (standby, connection) = &all[0];
        standbys.end(standby, connection, &connection.asked_to_end().unwrap());
        let told = "takes over from collector one, which is not alive: waits for the router's new session";
        assert_eq!(standbys.take_ended(), [("key 1".to_owned(), told.to_owned())]);
        assert_eq!((standbys.count(), standbys.take_ended().len()), (2, 0));
    }
}
