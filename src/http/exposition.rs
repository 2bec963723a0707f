//! All counters under their metric names, in Prometheus's text format.
//!
//! Series per router: about 50, 7 per table, and one per value of its Statistics Reports, up to
//! [`STATISTICS_MAX`](crate::metrics::STATISTICS_MAX); 8 for a router of this collector that has not connected since
//! the start. [`ROUTERS_MAX`](crate::metrics::ROUTERS_MAX) routers and [`TABLES_MAX`](routers::TABLES_MAX) tables of
//! each have series of their own; further tables are summed under `(others)`. Text from routers is in
//! `rib_ingester_router_info` only, cut to 100 characters, and in table names.

mod api;
mod dependents;
mod relays;
mod routers;
mod series;
mod watches;

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::{Error, TextEncoder};

use self::series::{COUNTER, Exposition, GAUGE, count, seconds, when_known, with_zero};
use super::process;
use crate::metrics::{JournalMeter, Meters};
use crate::model::Timestamp;
use crate::pipeline::Health;

/// Returns all metrics as of now.
pub(super) fn text(meters: &Meters, health: &Health) -> Result<String, Error> {
    let mut out = Exposition::default();
    process_families(&mut out, meters);
    writer_families(&mut out, meters, health);
    journal_families(&mut out, &meters.journal);
    relays::families(&mut out, &meters.relays());
    watches::families(&mut out, meters);
    dependents::families(&mut out, &meters.dependents);
    api::families(&mut out, &meters.api);
    routers::families(&mut out, &meters.routers());
    TextEncoder::new().encode_to_string(&out.families)
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
            for heartbeat in meters.heartbeats() {
                series.add(&[("thread", heartbeat.name())], heartbeat.stalled_for().as_secs_f64());
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
    let help = "BMP sessions that stand by, because another collector has the router.";
    out.one("rib_ingester_standby_sessions", GAUGE, help, count(process.standby_sessions.get()));
    let lag = Duration::from_micros(process.standby_lag.get());
    let help = "Age of the oldest message that a BMP session that stands by has read and not applied.";
    out.one("rib_ingester_standby_lag_seconds", GAUGE, help, lag.as_secs_f64());
    let help = "Memory of the changes that BMP sessions that stand by keep (RIB_INGESTER_STANDBY_WINDOW_SECS).";
    out.one("rib_ingester_standby_window_bytes", GAUGE, help, count(process.standby_window.get()));
    out.all("rib_ingester_refused_connections_total", COUNTER, "BMP connections that were refused.", |series| {
        for (reason, times) in with_zero(meters.refused.all(), "allow_list") {
            series.add(&[("reason", reason)], count(times));
        }
    });
    let help = "BMP connections that were closed without a byte, such as a load balancer's health checks.";
    out.one("rib_ingester_silent_connections_total", COUNTER, help, count(process.silent_connections.get()));
    let targets = meters.connect.targets();
    let help = "1 while there is a session of this router, which the collector connects to (RIB_INGESTER_CONNECT).";
    out.all("rib_ingester_connect_reached", GAUGE, help, |series| {
        for (target, is_reached, _) in &targets {
            series.add(&[("target", target)], f64::from(u8::from(*is_reached)));
        }
    });
    out.all("rib_ingester_connect_tries_total", COUNTER, "Tries to connect to this router.", |series| {
        for (target, _, tries) in &targets {
            series.add(&[("target", target)], count(*tries));
        }
    });
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
    if let Some(done) = when_known(&process.archive_done) {
        let help = "The end of the last run of maintenance after which all days that are over were in the archive.";
        out.one("rib_ingester_archive_last_success_timestamp_seconds", GAUGE, help, seconds(done));
    }
    let help = "Files of the archive that could not be written or verified; each is tried again at the next run.";
    out.one("rib_ingester_archive_failures_total", COUNTER, help, count(process.archive_failures.get()));
    let help = "Tables whose number in route_counts was not that of their routes; maintenance corrected it.";
    out.one("rib_ingester_route_counts_corrected_total", COUNTER, help, count(process.counts_corrected.get()));
    let help = "Daily partitions of route_events.";
    out.some("rib_ingester_history_partitions", GAUGE, help, when_known(&process.partitions));
    let help = "Disk space of route_events with its indexes.";
    out.some("rib_ingester_history_bytes", GAUGE, help, when_known(&process.partition_bytes));
    let help =
        "Routers in the database whose collector is not alive: start one with its COLLECTOR_ID, or `forget` them.";
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

fn journal_families(out: &mut Exposition, journal: &JournalMeter) {
    let gauges = [
        ("rib_ingester_journal_bytes", "What the journal takes on the disk.", &journal.bytes),
        ("rib_ingester_journal_unstored_bytes", "Input that the database does not have.", &journal.unstored),
        ("rib_ingester_journal_limit_bytes", "How much it may take; 0: there is no journal.", &journal.bytes_max),
        ("rib_ingester_journal_segments", "Files of the journal.", &journal.segments),
        ("rib_ingester_journal_streams", "Sessions that have input in the journal.", &journal.streams),
    ];
    for (name, help, gauge) in gauges {
        out.one(name, GAUGE, help, count(gauge.get()));
    }
    let help = "How often the journal's disk refused to be written.";
    let counters = [
        ("rib_ingester_journal_appended_bytes_total", "Input that went to the journal.", &journal.appended_bytes),
        ("rib_ingester_journal_damaged_bytes_total", "Input that could not be read back.", &journal.damaged_bytes),
        ("rib_ingester_journal_gaps_total", "How often input of a session was lost.", &journal.gaps),
        ("rib_ingester_journal_write_errors_total", help, &journal.write_errors),
    ];
    for (name, help, counter) in counters {
        out.one(name, COUNTER, help, count(counter.get()));
    }
    let age = journal.oldest_age(Timestamp::now()).as_secs_f64();
    let help = "How long ago the oldest input was read that the database does not have; 0: it has all.";
    out.one("rib_ingester_journal_oldest_age_seconds", GAUGE, help, age);
}

#[cfg(test)]
mod tests {
    use super::routers::TABLES_MAX;
    use super::*;
    use crate::metrics::WatchIncidents;
    use crate::model::{Afi, RouterId, Table, View};

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
    fn tables_of_other_families_have_their_family() {
        let meters = Meters::default();
        let loc_rib = Table::loc_rib(RouterId::new("r"), "global|nlri:25/70", Afi::Ipv6);
        let table = Table { view: View::LocRib.of_nlri(), ..loc_rib };
        meters.router(&RouterId::new("r")).table(&table).routes.set(2);
        let want = r#"rib_ingester_routes{router="r",table="global|nlri:25/70 nlri-loc-rib",afi="25/70"} 2"#;
        assert_eq!(lines(&meters, "rib_ingester_routes"), [want]);
    }

    #[test]
    fn names_of_watches_are_escaped() {
        let meters = Meters::default();
        let (team, kind) = (String::new(), "prefix".to_owned());
        let watch = "a\"b\\c d{e=\"f\"} 7 \u{e4}".to_owned();
        meters.incidents.set_by_watch(vec![WatchIncidents { team, watch, kind, incidents: 2 }]);
        let want = r#"rib_ingester_watch_incidents{kind="prefix",team="",watch="a\"b\\c d{e=\"f\"} 7 ä"} 2"#;
        assert_eq!(lines(&meters, "rib_ingester_watch_incidents"), [want]);
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
