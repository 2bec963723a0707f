//! The thread that fetches VRPs and validates routes, for all collectors of a database.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::hold::{self, Counts};
use super::load::{Loaded, Loader};
use super::options::Options;
use super::scan::{self, Scanned};
use crate::exclusive::Exclusive;
use crate::metrics::{Heartbeat, SetGauges};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::rpki::SetState;
use crate::store::rpki::{self as database, validity};
use crate::store::{self, Client};

/// The thread's name, in the log, on `/readyz` and in `pg_stat_activity`.
pub const THREAD: &str = "rpki";

/// The longest time without progress: every source may take a minute, and a statement of a scan ten.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(30 * 60);

/// The interval at which the row of the set is read, which an operator changes by `rpki accept`.
const TICK: Duration = Duration::from_secs(1);

/// The interval at which a held set that may be taken is asked for, where its source does not answer.
const RELEASE_EVERY: Duration = Duration::from_secs(10);

/// The interval at which it is asked whether a router's dump is over.
const DUMPS_EVERY: Duration = Duration::from_secs(5);

/// Fetches and validates until the collector stops.
pub fn run(options: &Options, heartbeat: &Heartbeat, stop: &Stop) {
    let thread = Exclusive {
        name: THREAD,
        consequence: "routes are not validated",
        database_url: &options.database_url,
        collector: &options.collector,
        meters: &options.meters,
        outages: &options.outages,
        heartbeat,
        stop,
    };
    thread.run(database::lock, |client, succeeded| {
        let mut worker = Worker::new(options);
        let mut work = || {
            while !stop.is_stopping() {
                heartbeat.progress();
                worker.round(client, heartbeat)?;
                succeeded();
                heartbeat.idle();
                stop.wait(Instant::now() + TICK, || false);
            }
            Ok(())
        };
        let result = work();
        options.meters.rpki.set_gauges(None);
        result
    });
}

struct Worker<'a> {
    options: &'a Options,
    loader: Loader<'a>,
    /// VRPs by trust anchor before a set was taken whose hold was over: what it lacked may come back.
    before_hold: Option<Counts>,
    /// True if a failure of all sources was logged.
    is_reported: bool,
    fetch_at: Instant,
    /// When a held set that may be taken is asked for again.
    release_at: Instant,
    dumps_at: Instant,
    scan_at: Instant,
    /// When the last dump of each router was over that was validated.
    dumps: HashMap<String, Timestamp>,
}

impl<'a> Worker<'a> {
    fn new(options: &'a Options) -> Worker<'a> {
        let now = Instant::now();
        Worker {
            options,
            loader: Loader::new(options),
            before_hold: None,
            is_reported: false,
            fetch_at: now,
            release_at: now,
            dumps_at: now,
            scan_at: now,
            dumps: HashMap::new(),
        }
    }

    fn round(&mut self, client: &mut Client, heartbeat: &Heartbeat) -> store::Result<()> {
        let mut state = database::state(client)?;
        let is_released = state.held.as_ref().is_some_and(|held| state.is_accepted || held.until <= state.now);
        let now = Instant::now();
        if now >= self.fetch_at || is_released && now >= self.release_at {
            self.fetch_at = now + self.options.refresh;
            self.release_at = now + self.options.refresh.min(RELEASE_EVERY);
            self.fetch(client, &state)?;
            heartbeat.progress();
            state = database::state(client)?;
        }
        self.show(client, &state)?;
        if !state.is_usable {
            return Ok(());
        }
        let now = Instant::now();
        if state.scanned_version != state.version || now >= self.scan_at {
            self.scan_all(client, &state, heartbeat)?;
            self.scan_at = Instant::now() + self.options.scan_every;
        } else if now >= self.dumps_at {
            self.scan_dumped(client, &state, heartbeat)?;
            self.dumps_at = Instant::now() + DUMPS_EVERY;
        }
        Ok(())
    }

    /// Asks the sources in their order, and stores what they give.
    fn fetch(&mut self, client: &mut Client, state: &SetState) -> store::Result<()> {
        let max_age_secs = i32::try_from(self.options.max_age.as_secs()).unwrap_or(i32::MAX);
        let fetches = &self.options.meters.rpki.fetches;
        let (source, loaded) = match self.loader.load(state) {
            Ok(found) => found,
            Err(why) => {
                fetches.count("failed");
                if !std::mem::replace(&mut self.is_reported, true) {
                    warn!("rpki: no set of VRPs, the one in force stays: {why}");
                }
                return database::note_failure(client, &why, max_age_secs);
            }
        };
        if std::mem::take(&mut self.is_reported) {
            info!("rpki: {source} gives a set again");
        }
        let Loaded::Set(set) = loaded else {
            fetches.count("unchanged");
            return database::note_unchanged(client, max_age_secs);
        };
        let in_force: Counts = database::trust_anchors(client)?
            .into_iter()
            .map(|(name, count)| (name.into(), usize::try_from(count).unwrap_or(0)))
            .collect();
        let reason = hold::reason(&in_force, &set.counts, &self.options.ignored).filter(|_| state.version > 0);
        let is_over = state.held.as_ref().is_some_and(|held| held.until <= state.now);
        if let Some(reason) = reason.as_deref().filter(|_| !state.is_accepted && !is_over) {
            fetches.count("held");
            if state.held.is_none() {
                warn!(
                    "rpki: {source}: a set is held for {} s: {reason}; `rib-ingester rpki accept` takes it",
                    self.options.hold.as_secs()
                );
            }
            let vrps = i64::try_from(set.excepted.vrps.len()).unwrap_or(i64::MAX);
            let hold_secs = i64::try_from(self.options.hold.as_secs()).unwrap_or(i64::MAX);
            self.loader.forget();
            return database::hold(client, (reason, &source, vrps), hold_secs, max_age_secs);
        }
        let after_hold = reason.as_deref().filter(|_| !state.is_accepted);
        let is_recovered = self.before_hold.as_ref().is_some_and(|before| {
            after_hold.is_none() && hold::reason(before, &set.counts, &self.options.ignored).is_none()
        });
        let replaced = database::replace(client, &set.to_store(&source, max_age_secs, after_hold, is_recovered))?;
        self.loader.taken();
        fetches.count("taken");
        if let Some(reason) = after_hold {
            warn!("rpki: {source}: a set was taken after its hold: {reason}");
            self.before_hold = Some(in_force);
        } else if is_recovered {
            self.before_hold = None;
        }
        if replaced.added + replaced.removed > 0 {
            info!(
                "rpki: {source}: VRPs changed, version={} vrps={} added={} removed={}",
                replaced.version,
                set.excepted.vrps.len(),
                replaced.added,
                replaced.removed
            );
        }
        Ok(())
    }

    fn show(&self, client: &mut Client, state: &SetState) -> store::Result<()> {
        let trust_anchors = database::trust_anchors(client)?;
        self.options.meters.rpki.set_gauges(Some(SetGauges {
            generated: state.generated,
            is_usable: state.is_usable,
            is_held: state.held.is_some(),
            is_failing: state.failing_since.is_some(),
            trust_anchors: trust_anchors
                .into_iter()
                .map(|(name, count)| (name, u64::try_from(count).unwrap_or(0)))
                .collect(),
        }));
        Ok(())
    }

    fn scan_all(&mut self, client: &mut Client, state: &SetState, heartbeat: &Heartbeat) -> store::Result<()> {
        let began = Instant::now();
        let routers = validity::routers(client)?;
        let names: Vec<String> = routers.iter().map(|(name, _)| name.clone()).collect();
        let scanned = scan::scan(client, &names, true, state.version, heartbeat)?;
        self.dumps = routers.into_iter().filter_map(|(name, dumped)| Some((name, dumped?))).collect();
        let meter = &self.options.meters.rpki;
        meter.scan_took.set(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        meter.scanned.set(u64::try_from(scanned.pairs).unwrap_or(u64::MAX));
        report(&scanned, state.version);
        meter.set_routers(scanned.routers, true);
        Ok(())
    }

    /// Validates the routes of routers whose dump was over since.
    fn scan_dumped(&mut self, client: &mut Client, state: &SetState, heartbeat: &Heartbeat) -> store::Result<()> {
        let is_new = |(name, dumped): &(String, Option<Timestamp>)| {
            dumped.is_some_and(|dumped| self.dumps.get(name).is_none_or(|known| *known < dumped))
        };
        let dumped: Vec<_> = validity::routers(client)?.into_iter().filter(is_new).collect();
        if dumped.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = dumped.iter().map(|(name, _)| name.clone()).collect();
        let scanned = scan::scan(client, &names, false, state.version, heartbeat)?;
        self.dumps.extend(dumped.into_iter().filter_map(|(name, dumped)| Some((name, dumped?))));
        report(&scanned, state.version);
        self.options.meters.rpki.set_routers(scanned.routers, false);
        Ok(())
    }
}

fn report(scanned: &Scanned, version: i64) {
    if scanned.changed > 0 {
        info!(
            "rpki: routes validated, version={version} routers={} routes={} changed={}",
            scanned.routers.len(),
            scanned.pairs,
            scanned.changed
        );
    }
}
