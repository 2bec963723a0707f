//! A router's life and its limits, round by round, and the table of the best.

use std::net::TcpStream;
use std::time::Duration;

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, now, number, wait};
use crate::limits::{self, Limits, Rows};
use crate::machine::{self, Meter, Spent};
use crate::router::{self, MARKER_PREFIX, Router};
use crate::{Bench, Failure};

/// What one round found.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    limits: Limits,
    dump: Spent,
    reconnect: Spent,
    restart: Spent,
    churn: Spent,
    peer_down: Spent,
    four: Spent,
    four_peer_down: Spent,
    /// Rows and events that the unchanged dumps wrote.
    rewritten: i64,
    /// Bytes per route in the collector's memory.
    bytes_per_route: u64,
}

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, rounds: usize) -> Result<(), Failure> {
    let total = routes + routes / 5;
    println!("{total} routes and as many events per dump; best of {rounds} rounds\n");
    let mut best: Option<Round> = None;
    for number in 1..=rounds {
        let mut round = one(bench, routes)?;
        (round.four, round.four_peer_down) = four(bench, routes / 4)?;
        eprintln!("round {number}: {round:?}");
        best = Some(best.map_or(round, |best| best.best(round)));
    }
    print(&best.ok_or("no rounds")?, total);
    Ok(())
}

fn one(bench: &Bench, routes: usize) -> Result<Round, Failure> {
    let mut round = Round::default();
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let mut router = Router::new(2, routes)?;
    let collector = Collector::start(&bench.binary, &database.url(), &[])?;
    let mut client = database.client()?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let empty = machine::resident(collector.pid());
    let (spent, session) = meter.time(|| dump(&mut router, &collector, &mut client));
    round.dump = spent;

    let known = rows_written(&mut client)?;
    router::close(session?)?;
    wait(&mut client, "the session's end", "SELECT count(*) = 1 FROM session_events WHERE kind = 'session_lost'")?;
    let (spent, session) = meter.time(|| redump(&mut router, &collector, &mut client, 4));
    round.reconnect = spent;
    router::close(session?)?;
    collector.stop()?;
    let meter = Meter { postmaster: bench.postmaster, collector: None };
    let (mut spent, restarted) = meter.time(|| {
        let collector = Collector::start(&bench.binary, &database.url(), &[])?;
        let session = redump(&mut router, &collector, &mut client, 6)?;
        Ok::<_, Failure>((collector, session))
    });
    let (collector, mut session) = restarted?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    spent.collector = meter.collector_time();
    round.restart = spent;
    let held = machine::resident(collector.pid()).saturating_sub(empty);
    round.bytes_per_route = held / u64::try_from(routes + routes / 5)?;
    round.rewritten = rows_written(&mut client)? - known;

    let rows = Rows::of_history(&mut client)?;
    let begin = now(&mut client)?;
    let (spent, done) = meter.time(|| {
        router.change_all(&mut session)?;
        marked(&mut router, &mut session, &mut client, &begin)
    });
    round.churn = spent;
    done?;
    // A reader that began before keeps its snapshot, and what it sees.
    let mut reader = database.client()?;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
    let seen = number(&mut reader, "SELECT count(*) FROM current_routes")?;
    let (spent, done) = meter.time(|| go_down(&router, &mut session, &mut client));
    round.peer_down = spent;
    done?;
    if number(&mut reader, "SELECT count(*) FROM current_routes")? != seen {
        return Err("a reader's snapshot changed".into());
    }
    drop(reader);
    collector.stop()?;
    round.limits = limits::measure(&database, &rows, bench.postmaster)?;
    Ok(round)
}

/// Four routers at once, on two writers of each kind; and the Peer Down of one of them.
fn four(bench: &Bench, routes: usize) -> Result<(Spent, Spent), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let settings = [("STATE_WRITERS", "2"), ("HISTORY_WRITERS", "2")];
    let collector = Collector::start(&bench.binary, &database.url(), &settings)?;
    let mut routers = (2..6).map(|number| Router::new(number, routes)).collect::<Result<Vec<_>, _>>()?;
    let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
    let (spent, sessions) = meter.time(|| {
        std::thread::scope(|scope| {
            let (database, collector) = (&database, &collector);
            let threads: Vec<_> = routers
                .iter_mut()
                .map(|router| scope.spawn(move || dump(router, collector, &mut database.client()?)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
                .collect::<Result<Vec<_>, Failure>>()
        })
    });
    let mut sessions = sessions?;
    let mut client = database.client()?;
    let (peer_down, done) = meter.time(|| go_down(&routers[0], &mut sessions[0], &mut client));
    done?;
    collector.stop()?;
    Ok((spent, peer_down))
}

/// A router's first dump, until all of it is committed.
pub fn dump(router: &mut Router, collector: &Collector, client: &mut Client) -> Result<TcpStream, Failure> {
    let begin = now(client)?;
    let mut session = router.dump(collector.address)?;
    marked(router, &mut session, client, &begin)?;
    Ok(session)
}

/// Sends a marker and waits until both tables have it, and until all routes are written since `begin`: a large batch is
/// not written in order.
fn marked(router: &mut Router, session: &mut TcpStream, client: &mut Client, begin: &str) -> Result<(), Failure> {
    let marker = router.mark(session)?;
    let key = format!("router_id = '{}' AND prefix = '{MARKER_PREFIX}' AND med = {marker}", router.id);
    wait(
        client,
        "the state's marker",
        &format!("SELECT EXISTS (SELECT FROM current_routes WHERE {key} AND table_name = 'global' AND afi = 4)"),
    )?;
    wait(
        client,
        "the history's marker",
        &format!("SELECT EXISTS (SELECT FROM route_events WHERE {key} AND table_name = 'global' AND afi = 4)"),
    )?;
    let written =
        format!("SELECT count(*) FROM current_routes WHERE router_id = '{}' AND updated_at >= '{begin}'", router.id);
    let routes = i64::try_from(router.routes())?;
    wait(client, "all routes to be written", &format!("SELECT ({written}) >= {routes}"))
}

/// The same table again; `ends` is how many End-of-RIBs there are then.
fn redump(router: &mut Router, collector: &Collector, client: &mut Client, ends: u32) -> Result<TcpStream, Failure> {
    let session = router.dump(collector.address)?;
    let sql = format!("SELECT count(*) = {ends} FROM session_events WHERE kind = 'end_of_rib'");
    wait(client, "the second End-of-RIB", &sql)?;
    Ok(session)
}

fn go_down(router: &Router, session: &mut TcpStream, client: &mut Client) -> Result<(), Failure> {
    router.peer_down(session)?;
    let sql = format!("SELECT NOT EXISTS (SELECT FROM rib_sync_status WHERE router_id = '{}')", router.id);
    wait(client, "the table's end", &sql)
}

/// How many events there are, and how many rows have been written since the first End-of-RIB.
fn rows_written(client: &mut Client) -> Result<i64, Failure> {
    number(
        client,
        "SELECT count(*) FROM route_events) + (SELECT count(*) FROM current_routes WHERE updated_at > \
         (SELECT min(event_time) FROM session_events WHERE kind = 'end_of_rib')",
    )
}

impl Round {
    fn best(self, other: Round) -> Round {
        Round {
            limits: self.limits.best(other.limits),
            dump: self.dump.best(other.dump),
            reconnect: self.reconnect.best(other.reconnect),
            restart: self.restart.best(other.restart),
            churn: self.churn.best(other.churn),
            peer_down: self.peer_down.best(other.peer_down),
            four: self.four.best(other.four),
            four_peer_down: self.four_peer_down.best(other.four_peer_down),
            rewritten: self.rewritten.max(other.rewritten),
            bytes_per_route: self.bytes_per_route.max(other.bytes_per_route),
        }
    }
}

/// Each figure beside its limit.
fn print_targets(round: &Round, total: usize) {
    println!("\n| what | s | beside | s | ratio | target |\n|---|---:|---|---:|---:|---:|");
    let both = ("COPY of both tables", round.limits.both().wall);
    let first = ("the first dump", round.dump.wall);
    let million = ("1 s a million routes", Duration::from_secs(1).mul_f64(total as f64 / 1e6));
    let bare = ("COPY of the routes without indexes but the key, then both cores build them", {
        round.limits.bare.wall + round.limits.indexes_by_two.wall
    });
    for (what, took, (beside, limit), target) in [
        ("dump of one router", round.dump.wall, both, "0.8"),
        ("dump of four routers, two writers", round.four.wall, both, "0.7"),
        ("dump of one router", round.dump.wall, bare, ""),
        ("dump of one router", round.dump.wall, ("row by row, a commit each", round.limits.single.wall), "0.2"),
        ("dump of one router", round.dump.wall, ("row by row, a commit a thousand", round.limits.thousand.wall), "0.2"),
        ("unchanged dump after a reconnect", round.reconnect.wall, first, "0.1"),
        ("unchanged dump after a restart", round.restart.wall, first, "0.1"),
        ("every route changed", round.churn.wall, both, ""),
        ("Peer Down, a long reader", round.peer_down.wall, million, "1"),
    ] {
        let ratio = took.as_secs_f64() / limit.as_secs_f64();
        println!(
            "| {what} | {:.2} | {beside} | {:.2} | {ratio:.2} | {target} |",
            took.as_secs_f64(),
            limit.as_secs_f64()
        );
    }
    let bytes = round.bytes_per_route;
    println!("| memory a route | {bytes} bytes | | 40 bytes | {:.2} | 1 |", bytes as f64 / 40.0);
}

fn print(round: &Round, total: usize) {
    let limits = &round.limits;
    let both = limits.both();
    println!("| what | s | of COPY | CPU s: PostgreSQL | collector | CPU of COPY | µs per row |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let line = |what: &str, spent: Spent| {
        let of = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        println!(
            "| {what} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
            spent.wall.as_secs_f64(),
            of(spent.wall, both.wall),
            spent.server.as_secs_f64(),
            spent.collector.as_secs_f64(),
            of(spent.cpu(), both.server),
            spent.wall.as_secs_f64() * 1e6 / total as f64,
        );
    };
    line("COPY of both tables, arrival order, one connection", both);
    line("- of them current_routes", limits.routes);
    line("- of them route_events", limits.events);
    line("COPY of current_routes with its key alone", limits.bare);
    line("- then its ten other indexes", limits.indexes);
    line("- the same on two connections", limits.indexes_by_two);
    line("both tables row by row, a commit each", limits.single);
    line("both tables row by row, a commit each thousand", limits.thousand);
    line("dump of one router", round.dump);
    line("dump of four routers, a quarter each, two writers", round.four);
    line("the same dump after a reconnect", round.reconnect);
    line("the same dump after a restart, restart included", round.restart);
    line("every route changed", round.churn);
    line("Peer Down of all of it, a reader with an older snapshot", round.peer_down);
    line("Peer Down of one router of four", round.four_peer_down);
    print_targets(round, total);
    println!(
        "\nWritten by the two unchanged dumps: {} rows and events. Collector: {} bytes of resident memory per route after the restart and its dump, all buffers included.",
        round.rewritten, round.bytes_per_route
    );
}
