//! Metrics of watches, their incidents and deliveries, and of RPKI.

use std::time::Duration;

use super::series::{COUNTER, Exposition, GAUGE, count, seconds};
use crate::metrics::{DeliveryMeter, Gauge, IncidentMeter, Meters, RpkiMeter};
use crate::model::Timestamp;

/// Adds all of them.
pub(super) fn families(out: &mut Exposition, meters: &Meters) {
    watch_families(out, meters);
    delivery_families(out, &meters.deliveries);
    incident_families(out, &meters.incidents);
    rpki_families(out, &meters.rpki);
}

/// The evaluation of watches, where this collector does it.
fn watch_families(out: &mut Exposition, meters: &Meters) {
    let meter = &meters.watch;
    let evaluated = meter.evaluated_at.get();
    if evaluated == 0 {
        return;
    }
    let micros = |number: &Gauge| seconds(number.get());
    let help = "When watches were evaluated last.";
    out.one("rib_ingester_watch_last_evaluation_timestamp_seconds", GAUGE, help, seconds(evaluated));
    let help = "How long the oldest change of the last evaluation waited for it.";
    out.one("rib_ingester_watch_evaluation_lag_seconds", GAUGE, help, micros(&meter.lag));
    let help = "How long the last full evaluation of all watches took.";
    out.one("rib_ingester_watch_full_evaluation_seconds", GAUGE, help, micros(&meter.full_took));
    let help = "Changes that state writers noted for watches.";
    out.one("rib_ingester_watch_changes_total", COUNTER, help, count(meter.changes.get()));
    let help = "Times that all changes were dropped for a full evaluation, because they were too many or too old.";
    out.one("rib_ingester_watch_outbox_emptied_total", COUNTER, help, count(meter.emptied.get()));
    let help = "Conditions that a full evaluation found changed although no writer had noted it.";
    out.one("rib_ingester_watch_missed_changes_total", COUNTER, help, count(meter.missed.get()));
    let help = "Changes of incidents.";
    out.one("rib_ingester_watch_incident_changes_total", COUNTER, help, count(meter.incident_changes.get()));
}

fn delivery_families(out: &mut Exposition, meter: &DeliveryMeter) {
    out.all("rib_ingester_deliveries_total", COUNTER, "What became of messages to callbacks.", |series| {
        let results = [("delivered", &meter.delivered), ("failed", &meter.failed), ("given_up", &meter.given_up)];
        for (result, times) in results {
            series.add(&[("result", result)], count(times.get()));
        }
    });
    out.all("rib_ingester_deliveries", GAUGE, "Deliveries to callbacks that wait or were given up.", |series| {
        for (state, number) in [("pending", &meter.pending), ("dead", &meter.dead)] {
            series.add(&[("state", state)], count(number.get()));
        }
    });
    let help = "For how long the oldest delivery to a callback has waited.";
    out.one("rib_ingester_deliveries_oldest_seconds", GAUGE, help, count(meter.oldest_secs.get()));
    out.all("rib_ingester_callback_failing_seconds", GAUGE, "For how long a callback has taken nothing.", |series| {
        for (callback, secs) in meter.failing() {
            series.add(&[("callback", &callback)], count(secs));
        }
    });
}

fn incident_families(out: &mut Exposition, meter: &IncidentMeter) {
    out.one("rib_ingester_watches", GAUGE, "Enabled watches of the database.", count(meter.watches.get()));
    let help = "Collectors that are alive and evaluate watches, or would if another one stopped.";
    out.one("rib_ingester_watch_evaluators", GAUGE, help, count(meter.evaluators.get()));
    let help = "For how long the oldest change has waited to be evaluated.";
    out.one("rib_ingester_watch_outbox_oldest_seconds", GAUGE, help, count(meter.outbox_oldest_secs.get()));
    out.all("rib_ingester_incidents", GAUGE, "Incidents of the database that are not closed.", |series| {
        for ((condition, severity), incidents) in meter.incidents() {
            series.add(&[("condition", condition.as_str()), ("severity", severity.as_str())], count(incidents));
        }
    });
    let help = "Incidents of each watch that are not closed; of more than 1,000 watches by team and kind.";
    out.all("rib_ingester_watch_incidents", GAUGE, help, |series| {
        for one in meter.by_watch() {
            let labels = [("kind", one.kind.as_str()), ("team", one.team.as_str()), ("watch", one.watch.as_str())];
            series.add(&labels, count(one.incidents));
        }
    });
}

fn rpki_families(out: &mut Exposition, meter: &RpkiMeter) {
    let Some(set) = meter.gauges() else { return };
    let flag = |is_so: bool| count(u8::from(is_so));
    if let Some(generated) = set.generated {
        let age = Timestamp::now().unix_micros().saturating_sub(generated.unix_micros());
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        out.one("rib_ingester_rpki_set_age_seconds", GAUGE, "The age of the VRPs in force.", age.as_secs_f64());
    }
    let help = "1 if the VRPs in force are not too old; 0: the state of every route is unknown.";
    out.one("rib_ingester_rpki_set_usable", GAUGE, help, flag(set.is_usable));
    let help = "1 if a newer set of VRPs is held because it lacks too much.";
    out.one("rib_ingester_rpki_set_held", GAUGE, help, flag(set.is_held));
    let help = "1 if no source gave a set of VRPs at the last try.";
    out.one("rib_ingester_rpki_fetch_failing", GAUGE, help, flag(set.is_failing));
    out.all("rib_ingester_rpki_fetches_total", COUNTER, "What became of tries to get a set of VRPs.", |series| {
        for (result, times) in meter.fetches.all() {
            series.add(&[("result", result)], count(times));
        }
    });
    out.all("rib_ingester_rpki_vrps", GAUGE, "VRPs by trust anchor, before SLURM.", |series| {
        for (trust_anchor, vrps) in &set.trust_anchors {
            series.add(&[("trust_anchor", trust_anchor)], count(*vrps));
        }
    });
    let help = "Distinct pairs of prefix and origin of a router by their state, as of its last scan.";
    out.all("rib_ingester_rpki_routes", GAUGE, help, |series| {
        for (router, states) in meter.routers() {
            for (state, routes) in ["valid", "invalid", "not-found"].into_iter().zip(states) {
                series.add(&[("router", &router), ("state", state)], count(routes));
            }
        }
    });
    let seconds = Duration::from_micros(meter.scan_took.get()).as_secs_f64();
    out.one("rib_ingester_rpki_scan_seconds", GAUGE, "The duration of the last scan of all routers.", seconds);
}
