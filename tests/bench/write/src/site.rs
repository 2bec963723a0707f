//! A site of many routers and peers, made up at 1/N of the largest one whose load was published: first load of all
//! routers at once, changes at a steady rate with resets among them, and all routers back after a restart of the
//! collector; after each, the tables beside what the routers have.

mod messages;
mod network;
mod router;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres::Client;

use self::network::Network;
use self::router::{Events, Router};
use crate::collector::Collector;
use crate::database::{Database, now, number, wait};
use crate::machine::{self, Meter, Spent};
use crate::router::MARKER_PREFIX;
use crate::stream::{Sent, waits, watch};
use crate::{Bench, Failure};

/// What a site is to be, and for how long it changes.
pub struct Site {
    /// One in this many routes of the whole site.
    pub scale: f64,
    pub seed: u64,
    /// UPDATEs a second of all routers together.
    pub rate: f64,
    pub seconds: u64,
    /// Sessions of peers that go down and come back.
    pub resets: u64,
}

/// For how long the tables may differ from the routers after the last marker: large batches are not written in order.
const SETTLE: Duration = Duration::from_secs(120);

/// Measures and prints.
pub fn run(bench: &Bench, site: &Site) -> Result<(), Failure> {
    let network = Network::new(site.scale, site.seed)?;
    let mut routers: Vec<Router> = (0..network.routers.len()).map(|place| Router::new(&network, place)).collect();
    println!(
        "1/{} of the site, seed {}: {} routers, {} peers, {} prefixes of {} origin ASes\n",
        site.scale,
        site.seed,
        network.routers.len(),
        network.peers(),
        network.prefixes.len(),
        network.origins.len()
    );
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("STORED_RIBS", "adj-rib-in-pre,adj-rib-in-post")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut client = database.client()?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };

    let (spent, sessions) = meter.time(|| load(&mut routers, &collector, &mut client));
    let sessions = sessions?;
    let routes = routers.iter().map(|router| router.events - u64::from(router.marker)).sum::<u64>();
    print_load(routes, &routers, &spent, &collector);
    check(&mut client, &routers)?;
    client.batch_execute("VACUUM ANALYZE adj_rib_in")?;

    let counts = Counts::now(&mut client, &routers)?;
    let events = events(&network, site)?;
    let (spent, changed) = meter.time(|| churn(&mut routers, sessions, &collector, &database, events));
    let (sessions, waits) = changed?;
    // The server tells its counters occasionally.
    client.batch_execute("SELECT pg_sleep(1.5); SELECT pg_stat_clear_snapshot()")?;
    let after = Counts::now(&mut client, &routers)?;
    print_churn(&counts, &after, &spent, site);
    print_times(&mut client, events.begin, waits)?;
    check(&mut client, &routers)?;
    print_sizes(&mut client, &collector)?;
    collector.stop()?;
    drop(sessions);

    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (spent, back) = meter.time(|| come_back(&mut routers, &collector, &mut client));
    let (sessions, back) = back?;
    print_back(&back, &spent, &collector);
    check(&mut client, &routers)?;
    let stopped = collector.stop();
    drop(sessions);
    stopped
}

/// All routers connect to a collector that was restarted, and dump what is stored. Returns how long it took each until
/// all its tables were in sync, in order.
fn come_back(
    routers: &mut [Router],
    collector: &Collector,
    client: &mut Client,
) -> Result<(Vec<TcpStream>, Vec<Duration>), Failure> {
    let begin = now(client)?;
    let sessions = each(routers, |router| router.connect(collector.address))?;
    let waiting = format!(
        "SELECT NOT EXISTS (SELECT FROM adj_rib_in_sync_status WHERE synced_at IS NULL OR synced_at < '{begin}')"
    );
    wait(client, "all tables in sync", &waiting)?;
    let rows = client.query(
        "SELECT extract(epoch FROM max(synced_at) - $1::text::timestamptz)::float8 AS took
         FROM adj_rib_in_sync_status GROUP BY router_id ORDER BY took",
        &[&begin],
    )?;
    Ok((sessions, rows.iter().map(|row| Duration::from_secs_f64(row.get(0))).collect()))
}

fn print_back(back: &[Duration], spent: &Spent, collector: &Collector) {
    let last = back.last().copied().unwrap_or_default().as_secs_f64();
    let mean = back.iter().sum::<Duration>().as_secs_f64() / back.len().max(1) as f64;
    println!(
        "\nAll routers back after a restart of the collector: in sync after {mean:.2} s on average, the last one after {last:.2} s, \
         {:.2} times as late; CPU: PostgreSQL {:.1} s, collector {:.1} s; its memory at most {} MB",
        last / mean.max(0.001),
        spent.server.as_secs_f64(),
        spent.collector.as_secs_f64(),
        machine::resident_peak(collector.pid()) / 1_000_000
    );
}

/// All routers connect at once and dump, until all of it is stored.
fn load(routers: &mut [Router], collector: &Collector, client: &mut Client) -> Result<Vec<TcpStream>, Failure> {
    let sessions = each(routers, |router| {
        let mut session = router.connect(collector.address)?;
        router.count_dump();
        router.mark(&mut session)?;
        Ok(session)
    })?;
    wait_for_markers(client, routers)?;
    Ok(sessions)
}

/// Runs `work` on all routers side by side.
fn each<'a, T: Send>(
    routers: &mut [Router<'a>],
    work: impl Fn(&mut Router<'a>) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = routers.iter_mut().map(|router| scope.spawn(|| work(router))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
    })
}

/// So many events, so far apart, that there are as many UPDATEs as asked for. Their number depends on the site alone, so
/// that each run sends the same.
fn events(network: &Network, site: &Site) -> Result<Events, Failure> {
    let apart = 1e6 * network.updates_per_event() / site.rate;
    let begin = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Events { count: (site.seconds as f64 * 1e6 / apart) as u64, apart, resets: site.resets, begin })
}

type Churned = (Vec<TcpStream>, Vec<(Duration, Duration)>);

fn churn(
    routers: &mut [Router],
    sessions: Vec<TcpStream>,
    collector: &Collector,
    database: &Database,
    events: Events,
) -> Result<Churned, Failure> {
    let sending = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&mut database.client()?, "adj_rib_in", &sending, |_| Ok(())));
        let sessions = std::thread::scope(|scope| {
            let threads: Vec<_> = routers
                .iter_mut()
                .zip(sessions)
                .map(|(router, session)| scope.spawn(move || router.churn(session, collector.address, events)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
                .collect::<Result<Vec<_>, _>>()
        });
        let finished = sessions.and_then(|mut sessions: Vec<TcpStream>| {
            routers.iter_mut().zip(&mut sessions).try_for_each(|(router, session)| router.mark(session))?;
            wait_for_markers(&mut database.client()?, routers)?;
            Ok(sessions)
        });
        sending.store(false, Ordering::Release);
        let seen = watcher.join().map_err(|_| "a thread panicked")??;
        let marks = routers.iter().map(|router| (router.id.clone(), router.marks.clone())).collect();
        Ok((finished?, waits(&Sent { updates: 0, marks }, &seen, events.begin)))
    })
}

/// Waits until both tables have the last marker of every router.
fn wait_for_markers(client: &mut Client, routers: &[Router]) -> Result<(), Failure> {
    for table in ["adj_rib_in", "route_events"] {
        for router in routers {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE router_id = '{}' AND afi = 4 AND prefix = '{MARKER_PREFIX}' AND med = {})",
                router.id, router.marker
            );
            wait(client, "a marker", &sql)?;
        }
    }
    Ok(())
}

/// Compares the number of routes of each view of each peer, the sum of their MEDs, which name the attribute sets, and the
/// number of events of each router with what the router knows. Prints that they are equal, or fails.
fn check(client: &mut Client, routers: &[Router]) -> Result<(), Failure> {
    let until = std::time::Instant::now() + SETTLE;
    loop {
        let differences = differences(client, routers)?;
        if differences.is_empty() {
            break;
        }
        if std::time::Instant::now() > until {
            return Err(format!("the tables are not what the routers have: {}", differences.join("; ")).into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let tables: usize = routers.iter().map(|router| router.expected().len()).sum();
    let routes: i64 = routers.iter().flat_map(Router::expected).map(|table| table.routes).sum();
    let events: u64 = routers.iter().map(|router| router.events).sum();
    println!(
        "Truth: the {tables} tables have the {routes} routes of the routers, with the attributes they have there; history has \
         each of the {events} changes once.\n"
    );
    Ok(())
}

fn differences(client: &mut Client, routers: &[Router]) -> Result<Vec<String>, Failure> {
    let tables = format!(
        "SELECT router_id, peer_address, is_post_policy, count(*), sum(med)::bigint FROM adj_rib_in
         WHERE prefix <> '{MARKER_PREFIX}' GROUP BY router_id, peer_address, is_post_policy"
    );
    let mut found = std::collections::HashMap::new();
    for row in client.query(&tables, &[])? {
        let key: (String, std::net::IpAddr, bool) = (row.get(0), row.get(1), row.get(2));
        found.insert(key, (row.get::<_, i64>(3), row.get::<_, i64>(4)));
    }
    let mut differences = Vec::new();
    for router in routers {
        for table in router.expected() {
            let key = (router.id.clone(), table.peer.into(), table.is_post_policy);
            let stored = found.remove(&key).unwrap_or_default();
            if stored != (table.routes, table.meds) {
                differences.push(format!("{key:?} has {stored:?} and not {:?}", (table.routes, table.meds)));
            }
        }
    }
    differences.extend(found.keys().map(|key| format!("{key:?} is not the routers'")));
    for row in client.query("SELECT router_id, count(*) FROM route_events GROUP BY router_id", &[])? {
        let (id, events): (String, i64) = (row.get(0), row.get(1));
        let expected = routers.iter().find(|router| router.id == id).map_or(0, |router| router.events);
        if u64::try_from(events)? != expected {
            differences.push(format!("{id} has {events} events and not {expected}"));
        }
    }
    Ok(differences)
}

fn print_load(routes: u64, routers: &[Router], spent: &Spent, collector: &Collector) {
    let dumped: u64 = routers.iter().map(|router| router.dumped).sum();
    let each = |time: Duration| time.as_micros() as f64 / routes.max(1) as f64;
    println!(
        "First load of all routers at once: {routes} routes in {dumped} UPDATEs stored after {:.1} s; CPU: PostgreSQL {:.1} µs a \
         route, collector {:.1}; the collector's memory at most {} MB",
        spent.wall.as_secs_f64(),
        each(spent.server),
        each(spent.collector),
        machine::resident_peak(collector.pid()) / 1_000_000
    );
}

/// What is counted before and after the changes.
struct Counts {
    updates: u64,
    dumped: u64,
    events: u64,
    rows: i64,
    wal: i64,
}

impl Counts {
    fn now(client: &mut Client, routers: &[Router]) -> Result<Counts, Failure> {
        let rows = "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'adj_rib_in'";
        Ok(Counts {
            updates: routers.iter().map(|router| router.updates).sum(),
            dumped: routers.iter().map(|router| router.dumped).sum(),
            events: routers.iter().map(|router| router.events).sum(),
            rows: number(client, rows)?,
            wal: number(client, "SELECT pg_current_wal_lsn() - '0/0'")?,
        })
    }
}

fn print_churn(before: &Counts, after: &Counts, spent: &Spent, site: &Site) {
    let (updates, events) = (after.updates - before.updates, after.events - before.events);
    let of = |micros: u128, count: u64| micros as f64 / count.max(1) as f64;
    println!(
        "Changes: {updates} UPDATEs and {} of dumps after {} resets, {events} changes of routes, in {:.1} s; {:.2} rows of \
         adj_rib_in written a change",
        after.dumped - before.dumped,
        site.resets + 1,
        spent.wall.as_secs_f64(),
        (after.rows - before.rows) as f64 / events.max(1) as f64
    );
    let all = updates + after.dumped - before.dumped;
    println!(
        "CPU: PostgreSQL {:.1} µs an UPDATE, {:.1} a change; collector {:.1} and {:.1}; WAL {:.0} bytes a change\n",
        of(spent.server.as_micros(), all),
        of(spent.server.as_micros(), events),
        of(spent.collector.as_micros(), all),
        of(spent.collector.as_micros(), events),
        (after.wal - before.wal) as f64 / events.max(1) as f64
    );
}

/// Seconds from the time at which a change was due to its commit. Dumps bear no such time.
fn print_times(client: &mut Client, begin: Duration, mut waits: Vec<(Duration, Duration)>) -> Result<(), Failure> {
    client.batch_execute("SET work_mem = '256MB'")?;
    let row = client.query_one(
        &format!(
            "SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP
                        (ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - router_time)::float8)
             FROM route_events WHERE router_time >= to_timestamp({})",
            begin.as_secs_f64()
        ),
        &[],
    )?;
    let events: Option<Vec<f64>> = row.get(0);
    let events = events.ok_or("no change was stored")?;
    waits.sort_by_key(|(_, wait)| *wait);
    let at = |share: f64| {
        let (_, wait) = waits.get(((waits.len().saturating_sub(1)) as f64 * share) as usize)?;
        Some(wait.as_secs_f64())
    };
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
    println!("| from sending to the commit, s | p50 | p99 | max |\n|---|---:|---:|---:|");
    println!("| route_events | {:.2} | {:.2} | {:.2} |", events[0], events[1], events[2]);
    println!("| adj_rib_in | {p50:.2} | {p99:.2} | {most:.2} |\n");
    Ok(())
}

fn print_sizes(client: &mut Client, collector: &Collector) -> Result<(), Failure> {
    let mut size = |sql: &str| number(client, sql);
    let (heap, indexes) = (size("SELECT pg_table_size('adj_rib_in')")?, size("SELECT pg_indexes_size('adj_rib_in')")?);
    let routes = size("SELECT count(*) FROM adj_rib_in")?.max(1);
    let leaves = "FROM pg_partition_tree('route_events') WHERE isleaf";
    let event_heap = size(&format!("SELECT sum(pg_table_size(relid)) {leaves}"))?;
    let event_indexes = size(&format!("SELECT sum(pg_indexes_size(relid)) {leaves}"))?;
    let events = size("SELECT count(*) FROM route_events")?.max(1);
    println!(
        "Bytes: a route in adj_rib_in {} of heap and {} of indexes, an event {} and {}; the collector at most {} MB, {} a route",
        heap / routes,
        indexes / routes,
        event_heap / events,
        event_indexes / events,
        machine::resident_peak(collector.pid()) / 1_000_000,
        machine::resident_peak(collector.pid()) / u64::try_from(routes)?
    );
    Ok(())
}
