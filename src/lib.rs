//! rib-ingester: BGP Monitoring Protocol in, PostgreSQL tables out.
//!
//! Bytes become messages (`wire`), messages become route changes (`session`), route changes ride
//! bounded channels (`pipeline`) to writers that own a database connection each (`store`).

pub mod cli;
pub mod config;
pub mod logging;
pub mod model;
pub mod pipeline;
pub mod session;
pub mod stop;
pub mod store;
pub mod wire;
