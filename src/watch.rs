//! Watches: what changed is judged, what lasts becomes an incident.
//!
//! ```text
//!  state writers -> watch.outbox -> round: scope -> routes, in sets -> judge -> conditions -> matters -> life -> incidents
//! ```
//!
//! A round is one transaction. Routes are judged where they are known only ([`picture`]); what is wrong at a vantage is
//! a condition ([`judge`]); one condition of a watch at all its vantages is a matter ([`matter`]); a matter that lasts
//! is an incident ([`life`]), and incidents of one cause have a parent ([`cause`]). All of these are pure.

pub mod cause;
pub mod check;
pub mod deliveries;
pub mod detail;
pub mod evaluator;
pub mod index;
pub mod judge;
pub mod life;
pub mod matter;
mod openings;
pub mod picture;
pub mod run;
pub mod seen;
pub mod silence;
pub mod summary;
pub mod sweep;

pub use evaluator::{Evaluator, Report};
