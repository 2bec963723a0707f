//! Metrics of the stations that sessions are relayed to.

use std::sync::Arc;

use super::series::{COUNTER, Exposition, GAUGE, MetricType, count};
use crate::metrics::RelayMeter;

type Value = fn(&RelayMeter) -> u64;

const FAMILIES: &[(&str, MetricType, &str, Value)] = &[
    ("rib_ingester_relay_up", GAUGE, "1 if this station of RIB_INGESTER_RELAY can be reached.", |meter| {
        meter.is_up.get()
    }),
    ("rib_ingester_relay_sessions", GAUGE, "Sessions that the station is being sent.", |meter| meter.sessions.get()),
    (
        "rib_ingester_relay_missed_sessions",
        GAUGE,
        "Sessions that the station has missed, or lost in the middle, and that wait to be sent anew.",
        |meter| meter.missed.get(),
    ),
    ("rib_ingester_relay_lag_bytes", GAUGE, "Input of its sessions that the station has not taken.", |meter| {
        meter.lag.get()
    }),
    ("rib_ingester_relay_sent_bytes_total", COUNTER, "Input that the station took.", |meter| meter.octets.get()),
    (
        "rib_ingester_relay_dropped_total",
        COUNTER,
        "Times that the station was too slow for a session, which it was not sent any more.",
        |meter| meter.dropped.get(),
    ),
    (
        "rib_ingester_relay_resyncs_total",
        COUNTER,
        "Sessions that were closed so that the station gets a new dump.",
        |meter| meter.dumps.get(),
    ),
];

/// Adds all of them.
pub(super) fn families(out: &mut Exposition, relays: &[(String, Arc<RelayMeter>)]) {
    for (name, kind, help, value) in FAMILIES {
        out.all(name, *kind, help, |series| {
            for (station, meter) in relays {
                series.add(&[("station", station)], count(value(meter)));
            }
        });
    }
}
