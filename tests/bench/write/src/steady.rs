//! Changes at a steady rate: time from the socket to the commit, CPU, WAL, and how the tables grow meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number};
use crate::machine::{self, Meter, Spent};
use crate::router::Router;
use crate::stream::{Sent, send, wait_for_markers, waits, watch};
use crate::{Bench, Failure};

/// Into how many parts the time is cut for the report.
const PARTS: u64 = 10;

/// What changes, how fast, and in which tables.
pub struct Steady {
    /// IPv4 routes of each router.
    pub routes: usize,
    pub routers: u8,
    /// UPDATEs a second of all routers together.
    pub rate: u64,
    pub seconds: u64,
    /// Statements that the owner of the tables runs first.
    pub sql: Option<PathBuf>,
}

/// Measures and prints.
pub fn run(bench: &Bench, steady: &Steady) -> Result<(), Failure> {
    let Steady { routes, routers, rate, seconds, ref sql } = *steady;
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("STATE_WRITERS", "2"), ("HISTORY_WRITERS", "1")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut client = database.client()?;
    if client.query_one("SHOW track_commit_timestamp", &[])?.get::<_, String>(0) != "on" {
        return Err("the server has to keep the times of commits: track_commit_timestamp = on".into());
    }
    if let Some(file) = sql {
        client.batch_execute(&std::fs::read_to_string(file)?)?;
        println!("After {}:\n", file.display());
    }
    let mut all = (2..2 + routers).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let mut sessions = Vec::new();
    for router in &mut all {
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        sessions.push(session);
    }
    wait_for_markers(&mut client, &all)?;
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    let routes = number(&mut client, "SELECT count(*) FROM current_routes")?;
    let events = number(&mut client, "SELECT count(*) FROM route_events")?;
    let (written, hot) = (number(&mut client, WRITTEN)?, number(&mut client, HOT)?);
    let processes = processes(&mut client)?;
    let begin = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let first = Sample::now(&mut client)?;
    let part = Duration::from_secs((seconds / PARTS).max(1));
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (sending, mut samples) = (AtomicBool::new(true), vec![first]);
    let (spent, sent) = meter.time(|| {
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let (started, mut client) = (Instant::now(), database.client()?);
                watch(&mut client, "current_routes", &sending, |client| {
                    if started.elapsed() >= part * u32::try_from(samples.len())? {
                        samples.push(Sample::now(client)?);
                    }
                    Ok(())
                })
            });
            let sent = send(&mut all, &mut sessions, rate, seconds, &AtomicBool::new(false)).and_then(|sent| {
                // What is measured ends when the queues are empty.
                for (router, session) in all.iter_mut().zip(&mut sessions) {
                    router.mark(session)?;
                }
                wait_for_markers(&mut client, &all)?;
                Ok(sent)
            });
            sending.store(false, Ordering::Release);
            let seen = watcher.join().map_err(|_| "a thread panicked")??;
            Ok::<_, Failure>((sent?, seen))
        })
    });
    let (sent, seen) = sent?;
    // The server tells its counters occasionally.
    client.batch_execute("SELECT pg_sleep(1.5); SELECT pg_stat_clear_snapshot()")?;
    samples.push(Sample::now(&mut client)?);
    let stored = number(&mut client, "SELECT count(*) FROM route_events")? - events;
    let written = number(&mut client, WRITTEN)? - written;
    print_sum(&sent, seconds, routes, stored, written, &samples, &spent);
    print_processes(&processes, &self::processes(&mut client)?, &spent, sent.updates);
    let hot = number(&mut client, HOT)? - hot;
    println!(
        "{:.0} % of the rows written are heap-only updates, which touch no index.\n",
        100.0 * hot as f64 / written.max(1) as f64
    );
    print_times(&mut client, &waits(&sent, &seen, begin), begin, part)?;
    print_growth(&samples, part);
    collector.stop()
}

/// Rows of `current_routes` that statements have written so far.
const WRITTEN: &str =
    "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'current_routes'";

/// Updates among them that no index had to be told of.
const HOT: &str = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'current_routes'";

/// CPU time of the server's processes that live, by what they are.
type Processes = BTreeMap<String, Duration>;

fn processes(client: &mut Client) -> Result<Processes, Failure> {
    let mut found = Processes::new();
    let sql = "SELECT pid, CASE WHEN application_name LIKE 'rib-ingester/state-%' THEN 'writers of state'
                           WHEN application_name LIKE 'rib-ingester/events-%' THEN 'writers of history'
                           WHEN application_name LIKE 'rib-ingester%' THEN 'the collector''s other connections'
                           WHEN backend_type = 'client backend' THEN 'this measurement'
                           ELSE backend_type END
               FROM pg_stat_activity WHERE backend_type NOT LIKE 'autovacuum%'";
    for row in client.query(sql, &[])? {
        *found.entry(row.get(1)).or_default() += machine::used(u32::try_from(row.get::<_, i32>(0))?);
    }
    Ok(found)
}

fn print_processes(before: &Processes, after: &Processes, spent: &Spent, updates: u64) {
    println!("| CPU of PostgreSQL | s | µs per UPDATE |\n|---|---:|---:|");
    let mut rest = spent.server;
    let line = |what: &str, used: Duration| {
        println!("| {what} | {:.1} | {:.1} |", used.as_secs_f64(), used.as_micros() as f64 / updates.max(1) as f64);
    };
    for (what, used) in after {
        let used = used.saturating_sub(before.get(what).copied().unwrap_or_default());
        rest = rest.saturating_sub(used);
        line(what, used);
    }
    line("autovacuum, and connections that have ended", rest);
    println!();
}

/// How large everything is.
struct Sample {
    state_heap: i64,
    state_indexes: i64,
    dead: i64,
    vacuums: i64,
    event_heap: i64,
    event_indexes: i64,
    /// Bytes of WAL that were ever written.
    wal: i64,
}

impl Sample {
    fn now(client: &mut Client) -> Result<Sample, Failure> {
        let row = client.query_one(
            "SELECT pg_table_size('current_routes'), pg_indexes_size('current_routes'), s.n_dead_tup, s.autovacuum_count,
                    (SELECT sum(pg_table_size(relid))::bigint FROM pg_partition_tree('route_events') WHERE isleaf),
                    (SELECT sum(pg_indexes_size(relid))::bigint FROM pg_partition_tree('route_events') WHERE isleaf),
                    (pg_current_wal_lsn() - '0/0')::bigint
             FROM pg_stat_user_tables AS s WHERE s.relname = 'current_routes'",
            &[],
        )?;
        Ok(Sample {
            state_heap: row.get(0),
            state_indexes: row.get(1),
            dead: row.get(2),
            vacuums: row.get(3),
            event_heap: row.get(4),
            event_indexes: row.get(5),
            wal: row.get(6),
        })
    }
}

fn print_sum(sent: &Sent, seconds: u64, routes: i64, stored: i64, written: i64, samples: &[Sample], spent: &Spent) {
    let (updates, marks) = (sent.updates.max(1), sent.marks.iter().map(|(_, marks)| marks.len()).sum::<usize>());
    let each = |micros: u128| micros as f64 / updates as f64;
    println!(
        "{routes} routes of {} routers; {updates} UPDATEs of one route each sent in {seconds} s ({} a second), one in ten a \
         withdraw, {marks} markers among them; {stored} events stored, {:.2} rows of current_routes written per UPDATE",
        sent.marks.len(),
        updates / seconds.max(1),
        written as f64 / updates as f64
    );
    println!("All was committed {:.1} s after the last one was sent.", spent.wall.as_secs_f64() - seconds as f64);
    let wal = samples.last().map_or(0, |sample| sample.wal) - samples.first().map_or(0, |sample| sample.wal);
    println!(
        "CPU: PostgreSQL {:.0} s, {:.1} µs per UPDATE; collector {:.0} s, {:.1} µs; WAL {:.0} bytes per UPDATE, both tables\n",
        spent.server.as_secs_f64(),
        each(spent.server.as_micros()),
        spent.collector.as_secs_f64(),
        each(spent.collector.as_micros()),
        wal as f64 / updates as f64
    );
}

/// Seconds from sending to the commit, part by part and of all.
fn print_times(
    client: &mut Client,
    waits: &[(Duration, Duration)],
    begin: Duration,
    part: Duration,
) -> Result<(), Failure> {
    println!(
        "| from sending to the commit, s | route_events p50 | p90 | p99 | max | current_routes p50 | p90 | p99 | max |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    client.batch_execute("SET work_mem = '256MB'")?;
    let rows = client.query(
        &format!(
            "SELECT part, percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY waited)
             FROM (SELECT floor((extract(epoch FROM router_time)::float8 - {begin}) / {part})::bigint AS part,
                          extract(epoch FROM pg_xact_commit_timestamp(xmin) - router_time)::float8 AS waited
                   FROM route_events
                   WHERE router_time >= to_timestamp({begin}) AND ingest_time >= to_timestamp({begin})) AS waits
             GROUP BY GROUPING SETS ((part), ()) ORDER BY part NULLS LAST",
            begin = begin.as_secs_f64(),
            part = part.as_secs_f64()
        ),
        &[],
    )?;
    for row in rows {
        let number: Option<i64> = row.get(0);
        let events: Vec<f64> = row.get(1);
        let state = waits.iter().filter(|(at, _)| {
            number
                .is_none_or(|number| u64::try_from(number).is_ok_and(|number| at.as_secs() / part.as_secs() == number))
        });
        let mut state: Vec<f64> = state.map(|(_, wait)| wait.as_secs_f64()).collect();
        state.sort_by(f64::total_cmp);
        let at = |share: f64| {
            state
                .get(((state.len().saturating_sub(1)) as f64 * share) as usize)
                .map_or("-".to_owned(), |wait| format!("{wait:.2}"))
        };
        let name = number.map_or("all".to_owned(), |number| format!("from {} s on", number * part.as_secs() as i64));
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} |",
            events[0],
            events[1],
            events[2],
            events[3],
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
    }
    println!();
    Ok(())
}

fn print_growth(samples: &[Sample], part: Duration) {
    println!(
        "| MB after | current_routes heap | indexes | dead rows | autovacuums | route_events heap | indexes | WAL |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let begin = samples.first().map_or(0, |sample| sample.wal);
    let megabytes = |bytes: i64| bytes / 1_000_000;
    for (i, sample) in samples.iter().enumerate() {
        let when =
            if i + 1 == samples.len() { "the end".to_owned() } else { format!("{} s", i as u64 * part.as_secs()) };
        println!(
            "| {when} | {} | {} | {} | {} | {} | {} | {} |",
            megabytes(sample.state_heap),
            megabytes(sample.state_indexes),
            sample.dead,
            sample.vacuums,
            megabytes(sample.event_heap),
            megabytes(sample.event_indexes),
            megabytes(sample.wal - begin)
        );
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
