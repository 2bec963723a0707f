//! The answers that programs wait for: lookups, a full table as NDJSON and for Alice-LG; first while nothing else happens, then while
//! routers change their routes.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::http::{self, Received};
use crate::machine::{Meter, Spent};
use crate::router::{MARKER_PREFIX, Router};
use crate::stream::{SENDING_MAX_SECS, send, wait_for_markers};
use crate::{Bench, Failure};

/// The routers that change their routes, and the routes of each.
const CHANGING: (u8, usize) = (20, 2_000);

/// What is measured of one kind of request.
struct Question {
    what: &'static str,
    target: &'static str,
    accept: &'static str,
}

const TABLES: [Question; 2] = [
    Question { what: "a Loc-RIB as NDJSON", target: "/api/v1/routes?router=10.0.0.2", accept: "application/x-ndjson" },
    Question {
        what: "Alice-LG: all accepted routes of a router",
        target: "/birdwatcher/10.0.0.3/routes/table/master",
        accept: "application/json",
    },
];

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, clients: usize, rate: u64, seconds: u64) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let collector = Collector::start(&bench.binary, &database.url(), &[("API_RATE", "100000")])?;
    let mut client = database.client()?;
    let begin = Instant::now();
    let _sessions = fill(&collector, &mut client, routes)?;
    let (changing, sessions) = start_changing(&collector, &mut client)?;
    let in_loc_rib = number(&mut client, "SELECT count(*) FROM current_routes")?;
    let in_adj_rib = number(&mut client, "SELECT count(*) FROM adj_rib_in")?;
    println!(
        "{in_loc_rib} routes in Loc-RIBs of {} routers, {in_adj_rib} in an Adj-RIB-In, filled within {:.0} s; {clients} clients\n",
        CHANGING.0 + 1,
        begin.elapsed().as_secs_f64()
    );
    println!(
        "| while | what | s | requests/s | p50 ms | p99 ms | max ms | MB | MB/s | CPU s: PostgreSQL | collector |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    measure("nothing changes", &meter, collector.http, clients, seconds)?;
    let updates = while_changing(changing, sessions, rate, || {
        measure(&format!("{rate} UPDATEs/s"), &meter, collector.http, clients, seconds)
    })?;
    println!("\n{updates} UPDATEs were sent meanwhile.");
    collector.stop()
}

/// One router with a Loc-RIB and one with an Adj-RIB-In of a full table. The sessions stay open with the value.
fn fill(collector: &Collector, client: &mut Client, routes: usize) -> Result<Vec<TcpStream>, Failure> {
    let mut all = [Router::new(2, routes)?, Router::new(3, routes)?.into_adj_rib_in()];
    let sessions: Vec<TcpStream> = std::thread::scope(|scope| {
        let dump = |router: &mut Router| {
            let mut session = router.dump(collector.address)?;
            router.mark(&mut session)?;
            Ok::<_, std::io::Error>(session)
        };
        let threads: Vec<_> = all.iter_mut().map(|router| scope.spawn(move || dump(router))).collect();
        threads
            .into_iter()
            .map(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
            .collect::<Result<_, Failure>>()
    })?;
    for table in ["current_routes", "adj_rib_in"] {
        wait(client, "the marker", &format!("SELECT EXISTS (SELECT FROM {table} WHERE prefix = '{MARKER_PREFIX}')"))?;
    }
    for table in ["current_routes", "adj_rib_in"] {
        client.batch_execute(&format!("VACUUM ANALYZE {table}"))?;
    }
    Ok(sessions)
}

/// The routers that are to change their routes, with what they have so far stored.
fn start_changing(collector: &Collector, client: &mut Client) -> Result<(Vec<Router>, Vec<TcpStream>), Failure> {
    let (count, routes) = CHANGING;
    let mut all = (10..10 + count).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let mut sessions = Vec::new();
    for router in &mut all {
        let mut session = router.dump(collector.address)?;
        router.mark(&mut session)?;
        sessions.push(session);
    }
    wait_for_markers(client, &all)?;
    Ok((all, sessions))
}

/// Does `work` while the routers send so many UPDATEs a second together. Returns how many they sent.
fn while_changing(
    mut all: Vec<Router>,
    mut sessions: Vec<TcpStream>,
    rate: u64,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&mut all, &mut sessions, rate, SENDING_MAX_SECS, &is_over));
        let done = work();
        is_over.store(true, Ordering::Release);
        let sent = sender.join().map_err(|_| "a thread panicked")??;
        done.map(|()| sent.updates)
    })
}

fn measure(meanwhile: &str, meter: &Meter, http: SocketAddr, clients: usize, seconds: u64) -> Result<(), Failure> {
    for (what, scope) in
        [("lookup of an address, at one router", "&router=10.0.0.2"), ("lookup of an address, everywhere", "")]
    {
        let (spent, waits) = meter.time(|| look_up(http, clients, seconds, scope));
        print_waits(meanwhile, what, &spent, &waits?);
    }
    for question in &TABLES {
        let (spent, received) = meter.time(|| http::get(http, question.target, question.accept));
        print_table(meanwhile, question.what, &spent, &received?);
    }
    Ok(())
}

/// Clients that look up one address after the other. Returns what each lookup took in milliseconds, sorted.
fn look_up(http: SocketAddr, clients: usize, seconds: u64, scope_of: &str) -> Result<Vec<f64>, Failure> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut waits = std::thread::scope(|scope| {
        let ask = |seed: usize| {
            let (mut waits, mut random) = (Vec::new(), u32::try_from(seed)?.wrapping_mul(0x9e37_79b9) + 1);
            while Instant::now() < until {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [a, b, c, _] = random.to_be_bytes();
                let target = format!("/api/v1/lookup?address={}.{b}.{c}.1{scope_of}", 1 + u16::from(a) * 220 / 256);
                let begin = Instant::now();
                http::get(http, &target, "application/json")?;
                waits.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, Failure>(waits)
        };
        let threads: Vec<_> = (0..clients).map(|seed| scope.spawn(move || ask(seed))).collect();
        let mut waits = Vec::new();
        for thread in threads {
            waits.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok::<_, Failure>(waits)
    })?;
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

fn print_waits(meanwhile: &str, what: &str, spent: &Spent, waits: &[f64]) {
    let at = |share: f64| waits.get(((waits.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    println!(
        "| {meanwhile} | {what} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} | | | {:.1} | {:.1} |",
        spent.wall.as_secs_f64(),
        waits.len() as f64 / spent.wall.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        spent.server.as_secs_f64(),
        spent.collector.as_secs_f64()
    );
}

fn print_table(meanwhile: &str, what: &str, spent: &Spent, received: &Received) {
    let megabytes = received.bytes as f64 / 1e6;
    println!(
        "| {meanwhile} | {what}, {} lines | {:.1} | | | | | {megabytes:.0} | {:.0} | {:.1} | {:.1} |",
        received.lines,
        spent.wall.as_secs_f64(),
        megabytes / spent.wall.as_secs_f64(),
        spent.server.as_secs_f64(),
        spent.collector.as_secs_f64()
    );
}
