//! PostgreSQL: the schema, its functions for readers, and ways to the database.

#[path = "../common/mod.rs"]
mod common;

mod api_plans;
mod callbacks;
mod compare;
mod faults;
mod history;
mod kinds;
mod looking_glass;
mod maintenance;
mod openbmp;
mod overview;
mod plans;
mod pool;
mod privileges;
mod queries;
mod reading;
mod reading_plans;
mod scale_out;
mod schema;
mod schema_page;
mod statements;
mod tls;
mod two_collectors;
mod waits;
mod watches;
