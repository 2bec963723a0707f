//! Sessions: one TCP connection from a router each, from its first byte to its last.
//!
//! ```text
//! dialer: routers that listen
//! listener: accept, allow-list, limits; balancer: the header of a load balancer
//!    | two threads per connection
//! reader: frame > input > journal
//! run: input > wire > messages: peers, identity, changes > tables: rib > outbox > channels
//! ```
//!
//! The modules that decide what a message means have no effects of their own: they ask and tell through `host` (the
//! collector) and [`outbox`] (the writers) alone, and read no clock. Their result follows from the inputs:
//!
//! * a message with its time of receipt, and a [`Moment`](rules::Moment) of silence;
//! * the router claimed, with its tables, names and evidence; a peer claimed, or taken by another session;
//! * the stored routes of a table, when its dump begins;
//! * the end by a cause.
//!
//! All of these but the stored routes are to become records of the journal: the fold of a session can then be repeated
//! from any of them.
//!
//! A session whose router another collector has does the same with an outbox that lets nothing out (`take_over`).
//!
//! `changes`, `peers`, `identity` and `rib` are pure. A session ends with a [`SessionEnd`]; only a Termination removes
//! a router's routes at once, everything else leaves them for the stale time.

pub mod add_path;
mod anomalies;
pub mod anomaly;
pub mod balancer;
mod begin;
mod capabilities;
mod catch_up;
pub mod changes;
pub mod connection;
mod departure;
pub mod dialer;
pub(crate) mod downs;
pub mod drift;
mod due;
mod earlier_tables;
pub mod end;
pub mod event_id;
mod flaps;
pub mod frame;
mod gaps;
mod host;
mod identify;
pub mod identity;
pub mod input;
pub mod inputs;
mod life;
pub mod listener;
pub mod md5;
pub mod messages;
pub(crate) mod missing_withdrawals;
mod new_events;
pub(crate) mod open_json;
pub mod other_protocol;
pub mod outbox;
mod peer_changes;
pub mod peer_id;
mod peer_owners;
pub(crate) mod peer_records;
mod peer_state;
pub(crate) mod peer_up_cache;
pub mod peers;
pub mod proxy_header;
pub(crate) mod read_timeout;
mod reader;
pub mod reading;
pub mod refused_connections;
pub mod registry;
mod removal;
mod reread;
mod resume;
pub(crate) mod rib_filter;
pub mod rib_source;
mod rib_table;
pub mod route_map;
pub mod rules;
pub mod run;
mod seeded;
pub mod shared;
pub(crate) mod sharing;
pub mod standby;
pub mod stream;
pub mod table_names;
mod table_owners;
pub mod tables;
mod take_over;
pub mod target;
mod unnamed;
pub(crate) mod version4;
pub(crate) mod window;

/// Returns the most files that a session has open: its socket, and of the journal one that is written and one that is
/// read; for each station that it is relayed to a socket and a file.
pub fn files_max(stations: usize) -> usize {
    3 + 2 * stations
}

pub use end::{Cause, SessionEnd};
pub use shared::{Options, RawBytes, Shared};
