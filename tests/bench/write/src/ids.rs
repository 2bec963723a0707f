//! Path identifiers and attribute sets that never come back: days of both, one after the other. After each day every
//! route has left once and has come back under another identifier with other attributes; so memory and tables should
//! be what they were.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use postgres::Client;

use crate::collector::Collector;
use crate::database::{Database, number, wait};
use crate::generate::{attribute, update};
use crate::machine;
use crate::router::bmp;
use crate::{Bench, Failure};

/// The AS number of the router, and its BGP identifier.
const ASN: u32 = 64_496;
const ID: [u8; 4] = [10, 0, 0, 2];

/// Identifiers between two runs of VACUUM: the table's own autovacuum threshold, which a day of these reaches as often.
const VACUUM_EVERY: u32 = 10_000;

/// Routes of one UPDATE.
const TOGETHER: u32 = 4;

/// A router whose identifiers are used once.
struct Router {
    session: TcpStream,
    /// Its prefixes.
    routes: u32,
    /// The identifier that was announced last; the prefix is its rest of the division by `routes`.
    last: u32,
}

/// Measures and prints.
pub fn run(bench: &Bench, routes: u32, ids: u32, days: u32) -> Result<(), Failure> {
    let database = Database::fresh(&bench.admin, "rib_bench")?;
    let collector = Collector::start(&bench.binary, &database.url(), &[])?;
    let mut client = database.client()?;
    let mut router = Router::connect(&collector, routes)?;
    router.announce(routes)?;
    router.wait(&mut client)?;
    client.batch_execute("VACUUM ANALYZE current_routes")?;
    println!("{routes} routes; {ids} path identifiers and {} attribute sets a day, each used once\n", ids / TOGETHER);
    println!("| after | collector, MB | current_routes, MB: heap | indexes | of them communities | live rows |");
    println!("|---|---:|---:|---:|---:|---:|");
    let print = |when: &str, client: &mut Client| print(when, client, &collector);
    print("the first dump", &mut client)?;
    for day in 1..=days {
        let mut left = ids;
        while left > 0 {
            let some = left.min(VACUUM_EVERY);
            router.replace(some)?;
            router.wait(&mut client)?;
            client.batch_execute("VACUUM current_routes")?;
            left -= some;
        }
        // A day is shorter here, and maintenance rebuilds an index once a day.
        if number(&mut client, "SELECT count(to_regclass('index_sizes'))")? > 0 {
            client.batch_execute("UPDATE index_sizes SET tried_at = tried_at - interval '1 day'")?;
        }
        let maintained =
            Command::new(&bench.binary).arg("maintenance").env("RIB_INGESTER_DATABASE_URL", database.url()).output()?;
        let said = String::from_utf8_lossy(&maintained.stdout).into_owned();
        let rebuilt: Vec<&str> = said.lines().filter(|line| line.starts_with("rebuilt ")).collect();
        print(&format!("day {day} {}", rebuilt.join(", ")), &mut client)?;
    }
    // All of a day's identifiers at the same time.
    router.announce(ids)?;
    router.wait(&mut client)?;
    print("as many more at once", &mut client)?;
    router.withdraw(router.last - routes - ids..router.last - routes)?;
    router.replace(1)?;
    router.wait(&mut client)?;
    client.batch_execute("VACUUM current_routes")?;
    print("these withdrawn", &mut client)?;
    let bloat = client.query(
        "SELECT relname::text, (pg_relation_size(indexrelid) / 1e6)::float8 FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
         WHERE indrelid = 'current_routes'::regclass ORDER BY relname",
        &[],
    )?;
    client.batch_execute("REINDEX TABLE current_routes")?;
    println!("\n| index, MB | in the end | made anew |\n|---|---:|---:|");
    for row in bloat {
        let name: String = row.get(0);
        let anew = number(&mut client, &format!("SELECT pg_relation_size('{name}')"))? as f64 / 1e6;
        println!("| {name} | {:.2} | {anew:.2} |", row.get::<_, f64>(1));
    }
    collector.stop()
}

fn print(when: &str, client: &mut Client, collector: &Collector) -> Result<(), Failure> {
    let row = client.query_one(
        "SELECT (pg_table_size('current_routes') / 1e6)::float8, (pg_indexes_size('current_routes') / 1e6)::float8,
                ((SELECT sum(pg_relation_size(indexrelid)) FROM pg_index
                  WHERE indrelid = 'current_routes'::regclass AND indexrelid::regclass::text LIKE '%_gin') / 1e6)::float8,
                (SELECT count(*) FROM current_routes)",
        &[],
    )?;
    println!(
        "| {when} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
        machine::resident(collector.pid()) as f64 / 1e6,
        row.get::<_, f64>(0),
        row.get::<_, f64>(1),
        row.get::<_, f64>(2),
        row.get::<_, i64>(3)
    );
    Ok(())
}

impl Router {
    fn connect(collector: &Collector, routes: u32) -> Result<Router, Failure> {
        let mut session = TcpStream::connect(collector.address)?;
        let name = [&[0, 2, 0, 1][..], b"r", &[0, 1, 0, 1], b"r"].concat();
        session.write_all(&[bmp(4, &name), bmp(3, &up())].concat())?;
        Ok(Router { session, routes, last: 0 })
    }

    /// Announces the next identifiers.
    fn announce(&mut self, ids: u32) -> Result<(), Failure> {
        self.send(ids, |_| None)
    }

    /// The same, and withdraws as many of the oldest that are there.
    fn replace(&mut self, ids: u32) -> Result<(), Failure> {
        let routes = self.routes;
        self.send(ids, |id| id.checked_sub(routes))
    }

    fn send(&mut self, ids: u32, gone: impl Fn(u32) -> Option<u32>) -> Result<(), Failure> {
        let end = self.last + ids;
        while self.last < end {
            let these = self.last + 1..end.min(self.last + TOGETHER) + 1;
            let withdrawn = these.clone().filter_map(&gone).flat_map(|id| self.nlri(id)).collect();
            let announced = these.clone().flat_map(|id| self.nlri(id)).collect();
            self.last = these.end - 1;
            self.session.write_all(&monitoring(withdrawn, &attributes(self.last), announced))?;
        }
        Ok(())
    }

    fn withdraw(&mut self, ids: std::ops::Range<u32>) -> Result<(), Failure> {
        for id in ids {
            let withdrawn = self.nlri(id + 1);
            self.session.write_all(&monitoring(withdrawn, &[], Vec::new()))?;
        }
        Ok(())
    }

    /// A /24 with its identifier (RFC 7911 section 3).
    fn nlri(&self, id: u32) -> Vec<u8> {
        let [_, b, c, d] = (id % self.routes).to_be_bytes();
        [&id.to_be_bytes()[..], &[24, 20 + b, c, d]].concat()
    }

    /// Waits until both tables have the last route.
    fn wait(&self, client: &mut Client) -> Result<(), Failure> {
        for table in ["current_routes", "route_events"] {
            let [_, b, c, d] = (self.last % self.routes).to_be_bytes();
            let key = format!("prefix = '{}.{c}.{d}.0/24' AND path_id = {}", 20 + b, self.last);
            wait(client, "the last route", &format!("SELECT EXISTS (SELECT FROM {table} WHERE {key})"))?;
        }
        Ok(())
    }
}

/// The per-peer header of a Loc-RIB (RFC 9069 section 4).
fn header() -> [u8; 42] {
    let mut header = [0; 42];
    header[0] = 3;
    header[26..30].copy_from_slice(&ASN.to_be_bytes());
    header[30..34].copy_from_slice(&ID);
    header[34..38].copy_from_slice(&1_767_225_600u32.to_be_bytes());
    header
}

/// Peer Up of a Loc-RIB with Add-Path in both directions (RFC 7911 section 4).
fn up() -> Vec<u8> {
    let capabilities = [&[1, 4, 0, 1, 0, 1, 69, 4, 0, 1, 1, 3, 65, 4][..], &ASN.to_be_bytes()].concat();
    let size = u8::try_from(capabilities.len()).expect("18 octets");
    let body = [&[4, 0xfb, 0xf0, 0, 180][..], &ID, &[size + 2, 2, size], &capabilities].concat();
    let length = u16::try_from(19 + body.len()).expect("short").to_be_bytes();
    let open = [&[0xff; 16][..], &length, &[1], &body].concat();
    [&header()[..], &[0; 20], &open, &open, &[0, 3, 0, 6], b"global"].concat()
}

fn monitoring(withdrawn: Vec<u8>, attributes: &[u8], announced: Vec<u8>) -> Vec<u8> {
    let mut message = update(attributes, &announced);
    // Between the header and the length of the attributes.
    message.splice(19..21, [&u16::try_from(withdrawn.len()).expect("few").to_be_bytes()[..], &withdrawn].concat());
    let length = u16::try_from(message.len()).expect("few routes").to_be_bytes();
    message[16..18].copy_from_slice(&length);
    bmp(0, &[&header()[..], &message].concat())
}

/// Attributes that no other route has: AS path, MED and communities.
fn attributes(set: u32) -> Vec<u8> {
    let path = [64_500, 64_501 + set % 50, 4_200_000_000 + set];
    let path: Vec<u8> = [2, 3].into_iter().chain(path.into_iter().flat_map(u32::to_be_bytes)).collect();
    let [a, b] = [set >> 16, set & 0xffff].map(|half| half as u16);
    let communities = [&[0xfb, 0xf4, 0, 1][..], &(1_000 + a).to_be_bytes(), &b.to_be_bytes()].concat();
    let large = [64_496u32, 1, set].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<u8>>();
    [
        attribute(0x40, 1, &[0]),
        attribute(0x40, 2, &path),
        attribute(0x40, 3, &[192, 0, 2, 1]),
        attribute(0x80, 4, &set.to_be_bytes()),
        attribute(0x40, 5, &100u32.to_be_bytes()),
        attribute(0xc0, 8, &communities),
        attribute(0xc0, 32, &large),
    ]
    .concat()
}
