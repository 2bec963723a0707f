//! PostgreSQL: the only module that contains SQL.
//!
//! Functions take a connection and return what happened; `pipeline` decides on retries, waits and halved batches. Times
//! in the database are the database's own (`now()`, `clock_timestamp()`), because purging compares them; `received_at`
//! and `router_time` of `route_events` are the only two that are not.

pub mod add_path;
pub(crate) mod api;
pub(crate) mod archive;
pub(crate) mod birdwatcher;
pub mod change_windows;
pub mod compare;
pub mod connect;
pub mod copy_encoding;
mod copy_fields;
pub mod counts;
pub(crate) mod dependents;
pub mod diagnostics;
mod door;
pub mod error;
pub mod events;
pub mod forget;
mod frames;
pub(crate) mod hand_over;
pub mod identity;
pub(crate) mod imports;
pub mod index_sizes;
pub(crate) mod inventory;
pub(crate) mod journal_positions;
pub mod lease;
pub mod load;
pub(crate) mod lock_waits;
pub mod lookup;
pub mod maintenance;
pub mod migrate;
pub(crate) mod mrt;
pub(crate) mod names;
pub(crate) mod orphans;
mod outages;
pub mod overview;
pub mod owner;
pub mod pages;
pub mod partitions;
pub mod peers;
mod pool;
mod portal;
pub(crate) mod prepared;
pub(crate) mod recent;
pub(crate) mod registry;
pub(crate) mod router_state;
pub mod routes;
pub mod rpki;
pub mod sessions;
pub mod slice;
pub mod snapshots;
pub mod stale;
pub mod statement;
pub mod status;
pub(crate) mod suitable;
pub mod sync;
mod table_columns;
pub mod table_names;
pub(crate) mod tenants;
pub(crate) mod time;
pub mod transaction_status;
pub mod watch;
mod watchdog;
mod way;

pub use connect::connect;
pub use copy_encoding::EncodedRoute;
pub use error::{Error, Recovery, Result};
pub use migrate::migrate;
pub(crate) use outages::OutageReports;
pub use outages::Outages;
pub use pool::Pool;
pub(crate) use pool::READER;
pub use postgres::{Client, Transaction};
pub(crate) use watchdog::{abandon, longest_silence};
