//! `write-bench`: how long the collector takes from the socket to the commit, beside what PostgreSQL takes for the same
//! rows.

mod api;
mod back;
mod collector;
mod database;
mod dump;
mod events;
#[path = "../../../common/generate.rs"]
#[allow(dead_code)]
mod generate;
mod history;
mod http;
mod ids;
mod larger;
mod layout;
mod life;
mod limits;
mod load;
mod machine;
mod maintain;
mod router;
mod site;
mod steady;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use postgres::NoTls;

use larger::Larger;
use layout::Layout;
use site::Site;
use steady::Steady;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Measures the write path")]
struct Arguments {
    /// A PostgreSQL on this machine whose user may create databases
    #[arg(long)]
    url: String,
    /// The collector
    #[arg(long)]
    binary: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All routers back at once after a restart of the collector, with what is stored
    Back {
        /// How many routers
        #[arg(long, default_value_t = 100)]
        routers: u8,
        /// IPv4 routes of each; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 40_000)]
        routes: usize,
    },
    /// A router's life: dump, reconnect, restart, changes, Peer Down, beside COPY of the same rows
    Life {
        /// IPv4 routes; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 200_000)]
        routes: usize,
        /// How often; the lowest figure of each kind counts
        #[arg(long, default_value_t = 2)]
        rounds: usize,
    },
    /// The first dump of one router beside COPY of the same rows, round by round
    Dump {
        /// IPv4 routes; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 200_000)]
        routes: usize,
        /// How often
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// What a million events cost, with and without raw messages
    Events {
        /// IPv4 routes; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 400_000)]
        routes: usize,
    },
    /// Bytes and CPU time of an event in partitions of other forms
    History {
        /// IPv4 routes; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 10_000)]
        routes: usize,
        /// How many routers dump at the same time
        #[arg(long, default_value_t = 8)]
        routers: u8,
        /// How often
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Path identifiers and attribute sets that never come back: memory and sizes after each day of them
    Ids {
        /// IPv4 routes, each under one identifier at a time
        #[arg(long, default_value_t = 20_000)]
        routes: u32,
        /// Identifiers of a day; a quarter as many attribute sets
        #[arg(long, default_value_t = 110_914)]
        ids: u32,
        /// How many days
        #[arg(long, default_value_t = 4)]
        days: u32,
    },
    /// Tables larger than the server's memory, which the caller has limited: first load, changes, lookups, Peer Down
    Larger {
        /// That memory, MiB
        #[arg(long)]
        memory: u64,
        /// IPv4 routes of each router; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 200_000)]
        routes: usize,
        /// UPDATEs per second of ten routers together
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// For how long routes change
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// How many times that memory the table becomes
        #[arg(long, default_value_t = 10)]
        times: u64,
    },
    /// One table of all routes beside a partition for each router, both larger than the server's memory, which the caller
    /// has limited
    Layout {
        /// That memory, MiB
        #[arg(long)]
        memory: u64,
        /// IPv4 routes of each router; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 100_000)]
        routes: usize,
        /// How many routers there are before the last one comes
        #[arg(long, default_value_t = 23)]
        routers: u8,
    },
    /// First loads of a large table while readers query another one
    Load {
        /// IPv4 routes; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 1_000_000)]
        routes: usize,
        /// How many readers
        #[arg(long, default_value_t = 20)]
        readers: usize,
    },
    /// What maintenance does to writers: a refresh of the summary, a day of history that goes
    Maintain {
        /// How many routes there are to be summed up
        #[arg(long, default_value_t = 4_000_000)]
        rows: i64,
        /// UPDATEs per second meanwhile, of 20 routers together
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
    },
    /// Changes at a steady rate: from the socket to the commit, growth, WAL
    Steady {
        /// IPv4 routes of each router
        #[arg(long, default_value_t = 20_000)]
        routes: usize,
        /// How many routers
        #[arg(long, default_value_t = 20)]
        routers: u8,
        /// UPDATEs per second of all together
        #[arg(long, default_value_t = 20_000)]
        rate: u64,
        /// For how long
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// A file of statements that are run first, such as sql/scale-out/hot_updates.sql
        #[arg(long)]
        sql: Option<PathBuf>,
    },
    /// A made-up site of many routers and peers at 1/N of the largest that is known: first load, changes, truth
    Site {
        /// N
        #[arg(long, default_value_t = 1_000.0)]
        scale: f64,
        /// Another seed, another site
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// UPDATEs per second of all routers together
        #[arg(long, default_value_t = 2_000.0)]
        rate: f64,
        /// For how long routes change
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Peers whose session goes down and comes back; the session of one router does too
        #[arg(long, default_value_t = 8)]
        resets: u64,
    },
    /// What programs wait for: lookups, a full table as NDJSON and for Alice-LG, with and without changes meanwhile
    Api {
        /// IPv4 routes of a Loc-RIB and of an Adj-RIB-In; a fifth as many IPv6 routes come on top
        #[arg(long, default_value_t = 1_000_000)]
        routes: usize,
        /// How many clients look up at a time
        #[arg(long, default_value_t = 4)]
        clients: usize,
        /// UPDATEs per second meanwhile, of 20 routers together
        #[arg(long, default_value_t = 2_000)]
        rate: u64,
        /// For how long lookups are made
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

/// What all measurements need.
struct Bench {
    admin: postgres::Config,
    binary: PathBuf,
    postmaster: u32,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = error.source().map_or(String::new(), |source| format!(": {source}"));
            eprintln!("write-bench: {error}{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let admin: postgres::Config = arguments.url.parse()?;
    let mut client = admin.connect(NoTls)?;
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let postmaster = machine::parent(u32::try_from(backend)?).ok_or("the server does not run on this machine")?;
    let version: String = client.query_one("SHOW server_version", &[])?.get(0);
    println!("{}; PostgreSQL {version}", machine::describe());
    let bench = Bench { admin, binary: arguments.binary, postmaster };
    match arguments.command {
        Command::Api { routes, clients, rate, seconds } => api::run(&bench, routes, clients, rate, seconds),
        Command::Back { routers, routes } => back::run(&bench, routers, routes),
        Command::Life { routes, rounds } => life::run(&bench, routes, rounds),
        Command::Dump { routes, rounds } => dump::run(&bench, routes, rounds),
        Command::Events { routes } => events::run(&bench, routes),
        Command::History { routes, routers, rounds } => history::run(&bench, routes, routers, rounds),
        Command::Ids { routes, ids, days } => ids::run(&bench, routes, ids, days),
        Command::Larger { memory, routes, rate, seconds, times } => {
            larger::run(&bench, &Larger { memory, routes, rate, seconds, times })
        }
        Command::Layout { memory, routes, routers } => layout::run(&bench, &Layout { memory, routes, routers }),
        Command::Load { routes, readers } => load::run(&bench, routes, readers),
        Command::Maintain { rows, rate } => maintain::run(&bench, rows, rate),
        Command::Site { scale, seed, rate, seconds, resets } => {
            site::run(&bench, &Site { scale, seed, rate, seconds, resets })
        }
        Command::Steady { routes, routers, rate, seconds, sql } => {
            steady::run(&bench, &Steady { routes, routers, rate, seconds, sql })
        }
    }
}
