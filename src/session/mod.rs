//! Sessions: one TCP connection from a router each, from its first byte to its last.

pub mod frame;
pub mod oddity;
pub mod peers;
pub mod registry;
pub mod rejected;
pub mod rib;
