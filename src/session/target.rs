//! The state of routers that the collector connects to: reached once a router has said which one it is, so that one that
//! accepts and says nothing, or speaks something else, is not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{info, warn};

use super::connection::Connection;
use crate::metrics::Meters;

/// A router that the collector connects to.
#[derive(Debug)]
pub struct Target {
    name: String,
    inner: Mutex<TargetState>,
}

#[derive(Debug, Default)]
struct TargetState {
    /// The connection, while there is one.
    connection: Option<Arc<Connection>>,
    /// Why the latest try failed; `None` before the first try has ended, and while the router is reached.
    failure: Option<String>,
    /// The tries since the router was reached.
    tries: u64,
    /// The state that was logged last: reached, or not.
    told: Option<bool>,
}

impl Target {
    /// Returns a target that has not been tried. `name` is `HOST:PORT`, as in the settings.
    pub(super) fn new(name: String) -> Target {
        Target { name, inner: Mutex::default() }
    }

    /// Returns `HOST:PORT`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that a try begins.
    pub(super) fn begin_try(&self, meters: &Meters) {
        self.lock().tries += 1;
        meters.connect.count_try(&self.name);
    }

    /// Notes a connection.
    pub(super) fn connected(&self, connection: &Arc<Connection>) {
        self.lock().connection = Some(Arc::clone(connection));
    }

    /// Notes the end of the connection, or of a try without one.
    pub(super) fn failed(&self, why: String) {
        let mut inner = self.lock();
        inner.connection = None;
        inner.failure = Some(why);
    }

    /// Notes the end of a connection whose router was reached.
    pub(super) fn lost(&self) {
        let mut inner = self.lock();
        *inner = TargetState { told: inner.told, ..TargetState::default() };
    }

    /// Logs a change of its state. Returns why the router is not reached, if it is not.
    fn check(&self) -> Result<(), Option<String>> {
        let mut inner = self.lock();
        if inner.connection.as_ref().is_some_and(|connection| connection.is_named()) {
            if inner.told.replace(true) != Some(true) {
                let source = inner.connection.as_ref().map(|connection| connection.source.to_string());
                let (at, tries) = (source.unwrap_or_default(), inner.tries);
                info!("router at {}: reached at {at}, tries={tries}", self.name);
            }
            inner.failure = None;
            return Ok(());
        }
        if let Some(why) = inner.failure.clone()
            && inner.told.replace(false) != Some(false)
        {
            warn!("router at {}: not reached, trying again: {why}", self.name);
        }
        Err(inner.failure.clone())
    }

    /// A panic elsewhere leaves the state consistent: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, TargetState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs the changes of all targets, and puts their state into the meters; called at every tick of the supervisor.
pub(crate) fn measure(targets: &[Arc<Target>], meters: &Meters) {
    /// The most targets that are named as degraded.
    const NAMED_MAX: usize = 3;
    let mut without = Vec::new();
    for target in targets {
        let state = target.check();
        meters.connect.set_reached(&target.name, state.is_ok());
        // One that was never tried to the end is not in trouble yet.
        if let Err(Some(why)) = state {
            without.push(format!("{} ({why})", target.name));
        }
    }
    let degraded = (!without.is_empty()).then(|| {
        let named: Vec<&str> = without.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = if without.len() > NAMED_MAX { ", .." } else { "" };
        format!("{} of {} routers are not reached: {}{more}", without.len(), targets.len(), named.join(", "))
    });
    meters.set_degraded("connect", degraded);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn a_router_is_reached_once_it_has_said_who_it_is() {
        let (meters, targets) = (Meters::default(), [Arc::new(Target::new("edge1:1790".to_owned()))]);
        let state = || {
            measure(&targets, &meters);
            (meters.connect.targets(), meters.degraded().remove("connect"))
        };
        let of = |is_reached, tries| vec![("edge1:1790".to_owned(), is_reached, tries)];
        let text = |why: &str| Some(format!("1 of 1 routers are not reached: edge1:1790 ({why})"));
        assert_eq!(state(), (of(false, 0), None));
        targets[0].begin_try(&meters);
        assert_eq!(state(), (of(false, 1), None));
        targets[0].failed("refused".to_owned());
        assert_eq!(state(), (of(false, 1), text("refused")));
        let connection = Arc::new(Connection::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1, None));
        targets[0].begin_try(&meters);
        targets[0].connected(&connection);
        assert_eq!(state(), (of(false, 2), text("refused")));
        connection.note_named();
        assert_eq!(state(), (of(true, 2), None));
        targets[0].lost();
        assert_eq!(state(), (of(false, 2), None));
        assert_eq!(targets[0].lock().told, Some(true), "the end of the session was told");
        targets[0].failed("no route".to_owned());
        assert_eq!(state(), (of(false, 2), text("no route")));
    }
}
