//! PostgreSQL: the only room that names SQL.

pub mod row;

pub use row::EncodedRoute;
