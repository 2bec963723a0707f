//! The sessions of a peering registry: their status follows what the routers say.
//!
//! A round reads all sessions with their peers, judges each ([`judge`]), stores what it observed and, where the settings
//! allow it, writes status and error of those that nobody else has changed meanwhile. What is known of routers and peers
//! is what the evaluator of watches and the state writers have stored; nothing here looks at messages.

mod counts;
mod judge;
pub(crate) mod numbers;
mod round;
mod settings;
mod status;

pub(super) use counts::count;
pub(super) use round::round;
