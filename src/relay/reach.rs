//! The reachability of a station: found out with a connection that carries nothing, before any session uses one.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::outlet::Outlet;
use crate::metrics::RelayMeter;
use crate::stop::Backoff;

/// The pauses between tries to reach a station.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The pauses before a station gets sessions anew that it gave up early or was too slow for: each may cost its router a
/// dump.
const CAUTION: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));

/// The least pause after it was too slow.
const CAUTION_IF_SLOW: Duration = Duration::from_secs(60);

/// A connection that broke before this age is a reason for caution.
const EARLY: Duration = Duration::from_secs(60);

/// One of this age ends the caution.
const LASTING: Duration = Duration::from_secs(600);

/// A station.
#[derive(Clone, Debug)]
pub struct Station {
    /// Its name in the log and in metrics.
    pub name: String,
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The client's side of TLS, and the name in the station's certificate; `None`: the octets are sent as they are.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// The way to a station.
pub(super) struct Reach<'a> {
    station: &'a Station,
    meter: Arc<RelayMeter>,
    /// The address in use, and others of the same name.
    addresses: VecDeque<SocketAddr>,
    probe: Option<Outlet>,
    is_up: bool,
    /// True if the log says that it is not.
    is_told: bool,
    next_try: Instant,
    pause: Backoff,
    cautious_until: Instant,
    caution: Backoff,
}

impl<'a> Reach<'a> {
    pub(super) fn new(station: &'a Station, meter: &Arc<RelayMeter>) -> Reach<'a> {
        let now = Instant::now();
        Reach {
            station,
            meter: Arc::clone(meter),
            addresses: VecDeque::new(),
            probe: None,
            is_up: false,
            is_told: false,
            next_try: now,
            pause: Backoff::new(PAUSE.0, PAUSE.1),
            cautious_until: now,
            caution: Backoff::new(CAUTION.0, CAUTION.1),
        }
    }

    /// Returns whether the station can be reached.
    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    /// Returns whether it was tried in vain.
    pub(super) fn is_down(&self) -> bool {
        self.is_told
    }

    /// Returns whether it may get sessions anew.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_up && Instant::now() >= self.cautious_until
    }

    /// Goes on finding out.
    pub(super) fn probe(&mut self) {
        if self.is_up || Instant::now() < self.next_try {
            return;
        }
        match self.try_to_reach() {
            Ok(false) => {}
            Ok(true) => {
                self.probe = None;
                self.is_up = true;
                self.pause.reset();
                info!("relay: station {}: connected{}", self.station.name, if self.is_told { " again" } else { "" });
                self.is_told = false;
                self.meter.set_trouble(None);
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn try_to_reach(&mut self) -> io::Result<bool> {
        if let Some(probe) = &mut self.probe {
            return probe.is_ready();
        }
        if self.addresses.is_empty() {
            self.addresses = (self.station.host.as_str(), self.station.port).to_socket_addrs()?.collect();
        }
        self.probe = Some(self.connect()?);
        Ok(false)
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// The system refuses at once, or the name has no address.
    pub(super) fn connect(&self) -> io::Result<Outlet> {
        let address = self.addresses.front().ok_or_else(|| io::Error::other("its name has no address"))?;
        Outlet::begin(*address, self.station.tls.as_ref())
    }

    /// The station could not be reached.
    pub(super) fn fail(&mut self, why: &str) {
        (self.probe, self.is_up) = (None, false);
        self.addresses.pop_front();
        if self.addresses.is_empty() {
            self.down(why, || format!("cannot be reached: {why}"));
        }
    }

    /// A connection to the station broke at this age.
    pub(super) fn broke(&mut self, age: Duration, subject: &str, why: &str) {
        if age < EARLY {
            self.cautious_until = Instant::now() + self.caution.take();
        } else if age >= LASTING {
            self.caution.reset();
            self.cautious_until = Instant::now();
        }
        if std::mem::replace(&mut self.is_up, false) {
            self.addresses.clear();
            self.down(why, || format!("connection of {subject} lost: {why}"));
        }
    }

    fn down(&mut self, why: &str, text: impl FnOnce() -> String) {
        self.next_try = Instant::now() + self.pause.take();
        if !std::mem::replace(&mut self.is_told, true) {
            warn!("relay: station {}: {}; trying again until it is back", self.station.name, text());
        }
        self.meter.set_trouble(Some(why.to_owned()));
    }

    /// The station was too slow for a session.
    pub(super) fn slow(&mut self, subject: &str, why: &str) {
        let pause = self.caution.take().max(CAUTION_IF_SLOW);
        let now = Instant::now();
        if now >= self.cautious_until {
            warn!(
                "relay: station {}: dropped for {subject}: {why}; it is sent nothing anew for {} s",
                self.station.name,
                pause.as_secs()
            );
        }
        self.cautious_until = now + pause;
    }
}
