//! First loads of a large table while readers query another one: sorted runs of several lengths into the table with all
//! its indexes, or into a table of its own that is indexed and attached when it is whole.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::limits::{ROUTE_COLUMNS, secondary_indexes};
use crate::machine::{Meter, Spent};
use crate::router::{MARKER_PREFIX, Router};
use crate::{Bench, Failure};

/// How the rows of a candidate come: so many in a transaction, sorted by key or as they arrived.
struct Way {
    what: &'static str,
    run: usize,
    is_sorted: bool,
    /// Into a table with the key alone, which gets its other indexes and is attached when the last row is there.
    is_late: bool,
}

const WAYS: [Way; 5] = [
    Way { what: "arrival order, all indexes", run: 10_000, is_sorted: false, is_late: false },
    Way { what: "sorted runs of 10,000, all indexes", run: 10_000, is_sorted: true, is_late: false },
    Way { what: "sorted runs of 80,000, all indexes", run: 80_000, is_sorted: true, is_late: false },
    Way { what: "sorted runs of 320,000, all indexes", run: 320_000, is_sorted: true, is_late: false },
    Way { what: "key alone, then ten indexes, then attached", run: 10_000, is_sorted: true, is_late: true },
];

/// How long a reader rests after each query.
const REST: Duration = Duration::from_millis(100);

/// How one candidate did.
struct Found {
    what: &'static str,
    /// Until the last row can be seen.
    spent: Spent,
    /// Of the readers' queries, milliseconds, sorted.
    waits: Vec<f64>,
}

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, readers: usize) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let mut client = database.client()?;
    fill(bench, &database, &mut client, routes)?;
    let rows = number(&mut client, "SELECT count(*) FROM arrived")?;
    println!("{rows} routes of one router, {readers} readers querying another's {}\n", routes / 5 + routes / 25);
    let secondary = secondary_indexes(&mut client)?;
    let mut all = Vec::new();
    for Way { what, run, is_sorted, is_late } in WAYS {
        let runs = runs(&mut client, run, is_sorted, rows)?;
        client.batch_execute(
            "DROP TABLE IF EXISTS candidate;
             CREATE TABLE candidate (LIKE current_routes INCLUDING ALL) PARTITION BY LIST (router_id);
             CREATE TABLE candidate_small PARTITION OF candidate FOR VALUES IN ('10.0.0.3');
             CREATE TABLE candidate_rest PARTITION OF candidate DEFAULT;
             INSERT INTO candidate_small SELECT * FROM current_routes WHERE router_id = '10.0.0.3';
             ANALYZE candidate_small",
        )?;
        let meter = Meter { postmaster: bench.postmaster, collector: None };
        let ((spent, done), waits) = with_readers(&database, readers, || {
            meter.time(|| {
                if is_late { late(&database, &secondary, &runs) } else { copy(&database, "candidate_rest", &runs) }
            })
        })?;
        done?;
        if number(&mut client, "SELECT count(*) FROM candidate WHERE router_id = '10.0.0.2'")? != rows {
            return Err("rows are missing".into());
        }
        all.push(Found { what, spent, waits });
    }
    println!(
        "| way | s | CPU s: PostgreSQL | queries | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    for Found { what, spent, waits } in all {
        let at = |p: f64| waits.get(((waits.len() - 1) as f64 * p) as usize).copied().unwrap_or(0.0);
        println!(
            "| {what} | {:.1} | {:.1} | {} | {:.1} | {:.1} | {:.1} |",
            spent.wall.as_secs_f64(),
            spent.server.as_secs_f64(),
            waits.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// A small router for the readers, and the rows of a large one as they arrived, in a table without indexes.
fn fill(bench: &Bench, database: &Database, client: &mut Client, routes: usize) -> Result<(), Failure> {
    let collector = Collector::start(&bench.binary, &database.url(), &[("HISTORY_WRITERS", "1")])?;
    for (number, routes) in [(3, routes / 5), (2, routes)] {
        let mut router = Router::new(number, routes)?;
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        for table in ["current_routes", "route_events"] {
            let marked = format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE router_id = '{}' AND table_name = 'global' AND afi = 4
                                AND prefix = '{MARKER_PREFIX}')",
                router.id
            );
            wait(client, "the marker", &marked)?;
        }
    }
    collector.stop()?;
    let columns = ROUTE_COLUMNS.replace("path_id", "coalesce(path_id, 0) AS path_id");
    client.batch_execute(&format!(
        "CREATE TABLE arrived AS SELECT row_number() OVER (ORDER BY ingest_time) AS n, {columns} FROM route_events
             WHERE router_id = '10.0.0.2' ORDER BY ingest_time;
         CREATE UNIQUE INDEX ON arrived (n);
         ANALYZE arrived;
         DELETE FROM current_routes WHERE router_id = '10.0.0.2';
         TRUNCATE route_events"
    ))?;
    Ok(client.batch_execute("VACUUM FULL ANALYZE current_routes")?)
}

/// The rows as binary COPY takes them, run by run.
fn runs(client: &mut Client, run: usize, is_sorted: bool, rows: i64) -> Result<Vec<Vec<u8>>, Failure> {
    let order = if is_sorted { "router_id, table_name, afi, prefix, path_id" } else { "n" };
    (1..=rows)
        .step_by(run)
        .map(|first| {
            let query = format!(
                "SELECT {ROUTE_COLUMNS} FROM arrived WHERE n >= {first} AND n < {first} + {run} ORDER BY {order}"
            );
            let mut bytes = Vec::new();
            client.copy_out(&format!("COPY ({query}) TO STDOUT (FORMAT binary)"))?.read_to_end(&mut bytes)?;
            Ok(bytes)
        })
        .collect()
}

/// One COPY of `ROUTE_COLUMNS` and one commit for each run.
pub fn copy(database: &Database, table: &str, runs: &[Vec<u8>]) -> Result<(), Failure> {
    let mut client = database.client()?;
    for run in runs {
        let mut writer = client.copy_in(&format!("COPY {table} ({ROUTE_COLUMNS}) FROM STDIN (FORMAT binary)"))?;
        for piece in run.chunks(256 * 1024) {
            writer.write_all(piece)?;
        }
        writer.finish()?;
    }
    Ok(())
}

/// Runs into a table of its own with the key alone; its indexes built by two connections; attached.
fn late(database: &Database, secondary: &[String], runs: &[Vec<u8>]) -> Result<(), Failure> {
    let mut client = database.client()?;
    client.batch_execute(
        "CREATE TABLE limit_routes (LIKE candidate INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
         ALTER TABLE limit_routes ADD PRIMARY KEY (router_id, table_name, afi, prefix, path_id),
             ADD CHECK (router_id = '10.0.0.2')",
    )?;
    copy(database, "limit_routes", runs)?;
    let (dear, cheap): (Vec<&String>, Vec<&String>) =
        secondary.iter().partition(|sql| sql.contains("communities_std") || sql.contains("USING gist"));
    std::thread::scope(|scope| {
        let build = |statements: Vec<&String>| {
            let mut client = database.client()?;
            statements.into_iter().try_for_each(|sql| client.batch_execute(sql))?;
            Ok::<_, Failure>(())
        };
        let second = scope.spawn(move || build(dear));
        build(cheap)?;
        second.join().map_err(|_| "a thread panicked")?
    })?;
    // A default partition would be searched for rows of the new one: its check says that there are none.
    client.batch_execute(
        "ALTER TABLE candidate_rest ADD CHECK (router_id IS NOT NULL AND router_id <> '10.0.0.2');
         ALTER TABLE candidate ATTACH PARTITION limit_routes FOR VALUES IN ('10.0.0.2')",
    )?;
    Ok(())
}

/// Lets readers ask for the longest match of addresses while `work` runs; what each query took in milliseconds.
fn with_readers<T>(database: &Database, readers: usize, work: impl FnOnce() -> T) -> Result<(T, Vec<f64>), Failure> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = |seed: usize| {
            let mut client = database.client()?;
            let statement = client.prepare(
                "SELECT prefix::text FROM candidate WHERE router_id = '10.0.0.3' AND table_name = 'global' AND afi = 4
                    AND prefix >>= $1::text::inet ORDER BY masklen(prefix) DESC LIMIT 1",
            )?;
            let (mut waits, mut random) = (Vec::new(), seed as u32 * 0x9e37_79b9 + 1);
            while !done.load(Ordering::Relaxed) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let address = format!("{}.{}.{}.1", 1 + (random >> 24) % 220, random >> 16 & 0xff, random >> 8 & 0xff);
                let begin = Instant::now();
                client.query(&statement, &[&address])?;
                waits.push(begin.elapsed().as_secs_f64() * 1e3);
                std::thread::sleep(REST);
            }
            Ok::<_, Failure>(waits)
        };
        let threads: Vec<_> = (0..readers).map(|seed| scope.spawn(move || read(seed))).collect();
        let value = work();
        done.store(true, Ordering::Relaxed);
        let mut waits = Vec::new();
        for thread in threads {
            waits.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        waits.sort_by(f64::total_cmp);
        Ok((value, waits))
    })
}
