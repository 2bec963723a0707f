//! Watches: what operators want to be told of, judged, and told.

pub mod deliveries;
