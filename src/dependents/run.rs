//! The thread that keeps the records of what depends on routes up to date, for all collectors of a database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use super::{inventory, registry, tenants};
use crate::exclusive::Exclusive;
use crate::metrics::{DependentsMeter, Heartbeat, Meters};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::{self, Client, Outages, dependents};

/// The thread's name, in the log, on `/readyz` and in `pg_stat_activity`.
pub const THREAD: &str = "dependents";

/// The longest time that one round may take.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(30 * 60);

/// The interval between rounds.
const TICK: Duration = Duration::from_secs(1);

/// The pause after a round, as a multiple of its time.
const PAUSE_FACTOR: u32 = 10;

/// The same for what is read for metrics only.
const COUNT_PAUSE_FACTOR: u32 = 100;

/// The options of the thread.
pub struct Options {
    /// The connection string of PostgreSQL.
    pub database_url: String,
    /// The name of this collector.
    pub collector: String,
    /// The meters, for `/readyz`.
    pub meters: Arc<Meters>,
    /// Where a database that is away is reported, once for all threads.
    pub outages: Arc<dyn Outages>,
}

/// The work on one schema.
struct Round {
    /// The name, in the log, on `/readyz` and in metrics.
    name: &'static str,
    /// The schema.
    schema: &'static str,
    work: fn(&mut Client, &DependentsMeter) -> store::Result<()>,
    pause_factor: u32,
    /// Why it failed the last time, without numbers; `None`: it did not.
    failure: Option<String>,
    /// When it is worked on again: what takes long must not take all of a processor.
    due: Instant,
}

/// Works until the collector stops.
pub fn run(options: &Options, heartbeat: &Heartbeat, stop: &Stop) {
    let thread = Exclusive {
        name: THREAD,
        consequence: "sessions, services and tenants are not kept up to date",
        database_url: &options.database_url,
        collector: &options.collector,
        meters: &options.meters,
        outages: &options.outages,
        heartbeat,
        stop,
    };
    let mut rounds = [
        Round::new("inventory", "inventory", |client, _| inventory::work(client)),
        Round::new("registry", "registry", |client, _| registry::round(client)),
        Round { pause_factor: COUNT_PAUSE_FACTOR, ..Round::new("registry counts", "registry", registry::count) },
        Round::new("tenants", "tenant", |client, _| tenants::round(client)),
    ];
    thread.run(dependents::lock, |client, succeeded| {
        let result = work(&mut rounds, client, options, heartbeat, stop, succeeded);
        // Another collector may count from now on.
        options.meters.dependents.set_registry(None);
        result
    });
}

/// Works on a connection until it fails or the collector stops.
fn work(
    rounds: &mut [Round],
    client: &mut Client,
    options: &Options,
    heartbeat: &Heartbeat,
    stop: &Stop,
    succeeded: &mut dyn FnMut(),
) -> store::Result<()> {
    while !stop.is_stopping() {
        for round in &mut *rounds {
            heartbeat.progress();
            round.take_if_due(client, &options.meters)?;
        }
        succeeded();
        heartbeat.idle();
        stop.wait(Instant::now() + TICK, || false);
    }
    Ok(())
}

impl Round {
    fn new(
        name: &'static str,
        schema: &'static str,
        work: fn(&mut Client, &DependentsMeter) -> store::Result<()>,
    ) -> Round {
        Round { name, schema, work, pause_factor: PAUSE_FACTOR, failure: None, due: Instant::now() }
    }

    /// Works on the schema if it is due.
    fn take_if_due(&mut self, client: &mut Client, meters: &Meters) -> store::Result<()> {
        let began = Instant::now();
        if began < self.due {
            return Ok(());
        }
        let result = self.take(client, meters);
        self.due = began + began.elapsed() * self.pause_factor;
        result
    }

    /// Works on the schema. A failure that leaves the connection usable is this schema's alone.
    fn take(&mut self, client: &mut Client, meters: &Meters) -> store::Result<()> {
        let mut result = (self.work)(client, &meters.dependents);
        // A team or session that is deleted between two statements: not a failure, unless it comes again.
        if result.as_ref().is_err_and(store::Error::may_be_overtaken) {
            result = (self.work)(client, &meters.dependents);
        }
        let Err(error) = result else {
            meters.dependents.set_round(self.name, Timestamp::now());
            if self.failure.take().is_some() {
                meters.set_degraded(self.name, None);
            }
            return Ok(());
        };
        if client.is_closed() {
            return Err(error);
        }
        meters.dependents.failures.count(self.name);
        let error = dependents::with_remedy(client, self.schema, error)?;
        let text = format!("not kept up to date: {error}");
        let failure = Some(text.chars().filter(|c| !c.is_ascii_digit()).collect());
        if std::mem::replace(&mut self.failure, failure.clone()) != failure {
            warn!("{}: {text}; retrying", self.name);
        }
        meters.set_degraded(self.name, Some(text));
        Ok(())
    }
}
