//! Notifications to systemd: readiness, status, and watchdog keepalives while all threads make progress.
//!
//! Without `$NOTIFY_SOCKET` it does nothing. See sd_notify(3).

use std::time::{Duration, Instant};

use log::{error, info, warn};
use sd_notify::NotifyState;

use crate::metrics::{ComponentStatus, Meters};

/// The shortest interval between two updates of the status line.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// The connection to systemd.
pub(super) struct Notify {
    /// The interval of watchdog keepalives; `None` if systemd expects none.
    ping_interval: Option<Duration>,
    pinged_at: Option<Instant>,
    is_withheld: bool,
    status: String,
    status_at: Option<Instant>,
    is_broken: bool,
}

impl Notify {
    /// Checks whether systemd expects watchdog keepalives.
    pub(super) fn new() -> Notify {
        // Three within the time after which systemd would kill this process.
        let ping_interval = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        let (pinged_at, status_at) = (None, None);
        Notify { ping_interval, pinged_at, is_withheld: false, status: String::new(), status_at, is_broken: false }
    }

    /// Reports that the database was reached and routers may connect.
    pub(super) fn ready(&mut self) {
        self.say(&[NotifyState::Ready]);
    }

    /// Reports that the collector stops.
    pub(super) fn stopping(&mut self) {
        self.say(&[NotifyState::Stopping, NotifyState::Status("stopping: writing what was read")]);
    }

    /// Runs `reload` as systemd's reload.
    pub(super) fn reloading(&mut self, reload: impl FnOnce()) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.say(&[NotifyState::Reloading, now]),
            Err(_) => self.say(&[NotifyState::Reloading]),
        }
        reload();
        self.ready();
    }

    /// Sends a line for `systemctl status`, if it has changed.
    pub(super) fn status(&mut self, line: impl FnOnce() -> String) {
        if self.status_at.is_some_and(|at| at.elapsed() < STATUS_EVERY) {
            return;
        }
        self.status_at = Some(Instant::now());
        let line = line();
        if line != self.status {
            self.say(&[NotifyState::Status(&line)]);
            self.status = line;
        }
    }

    /// Sends a watchdog keepalive, unless a thread is stalled: then systemd should end this process and start another.
    pub(super) fn ping_watchdog(&mut self, threads: &ComponentStatus) {
        let Some(every) = self.ping_interval else { return };
        if let Err(why) = threads {
            if !self.is_withheld {
                error!("collector: {why}: withholding watchdog keepalive");
            }
            self.is_withheld = true;
            return;
        }
        if self.is_withheld {
            info!("collector: all threads make progress again, sending watchdog keepalives");
            self.is_withheld = false;
        }
        if self.pinged_at.is_none_or(|at| at.elapsed() >= every) {
            self.pinged_at = Some(Instant::now());
            self.say(&[NotifyState::Watchdog]);
        }
    }

    fn say(&mut self, state: &[NotifyState<'_>]) {
        match sd_notify::notify(state) {
            Ok(()) => self.is_broken = false,
            Err(error) => {
                if !self.is_broken {
                    warn!("collector: systemd does not listen: {error}");
                }
                self.is_broken = true;
            }
        }
    }
}

/// Returns a one-line summary: the problems, or else the totals.
pub(super) fn summary(meters: &Meters) -> String {
    let parts = meters.parts();
    let wrong: Vec<String> =
        parts.iter().filter_map(|(name, part)| part.as_ref().err().map(|why| format!("{name}: {why}"))).collect();
    let routers = meters.routers();
    let up = routers.iter().filter(|(_, meter)| meter.sessions_up.get() > 0).count();
    let tables = routers.iter().flat_map(|(_, meter)| meter.tables());
    let routes: u64 = tables.map(|(_, table)| table.routes.get()).sum();
    let amount = format!("{up} of {} routers connected, {routes} routes", routers.len());
    if wrong.is_empty() { amount } else { format!("{}; {amount}", wrong.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, RouterId, Table};

    #[test]
    fn the_watchdog_is_fed_only_while_threads_move() {
        let mut notify = Notify { ping_interval: Some(Duration::ZERO), ..Notify::new() };
        notify.ping_watchdog(&Ok(()));
        let pinged_at = notify.pinged_at;
        assert!(pinged_at.is_some());
        notify.ping_watchdog(&Err("state-0 has not moved for 900 s".to_owned()));
        assert_eq!(notify.pinged_at, pinged_at);
        notify.ping_watchdog(&Ok(()));
        assert!(notify.pinged_at > pinged_at);
    }

    #[test]
    fn a_stalled_writer_withholds_the_watchdog_ping() {
        let meters = Meters::default();
        let writer = meters.heartbeat("state-0", Duration::from_millis(1));
        let mut notify = Notify { ping_interval: Some(Duration::ZERO), ..Notify::new() };
        writer.progress();
        while !writer.is_stuck() {
            std::thread::sleep(Duration::from_millis(1));
        }
        notify.ping_watchdog(&meters.threads());
        assert!(notify.pinged_at.is_none() && notify.is_withheld);
        writer.idle();
        notify.ping_watchdog(&meters.threads());
        assert!(notify.pinged_at.is_some() && !notify.is_withheld);
    }

    #[test]
    fn the_status_is_one_line() {
        let meters = Meters::default();
        let router = RouterId::new("10.0.0.1");
        meters.router(&router).session_begins("192.0.2.1".parse().unwrap(), None);
        meters.router(&RouterId::new("10.0.0.2"));
        let table = Table::loc_rib(router.clone(), "global", Afi::Ipv4);
        meters.router(&router).table(&table).routes.set(1_000_000);
        meters.set_part("database", Ok(()));
        assert_eq!(summary(&meters), "1 of 2 routers connected, 1000000 routes");
        meters.set_part("writers", Err("cannot write, see the log".to_owned()));
        assert_eq!(summary(&meters), "writers: cannot write, see the log; 1 of 2 routers connected, 1000000 routes");
    }
}
