//! Writers between the sessions and PostgreSQL, and the fate of their input when something fails.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod counts;
mod deadlocks;
mod events;
mod faults;
mod history_leads;
mod history_once;
mod outage;
mod refusals;
mod state;
mod watching;
