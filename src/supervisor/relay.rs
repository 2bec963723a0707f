//! The threads that relay sessions to other stations: the collector can do without them for a while.

use std::sync::Arc;
use std::thread::JoinHandle;

use log::error;
use rustls::pki_types::ServerName;

use super::begin::{StartError, spawn};
use super::observability::Operations;
use super::restart;
use crate::config::Settings;
use crate::conninfo::Roots;
use crate::relay::{self, Options, Station};
use crate::session::Shared;
use crate::tls::Connector;

/// Returns the stations of the settings.
///
/// # Errors
/// A file for TLS cannot be read or is not valid.
pub(super) fn stations(settings: &Settings) -> Result<Vec<Station>, StartError> {
    let authorities = settings.relay_ca_file.clone().map_or(Roots::System, Roots::File);
    let own = settings.relay_certificate_file.clone().zip(settings.relay_key_file.clone());
    let uses_tls = settings.relay.iter().any(|station| station.uses_tls);
    let config = uses_tls.then(|| Connector { authorities, own }.config()).transpose();
    let config = config.map_err(|why| StartError::Configuration(format!("TLS of RIB_INGESTER_RELAY: {why}")))?;
    let config = config.map(Arc::new);
    let named = settings.relay.iter().map(|station| {
        let name = ServerName::try_from(station.host.clone()).map_err(|_| {
            StartError::Configuration(format!("RIB_INGESTER_RELAY: {} can be in no certificate", station.host))
        });
        let tls = config.clone().filter(|_| station.uses_tls).map(|config| name.map(|name| (config, name)));
        Ok(Station { name: station.to_string(), host: station.host.clone(), port: station.port, tls: tls.transpose()? })
    });
    named.collect()
}

/// Starts one thread for each station.
pub(super) fn start(
    stations: Vec<Station>,
    settings: &Settings,
    operations: &Operations,
    shared: &Shared,
) -> Vec<JoinHandle<()>> {
    if shared.journal.is_off() && !stations.is_empty() {
        error!("relay: without the journal no session is relayed");
        return Vec::new();
    }
    let start = |(reader, station)| {
        let (meters, stop) = (Arc::clone(&operations.meters), shared.stop.clone());
        let heartbeat = meters.heartbeat(relay::THREAD, relay::STANDSTILL_MAX);
        let feeds = Arc::clone(&shared.feeds);
        let options = Options { station, reader, resync: settings.relay_resync, feeds, meters: Arc::clone(&meters) };
        spawn(relay::THREAD, move || {
            restart::run(relay::THREAD, &meters, &heartbeat, &stop, || relay::run(&options, &heartbeat, &stop));
        })
    };
    stations.into_iter().enumerate().map(start).collect()
}
