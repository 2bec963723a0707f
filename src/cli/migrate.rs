//! `migrate`: brings the database's schema up to date.

use super::{Failure, connect, print};
use crate::config::Settings;
use crate::store;

/// Applies what is missing and names it.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let mut client = connect(settings, "migrate")?;
    let applied = store::migrate(&mut client)?;
    if applied.is_empty() {
        return print("the schema is up to date\n");
    }
    applied.iter().try_for_each(|name| print(&format!("applied {name}\n")))
}
