//! The hosting inventory: its tables, the state of its services, what would be lost.

mod columns;
mod example;
mod impact;
mod imports;
mod over_http;
mod reachability;
mod scene;
