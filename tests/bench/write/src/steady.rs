//! Changes at a steady rate. The per-peer timestamp of each message is the time at which it was sent, and the server
//! keeps the time of each commit: the difference is what a reader waits.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::machine::{Meter, Spent};
use crate::router::{MARKER_PREFIX, Router};
use crate::{Bench, Failure};

/// How often each router sends: what falls due in one such turn goes out together.
const TURN: Duration = Duration::from_millis(20);

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, routers: u8, rate: u64, seconds: u64) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("STATE_WRITERS", "2"), ("HISTORY_WRITERS", "1")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut client = database.client()?;
    if client.query_one("SHOW track_commit_timestamp", &[])?.get::<_, String>(0) != "on" {
        return Err("the server has to keep the times of commits: track_commit_timestamp = on".into());
    }
    let mut all = (2..2 + routers).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let mut sessions = Vec::new();
    for router in &mut all {
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        sessions.push(session);
    }
    wait_for_markers(&mut client, &all, 1)?;
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    let events = number(&mut client, "SELECT count(*) FROM route_events")?;
    let sizes = Sizes::now(&mut client)?;
    client
        .batch_execute("CREATE TABLE bench_begin AS SELECT pg_current_wal_lsn() AS wal, clock_timestamp() AS time")?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (spent, sent) = meter.time(|| send(&all, &mut sessions, rate, seconds));
    let sent = sent?;
    // Growth before the queues are empty would flatter.
    for (router, session) in all.iter_mut().zip(&mut sessions) {
        router.mark(session)?;
    }
    wait_for_markers(&mut client, &all, 2)?;
    let stored = number(&mut client, "SELECT count(*) FROM route_events")? - events;
    let wal = number(&mut client, "SELECT pg_current_wal_lsn() - wal FROM bench_begin")?;
    print(&mut client, Outcome { sent, stored, seconds, wal, spent }, &sizes)?;
    collector.stop()
}

/// Sends so many UPDATEs a second for so long, all routers together; returns how many.
pub fn send(all: &[Router], sessions: &mut [TcpStream], rate: u64, seconds: u64) -> Result<u64, Failure> {
    let routers = u64::try_from(all.len())?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter()
            .zip(sessions)
            .enumerate()
            .map(|(i, (router, session))| {
                let seed = u64::try_from(i).unwrap_or(0);
                scope.spawn(move || send_one(router, session, rate / routers, seconds, seed))
            })
            .collect();
        let sent = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
        sent.collect::<Result<Vec<u64>, Failure>>().map(|sent| sent.iter().sum())
    })
}

fn send_one(router: &Router, session: &mut TcpStream, rate: u64, seconds: u64, seed: u64) -> Result<u64, Failure> {
    let begin = Instant::now();
    let (mut sent, mut random) = (0, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let due = u64::try_from(begin.elapsed().as_micros())? * rate / 1_000_000;
        let mut bytes = Vec::new();
        for _ in sent..due {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.extend(router.flap(random));
        }
        session.write_all(&bytes)?;
        sent = due;
        std::thread::sleep(TURN);
    }
    Ok(sent)
}

/// Waits until both tables have this marker of every router.
pub fn wait_for_markers(client: &mut Client, all: &[Router], marker: u32) -> Result<(), Failure> {
    for table in ["current_routes", "route_events"] {
        for router in all {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE router_id = '{}' AND table_name = 'global' AND afi = 4
                                AND prefix = '{MARKER_PREFIX}' AND med = {marker})",
                router.id
            );
            wait(client, "a marker", &sql)?;
        }
    }
    Ok(())
}

struct Outcome {
    sent: u64,
    stored: i64,
    seconds: u64,
    wal: i64,
    spent: Spent,
}

struct Sizes {
    heap: i64,
    indexes: i64,
}

impl Sizes {
    fn now(client: &mut Client) -> Result<Sizes, Failure> {
        Ok(Sizes {
            heap: number(client, "SELECT pg_table_size('current_routes')")?,
            indexes: number(client, "SELECT pg_indexes_size('current_routes')")?,
        })
    }
}

/// Percentiles in milliseconds of the time from sending to the commit.
pub fn percentiles(client: &mut Client, from: &str) -> Result<String, Failure> {
    let row = client.query_one(
        &format!(
            "SELECT array_agg(round(1000 * p)::bigint)
             FROM (SELECT unnest(percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM waited))) AS p
                   FROM ({from}) AS waits) AS ps"
        ),
        &[],
    )?;
    let p: Vec<i64> = row.get(0);
    Ok(format!("{} | {} | {} | {}", p[0], p[1], p[2], p[3]))
}

fn print(client: &mut Client, outcome: Outcome, before: &Sizes) -> Result<(), Failure> {
    let Outcome { sent, stored, seconds, wal, spent } = outcome;
    let per_second = sent / seconds.max(1);
    println!(
        "{sent} UPDATEs sent in {seconds} s ({per_second} a second), one in ten a withdraw; {stored} events stored"
    );
    println!(
        "CPU: PostgreSQL {:.0} s, collector {:.0} s; WAL {} bytes per UPDATE, both tables\n",
        spent.server.as_secs_f64(),
        spent.collector.as_secs_f64(),
        wal / i64::try_from(sent.max(1))?
    );
    println!("| from sending to the commit, ms | p50 | p90 | p99 | max |\n|---|---:|---:|---:|---:|");
    let events = "SELECT pg_xact_commit_timestamp(xmin) - router_time AS waited FROM route_events
                  WHERE ingest_time > (SELECT time FROM bench_begin) AND router_time > (SELECT time FROM bench_begin)";
    println!("| route_events | {} |", percentiles(client, events)?);
    // A row of state was written by its key's latest event.
    let state = "SELECT pg_xact_commit_timestamp(c.xmin) - e.router_time AS waited
                 FROM (SELECT DISTINCT ON (router_id, table_name, afi, prefix) * FROM route_events
                       WHERE router_time > (SELECT time FROM bench_begin)
                       ORDER BY router_id, table_name, afi, prefix, ingest_time DESC) AS e
                 JOIN current_routes c USING (router_id, table_name, afi, prefix)
                 WHERE e.action = 'A' AND c.med = e.med AND c.updated_at > (SELECT time FROM bench_begin)";
    println!("| current_routes (each route's latest change) | {} |\n", percentiles(client, state)?);
    let after = Sizes::now(client)?;
    let megabytes = |bytes: i64| bytes / 1_000_000;
    println!("| current_routes, MB | before | after | grown by |\n|---|---:|---:|---:|");
    for (what, a, b) in [("heap", before.heap, after.heap), ("indexes", before.indexes, after.indexes)] {
        println!("| {what} | {} | {} | {:.2} |", megabytes(a), megabytes(b), b as f64 / a.max(1) as f64);
    }
    let row = client.query_one(
        "SELECT autovacuum_count, n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'current_routes'",
        &[],
    )?;
    let [vacuums, live, dead]: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    println!("\nautovacuum ran {vacuums} times on current_routes; {live} rows live, {dead} dead at the end");
    let days = "FROM pg_partition_tree('route_events') WHERE isleaf";
    let heap = number(client, &format!("SELECT sum(pg_table_size(relid)) {days}"))?;
    let indexes = number(client, &format!("SELECT sum(pg_indexes_size(relid)) {days}"))?;
    let events = number(client, "SELECT count(*) FROM route_events")?.max(1);
    println!("route_events: {} bytes of heap and {} of indexes an event", heap / events, indexes / events);
    Ok(())
}
