//! Routers that change their routes at a steady rate, and how long it takes until readers see it.
//!
//! An UPDATE bears the time at which it was due, as its per-peer timestamp: what a router could not send in time has
//! waited too. A row of `current_routes` keeps no such time, and one commit may hold many changes of a route: so a
//! router changes its marker occasionally, and the first commit that shows this change or a later one ends its wait.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postgres::Client;

use crate::Failure;
use crate::database::wait;
use crate::router::{MARKER_PREFIX, Router};

/// For how long routers send that are stopped before.
pub const SENDING_MAX_SECS: u64 = 3_600;

/// How often each router sends: what falls due in one such turn goes out together.
const TURN: Duration = Duration::from_millis(20);

/// How often a router changes its marker.
const MARK: Duration = Duration::from_millis(500);

/// How often markers are looked for. A change that a later one hides in between counts with the later one's commit.
const LOOK: Duration = Duration::from_millis(100);

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// UPDATEs, markers left out.
    pub updates: u64,
    /// A router's markers and when they were sent, in order.
    pub marks: Vec<(String, Vec<(u32, Duration)>)>,
}

/// Sends so many UPDATEs a second for so long, or until that `is_over`, all routers together.
pub fn send(
    all: &mut [Router],
    sessions: &mut [TcpStream],
    rate: u64,
    seconds: u64,
    is_over: &AtomicBool,
) -> Result<Sent, Failure> {
    let routers = u64::try_from(all.len())?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter_mut()
            .zip(sessions)
            .enumerate()
            .map(|(i, (router, session))| {
                let seed = u64::try_from(i).unwrap_or(0);
                scope.spawn(move || send_one(router, session, rate / routers, seconds, seed, is_over))
            })
            .collect();
        let mut sent = Sent::default();
        for thread in threads {
            let (updates, marks) = thread.join().map_err(|_| "a thread panicked")??;
            sent.updates += updates;
            sent.marks.push(marks);
        }
        Ok(sent)
    })
}

type Marks = (String, Vec<(u32, Duration)>);

fn send_one(
    router: &mut Router,
    session: &mut TcpStream,
    rate: u64,
    seconds: u64,
    seed: u64,
    is_over: &AtomicBool,
) -> Result<(u64, Marks), Failure> {
    let (begin, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let (mut sent, mut random) = (0, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut marks, mut mark_due) = (Vec::new(), MARK);
    while begin.elapsed() < Duration::from_secs(seconds) && !is_over.load(Ordering::Acquire) {
        let due = u64::try_from(begin.elapsed().as_micros())? * rate / 1_000_000;
        let mut bytes = Vec::new();
        for i in sent..due {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.extend(router.flap(random, since + Duration::from_micros(i * 1_000_000 / rate)));
        }
        session.write_all(&bytes)?;
        sent = due;
        if begin.elapsed() >= mark_due {
            marks.push((router.mark(session)?, since + mark_due));
            mark_due += MARK;
        }
        std::thread::sleep(TURN);
    }
    Ok((sent, (router.id.clone(), marks)))
}

/// Waits until both tables have the last marker of every router.
pub fn wait_for_markers(client: &mut Client, all: &[Router]) -> Result<(), Failure> {
    wait_for_markers_in(client, &["current_routes", "route_events"], all)
}

/// Waits until these tables have the last marker of every router.
pub fn wait_for_markers_in(client: &mut Client, tables: &[&str], all: &[Router]) -> Result<(), Failure> {
    for table in tables {
        for router in all {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE router_id = '{}' AND table_name = 'global' AND afi = 4
                                AND prefix = '{MARKER_PREFIX}' AND med = {})",
                router.id,
                router.marker()
            );
            wait(client, "a marker", &sql)?;
        }
    }
    Ok(())
}

/// When the changes of markers were committed: of each router, markers in order with the commit that first showed each
/// or a later one.
pub type Seen = HashMap<String, Vec<(u32, Duration)>>;

/// Looks for markers in a table until `sending` is over and calls `also` each time.
pub fn watch(
    client: &mut Client,
    table: &str,
    sending: &AtomicBool,
    mut also: impl FnMut(&mut Client) -> Result<(), Failure>,
) -> Result<Seen, Failure> {
    let look = client.prepare(&format!(
        "SELECT router_id, med, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
         FROM {table} WHERE prefix = '{MARKER_PREFIX}'"
    ))?;
    let mut seen = Seen::new();
    loop {
        let is_last = !sending.load(Ordering::Acquire);
        for row in client.query(&look, &[])? {
            let (router, marker): (String, i64) = (row.get(0), row.get(1));
            let (marker, commit) =
                (u32::try_from(marker)?, Duration::from_micros(u64::try_from(row.get::<_, i64>(2))?));
            let commits = seen.entry(router).or_default();
            if commits.last().is_none_or(|(last, _)| *last < marker) {
                commits.push((marker, commit));
            }
        }
        also(client)?;
        if is_last {
            return Ok(seen);
        }
        std::thread::sleep(LOOK);
    }
}

/// When each marker was sent, since `begin`, and how long its commit took.
pub fn waits(sent: &Sent, seen: &Seen, begin: Duration) -> Vec<(Duration, Duration)> {
    let mut waits = Vec::new();
    for (router, marks) in &sent.marks {
        let commits = seen.get(router).map_or(&[][..], Vec::as_slice);
        for (marker, at) in marks {
            let at_least = commits.partition_point(|(seen, _)| seen < marker);
            if let Some((_, commit)) = commits.get(at_least) {
                waits.push((at.saturating_sub(begin), commit.saturating_sub(*at)));
            }
        }
    }
    waits
}
