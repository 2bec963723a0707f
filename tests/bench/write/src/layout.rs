//! One table of all routes beside a partition for each router, both larger than the server's memory: the first load of a
//! router, lookups, and the removal of a router's routes. `scripts/bench layout` limits that memory.

use std::io::Read;
use std::time::Instant;

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number};
use crate::larger::of_sorted;
use crate::limits::ROUTE_COLUMNS;
use crate::load;
use crate::machine::{Meter, Spent};
use crate::router::Router;
use crate::stream::wait_for_markers_in;
use crate::{Bench, Failure};

/// The rows of a transaction of the first load, sorted by key: as the collector's writers do it.
const RUN: usize = 80_000;

/// How many lookups of each kind there are.
const LOOKUPS: usize = 300;

/// How large.
pub struct Layout {
    /// The memory that the server has, its share of the page cache included, MiB.
    pub memory: u64,
    /// IPv4 routes of each router; a fifth as many IPv6 routes come on top.
    pub routes: usize,
    /// Routers that are there before the last one comes.
    pub routers: u8,
}

/// Measures and prints.
pub fn run(bench: &Bench, layout: &Layout) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let mut client = database.client()?;
    let last = fill(bench, &database, &mut client, layout)?;
    let runs = set_aside(&mut client, &last)?;
    split(&mut client)?;
    println!(
        "{} MiB of memory; {} routes of {} routers, current_routes has {} MB; {} partitions\n",
        layout.memory,
        number(&mut client, "SELECT count(*) FROM current_routes")?,
        layout.routers,
        number(&mut client, "pg_total_relation_size('current_routes')")? / 1_000_000,
        number(&mut client, "SELECT count(*) FROM pg_partition_tree('split_routes') WHERE isleaf")?
    );
    println!("| layout | work | s | µs of PostgreSQL's CPU each | bytes read each | ms: p50, p99 | locks |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let addresses = addresses(&mut client)?;
    for table in ["current_routes", "split_routes"] {
        measure((bench, &database), &mut client, table, &last, &runs, &addresses)?;
    }
    Ok(())
}

/// All routers send their tables, one after the other. Returns the last one.
fn fill(bench: &Bench, database: &Database, client: &mut Client, layout: &Layout) -> Result<String, Failure> {
    let settings = [("STATE_WRITERS", "2"), ("HISTORY", "off")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let (mut sessions, mut last) = (Vec::new(), String::new());
    for number in 1..=layout.routers + 1 {
        let mut router = Router::new(number, layout.routes)?;
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        wait_for_markers_in(client, &["current_routes"], std::slice::from_ref(&router))?;
        last.clone_from(&router.id);
        sessions.push(session);
    }
    collector.stop()?;
    Ok(last)
}

/// Removes the routes of the last router, and returns them in the order of a first load, as binary COPY takes them.
fn set_aside(client: &mut Client, last: &str) -> Result<Vec<Vec<u8>>, Failure> {
    client.batch_execute(&format!(
        "CREATE TABLE arrived AS
             SELECT row_number() OVER (ORDER BY router_id, table_name, afi, prefix, path_id) AS n, {ROUTE_COLUMNS}
             FROM current_routes WHERE router_id = '{last}';
         CREATE UNIQUE INDEX ON arrived (n);
         DELETE FROM current_routes WHERE router_id = '{last}'"
    ))?;
    let rows = usize::try_from(number(client, "SELECT count(*) FROM arrived")?)?;
    let mut runs = Vec::new();
    for first in (1..=rows).step_by(RUN) {
        let query =
            format!("SELECT {ROUTE_COLUMNS} FROM arrived WHERE n >= {first} AND n < {first} + {RUN} ORDER BY n");
        let mut bytes = Vec::new();
        client.copy_out(&format!("COPY ({query}) TO STDOUT (FORMAT binary)"))?.read_to_end(&mut bytes)?;
        runs.push(bytes);
    }
    Ok(runs)
}

/// The same routes with a partition for each router, and `lookup()` of them.
fn split(client: &mut Client) -> Result<(), Failure> {
    client.batch_execute(
        "CREATE TABLE split_routes (LIKE current_routes INCLUDING ALL) PARTITION BY LIST (router_id);
         DO $$
         DECLARE router text;
         BEGIN
             FOR router IN SELECT router_id FROM routers LOOP
                 EXECUTE format('CREATE TABLE %I PARTITION OF split_routes FOR VALUES IN (%L)', 'split_' || router, router);
             END LOOP;
             EXECUTE replace(replace(pg_get_functiondef('lookup'::regproc), 'current_routes', 'split_routes'),
                             '.lookup(', '.lookup_split(');
         END;
         $$;
         INSERT INTO split_routes SELECT * FROM current_routes",
    )?;
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    Ok(client.batch_execute("VACUUM ANALYZE split_routes")?)
}

/// Addresses of routes at random.
fn addresses(client: &mut Client) -> Result<Vec<String>, Failure> {
    let rows = client.query(
        "SELECT host(prefix::inet) FROM current_routes TABLESAMPLE SYSTEM (1) WHERE afi = 4 ORDER BY random() LIMIT $1",
        &[&i64::try_from(LOOKUPS)?],
    )?;
    if rows.is_empty() {
        return Err("too few routes: more --routes".into());
    }
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn measure(
    (bench, database): (&Bench, &Database),
    client: &mut Client,
    table: &str,
    last: &str,
    runs: &[Vec<u8>],
    addresses: &[String],
) -> Result<(), Failure> {
    let rows = usize::try_from(number(client, "SELECT count(*) FROM arrived")?)?;
    let row = |work: &str, count: usize, taken: Spent, times: String| {
        let each = |of: f64| of / count.max(1) as f64;
        println!(
            "| {table} | {work} | {:.1} | {:.1} | {:.0} | {times} |",
            taken.wall.as_secs_f64(),
            each(taken.server.as_micros() as f64),
            each(taken.read as f64)
        );
    };
    let meter = Meter { postmaster: bench.postmaster, collector: None };
    let time = |work: &mut dyn FnMut() -> Result<(), Failure>| {
        let (spent, done) = meter.time(work);
        done.map(|()| spent)
    };
    let taken = time(&mut || load::copy(database, table, runs))?;
    row("first load of one router", rows, taken, "|".to_owned());
    let name = if table == "current_routes" { "lookup" } else { "lookup_split" };
    for (work, query) in [
        ("lookup()", format!("SELECT * FROM {name}($1::text::inet)")),
        (
            "prefix >>= address",
            format!("SELECT * FROM {table} WHERE prefix >>= $1::text::inet ORDER BY masklen(prefix) DESC"),
        ),
    ] {
        let mut times = Vec::new();
        let taken = time(&mut || {
            let statement = client.prepare(&query)?;
            for address in addresses {
                let begin = Instant::now();
                client.query(&statement, &[address])?;
                times.push(begin.elapsed());
            }
            Ok(())
        })?;
        times.sort_unstable();
        let mut transaction = client.transaction()?;
        transaction.query(&query, &[&addresses[0]])?;
        let locks: i64 =
            transaction.query_one("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()", &[])?.get(0);
        transaction.rollback()?;
        let times = format!("{} | {locks}", of_sorted(&times));
        row(work, addresses.len(), taken, times);
    }
    let taken = time(&mut || match table {
        "current_routes" => {
            Ok(client.batch_execute(&format!("DELETE FROM current_routes WHERE router_id = '{last}'"))?)
        }
        _ => Ok(client.batch_execute(&format!("TRUNCATE \"split_{last}\""))?),
    })?;
    row("removal of one router", rows, taken, "|".to_owned());
    Ok(())
}
