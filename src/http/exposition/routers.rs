//! Metrics of routers, their tables and the statistics that they report.

use std::sync::Arc;
use std::time::Duration;

use super::series::{COUNTER, Exposition, GAUGE, HISTOGRAM, MetricType, count, seconds, when_known, with_zero};
use crate::metrics::{Lag, OTHERS, RouterMeter, TableMeter};
use crate::model::{Afi, RouterId};

/// The maximum number of tables of a router that have series of their own.
pub(super) const TABLES_MAX: usize = 64;

/// The maximum length of a label with a router's own text, in characters.
const TEXT_CHARACTERS_MAX: usize = 100;

type Routers = [(RouterId, Arc<RouterMeter>)];

/// Adds all of them.
pub(super) fn families(out: &mut Exposition, routers: &Routers) {
    router_families(out, routers);
    router_kinds(out, routers);
    lag_family(out, routers);
    table_families(out, routers);
    statistics_family(out, routers);
}

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
                    let (afi, name) = (family(table, *afi), cut(table));
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

/// Returns the label of a table's family: 4 or 6, and AFI/SAFI of a table of another family, whose name has it.
fn family(table: &str, afi: Afi) -> String {
    let other = table.rsplit_once("|nlri:").and_then(|(_, rest)| rest.split(' ').next());
    other.map_or_else(|| afi.column().to_string(), str::to_owned)
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
