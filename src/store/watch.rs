//! The schema `watch`: what watches ask, what is wrong, what became of it, and who is told.

pub mod accepted;
pub mod callbacks;
pub mod conditions;
pub mod coverage;
pub mod deliveries;
pub mod evaluate;
pub mod flaps;
pub mod incident_list;
pub mod incidents;
pub mod operator;
pub mod outbox;
pub mod peers;
pub mod retention;
pub mod route_counts;
pub mod routes;
pub mod rpki;
pub mod silences;
pub mod suggest;
pub mod trie;
pub mod unsettled;
pub mod vantages;
pub mod watches;

use postgres::error::SqlState;
use postgres::{Client, Transaction};

use super::error::{Error, Result};

/// Does `work` in a transaction that waits a second for a lock. `None`: the lock is kept for longer, which is no fault
/// of the database.
fn unless_locked<T>(client: &mut Client, work: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<Option<T>> {
    let mut transaction = client.transaction()?;
    match work_within(&mut transaction, work) {
        Ok(value) => {
            transaction.commit()?;
            Ok(Some(value))
        }
        Err(Error::Database(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(None),
        Err(error) => Err(error),
    }
}

fn work_within<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
) -> Result<T> {
    transaction.batch_execute("SET LOCAL lock_timeout = '1s'")?;
    work(transaction)
}
