//! Watches: what changed is judged, what lasts becomes an incident.
//!
//! ```text
//!  state writers -> watch.outbox -> round: scope -> routes, in sets -> judge -> conditions
//!                                                      conditions -> candidates -> life -> incidents
//! ```
//!
//! A round is one transaction. Routes are judged only where they are known ([`known_routers`]); what is wrong at a
//! vantage is a condition ([`judge`]); one condition of a watch at all its vantages is a candidate ([`candidates`]); a
//! candidate that lasts is an incident ([`life`]), and incidents of one cause have a parent ([`cause`]). All of these
//! are pure.

mod addresses;
mod as_names;
mod baseline;
pub mod candidates;
pub mod cause;
mod changed;
pub mod check;
pub mod deliveries;
pub mod detail;
pub mod evaluation;
pub mod evaluator;
mod families;
pub mod flap_detail;
pub mod flapping;
mod gathering;
mod incidents;
pub mod index;
pub mod judge;
pub mod known_routers;
pub mod life;
mod opening;
mod origins;
mod parent;
mod report;
pub mod route_count;
pub mod route_fault;
pub mod rpki;
mod rpki_news;
pub mod run;
pub mod seen;
pub mod silence;
pub mod simulate;
mod state;
pub mod summary;

pub use evaluator::Evaluator;
pub use report::Report;
