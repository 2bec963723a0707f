//! `routes_as_of` and `routes_between` against the truth: a router leads a random life, and every table it had is
//! known.
//!
//! The life is dumps, changes, withdrawals, Peer Downs, lost sessions, Terminations, stale times that expire, restarts
//! of the collector, some of them without history, and snapshots. At the end of each step everything is stored, and the
//! model is kept together with the database's clock. Then the steps are moved to a day each and days are dropped by
//! retention: the answers of the functions must still be true, and complete where they report so.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use jiff::ToSpan;
use postgres::{Client, SimpleQueryMessage};
use rib_ingester::maintenance::run_once;
use rib_ingester::model::RouterId;
use rib_ingester::store::partitions::{SNAPSHOTS, ensure, ensure_in, today};
use rib_ingester::store::snapshots;

const ROUTER: &str = "10.0.0.2";
const TABLES: [&str; 2] = ["global", "blue"];
const STEPS: usize = 36;
/// The prefix that ends each step; its MED is the step's number.
const LAST: &str = "198.51.100.0/24";

/// Prefix and path identifier (0: none) to MED.
type Model = BTreeMap<(String, u32), u32>;

/// xorshift64*: the same seed, the same life.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn prefix(&mut self) -> String {
        match self.below(4) {
            0 => format!("2001:db8:{}::/48", 1 + self.below(4)),
            _ => format!("10.{}.0.0/16", self.below(12)),
        }
    }
}

/// A connection that is kept: the password of a new one takes longer than any query here.
struct Reader(Client);

impl Reader {
    /// As `TestDb::rows`.
    fn rows(&mut self, sql: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for message in self.0.simple_query(sql).unwrap() {
            if let SimpleQueryMessage::Row(row) = message {
                let values: Vec<&str> = (0..row.len()).map(|i| row.get(i).unwrap_or("-")).collect();
                rows.push(values.join("|"));
            }
        }
        rows
    }
}

/// The known state at the end of one step.
struct Moment {
    /// The database's clock.
    at: String,
    tables: [Model; 2],
    /// True if the collector kept history in this step.
    has_history: bool,
    /// A snapshot of both tables was taken in this step.
    has_snapshot: bool,
}

struct Life<'a> {
    db: &'a TestDb,
    reader: Reader,
    dice: Dice,
    collector: Option<Ingester>,
    router: Option<FakeRouter>,
    /// `None`: the instance is down.
    tables: [Option<Model>; 2],
    has_history: bool,
    step: usize,
    /// Seconds, so that no two events are the same.
    clock: u32,
}

impl Life<'_> {
    fn peer(&mut self, table: usize) -> Peer {
        self.clock += 1;
        Peer::loc_rib(ROUTER).with_rd(u64::try_from(table).unwrap()).at(1_700_000_000 + self.clock)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.router.as_mut().unwrap().send(bytes);
    }

    fn start(&mut self) {
        let history = if self.has_history { "on" } else { "off" };
        let settings = [("HISTORY", history), ("STALE_ROUTES_SECS", "1"), ("EOR_TIMEOUT_SECS", "3600")];
        self.collector = Some(Ingester::start(&self.db.url(), &settings));
    }

    /// Announces all of `routes`; table 1 has path identifiers.
    fn announce(&mut self, table: usize, routes: &Model) {
        for ((prefix, path), med) in routes {
            let peer = self.peer(table);
            let attributes = Attributes { med: Some(*med), ..Attributes::path(&[64_496, 65_000 + med % 3]) };
            let next_hop = if prefix.contains(':') { "2001:db8::1" } else { "192.0.2.1" };
            let path = (*path > 0).then_some(*path);
            self.send(&bmp::route_monitoring(peer, &bmp::announce_paths(&attributes, next_hop, &[(prefix, path)])));
        }
    }

    fn withdraw(&mut self, table: usize, prefix: &str, path: u32) {
        let peer = self.peer(table);
        let encoded = bmp::nlri(prefix, (path > 0).then_some(path));
        let update = if prefix.contains(':') {
            bmp::update(&[], &bmp::attribute(0x80, 15, &[&[0, 2, 1][..], &encoded].concat()), &[])
        } else {
            bmp::update(&encoded, &[], &[])
        };
        self.send(&bmp::route_monitoring(peer, &update));
    }

    fn path(&mut self, table: usize, prefix: &str) -> u32 {
        if table == 1 && !prefix.contains(':') { 1 + u32::try_from(self.dice.below(2)).unwrap() } else { 0 }
    }

    fn some_routes(&mut self, table: usize) -> Model {
        let count = self.dice.below(10);
        let mut routes = Model::new();
        for _ in 0..count {
            let prefix = self.dice.prefix();
            let path = self.path(table, &prefix);
            routes.insert((prefix, path), u32::try_from(self.dice.below(4)).unwrap());
        }
        routes
    }

    fn change(&mut self, table: usize) {
        let announced = self.some_routes(table);
        self.announce(table, &announced);
        self.tables[table].get_or_insert_default().extend(announced);
        for _ in 0..self.dice.below(5) {
            let prefix = self.dice.prefix();
            let path = self.path(table, &prefix);
            self.withdraw(table, &prefix, path);
            self.tables[table].get_or_insert_default().remove(&(prefix, path));
        }
    }

    fn peer_up(&mut self, table: usize) {
        let add_path = if table == 1 { vec![(1, 1)] } else { vec![] };
        let open = Open { add_path, ..Open::of(64_496, ROUTER) };
        let peer = self.peer(table);
        self.send(&bmp::peer_up(peer, &open, Some(TABLES[table])));
    }

    /// A dump of the table in its present state: some routes are gone, some have changed, some are new.
    fn dump(&mut self, table: usize) {
        self.peer_up(table);
        let mut routes = self.tables[table].take().unwrap_or_default();
        let dice = &mut self.dice;
        routes.retain(|_, med| {
            if dice.one_in(4) {
                *med = u32::try_from(dice.below(4)).unwrap();
            }
            !dice.one_in(4)
        });
        routes.extend(self.some_routes(table));
        routes.remove(&(LAST.to_owned(), if table == 1 { 1 } else { 0 }));
        self.announce(table, &routes);
        self.tables[table] = Some(routes);
        for end in [bmp::end_of_rib_ipv4(), bmp::end_of_rib(2, 1)] {
            let peer = self.peer(table);
            self.send(&bmp::route_monitoring(peer, &end));
        }
    }

    fn connect(&mut self) {
        self.router = Some(self.collector.as_ref().unwrap().connect());
        self.send(&bmp::initiation(b"edge1", b"made by a test"));
        for table in 0..TABLES.len() {
            if self.tables[table].is_some() || !self.dice.one_in(4) {
                self.dump(table);
            }
        }
    }

    fn count(&mut self, kind: &str) -> String {
        self.reader.rows(&format!("SELECT count(*) FROM session_events WHERE kind = '{kind}'")).remove(0)
    }

    /// All routes are removed without a session: by a Termination, or when the stale time expires.
    fn disappear(&mut self, kind: &str) {
        let before: usize = self.count(kind).parse().unwrap();
        if kind == "terminated" {
            let removed = self.tables.iter().flatten().count();
            self.send(&bmp::termination(0));
            eventually("the Termination is stored", || {
                (self.count(kind).parse::<usize>().unwrap() >= before + removed).then_some(())
            });
        } else if self.tables.iter().any(Option::is_some) {
            self.router = None;
            eventually("the hold has run out", || (self.count(kind) != before.to_string()).then_some(()));
        }
        self.router = None;
        self.tables = [None, None];
        eventually_equal(vec!["0".to_owned()], || self.reader.rows("SELECT count(*) FROM current_routes"));
    }

    fn restart(&mut self) {
        let collector = self.collector.take().unwrap();
        self.router = None;
        if self.dice.one_in(3) {
            collector.kill()
        } else {
            assert!(collector.stop().success())
        }
        self.has_history = !self.dice.one_in(4);
        self.start();
        self.connect();
    }

    fn act(&mut self) {
        if self.router.is_none() {
            return self.connect();
        }
        let table = self.dice.below(2);
        match self.dice.below(12) {
            0 => {
                let peer = self.peer(table);
                self.send(&bmp::peer_down(peer, 6));
                self.tables[table] = None;
                if self.dice.one_in(2) {
                    self.dump(table);
                }
            }
            1 | 2 => {
                self.router = None;
                self.connect();
            }
            3 => self.disappear("terminated"),
            4 => self.disappear("stale_expired"),
            5 => self.restart(),
            _ => {
                for table in 0..TABLES.len() {
                    if self.tables[table].is_some() {
                        self.change(table);
                    }
                }
            }
        }
    }

    /// Waits until all that was sent is stored, routes and events.
    fn settle(&mut self) {
        if self.router.is_none() {
            return;
        }
        for (table, name) in TABLES.iter().enumerate() {
            let step = u32::try_from(self.step).unwrap();
            if self.tables[table].is_none() {
                eventually_equal(vec!["0".to_owned()], || {
                    self.reader.rows(&format!("SELECT count(*) FROM current_routes WHERE table_name = '{name}'"))
                });
                continue;
            }
            let path = u32::from(table == 1);
            let last = Model::from([((LAST.to_owned(), path), step)]);
            self.announce(table, &last);
            self.tables[table].as_mut().unwrap().extend(last);
            let of_step = format!("prefix = '{LAST}' AND table_name = '{name}' AND med = {step}");
            eventually_equal(vec!["1".to_owned()], || {
                self.reader.rows(&format!("SELECT count(*) FROM current_routes WHERE {of_step}"))
            });
            if self.has_history {
                eventually_equal(vec!["1".to_owned()], || {
                    self.reader.rows(&format!("SELECT count(*) FROM route_events WHERE {of_step}"))
                });
            }
        }
    }

    fn live(mut self) -> Vec<Moment> {
        let day = today(&mut self.reader.0).unwrap();
        let mut moments = Vec::new();
        self.start();
        self.connect();
        for step in 0..STEPS {
            self.step = step;
            if step > 0 {
                self.act();
            }
            self.settle();
            let has_snapshot = self.dice.one_in(4) && self.tables.iter().all(Option::is_some);
            if has_snapshot {
                // As if each step had a day of its own.
                let client = &mut self.reader.0;
                let day = day.checked_sub(i64::try_from(STEPS - 1 - step).unwrap().days()).unwrap();
                ensure_in(client, &SNAPSHOTS, day).unwrap();
                for table in TABLES {
                    snapshots::take(client, day, &RouterId::new(ROUTER), table).unwrap();
                }
            }
            let at = self.reader.rows("SELECT clock_timestamp()").remove(0);
            let tables = self.tables.clone().map(Option::unwrap_or_default);
            for (table, model) in tables.iter().enumerate() {
                let sql = format!(
                    "SELECT prefix, path_id, med FROM current_routes WHERE table_name = '{}' ORDER BY prefix::text COLLATE \"C\", path_id",
                    TABLES[table]
                );
                assert_eq!(self.reader.rows(&sql), lines(model), "step {step}: the collector is at fault");
            }
            moments.push(Moment { at, tables, has_history: self.has_history, has_snapshot });
        }
        assert!(self.collector.take().unwrap().stop().success());
        moments
    }
}

fn lines(model: &Model) -> Vec<String> {
    model.iter().map(|((prefix, path), med)| format!("{prefix}|{path}|{med}")).collect()
}

/// The answer of the functions for the table at the moment: the routes, and whether that is all.
fn as_of(db: &mut Reader, table: &str, at: &str) -> (Vec<String>, bool) {
    let rows = db.rows(&format!(
        "SELECT prefix, path_id, med, complete FROM routes_as_of('{ROUTER}', '{table}', '{at}') ORDER BY prefix::text COLLATE \"C\", path_id"
    ));
    let complete = db.rows(&format!("SELECT history_is_complete('{ROUTER}', '{table}', '{at}')")) == ["t"];
    let flag = if complete { "|t" } else { "|f" };
    let rows = rows.iter().map(|row| row.strip_suffix(flag).expect("both say the same").to_owned());
    (rows.collect(), complete)
}

/// The moments between those whose tables are read by pages too, which are as many statements as there are routes.
const PAGED_EVERY: usize = 6;

/// Compares the pages of all tables with the whole of each.
fn check_pages(db: &mut Reader, at: &str, rows_max: usize) {
    const KEY: &str = "router_id, table_name, prefix, path_id";
    const REST: &str = "afi, nexthop, as_path, med, since, complete";
    let mut tables = TABLES;
    tables.sort();
    let whole: Vec<String> = tables
        .iter()
        .flat_map(|table| {
            db.rows(&format!(
                "SELECT '{ROUTER}' AS router_id, '{table}' AS table_name, prefix, path_id, {REST}
                 FROM routes_as_of('{ROUTER}', '{table}', '{at}') ORDER BY afi, prefix, path_id"
            ))
        })
        .collect();
    let (mut pages, mut after) = (Vec::new(), "NULL, NULL, NULL, NULL".to_owned());
    loop {
        let page = db.rows(&format!(
            "SELECT {KEY}, {REST} FROM routes_as_of_page('{{{ROUTER}}}', '{at}', NULL, {after}, {rows_max})"
        ));
        let is_last = page.len() < rows_max;
        assert!(page.len() <= rows_max, "{at}: {page:?}");
        pages.extend(page);
        if is_last {
            break;
        }
        let key: Vec<&str> = pages.last().unwrap().split('|').take(4).collect();
        after = format!("'{}', '{}', '{}', {}", key[0], key[1], key[2], key[3]);
    }
    assert_eq!(pages, whole, "{at}, {rows_max} rows a page");
}

/// Compares all moments, from `from` on within the retention. Returns how many answers were complete and how many not.
fn check(db: &mut Reader, moments: &[Moment], from: usize, is_spread: bool) -> [usize; 2] {
    let mut answers = [0, 0];
    for (step, moment) in moments.iter().enumerate() {
        if step % PAGED_EVERY == 0 {
            check_pages(db, &moment.at, 1 + step / PAGED_EVERY % 4);
        }
        for (table, name) in TABLES.iter().enumerate() {
            let truth = lines(&moment.tables[table]);
            let (said, complete) = as_of(db, name, &moment.at);
            let what = format!("step {step}, table {name}, {} steps dropped", from);
            if complete {
                assert_eq!(said, truth, "{what}");
            } else {
                assert!(said.iter().all(|row| truth.contains(row)), "{what}: {said:?} is not in {truth:?}");
            }
            // Events count from ten minutes before a snapshot on, so it needs a whole day of history before it.
            let base = (from + 1..=step).rev().find(|step| moments[*step].has_snapshot);
            if base.is_some_and(|base| moments[base - 1..=step].iter().all(|moment| moment.has_history)) {
                assert!(complete || !is_spread, "{what}: there is a snapshot");
            }
            let blind_since_start = moments[..=step].iter().any(|moment| !moment.has_history);
            assert!(complete || from > 0 || blind_since_start, "{what}: the whole history is there");
            answers[usize::from(complete)] += 1;
        }
    }
    answers
}

/// `routes_between` for pairs of moments at which the whole table is known.
fn check_between(db: &mut Reader, moments: &[Moment], dice: &mut Dice) {
    for _ in 0..30 {
        let (a, b) = (dice.below(moments.len()), dice.below(moments.len()));
        let (first, second) = (&moments[a.min(b)], &moments[a.max(b)]);
        for (table, name) in TABLES.iter().enumerate() {
            let rows = db.rows(&format!(
                "SELECT prefix, path_id, change, before->>'med', after->>'med', complete
                 FROM routes_between('{}', '{}', '{ROUTER}', '{name}') ORDER BY prefix::text COLLATE \"C\", path_id",
                first.at, second.at
            ));
            if rows.iter().any(|row| row.ends_with("|f")) {
                continue;
            }
            let (before, after) = (&first.tables[table], &second.tables[table]);
            let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let show = |med: Option<&u32>| med.map_or("-".to_owned(), u32::to_string);
            let changes = keys.into_iter().filter(|key| before.get(key) != after.get(key)).map(|key| {
                let change = match (before.get(key), after.get(key)) {
                    (None, _) => "added",
                    (_, None) => "removed",
                    (Some(_), Some(_)) => "changed",
                };
                format!("{}|{}|{change}|{}|{}|t", key.0, key.1, show(before.get(key)), show(after.get(key)))
            });
            let truth: Vec<String> = changes.collect();
            let known = [first, second].iter().all(|moment| as_of(db, name, &moment.at).1);
            if known {
                assert_eq!(rows, truth, "table {name}, between the steps {} and {}", a.min(b), a.max(b));
            }
        }
    }
}

/// Moves each step to a day of its own, the last one to today. Returns the new moments.
fn spread_over_days(db: &mut Reader, moments: &mut [Moment]) {
    let day = today(&mut db.0).unwrap();
    db.0.batch_execute("CREATE TEMP TABLE steps (t0 timestamptz, t1 timestamptz, shift interval)").unwrap();
    let mut begin = "-infinity".to_owned();
    for (step, moment) in moments.iter_mut().enumerate() {
        let days = i64::try_from(STEPS - 1 - step).unwrap();
        ensure(&mut db.0, day.checked_sub(days.days()).unwrap()).unwrap();
        db.0.batch_execute(&format!("INSERT INTO steps VALUES ('{begin}', '{}', interval '{days} days')", moment.at))
            .unwrap();
        let moved = db.rows(&format!("SELECT '{}'::timestamptz - interval '{days} days'", moment.at)).remove(0);
        begin = std::mem::replace(&mut moment.at, moved);
    }
    for (table, column) in [
        ("route_events", "ingest_time"),
        ("session_events", "event_time"),
        ("snapshots", "taken_at"),
        ("routers", "first_seen"),
        ("current_routes", "updated_at"),
    ] {
        db.0
            .batch_execute(&format!(
                "UPDATE {table} t SET {column} = t.{column} - s.shift FROM steps s WHERE t.{column} > s.t0 AND t.{column} <= s.t1"
            ))
            .unwrap();
    }
}

fn lead_a_life(seed: u64) -> [usize; 2] {
    println!("seed {seed}");
    let db = TestDb::create();
    let life = Life {
        db: &db,
        reader: Reader(db.client()),
        dice: Dice(seed),
        collector: None,
        router: None,
        tables: [Some(Model::new()), Some(Model::new())],
        has_history: true,
        step: 0,
        clock: 0,
    };
    let mut moments = life.live();
    let mut reader = Reader(db.client());
    check(&mut reader, &moments, 0, false);
    for table in TABLES {
        let columns = "afi, prefix, path_id, nexthop, as_path, origin, localpref, med, origin_asn, communities_std, \
                       communities_ext, communities_large, attrs";
        let now =
            format!("SELECT {columns} FROM current_routes WHERE table_name = '{table}' ORDER BY afi, prefix, path_id");
        let then =
            format!("SELECT {columns} FROM routes_as_of('{ROUTER}', '{table}', now()) ORDER BY afi, prefix, path_id");
        if as_of(&mut reader, table, "now").1 {
            assert_eq!(reader.rows(&then), reader.rows(&now), "the present of table {table}");
        }
    }
    let mut dice = Dice(seed ^ 0x5eed);
    check_between(&mut reader, &moments, &mut dice);

    spread_over_days(&mut reader, &mut moments);
    let mut answers = check(&mut reader, &moments, 0, false);
    for kept in [28, 20, 12, 5, 1] {
        run_once(&mut reader.0, kept).unwrap();
        let after = check(&mut reader, &moments, STEPS - 1 - usize::try_from(kept).unwrap(), true);
        answers = [answers[0] + after[0], answers[1] + after[1]];
        check_between(&mut reader, &moments, &mut dice);
    }
    answers
}

/// Leads a life and checks that it was not too dull to show anything.
fn check_life(seed: u64) {
    let [incomplete, complete] = lead_a_life(seed);
    println!("{complete} complete answers, {incomplete} incomplete ones");
    assert!(complete > 10 && incomplete > 10, "the life is too dull: {incomplete} incomplete, {complete} complete");
}

#[test]
fn every_table_of_a_fixed_life_is_known_as_it_was() {
    check_life(20_261_121);
}

/// From a new seed each time; `RIB_INGESTER_TEST_SEED` repeats one.
#[test]
fn every_table_of_a_random_life_is_known_as_it_was() {
    let seed = std::env::var("RIB_INGESTER_TEST_SEED");
    check_life(match seed {
        Ok(seed) => seed.parse().expect("RIB_INGESTER_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one(0u8) | 1,
    });
}
