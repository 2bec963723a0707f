//! Metrics of the JSON API and of birdwatcher's API.

use super::series::{COUNTER, Exposition, GAUGE, count};
use crate::metrics::ApiMeter;

/// Adds all of them.
pub(super) fn families(out: &mut Exposition, meter: &ApiMeter) {
    let help =
        "Answers to programs, by path and class of the status; those that are refused unread are not among them.";
    out.all("rib_ingester_api_requests_total", COUNTER, help, |series| {
        for ((path, class), times) in meter.answers() {
            series.add(&[("path", path), ("status", class)], count(times));
        }
    });
    let help = "Requests of programs that were answered with 429, because their sender had sent too many.";
    out.one("rib_ingester_api_refused_requests_total", COUNTER, help, count(meter.refused.get()));
    let help = "Bytes of the bodies of answers to programs.";
    out.one("rib_ingester_api_sent_bytes_total", COUNTER, help, count(meter.bytes.get()));
    let help = "Whole tables that are being sent to programs; at most 8 at a time.";
    out.one("rib_ingester_api_streams", GAUGE, help, count(meter.streams.get()));
    let help = "Clients of /api/v1/events; at most 100 at a time.";
    out.one("rib_ingester_api_event_clients", GAUGE, help, count(meter.event_clients.get()));
}
