//! What a million events cost, with and without the raw messages: the event writer's own connection, the collector, the
//! disk.

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::machine::{self, Meter};
use crate::router::{MARKER_PREFIX, Router};
use crate::{Bench, Failure};

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize) -> Result<(), Failure> {
    println!(
        "| a million events of a dump | CPU s: their connection | collector, state included | bytes an event: heap | indexes |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (what, raw, compress) in
        [("without raw bytes", "false", "true"), ("with, zstd", "true", "true"), ("with, as they are", "true", "false")]
    {
        let database = Database::fresh(&bench.admin, "rib_bench")?;
        let settings = [("STORE_RAW_BYTES", raw), ("STORE_RAW_BYTES_COMPRESS", compress)];
        let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
        let mut client = database.client()?;
        let mut router = Router::new(2, routes)?;
        let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
        let begin = meter.collector_time();
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        for table in ["route_events", "current_routes"] {
            let marked = format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE router_id = '{}' AND table_name = 'global'
                                  AND afi = 4 AND prefix = '{MARKER_PREFIX}')",
                router.id
            );
            wait(&mut client, "the marker", &marked)?;
        }
        let collectors = meter.collector_time() - begin;
        let backend = number(
            &mut client,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rib-ingester/events%'",
        )?;
        let writer = machine::used(u32::try_from(backend)?);
        let events = number(&mut client, "SELECT count(*) FROM route_events")?;
        let days = "FROM pg_partition_tree('route_events') WHERE isleaf";
        let heap = number(&mut client, &format!("SELECT sum(pg_table_size(relid)) {days}"))?;
        let indexes = number(&mut client, &format!("SELECT sum(pg_indexes_size(relid)) {days}"))?;
        let million = 1e6 / events as f64;
        println!(
            "| {what} | {:.1} | {:.1} | {} | {} |",
            writer.as_secs_f64() * million,
            collectors.as_secs_f64() * million,
            heap / events,
            indexes / events
        );
        collector.stop()?;
    }
    Ok(())
}
