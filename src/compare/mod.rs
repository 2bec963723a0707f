//! The verdict on what is compared: checks, each with an outcome, and what of a planned change decides.

mod change;
mod check;
mod junit;

pub(crate) use self::change::verify;
pub(crate) use self::check::{Check, Outcome, outcome, why_loc_rib_unknown, why_unknown};
pub(crate) use self::junit::junit;
