//! The thread that keeps the targets of watches for the state writers: it asks for their version each second, replaces
//! them as a whole, and says in `collectors.trie_version` which version the writers match.
//!
//! A version is reported when no transaction can be committed any more that was matched against an older one: the
//! evaluator then looks at changed watches once more and has missed nothing. It also leaves the rows in the outbox that
//! writers could not, and stores how often watched routes have changed.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::heartbeat::Collector;
use super::reported::Reported;
use crate::metrics::Heartbeat;
use crate::model::Prefix;
use crate::pipeline::watching::Targets;
use crate::pipeline::{Health, Watching};
use crate::stop::Stop;
use crate::store::watch::trie::{self, Matched};
use crate::store::watch::{flaps, outbox};

/// The interval between looks.
const EVERY: Duration = Duration::from_secs(1);

/// The longest time that one round may take: a new connection and a few statements of a minute.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_secs(5 * 60);

/// The thread's name, also in `pg_stat_activity`.
pub(super) const THREAD: &str = "watch-trie";

/// Keeps the targets until the collector stops.
pub(super) fn run(
    collector: &Collector,
    watching: &Arc<Watching>,
    health: &Arc<Health>,
    heartbeat: &Heartbeat,
    stop: &Stop,
) {
    let mut reload = Reload {
        collector: &collector.id,
        watching,
        connection: Reported::new(THREAD, &collector.database_url, health, stop),
        matched: Matched::Nothing,
        reported: None,
        old: Vec::new(),
    };
    // An earlier run of this thread may have ended anywhere.
    reload.replace(Matched::Nothing, None, HashSet::new());
    while !stop.is_stopping() {
        heartbeat.progress();
        let began = Instant::now();
        if health.lock.may_write() {
            reload.round();
        }
        heartbeat.idle();
        stop.wait(began + EVERY, || false);
    }
}

struct Reload<'a> {
    collector: &'a str,
    watching: &'a Watching,
    connection: Reported,
    /// The targets that writers match from now on.
    matched: Matched,
    /// The value of `collectors.trie_version`; `None`: not known.
    reported: Option<Matched>,
    /// Targets that transactions may still be using.
    old: Vec<Weak<Targets>>,
}

impl Reload<'_> {
    fn round(&mut self) {
        if let Some(wanted) = self.connection.attempt(trie::wanted).flatten()
            && wanted != self.matched
        {
            match wanted {
                Matched::Nothing => self.replace(Matched::Nothing, None, HashSet::new()),
                Matched::Version(_) => {
                    if let Some(loaded) = self.connection.attempt(trie::load).flatten() {
                        self.replace(Matched::Version(loaded.version), loaded.trie, loaded.flapping);
                    }
                }
            }
        }
        self.old.retain(|targets| targets.strong_count() > 0);
        if self.old.is_empty() && self.reported != Some(self.matched) {
            self.report();
        }
        self.leave_lost();
        self.store_flaps();
    }

    /// Stores how often watched routes have changed.
    fn store_flaps(&mut self) {
        let counts = self.watching.flaps().take();
        if counts.is_empty() || self.connection.attempt(|client| flaps::add(client, &counts)) == Some(true) {
            return;
        }
        self.watching.flaps().give_back(counts);
    }

    fn replace(&mut self, matched: Matched, targets: Targets, flapping: HashSet<Prefix>) {
        match (matched, &targets) {
            (Matched::Nothing, _) => debug!("watches: not matched, no one reads the outbox"),
            (Matched::Version(version), None) => debug!("watches: none enabled, version={version}"),
            (Matched::Version(version), Some(trie)) => {
                debug!("watches: matched from now on, version={version} targets={}", trie.len());
            }
        }
        self.matched = matched;
        self.old.push(self.watching.replace(targets));
        self.watching.flaps().replace(flapping);
    }

    /// Stores which targets the writers match. Where they matched none before, what they wrote meanwhile is evaluated
    /// as a whole.
    fn report(&mut self) {
        let matched = self.matched;
        let version = match matched {
            Matched::Nothing => None,
            Matched::Version(version) => Some(version),
        };
        let had_gap = matches!(self.reported, None | Some(Matched::Nothing)) && version.is_some();
        let collector = self.collector;
        let done = self.connection.attempt(|client| {
            if had_gap && !outbox::insert_lost_of(client, collector)? {
                return Ok(false);
            }
            trie::report(client, collector, version)?;
            Ok(true)
        });
        if done == Some(true) {
            self.reported = Some(matched);
            self.watching.wake();
        }
    }

    /// Leaves a row for each router whose changes were not listed, and lets the writers try again.
    fn leave_lost(&mut self) {
        let lost = self.watching.take_lost();
        if !lost.is_empty() {
            match self.connection.attempt(|client| outbox::insert_lost(client, &lost)) {
                Some(true) => self.watching.wake(),
                // The outbox is locked, or the database is away.
                Some(false) | None => return self.watching.lose(lost),
            }
        }
        if self.watching.unblock() {
            warn!("watches: watch.outbox could not be written, routers to evaluate as a whole: {}", lost.len());
        }
    }
}
