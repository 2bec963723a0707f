//! The schema `watch`: what watches ask, what is wrong, and what became of it.

pub mod evaluate;
pub mod incidents;
pub mod vantages;
