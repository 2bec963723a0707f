//! Sessions: one TCP connection from a router each, from its first byte to its last.
//!
//! ```text
//! listener: accept, allow-list, limits
//!    | one thread per connection
//! run: intake > frame > wire > messages: peers, identity, changes > tables: rib > outbox > channels
//! ```
//!
//! While a session is busy, the spooler reads its socket into the spool, and the session reads on from there
//! (`intake`).
//!
//! `changes`, `peers`, `identity` and `rib` are pure. A session ends with a [`SessionEnd`]; only a Termination removes
//! a router's routes at once, everything else leaves them for the stale time.

pub mod add_path;
mod anomalies;
pub mod anomaly;
mod begin;
mod capabilities;
pub mod changes;
pub mod connection;
mod departure;
pub mod drift;
mod due;
mod earlier_tables;
mod end;
pub mod event_id;
mod flaps;
pub mod frame;
mod gaps;
mod identify;
pub mod identity;
pub(crate) mod intake;
pub mod intakes;
pub mod listener;
pub mod md5;
pub mod messages;
pub(crate) mod open_json;
pub mod other_protocol;
pub mod outbox;
mod peer_changes;
pub mod peer_id;
mod peer_owners;
pub(crate) mod peer_records;
pub mod peers;
pub(crate) mod preamble;
pub(crate) mod read_timeout;
pub mod reading;
pub mod refused_connections;
pub mod registry;
pub(crate) mod remnants;
mod removal;
mod reread;
mod resume;
pub(crate) mod rib_filter;
mod rib_table;
pub mod route_map;
pub mod rules;
pub mod run;
mod seeded;
pub mod shared;
pub(crate) mod sharing;
pub(crate) mod standing;
pub mod stream;
pub mod table_names;
mod table_owners;
pub mod tables;
mod unnamed;
pub(crate) mod version4;
pub mod waiting;

pub use end::SessionEnd;
pub use shared::{Options, RawBytes, Shared};
