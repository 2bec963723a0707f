//! The threads of routers that listen, one for each.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::begin::{StartError, spawn};
use crate::config::Settings;
use crate::conninfo::Roots;
use crate::metrics::Meters;
use crate::session::Shared;
use crate::session::dialer::{Dialer, KeyOf};
use crate::session::registry::ConnectionLimits;
use crate::session::target::{self, Target};
use crate::tls::Connector;

/// The routers that the collector connects to.
pub(super) struct Dialers {
    dialers: Vec<Arc<Dialer>>,
    targets: Vec<Arc<Target>>,
}

impl Dialers {
    /// Returns the dialers of all routers in the settings.
    pub(super) fn new(settings: &Settings, key_of: &KeyOf) -> Dialers {
        let most = ConnectionLimits { sessions: settings.max_sessions, per_address: settings.max_sessions_per_address };
        let tls = connector(settings).map(Arc::new);
        let dialer = |to: &crate::config::ConnectTarget| {
            let tls = tls.as_ref().filter(|_| to.uses_tls).map(Arc::clone);
            Arc::new(Dialer::new(to.clone(), tls, Arc::clone(key_of), most))
        };
        let dialers: Vec<Arc<Dialer>> = settings.connect.iter().map(dialer).collect();
        let targets = dialers.iter().map(|dialer| Arc::clone(dialer.target())).collect();
        Dialers { dialers, targets }
    }

    /// Starts a thread for each.
    pub(super) fn spawn(&self, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
        let start = |dialer: &Arc<Dialer>| {
            let (dialer, shared) = (Arc::clone(dialer), Arc::clone(shared));
            spawn(&format!("connect-{}", dialer.target().name()), move || dialer.run(&shared))
        };
        self.dialers.iter().map(start).collect()
    }

    /// Logs which routers are reached and no longer reached, and updates their meters.
    pub(super) fn measure(&self, meters: &Meters) {
        if !self.targets.is_empty() {
            target::measure(&self.targets, meters);
        }
    }
}

/// Checks the files for TLS with routers that listen, if any does.
///
/// # Errors
/// A file cannot be read or is not valid.
pub(super) fn check_files(settings: &Settings) -> Result<(), StartError> {
    match connector(settings).map(|connector| connector.config()) {
        Some(Err(why)) => Err(StartError::Configuration(format!("TLS for routers (RIB_INGESTER_BMP_TLS_*): {why}"))),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn connector(settings: &Settings) -> Option<Connector> {
    settings.connect.iter().any(|target| target.uses_tls).then_some(())?;
    let authorities = Roots::File(settings.bmp_tls_client_ca_file.clone()?);
    let own = settings.bmp_tls_certificate_file.clone().zip(settings.bmp_tls_key_file.clone());
    Some(Connector { authorities, own })
}
