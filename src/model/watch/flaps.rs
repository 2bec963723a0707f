//! Counts of changes of watched routes, for the condition `flapping`.

use std::sync::Arc;

use crate::model::{Prefix, RouterId, View};

/// One RIB's route for one prefix in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlapPlace {
    /// The router.
    pub router: RouterId,
    /// Its table.
    pub table: Arc<str>,
    /// The RIB.
    pub view: View,
    /// The prefix.
    pub prefix: Prefix,
    /// The minute, counted from 1970.
    pub minute: i64,
}

/// Changes to one AS path, and withdrawals of it. Corrections of what is stored already are negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathCount {
    /// The AS path; `None`: not known, or one of many.
    pub path: Option<Box<str>>,
    /// The number of times it came.
    pub announced: i32,
    /// The number of times it went.
    pub withdrawn: i32,
}
