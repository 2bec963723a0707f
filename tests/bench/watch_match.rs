//! What watches cost the state writers: the CPU of this process per update, with 0, 10,000 and 100,000 watches in turn,
//! and what one look into the trie takes.
//!
//! ```text
//! cargo run --release --example watch_match DATABASE_URL [UPDATES [ROUNDS]]
//! ```
//!
//! In an empty database; each round upserts `UPDATES` (200,000) routes of one table in batches, all of which are there
//! already. No watch is about one of them, or one watch of a hundred is. Each figure is the lowest of its `ROUNDS` (5).

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rib_ingester::model::watch::trie::{Trie, WatchTarget};
use rib_ingester::model::{
    Afi, AsPath, Asn, NextHop, Nlri, Origin, PathAttributes, Prefix, RouterId, RouterRecord, SegmentKind, Table,
};
use rib_ingester::pipeline::{
    Claim, ClaimRight, Existing, Ownership, PipelineOptions, PipelineSender, RouteChange, StateBatch, StateItem,
    StateOp, Watching, spawn,
};
use rib_ingester::stop::Stop;
use rib_ingester::store::{self, EncodedRoute};

const BATCH: u32 = 1000;

/// Routes are 0.0.0.0/24 and on, watches are 128.0.0.0/24 and on; with `share`, one of a hundred is a route instead.
fn watches(count: u32, share: bool) -> Trie {
    Trie::of((0..count).map(|i| {
        let number = if share && i % 100 == 0 { i } else { 0x80_0000 + i * 7 };
        WatchTarget::Inside(prefix(number), 32)
    }))
}

fn prefix(number: u32) -> Prefix {
    Prefix::new(Afi::Ipv4, &(number << 8).to_be_bytes()[..3], 24).unwrap()
}

/// One that has its own order, so that neighbors in a batch are not neighbors in the table.
fn scattered(index: u32, updates: u32) -> u32 {
    u32::try_from(u64::from(index) * 7919 % u64::from(updates)).unwrap()
}

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

struct Bench {
    sender: PipelineSender,
    owner: Arc<Ownership>,
    table: Arc<Table>,
    updates: u32,
    sent: u64,
}

impl Bench {
    /// Changes every route once. Returns the microseconds of CPU per update.
    fn round(&mut self, med: u32) -> f64 {
        let attributes = PathAttributes {
            origin: Some(Origin::Igp),
            as_path: Some(AsPath::from_segments([(SegmentKind::Sequence, [Asn(64_496), Asn(64_500), Asn(65_536)])])),
            med: Some(med),
            ..PathAttributes::default()
        };
        let next_hop = NextHop { address: "192.0.2.1".parse().unwrap(), link_local: None };
        let route = EncodedRoute::encode(Some(&next_hop), &attributes, None);
        let batches = (0..self.updates).step_by(BATCH as usize).map(|first| {
            let one = |index| StateOp::Route {
                table: Arc::clone(&self.table),
                nlri: Nlri { prefix: prefix(scattered(index, self.updates)), path_id: None },
                change: RouteChange::Announce(route.clone()),
                was: Existing::Maybe,
            };
            (first..first + BATCH).map(one).collect::<Vec<_>>()
        });
        let batches: Vec<_> = batches.collect();
        let began = cpu();
        for ops in batches {
            self.sent += 1;
            let item = StateBatch {
                owner: Arc::clone(&self.owner),
                ops,
                read_at: Instant::now(),
                upto: self.sent,
                history: self.owner.progress.events.count_of_sent(),
                marks: [].into(),
            };
            self.sender.state(&self.owner.router).send(StateItem::Batch(item)).unwrap();
        }
        while !self.owner.progress.state.has_stored(self.sent) {
            std::thread::sleep(Duration::from_millis(20));
        }
        (cpu() - began) / f64::from(self.updates)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a connection URL of an empty database");
    let mut next = |default| arguments.next().map_or(default, |word| word.parse::<u32>().expect("a number"));
    let (updates, rounds) = (next(200_000) / BATCH * BATCH, next(5));
    store::migrate(&mut store::connect(&url, "bench").unwrap()).unwrap();
    looks();
    let watching = Arc::<Watching>::default();
    let options = PipelineOptions {
        history_wait: Duration::from_secs(60),
        database_url: url.clone(),
        collector_id: "bench".to_owned(),
        state_writers: 1,
        history_writers: 0,
        batch_routes: 10_000,
        flush: Duration::from_millis(200),
        compress_raw: true,
        state_dir: std::env::temp_dir().join("rib-ingester-watch-match"),
        meters: Arc::default(),
        health: Arc::default(),
        watching: Arc::clone(&watching),
        notices: Arc::default(),
    };
    let stop = Stop::new();
    let (pipeline, sender) = spawn(options, &stop).unwrap();
    let router = RouterId::new("10.0.0.1");
    let record = RouterRecord {
        router: router.clone(),
        address: "127.0.0.1".parse().unwrap(),
        hostname: None,
        asn: None,
        description: None,
    };
    let (reply, answer) = crossbeam_channel::bounded(1);
    let claim = Claim { record, right: ClaimRight::Connected, journal: String::new(), others_since: None, reply };
    sender.state(&router).send(StateItem::Claim(claim)).unwrap();
    let owner = answer.recv().unwrap().unwrap().owner;
    let table = Arc::new(Table::loc_rib(router, "global", Afi::Ipv4));
    let mut bench = Bench { sender, owner, table, updates, sent: 0 };
    bench.round(0);
    let cases = [(0, false), (10_000, false), (100_000, false), (10_000, true), (100_000, true)];
    let mut lowest = [f64::MAX; 5];
    for round in 1..=rounds {
        for ((count, share), lowest) in cases.into_iter().zip(&mut lowest) {
            drop(watching.replace((count > 0).then(|| watches(count, share))));
            *lowest = lowest.min(bench.round(round * 2 + u32::from(share)));
            let mut client = store::connect(&url, "bench").unwrap();
            client.batch_execute("TRUNCATE watch.outbox").unwrap();
        }
    }
    println!("{updates} updates, {rounds} rounds, microseconds of CPU per update");
    for ((count, share), cpu) in cases.into_iter().zip(lowest) {
        let which = if share { "one of a hundred is a route" } else { "none is a route" };
        println!("{count:>7} watches, {which:<28} {cpu:.3}  {:.3} of none", cpu / lowest[0]);
    }
    let Bench { sender, .. } = bench;
    drop(sender);
    pipeline.join();
}

/// Prints what a look takes, in the order of a batch: sorted by prefix.
fn looks() {
    const LOOKS: u32 = 10_000_000;
    for count in [10_000, 100_000] {
        let trie = watches(count, true);
        let began = cpu();
        let found = (0..LOOKS).filter(|i| trie.matches(&prefix(i * 3 / 2))).count();
        let each = (cpu() - began) * 1000.0 / f64::from(LOOKS);
        println!("{count} watches: {each:.1} ns a look, {found} found");
    }
}
