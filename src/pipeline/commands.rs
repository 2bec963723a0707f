//! The commands of a batch: a state writer executes each kind as a few statements for all sessions together.
//!
//! A command that the database refuses is found by halving. Refused alone, it ends the session that sent it, and no
//! other.

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::audit::Audit;
use super::backlog::SLICE_ROUTES;
use super::connection::{Attempt, Failure};
use super::ends::{Count, Ends, Over, Stale, Start};
use super::health::Health;
use super::op::{Ownership, Refusal};
use super::refused_rows::{self, Work, Writer, rows_of};
use super::told::Down;
use super::watching::Noted;
use crate::model::{
    AdjRibKey, Afi, Nlri, Policy, RibKind, RouterId, RouterRecord, SessionEvent, SessionEventKind, Table,
    TableNameRecord, View,
};
use crate::store::counts::CountChanges;
use crate::store::routes::RouteKey;
use crate::store::watch::outbox::{Cause, OutboxRow};
use crate::store::{self, Client, Error, Transaction, load, owner, routes, sync, table_names};

/// The maximum number of commands in one transaction.
const COMMANDS_MAX: usize = 5_000;

/// The maximum number of routes counted by one statement, unless one table alone has more.
const COUNTED_MAX: usize = 1_000_000;

/// A range of commands and its result; the error is `None` where the range was given up.
type RangeResult<R> = (Range<usize>, Result<R, Option<Error>>);

/// Commands that are executed in sets.
struct Commands<'a, W, R> {
    writer: &'a mut Writer,
    work: W,
    outcomes: Vec<RangeResult<R>>,
}

impl<W, R> Work for Commands<'_, W, R>
where
    W: FnMut(&mut Client, &mut Attempt<R>, Range<usize>) -> store::Result<R>,
{
    type Piece = Range<usize>;

    fn write(&mut self, range: &mut Range<usize>, _: bool) -> Result<(), Failure> {
        let value = self.writer.connection.retry(|client, attempt| (self.work)(client, attempt, range.clone()))?;
        self.outcomes.push((range.clone(), Ok(value)));
        Ok(())
    }

    fn would_do_canary(&mut self, _: &Range<usize>) -> bool {
        self.writer.would_do_commands()
    }

    fn reject(&mut self, range: &Range<usize>, error: Error) {
        self.outcomes.push((range.clone(), Err(Some(error))));
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.connection.wait_after(error)
    }
}

/// A stale route of a table.
struct StaleRoute<'a> {
    owner: &'a Arc<Ownership>,
    table: &'a Table,
    nlri: Nlri,
}

impl Writer {
    /// Begins dumps. Returns those whose sessions wait for an answer.
    pub(super) fn begin_dumps(&mut self, starts: Vec<Start>) -> Vec<Start> {
        let set = (&*starts, COMMANDS_MAX);
        let begun = self.execute(
            "begin dumps",
            set,
            |start| &start.owner,
            |noted, start| noted.push(|| OutboxRow::of_router(start.owner.router.clone(), Cause::Session)),
            |transaction, starts| {
                let tables: Vec<&Table> = starts.iter().flat_map(|start| &start.tables).map(|table| &**table).collect();
                for starts in starts.chunk_by(|a, b| a.owner.router == b.owner.router) {
                    let names: Vec<&TableNameRecord> = starts.iter().flat_map(|start| &start.names).collect();
                    if let Some(first) = starts.first().filter(|_| !names.is_empty()) {
                        table_names::store(transaction, &first.owner.router, &names)?;
                    }
                }
                sync::start(transaction, &tables)
            },
        );
        let mut are_begun = vec![false; starts.len()];
        begun.into_iter().for_each(|(range, ())| are_begun[range].fill(true));
        let begun = starts.into_iter().zip(are_begun).filter(|(start, is_begun)| *is_begun && !start.owner.is_lost());
        begun.map(|(start, _)| start).filter(|start| start.stored.is_some()).collect()
    }

    /// Answers sessions that ask for the stored routes of tables, until all state writers are gone: reading a table of
    /// a million routes takes seconds, and no other router's changes wait for that. Returns the number of answers given
    /// up.
    pub(super) fn run_loads(mut self, starts: &Receiver<Start>) -> u64 {
        while let Ok(start) = self.connection.while_idle(|| starts.recv()) {
            self.answer(start);
        }
        self.given_up()
    }

    /// Sends a session the stored routes of the tables that it asked about.
    fn answer(&mut self, start: Start) {
        let Some(reply) = start.stored else { return };
        let tables: Vec<&Table> = start.tables.iter().chain(&start.beside).map(|table| &**table).collect();
        match self.command(&start.owner.router, |client, _| load::load(client, &tables)) {
            // A session that is gone needs no answer.
            Ok(stored) => drop(reply.try_send(stored)),
            Err(Some(refusal)) => start.owner.set_refused(refusal),
            Err(None) => {}
        }
    }

    /// Executes the commands that follow the rows of a batch.
    pub(super) fn end(&mut self, ends: Ends, audit: &mut Audit) {
        let Ends { over, counts, stale, .. } = ends;
        self.purge(&over);
        self.note_complete(&over);
        self.count_tables(&counts, audit);
        self.mark_stale(&stale);
    }

    /// Deletes the routes that dumps did not confirm, in chunks.
    fn purge(&mut self, over: &[Over]) {
        for kind in RibKind::ALL {
            let of_kind = over.iter().filter(|over| over.table.view.kind() == kind);
            let mut stale: Vec<StaleRoute<'_>> = of_kind
                .flat_map(|over| {
                    over.stale.iter().map(|nlri| StaleRoute { owner: &over.owner, table: &over.table, nlri: *nlri })
                })
                .collect();
            let key = |stale: &StaleRoute<'_>| (stale.nlri.prefix, stale.nlri.path_id_column());
            stale.sort_unstable_by(|a, b| a.table.cmp(b.table).then_with(|| key(a).cmp(&key(b))));
            let set = (&*stale, SLICE_ROUTES);
            let purged = self.execute(
                "purge stale routes",
                set,
                |stale| stale.owner,
                // The end of the dump, which follows, is noted.
                |_, _| {},
                |transaction, stale| {
                    let keys = stale.iter().map(|of| RouteKey {
                        table: of.table,
                        prefix: of.nlri.prefix,
                        path_id: of.nlri.path_id_column(),
                    });
                    let mut changes = CountChanges::default();
                    let deleted = routes::delete_stale(transaction, kind, keys, &mut changes)?;
                    changes.write(transaction)?;
                    Ok(deleted)
                },
            );
            Health::count(&self.health.routes_deleted, purged.iter().map(|(_, deleted)| deleted).sum());
        }
    }

    /// Marks dumps as complete.
    fn note_complete(&mut self, over: &[Over]) {
        // A dump whose purge was refused is not marked as complete.
        let is_complete = |over: &&Over| !over.is_part && over.owner.refusal().is_none();
        let over: Vec<&Over> = over.iter().filter(is_complete).collect();
        let set = (&*over, COMMANDS_MAX);
        self.execute(
            "note complete dumps",
            set,
            |over| &over.owner,
            |noted, over| noted.push(|| OutboxRow::of_table(&over.table, None, Cause::Session)),
            |transaction, ours| {
                let of = |eor_seen| -> Vec<&Table> {
                    ours.iter().filter(|over| over.eor_seen == eor_seen).map(|over| &*over.table).collect()
                };
                sync::end_of_rib(transaction, &of(true))?;
                sync::complete(transaction, &of(false))
            },
        );
    }

    /// Counts tables; a session that knows of another number has to end.
    fn count_tables(&mut self, counts: &[Count], audit: &mut Audit) {
        let mut first = 0;
        while first < counts.len() {
            let mut routes = 0;
            let more = counts[first..].iter().take_while(|count| {
                let is_first = routes == 0;
                routes += count.routes.max(1);
                is_first || routes <= COUNTED_MAX
            });
            let set = &counts[first..first + more.count()];
            first += set.len();
            let set = (set, COMMANDS_MAX);
            let counted = self.execute(
                "count routes",
                set,
                |count| &count.owner,
                |_, _| {},
                |transaction, ours| {
                    let tables: Vec<&Table> = ours.iter().map(|count| &*count.table).collect();
                    let stored = sync::count(transaction, &tables)?;
                    Ok(ours.into_iter().zip(stored).collect::<Vec<_>>())
                },
            );
            for (count, stored) in counted.into_iter().flat_map(|(_, counted)| counted) {
                if u64::try_from(count.routes) != Ok(stored) {
                    audit.differs(&count.owner, &count.table, count.routes, stored);
                }
            }
        }
    }

    fn mark_stale(&mut self, stale: &[Stale]) {
        self.execute(
            "mark routes stale",
            (stale, COMMANDS_MAX),
            |stale| &stale.owner,
            |noted, stale| noted.push(|| OutboxRow::of_router(stale.owner.router.clone(), Cause::Session)),
            |transaction, ours| {
                let tables =
                    ours.iter().flat_map(|stale| stale.tables.iter().map(|table| (&stale.owner.router, table)));
                sync::mark_stale(transaction, &tables.collect::<Vec<_>>())
            },
        );
    }

    /// Deletes the routes of tables with their status. Returns the number of routes.
    pub(super) fn remove_tables(&mut self, down: Down) -> u64 {
        let removed = self.execute(
            "remove tables",
            (&[down], 1),
            |down| &down.owner,
            // What tells of it is noted.
            |_, _| {},
            |transaction, ours| {
                let mut changes = CountChanges::default();
                let removed = Down::remove(ours.into_iter(), transaction, &mut changes)?;
                changes.write(transaction)?;
                Ok(removed.into_iter().sum())
            },
        );
        let removed = removed.into_iter().map(|(_, removed): (_, u64)| removed).sum();
        Health::count(&self.health.routes_deleted, removed);
        removed
    }

    /// Ends the sessions whose commands were refused.
    pub(super) fn end_sessions<'a>(
        &mut self,
        owners: impl Iterator<Item = &'a Arc<Ownership>>,
        what: &str,
        error: &Error,
    ) {
        for owner in owners.filter(|owner| owner.refusal().is_none()) {
            let refusal = self.refused(&format_args!("router {}: {what}", owner.router), error);
            owner.set_refused(refusal);
        }
    }

    /// Returns whether the database accepts commands at the moment, tried on tables of a canary router and rolled back.
    fn would_do_commands(&mut self) -> bool {
        let router = RouterId::new("canary");
        let record = RouterRecord {
            router: router.clone(),
            address: Ipv4Addr::LOCALHOST.into(),
            hostname: None,
            asn: None,
            description: None,
        };
        let peer = AdjRibKey { address: Ipv4Addr::LOCALHOST.into(), policy: Policy::Pre };
        let views = [View::LocRib, View::AdjRibIn(peer), View::AdjRibOut(peer)];
        let of = |view| Table { view, ..Table::loc_rib(router.clone(), "canary", Afi::Ipv4) };
        let tables = views.map(of);
        let tables: Vec<&Table> = tables.iter().collect();
        let event = router_event();
        self.connection.would_do(|transaction| {
            owner::upsert_routers(transaction, std::iter::once(&record))?;
            sync::start(transaction, &tables)?;
            sync::end_of_rib(transaction, &tables)?;
            sync::insert_events(transaction, &[(Some(&router), &event)]).map(drop)
        })
    }

    /// Executes commands, at most `set` in a transaction, as far as their sessions still own their routers. Sessions
    /// whose commands the database refuses have to end. Returns the ranges that were executed, with their results.
    fn execute<'a, T, R>(
        &mut self,
        what: &str,
        (items, set): (&'a [T], usize),
        owner_of: impl Fn(&'a T) -> &'a Arc<Ownership> + Copy,
        note: impl Fn(&mut Noted, &'a T),
        mut work: impl FnMut(&mut Transaction<'_>, Vec<&'a T>) -> store::Result<R>,
    ) -> Vec<(Range<usize>, R)> {
        let sets = (0..items.len()).step_by(set).map(|first| first..items.len().min(first + set)).collect();
        let options = Arc::clone(&self.options);
        let work = |client: &mut Client, attempt: &mut Attempt<(R, Noted)>, range: Range<usize>| {
            let items = &items[range];
            let mut noted = options.watching.begin();
            items.iter().for_each(|item| note(&mut noted, item));
            let mut transaction = client.transaction()?;
            let ours = owned(&mut transaction, items, owner_of)?;
            let value = work(&mut transaction, ours)?;
            noted.write(&mut transaction)?;
            attempt.commit(transaction, (value, noted))
        };
        let outcomes = self.outcomes(sets, work);
        let mut done = Vec::with_capacity(outcomes.len());
        for (range, result) in outcomes {
            match result {
                Ok((value, noted)) => {
                    noted.committed();
                    done.push((range, value));
                }
                Err(Some(error)) => self.end_sessions(items[range].iter().map(owner_of), what, &error),
                // Given up, which ends no session.
                Err(None) => {}
            }
        }
        done
    }

    /// Does work that cannot be halved, until it is done.
    ///
    /// # Errors
    /// The database refuses its values; `None`: it was given up.
    pub(super) fn command<T>(
        &mut self,
        what: &dyn Display,
        mut work: impl FnMut(&mut Client, &mut Attempt<T>) -> store::Result<T>,
    ) -> Result<T, Option<Refusal>> {
        let one = 0..1;
        let mut outcomes = self.outcomes(vec![one], |client, attempt, _| work(client, attempt));
        let (_, result) = outcomes.pop().expect("each piece has an outcome");
        result.map_err(|error| error.map(|error| self.refused(what, &error)))
    }

    fn outcomes<R>(
        &mut self,
        sets: Vec<Range<usize>>,
        work: impl FnMut(&mut Client, &mut Attempt<R>, Range<usize>) -> store::Result<R>,
    ) -> Vec<RangeResult<R>> {
        let mut commands = Commands { writer: self, work, outcomes: Vec::with_capacity(sets.len()) };
        let given_up = refused_rows::write_all(&mut commands, sets);
        let mut outcomes = commands.outcomes;
        if !given_up.is_empty() {
            self.give_up(rows_of(&given_up));
        }
        outcomes.extend(given_up.into_iter().map(|range| (range, Err(None))));
        outcomes
    }

    /// Logs and counts a command that the database refuses.
    fn refused(&mut self, what: &dyn Display, error: &Error) -> Refusal {
        log::error!("{what}: the database refused a command, its session cannot continue: {error}");
        Health::count(&self.health.rows_rejected, 1);
        Refusal(format!("{what}: {error}"))
    }
}

/// Returns a row of `session_events` that refers to no table.
fn router_event() -> SessionEvent {
    let kind = SessionEventKind::SessionUp;
    SessionEvent { kind, table_name: None, peer_address: None, afi: None, reason: None, routes: None }
}

/// Returns those of `items` whose sessions still own their routers; marks the other sessions as lost and skips their
/// items.
fn owned<'a, T>(
    transaction: &mut Transaction<'_>,
    items: &'a [T],
    owner_of: impl Fn(&'a T) -> &'a Arc<Ownership>,
) -> store::Result<Vec<&'a T>> {
    let mut owners: Vec<&Arc<Ownership>> = items.iter().map(&owner_of).collect();
    owners.sort_by(|a, b| a.router.cmp(&b.router));
    owners.dedup_by(|a, b| Arc::ptr_eq(a, b));
    let epochs: Vec<_> = owners.iter().map(|owner| (owner.router.clone(), owner.epoch)).collect();
    let lost = owner::lost(transaction, &epochs)?;
    owners.iter().filter(|owner| lost.contains(&owner.router)).for_each(|owner| owner.set_lost());
    Ok(items.iter().filter(|item| !owner_of(item).is_lost()).collect())
}
