//! The threads that judge watches, tell callbacks and validate routes: the collector can do without them for a while.

use std::sync::Arc;
use std::thread::JoinHandle;

use ureq::tls::TlsConfig;

use super::begin::spawn;
use super::observability::Operations;
use super::restart;
use crate::config::Settings;
use crate::dependents;
use crate::rpki;
use crate::stop::Stop;
use crate::tls;
use crate::watch::deliveries::{self, AddressRules, DeliveryOptions};
use crate::watch::run;

/// Starts the thread that tells callbacks, unless watches are off here.
pub(super) fn spawn_deliveries(
    settings: &Settings,
    https: TlsConfig,
    operations: &Operations,
    stop: &Stop,
) -> Option<JoinHandle<()>> {
    if !settings.watch {
        return None;
    }
    let options = DeliveryOptions {
        database_url: settings.database_url.clone(),
        collector: settings.collector_id.clone(),
        rules: address_rules(settings),
        https,
        public_url: settings.public_url.clone(),
        meters: Arc::clone(&operations.meters),
        outages: Arc::clone(&operations.health) as _,
        heartbeat: operations.meters.heartbeat(deliveries::THREAD, deliveries::STANDSTILL_MAX),
        stop: stop.clone(),
    };
    Some(spawn(deliveries::THREAD, move || {
        let DeliveryOptions { meters, heartbeat, stop, .. } = &options;
        restart::run(deliveries::THREAD, meters, heartbeat, stop, || deliveries::run(&options));
    }))
}

/// Starts the evaluator of watches, unless watches are off here. Where another collector of the same database
/// evaluates, it waits for its turn.
pub(super) fn spawn_evaluator(settings: &Settings, operations: &Operations, stop: &Stop) -> Option<JoinHandle<()>> {
    if !settings.watch {
        return None;
    }
    let (meters, stop, woken) = (Arc::clone(&operations.meters), stop.clone(), operations.watching.woken().clone());
    let options = run::Options {
        database_url: settings.database_url.clone(),
        collector: settings.collector_id.clone(),
        site: settings.site.clone(),
        mitigation: settings.mitigation_communities.clone(),
        meters: Arc::clone(&meters),
        outages: Arc::clone(&operations.health) as _,
    };
    let heartbeat = meters.heartbeat(run::THREAD, run::STANDSTILL_MAX);
    Some(spawn(run::THREAD, move || {
        restart::run(run::THREAD, &meters, &heartbeat, &stop, || run::run(&options, &woken, &heartbeat, &stop));
    }))
}

/// Starts the thread that keeps the records of what depends on routes up to date, unless watches are off here.
pub(super) fn spawn_dependents(settings: &Settings, operations: &Operations, stop: &Stop) -> Option<JoinHandle<()>> {
    if !settings.watch {
        return None;
    }
    let (meters, stop) = (Arc::clone(&operations.meters), stop.clone());
    let options = dependents::run::Options {
        database_url: settings.database_url.clone(),
        collector: settings.collector_id.clone(),
        meters: Arc::clone(&meters),
        outages: Arc::clone(&operations.health) as _,
    };
    let heartbeat = meters.heartbeat(dependents::run::THREAD, dependents::run::STANDSTILL_MAX);
    Some(spawn(dependents::run::THREAD, move || {
        restart::run(dependents::run::THREAD, &meters, &heartbeat, &stop, || {
            dependents::run::run(&options, &heartbeat, &stop);
        });
    }))
}

/// Starts the thread that fetches VRPs and validates routes, if there is a source of VRPs.
pub(super) fn spawn_rpki(settings: &Settings, operations: &Operations, stop: &Stop) -> Option<JoinHandle<()>> {
    if settings.vrps.is_empty() {
        return None;
    }
    let options = rpki::Options {
        database_url: settings.database_url.clone(),
        collector: settings.collector_id.clone(),
        sources: settings.vrps.clone(),
        refresh: settings.vrps_refresh,
        max_age: settings.vrps_max_age,
        slurm: settings.slurm.clone(),
        ignored: settings.vrps_ignore_ta.clone(),
        scan_every: settings.rpki_scan,
        hold: rpki::hold::HOLD,
        meters: Arc::clone(&operations.meters),
        outages: Arc::clone(&operations.health) as _,
    };
    let (meters, stop) = (Arc::clone(&operations.meters), stop.clone());
    let heartbeat = meters.heartbeat(rpki::run::THREAD, rpki::run::STANDSTILL_MAX);
    Some(spawn(rpki::run::THREAD, move || {
        restart::run(rpki::run::THREAD, &meters, &heartbeat, &stop, || rpki::run::run(&options, &heartbeat, &stop));
    }))
}

/// Returns the rules for the addresses of callbacks.
pub(crate) fn address_rules(settings: &Settings) -> AddressRules {
    let listeners = [Some(settings.bmp_listen), settings.bmp_tls_listen, settings.http_listen];
    AddressRules { allowed: settings.callback_allow.clone(), listeners: listeners.into_iter().flatten().collect() }
}

/// Returns the authorities that callbacks are trusted by.
///
/// # Errors
/// The file cannot be read or is not valid.
pub(crate) fn callback_tls(settings: &Settings) -> Result<TlsConfig, String> {
    match &settings.callback_ca {
        Some(file) => tls::http_client_with(file).map_err(|why| format!("RIB_INGESTER_CALLBACK_CA: {why}")),
        None => Ok(tls::http_client()),
    }
}
