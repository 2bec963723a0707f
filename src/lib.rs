//! rib-ingester: BGP Monitoring Protocol in, PostgreSQL tables out. This page is the map of the code.
//!
//! Bytes become messages ([`wire`]), messages become route changes ([`session`]), and bounded channels ([`pipeline`])
//! carry route changes to writers, each with its own database connection ([`store`]). A thread is a loop over its
//! input; it ends when its input ends.
//!
//! ```text
//!  router --TCP--> [bmp-..] -+             events of a router: bounded
//!  router --TCP--> [bmp-..] -+-----------+------------------> [events-0] --COPY--+
//!  router --TCP--> [bmp-..] -+           |            +-----> [events-n] --COPY--+
//!        frame > wire > changes > rib    | state of a router: bounded            +--> PostgreSQL
//!  [listener] [listener-tls] accept      +------------------> [state-0] ---------+
//!  [main] supervisor: starts, stops      +------------------> [state-n] ---------+
//!  [load-0..n] read what is stored of tables that begin
//!  [http] metrics, health   [http-pages] status page   [probe] checks that the database answers
//!  [http-events] tells clients of the API of incidents
//!  [http-api-0..n] short answers of the API   [http-stream-0..n] one long answer each
//!  [maintenance] partitions, archive, retention, summary, snapshots
//!  [connect-..] connects to a router that listens, and is then its [bmp-..]   [dial] makes that connection
//!  [read-..] one beside each [bmp-..]: reads its socket into the journal   [journal-sync] fsync
//!  [relay] one a station that sessions are sent on to
//!  [replay] applies what an earlier process left in the journal
//!  [identity] holds the lock of COLLECTOR_ID   [heartbeat] records that the collector is alive
//!  [standby] takes, gives up and hands over routers that have two stations
//!  [expiry] removes tables that have been stale for longer than the stale time
//!  [watch-trie] gives the state writers the routes that watches look for, stores counts of changes
//!  [watch] evaluates watches
//!  [rpki] fetches VRPs and validates routes
//!  [dependents] keeps registry, inventory and tenants up to date
//!  [session-notify] tells listeners of rows of session_events
//!  [deliveries] tells callbacks of incidents   [deliver] sends to one of them
//!  [signals] SIGTERM, SIGHUP   [ctrl-c] SIGINT   [grace] limits the time of a stop
//!  [db-pool-0..n] connect for pages, API, probe and maintenance   [db-connect] makes one connection, abandoned if it hangs
//!  [db-watchdog] cuts connections whose answer is overdue
//! ```
//!
//! | module | what it is | may import |
//! |---|---|---|
//! | `model` | the vocabulary: routes, and the records of peers and sessions | nothing of ours |
//! | `wire` | bytes to messages; pure | `model` |
//! | `store` | the only room that names SQL | `model`, `conninfo`, `tls` |
//! | `metrics` | the counters: plain atomics | `model` |
//! | `quarantine` | files of data that could not be stored | nothing of ours |
//! | `pipeline` | channels and writer threads | `model`, `store`, `metrics`, `quarantine` |
//! | `session` | a router's connection, from its first byte to its last | `model`, `wire`, `journal`, `metrics`, `quarantine`, `tls`, `config` (the allow-list), `store::copy_encoding` (what a route is stored as), the sending end of `pipeline` |
//! | `journal` | what routers sent, on disk before anything is done with it | `model`, `quarantine` |
//! | `relay` | sessions on their way to other stations | `journal`, `metrics` |
//! | `capture` | packet captures to the messages in them, for `decode` and `replay` | `wire` |
//! | `mrt` | MRT files: tables and messages in, BMP out; and columns in, MRT out | `model`, `wire` |
//! | `config` | the one table of settings, the only reader of the environment | `conninfo`, `model` |
//! | `conninfo` | parses connection strings | nothing of ours |
//! | `tls` | certificates, keys and their verification | `conninfo` |
//! | `logging` | filter, fold, format of log lines | `config`, `model` |
//! | `http` | metrics, health, the status page, the API | `metrics`, `pipeline` (its counters), `store`, `model`, `config` (the tokens of the API) |
//! | `exclusive` | threads that work for all collectors of a database, one at a time | `store`, `metrics` |
//! | `watch` | judges watches, the life of incidents, their deliveries | `model`, `store`, `metrics`, `tls`, `exclusive` |
//! | `rpki` | VRPs of a validator, the validity of routes | `model`, `store`, `metrics`, `tls`, `exclusive` |
//! | `dependents` | the records of what depends on routes: registry, inventory, tenants | `model`, `store`, `metrics`, `exclusive` |
//! | `imports` | rows of other systems, brought to the columns of our tables | `store`, `tls` |
//! | `compare` | the verdict on routers that are compared, and on planned changes | `model`, `store` |
//! | `archive` | days of history as Parquet files | `model`, `store` |
//! | `maintenance`, `supervisor`, `cli` | put the rooms together | all |
//!
//! Invariants (`tests/project/tidy.rs` checks the sources against the table and the first one): `wire` has no I/O, no
//! clock, no log and no SQL. One router always maps to one state writer and one event writer, so its rows are written
//! in the order in which it sent them, and history leads: the events of some input are stored before its routes are. A
//! thread that receives from a pipeline channel never waits for room in one: no cycle, no deadlock. A full channel
//! blocks the thread that applies a session's messages, and not the one that reads its socket: what was read is in the
//! journal before it is applied, and stays there until the writers have stored its changes; a session that stands by
//! stores nothing and needs no journal. Nothing is dropped to make
//! room, nothing is overtaken. Only a Termination or a Loc-RIB Peer Down removes a router's
//! routes immediately; a lost connection leaves them for the stale time. Times in the database are the database's own,
//! except `received_at` and `router_time`.

// `println!` panics when standard output is closed, `eprintln!` when standard error is full: `cli::print` and
// `cli::say` do not.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

mod archive;
pub mod capture;
pub mod cli;
mod compare;
pub mod config;
pub mod conninfo;
mod dependents;
mod exclusive;
pub mod http;
mod imports;
pub mod journal;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod model;
pub mod mrt;
pub mod pipeline;
pub mod quarantine;
pub mod relay;
pub mod rpki;
pub mod session;
pub mod stop;
pub mod store;
pub mod supervisor;
pub mod tls;
pub mod watch;
pub mod wire;
