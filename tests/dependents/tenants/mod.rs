//! Teams that share a collector.

mod columns;
mod import;
mod incidents;
mod isolation;
mod scene;
