//! Code that the tests share. Each room uses its own part of it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod bmp;
pub mod browser;
pub mod capture;
pub mod certificates;
pub mod clock;
pub mod corpus;
pub mod devtools;
pub mod dice;
pub mod incidents;
pub mod ingester;
pub mod lab;
pub mod pg;
pub mod pooler;
pub mod proxy;
pub mod receiver;
pub mod rows;
pub mod server;
