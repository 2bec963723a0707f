//! The schema `inventory`: what the routes serve, and which of it they reach.

pub(crate) mod impact;
pub(crate) mod jobs;
pub(crate) mod numbers;
pub(crate) mod round;
pub(crate) mod tree;
