//! RPKI: fetches the VRPs of a validator, and validates the stored routes by them (RFC 6811).
//!
//! ```text
//!  file or URL -> fetch -> formats -> set: trust anchors, SLURM -> hold -> rpki.vrps, by differences
//!                                                rpki.vrps -> scan of the routes -> rpki.route_validity
//! ```
//!
//! One process per database does this, by an advisory lock on its connection ([`run`]). A set that cannot be read, or
//! is too old, changes nothing: the one in force stays until it is too old itself. A set that lacks too much is held
//! ([`hold`]).

mod csv_format;
mod fetch;
pub mod formats;
pub mod hold;
mod json_format;
mod load;
mod options;
pub mod parsed;
pub mod run;
pub mod scan;
pub mod set;
pub mod slurm;

pub use options::Options;
