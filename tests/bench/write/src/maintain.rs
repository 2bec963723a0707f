//! What maintenance does to the writers: the time from sending to the commit before, during a refresh of the summary,
//! after it, and while a day of history is dropped.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::collector::Collector;
use crate::database::{Database, now, number};
use crate::limits::secondary_indexes;
use crate::router::Router;
use crate::steady::percentiles;
use crate::stream::{SENDING_MAX_SECS, send, wait_for_markers};
use crate::{Bench, Failure};

/// How long nothing but changes happens, before and between.
const QUIET: Duration = Duration::from_secs(20);

/// Measures and prints.
pub fn run(bench: &Bench, rows: i64, rate: u64) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("MAINTENANCE_INTERVAL_SECS", "43200")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut client = database.client()?;
    let mut all = (2..22).map(|number| Router::new(number, 5_000)).collect::<Result<Vec<_>, _>>()?;
    let mut sessions = Vec::new();
    for router in &mut all {
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        sessions.push(session);
    }
    wait_for_markers(&mut client, &all)?;

    // More routers with the same routes, loaded without indexes.
    let secondary = secondary_indexes(&mut client)?;
    let names = client.query(
        "SELECT indexname::text FROM pg_indexes WHERE tablename = 'current_routes' AND indexname LIKE 'idx%'",
        &[],
    )?;
    for row in names {
        client.batch_execute(&format!("DROP INDEX {}", row.get::<_, String>(0)))?;
    }
    let copies = rows / number(&mut client, "SELECT count(*) FROM current_routes")?;
    let columns = crate::limits::ROUTE_COLUMNS;
    client.batch_execute(&format!(
        "INSERT INTO current_routes ({columns}) SELECT {} FROM current_routes c, generate_series(1, {copies}) AS copy",
        columns.replacen("router_id", "'10.9.' || copy || '.' || split_part(router_id, '.', 4)", 1)
    ))?;
    for sql in secondary {
        client.batch_execute(&sql.replace("limit_routes", "current_routes"))?;
    }
    // A day whose retention is over.
    let row = client.query_one(
        "SELECT 'route_events_' || to_char(day, 'YYYYMMDD'), day::text, (day + 1)::text
         FROM (SELECT (now() AT TIME ZONE 'UTC')::date - 40 AS day) AS days",
        &[],
    )?;
    let [name, day, next]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    client.batch_execute(&format!(
        "CREATE TABLE {name} PARTITION OF route_events FOR VALUES FROM ('{day} 00:00+00') TO ('{next} 00:00+00');
         CREATE TEMP TABLE old AS SELECT * FROM route_events;
         UPDATE old SET ingest_time = '{day} 12:00+00';
         INSERT INTO route_events SELECT * FROM old;
         REFRESH MATERIALIZED VIEW route_summary"
    ))?;
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    let total = number(&mut client, "SELECT count(*) FROM current_routes")?;
    let old = number(&mut client, &format!("SELECT count(*) FROM {name}"))?;
    println!("{total} routes of {} routers; {rate} UPDATEs a second of 20 of them", 20 * (copies + 1));

    let mut marks = vec![("before", now(&mut client)?)];
    let mut took = Vec::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&mut all, &mut sessions, rate, SENDING_MAX_SECS, &is_over));
        let worked = (|| {
            std::thread::sleep(QUIET);
            marks.push(("refresh of route_summary", now(&mut client)?));
            let begin = Instant::now();
            client.batch_execute(
                "SET max_parallel_workers_per_gather = 0; REFRESH MATERIALIZED VIEW CONCURRENTLY route_summary",
            )?;
            took.push(begin.elapsed());
            marks.push(("after it", now(&mut client)?));
            std::thread::sleep(QUIET);
            marks.push(("whole maintenance run, a day of history dropped", now(&mut client)?));
            let begin = Instant::now();
            let status = Command::new(&bench.binary)
                .arg("maintenance")
                .env("RIB_INGESTER_DATABASE_URL", database.url())
                .status()?;
            took.push(begin.elapsed());
            marks.push(("end", now(&mut client)?));
            if status.success() { Ok(()) } else { Err::<(), Failure>("maintenance failed".into()) }
        })();
        is_over.store(true, Ordering::Release);
        sender.join().map_err(|_| "a thread panicked")??;
        worked
    })?;
    for (router, session) in all.iter_mut().zip(&mut sessions) {
        router.mark(session)?;
    }
    wait_for_markers(&mut client, &all)?;
    println!(
        "refresh {:.1} s; maintenance with a day of {old} events to drop {:.1} s\n",
        took[0].as_secs_f64(),
        took[1].as_secs_f64()
    );
    println!("| events sent, from sending to the commit, ms | p50 | p90 | p99 | max |\n|---|---:|---:|---:|---:|");
    for (begin, end) in marks.iter().zip(&marks[1..]) {
        let within = format!(
            "SELECT pg_xact_commit_timestamp(xmin) - router_time AS waited FROM route_events
             WHERE router_time >= '{}' AND router_time < '{}' AND ingest_time > '{}'",
            begin.1, end.1, marks[0].1
        );
        println!("| {} | {} |", begin.0, percentiles(&mut client, &within)?);
    }
    collector.stop()
}
