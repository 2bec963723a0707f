//! The peering registry, from a router's socket to the status of a session and its agent.

mod columns;
mod example;
mod matching;
mod scene;
mod status;
