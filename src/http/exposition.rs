//! All counters under their metric names, in Prometheus's text format.
//!
//! Series per router: about 50, 7 per table, and one per value of its Statistics Reports, up to
//! [`STATISTICS_MAX`](crate::metrics::STATISTICS_MAX); 8 for a router of this collector that has not connected since
//! the start. [`ROUTERS_MAX`](crate::metrics::ROUTERS_MAX) routers and [`TABLES_MAX`] tables of each have series of
//! their own; further tables are summed under `(others)`. Text from routers is in `rib_ingester_router_info` only, cut
//! to [`TEXT_CHARACTERS_MAX`], and in table names.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prometheus::{Error, TextEncoder};

use super::process;
use crate::metrics::{
    DeliveryMeter, IncidentMeter, LAG_BUCKETS, Lag, Meters, Number, OTHERS, RouterMeter, RpkiMeter, SpoolMeter,
    TableMeter,
};
use crate::model::{RouterId, Timestamp};
use crate::pipeline::Health;

/// The maximum number of tables of a router that have series of their own.
const TABLES_MAX: usize = 64;

/// The maximum length of a label with a router's own text, in characters.
const TEXT_CHARACTERS_MAX: usize = 100;

/// The labels of one series.
type Labels<'a> = &'a [(&'static str, &'a str)];

/// The metric families that are being filled.
#[derive(Default)]
struct Exposition {
    families: Vec<MetricFamily>,
}

/// One metric family that is being filled.
struct Series {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    metrics: Vec<proto::Metric>,
}

/// Returns all metrics as of now.
pub(super) fn text(meters: &Meters, health: &Health) -> Result<String, Error> {
    let mut out = Exposition::default();
    process_families(&mut out, meters);
    writer_families(&mut out, meters, health);
    spool_families(&mut out, &meters.spool);
    delivery_families(&mut out, &meters.deliveries);
    incident_families(&mut out, &meters.incidents);
    rpki_families(&mut out, &meters.rpki);
    let routers = meters.routers();
    router_families(&mut out, &routers);
    lag_family(&mut out, &routers);
    table_families(&mut out, &routers);
    statistics_family(&mut out, &routers);
    TextEncoder::new().encode_to_string(&out.families)
}

impl Exposition {
    fn one(&mut self, name: &'static str, kind: MetricType, help: &'static str, value: f64) {
        self.all(name, kind, help, |series| series.add(&[], value));
    }

    fn some(&mut self, name: &'static str, kind: MetricType, help: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.one(name, kind, help, count(value));
        }
    }

    /// Adds a family, unless it has no series.
    fn all(&mut self, name: &'static str, kind: MetricType, help: &'static str, fill: impl FnOnce(&mut Series)) {
        let mut series = Series { name, help, kind, metrics: Vec::new() };
        fill(&mut series);
        if series.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(series.name.to_owned());
        family.set_help(series.help.to_owned());
        family.set_field_type(series.kind);
        family.set_metric(series.metrics);
        self.families.push(family);
    }
}

impl Series {
    fn add(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = proto::Metric::from_label(pairs(labels));
        if self.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    fn histogram(&mut self, labels: Labels<'_>, lag: &Lag) {
        let counts = lag.counts();
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(counts.count);
        histogram.set_sample_sum(counts.sum.as_secs_f64());
        let buckets = LAG_BUCKETS.iter().zip(counts.buckets).map(|(bound, below)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = proto::Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&'static str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

use MetricType::{COUNTER, GAUGE, HISTOGRAM};

/// The evaluation of watches, where this collector does it.
fn watch_families(out: &mut Exposition, meters: &Meters) {
    let meter = &meters.watch;
    let evaluated = meter.evaluated_at.get();
    if evaluated == 0 {
        return;
    }
    let micros = |number: &Number| seconds(number.get());
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

fn process_families(out: &mut Exposition, meters: &Meters) {
    out.all("rib_ingester_build_info", GAUGE, "Always 1; the version is a label.", |series| {
        series.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    });
    let started = meters.started.unix_micros().unsigned_abs();
    out.one("process_start_time_seconds", GAUGE, "When the process started.", seconds(started));
    let process = process::read();
    out.some("process_resident_memory_bytes", GAUGE, "Memory in RAM.", process.resident_bytes);
    out.some("process_open_fds", GAUGE, "Open files and sockets.", process.open_files);
    out.some("process_max_fds", GAUGE, "How many files and sockets may be open.", process.open_files_max);
    out.some("process_threads", GAUGE, "Threads of the process.", process.threads);
    out.all("rib_ingester_ready", GAUGE, "1 if this part of the collector does its work.", |series| {
        for (part, state) in meters.parts() {
            series.add(&[("part", part)], f64::from(u8::from(state.is_ok())));
        }
    });
    out.all(
        "rib_ingester_thread_stalled_seconds",
        GAUGE,
        "How long a thread has been working without getting a step further; 0 for one that waits for input.",
        |series| {
            for pulse in meters.pulses() {
                series.add(&[("thread", pulse.name())], pulse.stalled_for().as_secs_f64());
            }
        },
    );
    out.all("rib_ingester_thread_restarts_total", COUNTER, "Threads that ended and were started again.", |series| {
        for (thread, times) in meters.restarts.all() {
            series.add(&[("thread", thread)], count(times));
        }
    });
    let process = &meters.process;
    out.one("rib_ingester_connections", GAUGE, "Open BMP connections.", count(process.connections.get()));
    out.all("rib_ingester_refused_connections_total", COUNTER, "BMP connections that were refused.", |series| {
        for (reason, times) in with_zero(meters.refused.all(), "allow_list") {
            series.add(&[("reason", reason)], count(times));
        }
    });
    let help = "BMP connections that were closed without a byte, such as a load balancer's health checks.";
    out.one("rib_ingester_silent_connections_total", COUNTER, help, count(process.silent_connections.get()));
    maintenance_families(out, meters);
}

fn maintenance_families(out: &mut Exposition, meters: &Meters) {
    let process = &meters.process;
    if let Some(done) = when_known(&process.maintenance_done) {
        let help = "The end of the last successful maintenance run.";
        out.one("rib_ingester_maintenance_last_success_timestamp_seconds", GAUGE, help, seconds(done));
        let took = seconds(process.maintenance_took.get());
        out.one("rib_ingester_maintenance_duration_seconds", GAUGE, "How long the last maintenance run took.", took);
    }
    let failures = count(process.maintenance_failures.get());
    let help = "Steps of maintenance that failed; each is tried again at the next run.";
    out.one("rib_ingester_maintenance_failures_total", COUNTER, help, failures);
    let help = "Tables whose number in route_counts was not that of their routes; maintenance corrected it.";
    out.one("rib_ingester_route_counts_corrected_total", COUNTER, help, count(process.counts_corrected.get()));
    let help = "Daily partitions of route_events.";
    out.some("rib_ingester_history_partitions", GAUGE, help, when_known(&process.partitions));
    let help = "Disk space of route_events with its indexes.";
    out.some("rib_ingester_history_bytes", GAUGE, help, when_known(&process.partition_bytes));
    let help =
        "Routers in the database whose collector is not alive: start one with its COLLECTOR_ID, or `forget` them.";
    watch_families(out, meters);
    let orphans = count(process.routers_without_collector.get());
    out.one("rib_ingester_routers_without_collector", GAUGE, help, orphans);
    let help = "Disk space of the database.";
    out.some("rib_ingester_database_bytes", GAUGE, help, when_known(&process.database_bytes));
    let help = "Routes that a table may hold in one address family; 0: any number.";
    out.one("rib_ingester_table_routes_limit", GAUGE, help, count(process.table_routes_max.get()));
}

fn writer_families(out: &mut Exposition, meters: &Meters, health: &Health) {
    let queues = meters.queues();
    out.all("rib_ingester_queue_items", GAUGE, "Items that wait in front of a writer.", |series| {
        for (writer, queue) in &queues {
            series.add(&[("writer", writer)], count(queue.waiting));
        }
    });
    out.all("rib_ingester_queue_capacity_items", GAUGE, "Items that may wait; full means back-pressure.", |series| {
        for (writer, queue) in &queues {
            series.add(&[("writer", writer)], count(queue.capacity));
        }
    });
    let of = |counter: &std::sync::atomic::AtomicU64| count(counter.load(Ordering::Relaxed));
    out.all("rib_ingester_batches_total", COUNTER, "Batches that writers wrote.", |series| {
        series.add(&[("path", "history")], of(&health.history_batches));
        series.add(&[("path", "state")], of(&health.state_batches));
    });
    out.all("rib_ingester_rows_total", COUNTER, "Rows by what was done with them.", |series| {
        series.add(&[("kind", "event_written")], of(&health.events_written));
        series.add(&[("kind", "route_deleted")], of(&health.routes_deleted));
        series.add(&[("kind", "route_written")], of(&health.routes_written));
    });
    let help = "Events of routers that another collector took, which could not be stored: a row gap says so.";
    out.one("rib_ingester_events_lost_total", COUNTER, help, of(&health.events_lost));
    let help = "Rows that the database refused and that went to the rejected file.";
    out.one("rib_ingester_rejected_rows_total", COUNTER, help, of(&health.rows_rejected));
    let help = "Attempts at the database that failed and were repeated.";
    out.one("rib_ingester_retries_total", COUNTER, help, of(&health.retries));
    let help = "Changes that were not written when the grace at the stop was over.";
    out.one("rib_ingester_given_up_total", COUNTER, help, of(&health.given_up));
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

fn spool_families(out: &mut Exposition, spool: &SpoolMeter) {
    let rows = [
        ("rib_ingester_spool_bytes", GAUGE, "Input that waits on the disk until the database takes it.", &spool.bytes),
        ("rib_ingester_spool_limit_bytes", GAUGE, "How much may wait there; 0: there is no spool.", &spool.bytes_max),
        ("rib_ingester_spool_segments", GAUGE, "Files of the spool.", &spool.segments),
        ("rib_ingester_spool_streams", GAUGE, "Sessions whose input waits in the spool.", &spool.streams),
        ("rib_ingester_spool_appended_bytes_total", COUNTER, "Input that went to the spool.", &spool.appended_bytes),
        ("rib_ingester_spool_damaged_bytes_total", COUNTER, "Input that could not be read back.", &spool.damaged_bytes),
        ("rib_ingester_spool_gaps_total", COUNTER, "How often input of a session was lost.", &spool.gaps),
        (
            "rib_ingester_spool_write_errors_total",
            COUNTER,
            "How often the spool's disk refused to be written.",
            &spool.write_errors,
        ),
    ];
    for (name, kind, help, number) in rows {
        out.one(name, kind, help, count(number.get()));
    }
    let age = spool.oldest_age(Timestamp::now()).as_secs_f64();
    let help = "How long the oldest input has been waiting in the spool; 0: none waits.";
    out.one("rib_ingester_spool_oldest_age_seconds", GAUGE, help, age);
}

type Routers = [(RouterId, Arc<RouterMeter>)];

fn router_families(out: &mut Exposition, routers: &Routers) {
    out.all("rib_ingester_router_info", GAUGE, "Always 1; what the router is called.", |series| {
        for (router, meter) in routers {
            let hostname = cut(&meter.hostname().unwrap_or_default());
            let address = meter.address().map(|address| address.to_string()).unwrap_or_default();
            let labels = [("router", router.as_str()), ("hostname", hostname.as_str()), ("address", address.as_str())];
            series.add(&labels, 1.0);
        }
    });
    /// Name, type, help text and value, if there is one.
    type Row = (&'static str, MetricType, &'static str, fn(&RouterMeter) -> Option<f64>);
    let rows: [Row; 8] = [
        ("rib_ingester_session_up", GAUGE, "1 while the router has a session.", |meter| {
            Some(f64::from(u8::from(meter.sessions_up.get() > 0)))
        }),
        ("rib_ingester_sessions_total", COUNTER, "Sessions of the router.", |meter| Some(count(meter.sessions.get()))),
        ("rib_ingester_messages_total", COUNTER, "BMP messages read.", |meter| Some(count(meter.messages.get()))),
        ("rib_ingester_received_bytes_total", COUNTER, "Bytes of BMP messages read.", |meter| {
            Some(count(meter.bytes.get()))
        }),
        (
            "rib_ingester_blocked_seconds_total",
            COUNTER,
            "How long the router's socket was left unread because a writer's queue was full.",
            |meter| Some(seconds(meter.blocked.get())),
        ),
        ("rib_ingester_tables", GAUGE, "Tables of the router's session.", |meter| Some(count(meter.tables().len()))),
        ("rib_ingester_session_start_timestamp_seconds", GAUGE, "When the latest session began.", |meter| {
            when_known(&meter.session_began).map(seconds)
        }),
        ("rib_ingester_last_message_timestamp_seconds", GAUGE, "When the last BMP message was read.", |meter| {
            when_known(&meter.last_message).map(seconds)
        }),
    ];
    for (name, kind, help, value) in rows {
        out.all(name, kind, help, |series| {
            for (router, meter) in routers {
                value(meter).into_iter().for_each(|value| series.add(&[("router", router.as_str())], value));
            }
        });
    }
    router_kinds(out, routers);
}

/// Adds the families that have one more label: a word of this program.
fn router_kinds(out: &mut Exposition, routers: &Routers) {
    /// Name, type, help text, label, and the values by label.
    type Row = (&'static str, MetricType, &'static str, &'static str, fn(&RouterMeter) -> Vec<(&'static str, u64)>);
    let rows: [Row; 3] = [
        ("rib_ingester_session_ends_total", COUNTER, "Sessions that ended, by how.", "how", |meter| meter.ends.all()),
        (
            "rib_ingester_drift_routes",
            GAUGE,
            "By how many routes what is stored differs from the router's own statistics, over its peers and families; of a Loc-RIB that it does not count, by how many it is more than its peers have.",
            "rib",
            |meter| meter.drift().into_iter().collect(),
        ),
        (
            "rib_ingester_anomalies_total",
            COUNTER,
            "What the router did that contradicts itself or the standard, and what of it is not stored.",
            "kind",
            |meter| with_zero(meter.anomalies.all(), "rejected"),
        ),
    ];
    for (name, kind, help, label, values) in rows {
        out.all(name, kind, help, |series| {
            for (router, meter) in routers {
                for (of, value) in values(meter) {
                    series.add(&[("router", router.as_str()), (label, of)], count(value));
                }
            }
        });
    }
}

/// Returns a gauge's value unless it is 0: not known yet.
fn when_known(number: &Number) -> Option<u64> {
    Some(number.get()).filter(|value| *value > 0)
}

/// Adds `kind` with 0 if it is absent: alerts on it need a series that starts at 0, because one that begins with 1 has
/// no increase.
fn with_zero(mut kinds: Vec<(&'static str, u64)>, kind: &'static str) -> Vec<(&'static str, u64)> {
    if kinds.iter().all(|(of, _)| *of != kind) {
        kinds.push((kind, 0));
    }
    kinds
}

fn lag_family(out: &mut Exposition, routers: &Routers) {
    type Path = (&'static str, fn(&RouterMeter) -> &Lag);
    let paths: [Path; 2] = [("history", |meter| &meter.history), ("state", |meter| &meter.state)];
    let help = "From the reading of a message to the commit of what it changed, per batch.";
    out.all("rib_ingester_commit_lag_seconds", HISTOGRAM, help, |series| {
        // A router that has not connected has no lag.
        for (router, meter) in routers.iter().filter(|(_, meter)| meter.sessions.get() > 0) {
            for (path, lag) in paths {
                series.histogram(&[("router", router.as_str()), ("path", path)], lag(meter));
            }
        }
    });
    let help = "How long the oldest change of any router has been waiting for its commit.";
    out.all("rib_ingester_uncommitted_seconds", GAUGE, help, |series| {
        for (path, lag) in paths {
            let waiting = routers.iter().map(|(_, meter)| lag(meter).waiting()).max().unwrap_or(Duration::ZERO);
            series.add(&[("path", path)], waiting.as_secs_f64());
        }
    });
}

/// Name, type, help text and value of a table's series.
type TableRow = (&'static str, MetricType, &'static str, fn(&TableMeter) -> f64);

const TABLE_ROWS: [TableRow; 7] = [
    ("rib_ingester_routes", GAUGE, "Routes that the database has of the table.", |table| count(table.routes.get())),
    (
        "rib_ingester_table_synced",
        GAUGE,
        "1 when the dump of the table is over, by an End-of-RIB or by silence.",
        |table| count(table.synchronized.get()),
    ),
    ("rib_ingester_end_of_rib_seen", GAUGE, "1 when the session has sent the table's End-of-RIB.", |table| {
        f64::from(u8::from(table.end_of_rib.get() > 0))
    }),
    ("rib_ingester_announced_total", COUNTER, "Routes announced.", |table| count(table.announced.get())),
    ("rib_ingester_withdrawn_total", COUNTER, "Routes withdrawn.", |table| count(table.withdrawn.get())),
    (
        "rib_ingester_unchanged_total",
        COUNTER,
        "Routes announced that the database had like this already: nothing was written.",
        |table| count(table.unchanged.get()),
    ),
    ("rib_ingester_purged_total", COUNTER, "Routes removed because a new dump did not name them.", |table| {
        count(table.purged.get())
    }),
];

fn table_families(out: &mut Exposition, routers: &Routers) {
    let tables: Vec<(&RouterId, Vec<_>)> = routers.iter().map(|(router, meter)| (router, meter.tables())).collect();
    for (name, kind, help, value) in TABLE_ROWS {
        out.all(name, kind, help, |series| {
            for (router, tables) in &tables {
                for ((table, afi), meter) in tables.iter().take(TABLES_MAX) {
                    let (afi, name) = (afi.column().to_string(), cut(table));
                    let labels = [("router", router.as_str()), ("table", name.as_str()), ("afi", afi.as_str())];
                    series.add(&labels, value(meter));
                }
                if tables.len() > TABLES_MAX {
                    let rest = tables.iter().skip(TABLES_MAX).map(|(_, meter)| value(meter)).sum();
                    series.add(&[("router", router.as_str()), ("table", OTHERS), ("afi", "")], rest);
                }
            }
        });
    }
}

fn statistics_family(out: &mut Exposition, routers: &Routers) {
    let help = "The latest value of what the router counts of a peer, by name (RFC 7854 section 4.8).";
    out.all("rib_ingester_peer_statistic", GAUGE, help, |series| {
        for (router, meter) in routers {
            for (key, value) in meter.statistics.all() {
                let labels = [
                    ("router", router.as_str()),
                    ("peer", key.peer.as_str()),
                    ("statistic", key.name.as_str()),
                    ("family", key.family.as_str()),
                ];
                series.add(&labels, count(value));
            }
        }
    });
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}

/// Converts a count to floating point, as Prometheus counts: exact up to 2^53.
fn count<N: TryInto<u64>>(number: N) -> f64 {
    let number = number.try_into().unwrap_or(u64::MAX);
    #[allow(clippy::cast_precision_loss, reason = "counters beyond 2^53 may be off by one")]
    let number = number as f64;
    number
}

fn seconds(micros: u64) -> f64 {
    count(micros) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, Table};

    fn lines(meters: &Meters, name: &str) -> Vec<String> {
        let text = text(meters, &Health::default()).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn text_from_routers_is_cut_and_escaped() {
        let meters = Meters::default();
        let hostname = format!("a\"b\\c\nd{}", "x".repeat(1000));
        meters.router(&RouterId::new("r")).session_begins("192.0.2.1".parse().unwrap(), Some(&hostname));
        let line = &lines(&meters, "rib_ingester_router_info")[0];
        assert!(line.starts_with("rib_ingester_router_info{router=\"r\",hostname=\"a\\\"b\\\\c\\ndxxx"), "{line}");
        assert!(line.len() < 250, "{line}");
        assert_eq!(lines(&meters, "rib_ingester_session_up"), ["rib_ingester_session_up{router=\"r\"} 1"]);
    }

    #[test]
    fn a_router_with_many_tables_has_series_for_some() {
        let meters = Meters::default();
        let router = RouterId::new("r");
        for i in 0..1_000 {
            let table = Table::loc_rib(router.clone(), format!("vrf{i:04}"), Afi::Ipv4);
            meters.router(&router).table(&table).routes.set(2);
        }
        let routes = lines(&meters, "rib_ingester_routes");
        assert_eq!(routes.len(), TABLES_MAX + 1);
        assert_eq!(routes[0], "rib_ingester_routes{router=\"r\",table=\"vrf0000\",afi=\"4\"} 2");
        assert_eq!(routes[TABLES_MAX], "rib_ingester_routes{router=\"r\",table=\"(others)\",afi=\"\"} 1872");
    }
}
