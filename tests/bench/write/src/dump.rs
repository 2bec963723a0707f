//! The first dump of one router beside plain COPY of the same rows, one after the other, round by round.

use crate::collector::Collector;
use crate::database::Database;
use crate::life::dump;
use crate::limits::{self, Rows};
use crate::machine::{self, Meter};
use crate::router::Router;
use crate::{Bench, Failure};

/// Measures and prints.
pub fn run(bench: &Bench, routes: usize, rounds: usize) -> Result<(), Failure> {
    println!("{} routes and as many events\n", routes + routes / 5);
    println!(
        "| round | dump s | COPY s | ratio | CPU s: state writers' connections | event writer's | collector | waiting for the end \
         | helpers | both COPYs, helpers included | ratio |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for round in 1..=rounds {
        let database = Database::fresh(&bench.admin, "rib_bench")?;
        let mut router = Router::new(2, routes)?;
        let collector = Collector::start(&bench.binary, &database.url(), &[])?;
        let mut client = database.client()?;
        let meter = Meter { postmaster: bench.postmaster, collector: Some(collector.pid()) };
        let waiter = u32::try_from(client.query_one("SELECT pg_backend_pid()", &[])?.get::<_, i32>(0))?;
        let (ours, session) = meter.time(|| dump(&mut router, &collector, &mut client));
        let waiting = machine::used(waiter);
        drop(session?);
        let mut connection = |threads: &str| {
            let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rib-ingester/' || $1 || '-%'";
            let pids = client.query(sql, &[&threads])?.into_iter().map(|row| u32::try_from(row.get::<_, i32>(0)));
            let used = pids.map(|pid| Ok(machine::used(pid?).as_secs_f64()));
            used.sum::<Result<f64, Failure>>()
        };
        let (state, events) = (connection("state")?, connection("events")?);
        collector.stop()?;
        let rows = Rows::of_history(&mut client)?;
        let [a, b] = limits::both(&mut client, &rows, bench.postmaster)?;
        // Waiting for the end is the measurement's, not ours.
        let cpu = ours.cpu().saturating_sub(waiting).as_secs_f64();
        let helpers = cpu - state - events - ours.collector.as_secs_f64();
        let copy = (a.wall + b.wall, a.server + b.server);
        println!(
            "| {round} | {:.1} | {:.1} | {:.2} | {state:.1} | {events:.1} | {:.1} | {:.1} | {helpers:.1} | {:.1} | {:.2} |",
            ours.wall.as_secs_f64(),
            copy.0.as_secs_f64(),
            ours.wall.as_secs_f64() / copy.0.as_secs_f64(),
            ours.collector.as_secs_f64(),
            waiting.as_secs_f64(),
            copy.1.as_secs_f64(),
            cpu / copy.1.as_secs_f64()
        );
    }
    Ok(())
}
