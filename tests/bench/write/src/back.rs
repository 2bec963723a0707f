//! All routers connect at once after a restart of the collector and dump what is stored: time until all are in sync,
//! fairness, memory, reads of the database.

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, now, number, wait};
use crate::machine::{self, Meter, Spent};
use crate::router::Router;
use crate::stream::wait_for_markers_in;
use crate::{Bench, Failure};

/// Measures and prints.
pub fn run(bench: &Bench, routers: u8, routes: usize) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let mut client = database.client()?;
    // What they dump is no event: history would only take room.
    let collector = Collector::start(&bench.binary, &database.url(), &[("STATE_WRITERS", "2"), ("HISTORY", "off")])?;
    let mut all = (1..=routers).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (spent, sessions) = meter.time(|| dump_all(&mut all, &collector, &mut client));
    print("first", &spent, &collector);
    collector.stop()?;
    drop(sessions?);
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    println!(
        "{} routes, current_routes has {} MB",
        number(&mut client, "SELECT count(*) FROM current_routes")?,
        number(&mut client, "pg_total_relation_size('current_routes')")? / 1_000_000
    );

    let collector = Collector::start(&bench.binary, &database.url(), &[("STATE_WRITERS", "2")])?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (begin, written, read) = (now(&mut client)?, number(&mut client, WRITTEN)?, number(&mut client, READ)?);
    let (spent, sessions) = meter.time(|| dump_all(&mut all, &collector, &mut client));
    let sessions = sessions?;
    let waiting =
        format!("SELECT NOT EXISTS (SELECT FROM rib_sync_status WHERE synced_at IS NULL OR synced_at < '{begin}')");
    wait(&mut client, "all tables in sync", &waiting)?;
    print("back after a restart of the collector", &spent, &collector);
    let rows = client.query(
        "SELECT extract(epoch FROM max(synced_at) - $1::text::timestamptz)::float8 AS took
         FROM rib_sync_status GROUP BY router_id ORDER BY took",
        &[&begin],
    )?;
    let took: Vec<f64> = rows.iter().map(|row| row.get(0)).collect();
    let (mean, last) = (took.iter().sum::<f64>() / took.len().max(1) as f64, took.last().copied().unwrap_or_default());
    client.batch_execute("SELECT pg_sleep(1.5); SELECT pg_stat_clear_snapshot()")?;
    println!(
        "in sync after {mean:.1} s on average, the last one after {last:.1} s, {:.2} times as late; {} rows written; {} MB \
         read into shared buffers",
        last / mean.max(0.001),
        number(&mut client, WRITTEN)? - written,
        (number(&mut client, READ)? - read) * 8192 / 1_000_000
    );
    collector.stop()?;
    drop(sessions);
    Ok(())
}

/// Rows of `current_routes` that statements have written so far.
const WRITTEN: &str =
    "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'current_routes'";

/// Blocks that the database has read into shared buffers so far.
const READ: &str = "SELECT blks_read FROM pg_stat_database WHERE datname = current_database()";

/// All connect at once and dump, until the last marker of each is stored.
fn dump_all(
    all: &mut [Router],
    collector: &Collector,
    client: &mut Client,
) -> Result<Vec<std::net::TcpStream>, Failure> {
    let address = collector.address;
    let sessions = std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter_mut()
            .map(|router| {
                scope.spawn(move || {
                    let mut session = router.dump(address)?;
                    router.mark(&mut session)?;
                    Ok::<_, Failure>(session)
                })
            })
            .collect();
        let all = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
        all.collect::<Result<Vec<_>, Failure>>()
    })?;
    wait_for_markers_in(client, &["current_routes"], all)?;
    Ok(sessions)
}

fn print(what: &str, spent: &Spent, collector: &Collector) {
    println!(
        "{what}: {:.1} s; CPU: PostgreSQL {:.1} s, collector {:.1} s; memory of the collector at most {} MB",
        spent.wall.as_secs_f64(),
        spent.server.as_secs_f64(),
        spent.collector.as_secs_f64(),
        machine::resident_peak(collector.pid()) / 1_000_000
    );
}
