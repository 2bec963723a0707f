//! Tables that are larger than the memory of the server: first load, changes, lookups and the removal of a router's
//! routes at several sizes. `scripts/bench larger` limits that memory.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::machine::{Meter, Spent};
use crate::router::Router;
use crate::steady;
use crate::stream::{send, wait_for_markers, waits, watch};
use crate::{Bench, Failure};

/// The sizes of `current_routes`, in tenths of the server's memory.
const SIZES: [u64; 4] = [5, 10, 30, 100];

/// How many routers change their routes at a time.
const CHANGING: usize = 10;

/// How many lookups of each kind there are at each size.
const LOOKUPS: usize = 300;

/// How many routers there may be: their numbers fit an octet.
const ROUTERS_MAX: usize = 250;

/// How large, and what changes.
pub struct Larger {
    /// The memory that the server has, its share of the page cache included, MiB.
    pub memory: u64,
    /// IPv4 routes of each router; a fifth as many IPv6 routes come on top.
    pub routes: usize,
    /// UPDATEs a second of all changing routers together.
    pub rate: u64,
    /// For how long they change.
    pub seconds: u64,
    /// How many times the memory the table becomes at most.
    pub times: u64,
}

/// What one kind of work took.
struct Taken {
    /// The routes that were written, changed or removed, or the lookups.
    count: usize,
    spent: Spent,
    /// Bytes of WAL that it wrote.
    wal: i64,
    /// Blocks that were read into shared buffers, by table and index, most first.
    blocks: Vec<(String, i64)>,
}

/// The state of a run.
struct Site<'a> {
    bench: &'a Bench,
    database: &'a Database,
    collector: &'a Collector,
    client: Client,
    routers: Vec<Router>,
    sessions: Vec<TcpStream>,
    /// The sessions of those whose tables have gone.
    idle: Vec<TcpStream>,
    /// How many routers were made so far.
    made: u8,
}

/// Measures and prints.
pub fn run(bench: &Bench, larger: &Larger) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("STATE_WRITERS", "2"), ("HISTORY_WRITERS", "1")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut client = database.client()?;
    let buffers: String = client.query_one("SHOW shared_buffers", &[])?.get(0);
    println!("The server has {} MiB of memory, {buffers} of them for shared_buffers.\n", larger.memory);
    let mut site = Site {
        bench,
        database: &database,
        collector: &collector,
        client,
        routers: Vec::new(),
        sessions: Vec::new(),
        idle: Vec::new(),
        made: 0,
    };
    println!(
        "| current_routes: MB, of memory | routes | work | s | µs of PostgreSQL's CPU each | the kernel's part | MB read | bytes read each | \
         bytes of WAL each | from sending to the commit, or of a lookup, ms: p50, p99 | blocks read into shared buffers each |\n\
         |---:|---:|---|---:|---:|---:|---:|---:|---:|---|---|"
    );
    for size in SIZES.into_iter().filter(|size| *size <= 10 * larger.times) {
        site.measure(larger, size)?;
    }
    // Routers that close first are each worth a line.
    let sessions = (std::mem::take(&mut site.sessions), std::mem::take(&mut site.idle));
    drop(site);
    collector.stop()?;
    drop(sessions);
    Ok(())
}

impl Site<'_> {
    /// Fills the table up to a size, then does each kind of work once.
    fn measure(&mut self, larger: &Larger, size: u64) -> Result<(), Failure> {
        let bytes = i64::try_from((larger.memory << 20) * size / 10)?;
        while number(&mut self.client, "pg_total_relation_size('current_routes')")? < bytes {
            self.load(larger.routes)?;
        }
        self.client.batch_execute("ANALYZE current_routes")?;
        let taken = self.load(larger.routes)?;
        let head = format!(
            "{}, {:.1} | {}",
            number(&mut self.client, "pg_total_relation_size('current_routes')")? / 1_000_000,
            size as f64 / 10.0,
            number(&mut self.client, "SELECT count(*) FROM current_routes")?
        );
        print(&head, "first load of one router", &taken, "");
        let (taken, times) = self.change(larger)?;
        print(&head, "changes", &taken, &times);
        for (what, query) in LOOKUP {
            let (taken, times) = self.look_up(query)?;
            print(&head, what, &taken, &times);
        }
        let taken = self.remove_last()?;
        print(&head, "Peer Down of one router", &taken, "");
        Ok(())
    }

    /// Another router sends its table.
    fn load(&mut self, routes: usize) -> Result<Taken, Failure> {
        if usize::from(self.made) == ROUTERS_MAX {
            return Err("too many routers: more --routes, or less --memory".into());
        }
        self.made += 1;
        let mut router = Router::new(self.made, routes)?;
        let count = router.routes();
        let address = self.collector.address;
        let (client, site) = (&mut self.client, (self.bench, self.collector, self.database));
        let (taken, session) = time(site, count, || {
            let mut session = router.dump(address)?;
            router.mark(&mut session)?;
            wait_for_markers(client, std::slice::from_ref(&router))?;
            Ok(session)
        })?;
        self.routers.push(router);
        self.sessions.push(session);
        Ok(taken)
    }

    /// Routers change their routes, at random among all that they have.
    fn change(&mut self, larger: &Larger) -> Result<(Taken, String), Failure> {
        let (first, database) = (self.routers.len().saturating_sub(CHANGING), self.database);
        let (routers, sessions) = (&mut self.routers[first..], &mut self.sessions[first..]);
        let (client, sending) = (&mut self.client, AtomicBool::new(true));
        let begin = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let count = usize::try_from(larger.rate * larger.seconds)?;
        let (taken, (sent, seen)) = time((self.bench, self.collector, self.database), count, || {
            std::thread::scope(|scope| {
                let watcher = scope.spawn(|| {
                    let mut client = database.client()?;
                    watch(&mut client, "current_routes", &sending, |_| Ok(()))
                });
                let sent =
                    send(routers, sessions, larger.rate, larger.seconds, &AtomicBool::new(false)).and_then(|sent| {
                        for (router, session) in routers.iter_mut().zip(sessions.iter_mut()) {
                            router.mark(session)?;
                        }
                        wait_for_markers(client, routers)?;
                        Ok(sent)
                    });
                sending.store(false, Ordering::Release);
                let seen = watcher.join().map_err(|_| "a thread panicked")??;
                Ok::<_, Failure>((sent?, seen))
            })
        })?;
        let state = sorted(waits(&sent, &seen, begin).into_iter().map(|(_, wait)| wait));
        let history = steady::percentiles(
            &mut self.client,
            &format!(
                "SELECT pg_xact_commit_timestamp(xmin) - router_time AS waited FROM route_events
                 WHERE router_time >= to_timestamp({begin}) AND ingest_time >= to_timestamp({begin})",
                begin = begin.as_secs_f64()
            ),
        )?;
        let history: Vec<&str> = history.split(" | ").collect();
        let times = format!("history {}, {}; routes {}", history[0], history[2], of_sorted(&state));
        Ok((Taken { count: usize::try_from(sent.updates)?, ..taken }, times))
    }

    /// Looks up addresses at random, most of which some router has a route for.
    fn look_up(&mut self, query: &str) -> Result<(Taken, String), Failure> {
        let addresses = self.client.query(
            "SELECT host(prefix::inet) FROM current_routes TABLESAMPLE SYSTEM (1) WHERE afi = 4 ORDER BY random() LIMIT $1",
            &[&i64::try_from(LOOKUPS)?],
        )?;
        let statement = self.client.prepare(query)?;
        let client = &mut self.client;
        let (taken, times) = time((self.bench, self.collector, self.database), addresses.len(), || {
            let times: Result<Vec<Duration>, Failure> = addresses
                .iter()
                .map(|row| {
                    let (address, begin): (String, _) = (row.get(0), Instant::now());
                    client.query(&statement, &[&address])?;
                    Ok(begin.elapsed())
                })
                .collect();
            times
        })?;
        Ok((taken, of_sorted(&sorted(times.into_iter()))))
    }

    /// The table of the last router goes down; it is no part of what follows.
    fn remove_last(&mut self) -> Result<Taken, Failure> {
        let (Some(router), Some(mut session)) = (self.routers.pop(), self.sessions.pop()) else {
            return Err("no router".into());
        };
        let client = &mut self.client;
        let count = router.routes();
        let (taken, ()) = time((self.bench, self.collector, self.database), count, || {
            router.peer_down(&mut session)?;
            let id = &router.id;
            wait(
                client,
                "the removal",
                &format!("SELECT NOT EXISTS (SELECT FROM current_routes WHERE router_id = '{id}')"),
            )
        })?;
        self.idle.push(session);
        Ok(taken)
    }
}

/// The longest match as the function for readers does it, and as the contract's query does.
const LOOKUP: [(&str, &str); 2] = [
    ("lookup()", "SELECT * FROM lookup($1::text::inet)"),
    (
        "prefix >>= address",
        "SELECT * FROM current_routes WHERE prefix >>= $1::text::inet ORDER BY masklen(prefix) DESC",
    ),
];

/// Bytes of WAL that were ever written.
const WAL: &str = "pg_current_wal_lsn() - '0/0'";

/// Blocks that were ever read into shared buffers, by table and index; the days of a table are one.
const BLOCKS: &str =
    "SELECT regexp_replace(relation, '_[0-9]{8}|_[0-9]{4}_[0-9]{2}_[0-9]{2}', ''), sum(blocks)::bigint FROM (
    SELECT relname || ' itself', heap_blks_read FROM pg_statio_user_tables
    UNION ALL SELECT indexrelname, idx_blks_read FROM pg_statio_user_indexes) AS of(relation, blocks)
    GROUP BY 1";

/// How many of them are named.
const NAMED: usize = 6;

fn blocks(client: &mut Client) -> Result<HashMap<String, i64>, Failure> {
    // Sessions report what they did up to a second later.
    client.batch_execute("SELECT pg_sleep(1.5); SELECT pg_stat_clear_snapshot()")?;
    let rows = client.query(BLOCKS, &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, Option<i64>>(1).unwrap_or(0))).collect())
}

/// Does some work and says what it took.
fn time<T>(
    (bench, collector, database): (&Bench, &Collector, &Database),
    count: usize,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<(Taken, T), Failure> {
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let mut client = database.client()?;
    let before = blocks(&mut client)?;
    let wal = number(&mut client, WAL)?;
    let (spent, value) = meter.time(work);
    let (value, wal) = (value?, number(&mut client, WAL)? - wal);
    let after = blocks(&mut client)?.into_iter();
    let read = after.map(|(name, blocks)| (before.get(&name).map_or(blocks, |before| blocks - before), name));
    let mut blocks: Vec<(String, i64)> =
        read.filter(|(blocks, _)| *blocks > 0).map(|(blocks, name)| (name, blocks)).collect();
    blocks.sort_unstable_by_key(|(_, blocks)| std::cmp::Reverse(*blocks));
    Ok((Taken { count, spent, wal, blocks }, value))
}

fn print(head: &str, work: &str, taken: &Taken, times: &str) {
    let each = |of: f64| of / taken.count.max(1) as f64;
    let named = taken.blocks.iter().take(NAMED).map(|(name, blocks)| format!("{name} {:.2}", each(*blocks as f64)));
    let named: Vec<String> = named.collect();
    println!(
        "| {head} | {work} | {:.1} | {:.1} | {:.0}% | {} | {:.0} | {:.0} | {times} | {} |",
        taken.spent.wall.as_secs_f64(),
        each(taken.spent.server.as_micros() as f64),
        taken.spent.kernel.as_secs_f64() / taken.spent.server.as_secs_f64().max(0.01) * 100.0,
        taken.spent.read / 1_000_000,
        each(taken.spent.read as f64),
        each(taken.wal as f64),
        named.join(", ")
    );
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

/// The median and the 99th percentile of what is sorted, milliseconds.
pub fn of_sorted(times: &[Duration]) -> String {
    let at =
        |share: f64| times.get((times.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default();
    format!("{:.2}, {:.2}", at(0.5).as_secs_f64() * 1e3, at(0.99).as_secs_f64() * 1e3)
}
