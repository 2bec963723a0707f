//! The base of a session: the part of its state that its later messages lean on, as it was at any chunk of its input
//! that is not stored yet.
//!
//! The session's thread writes it as it goes; whoever has to spool the session's input reads it as it was at the last
//! chunk that the database has. Changes are kept with the number of the chunk that made them until that chunk is
//! stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event_id::EventIds;
use crate::model::{Nlri, RouterId, Table, Timestamp};
use crate::pipeline::{Ownership, RouteChange};
use crate::spool::Context;

/// Shared by a session's thread and the spooler.
#[derive(Debug, Default)]
pub struct Standing {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The chunk that is being applied.
    chunk: u64,
    /// Who the router is, once the session knows.
    name: Option<RouterId>,
    owner: Option<Arc<Ownership>>,
    ids: EventIds,
    /// By the session's own key, whether the dump was over, at the last chunk that is stored.
    tables: BTreeMap<String, bool>,
    /// The changes of later chunks to them.
    changes: VecDeque<(u64, String, Change)>,
    /// Tables of the process before, which this one has not met yet.
    resumed: BTreeMap<String, bool>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Begun,
    Over,
    Gone,
}

impl Standing {
    /// That of a session that goes on where another process left it.
    pub(crate) fn resume(context: &Context) -> Standing {
        let tables: BTreeMap<String, bool> = context.tables.iter().cloned().collect();
        let inner = Inner {
            chunk: context.behind,
            name: context.router.clone(),
            owner: None,
            ids: EventIds::resume(&context.ids),
            resumed: tables.clone(),
            tables,
            changes: VecDeque::new(),
        };
        Standing { inner: Mutex::new(inner) }
    }

    /// The next chunk is about to be applied.
    pub(crate) fn begin_chunk(&self, number: u64) {
        self.lock().chunk = number;
    }

    /// The session knows its router. Until then nothing of it goes to the spool.
    pub fn identify(&self, router: &RouterId) {
        self.lock().name = Some(router.clone());
    }

    /// The router, once the session knows it.
    pub fn router(&self) -> Option<RouterId> {
        self.lock().name.clone()
    }

    /// Returns whether the session knows its router.
    pub(crate) fn is_identified(&self) -> bool {
        self.lock().name.is_some()
    }

    /// The session knows its router and may write it.
    pub fn settle(&self, owner: &Arc<Ownership>) {
        self.lock().owner = Some(Arc::clone(owner));
    }

    /// The right to write the router, once there is one.
    pub fn owner(&self) -> Option<Arc<Ownership>> {
        self.lock().owner.clone()
    }

    /// As [`EventIds::next`].
    pub fn event_id(&self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) -> [u8; 32] {
        let mut inner = self.lock();
        let chunk = inner.chunk;
        inner.ids.next(chunk, table, nlri, change, time)
    }

    /// As [`EventIds::repeated`].
    pub fn repeated(&self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) {
        let mut inner = self.lock();
        let chunk = inner.chunk;
        inner.ids.repeated(chunk, table, nlri, change, time);
    }

    /// A table began. Whether it goes on from another process's session: then whether its dump was over there.
    pub(crate) fn table_begun(&self, key: String) -> Option<bool> {
        let mut inner = self.lock();
        let resumed = inner.resumed.remove(&key);
        if resumed.is_none() {
            let chunk = inner.chunk;
            inner.changes.push_back((chunk, key, Change::Begun));
        }
        resumed
    }

    /// A table's dump is over.
    pub(crate) fn table_over(&self, key: String) {
        let mut inner = self.lock();
        let chunk = inner.chunk;
        inner.changes.push_back((chunk, key, Change::Over));
    }

    /// A table went down.
    pub(crate) fn table_gone(&self, key: String) {
        let mut inner = self.lock();
        let chunk = inner.chunk;
        inner.resumed.remove(&key);
        inner.changes.push_back((chunk, key, Change::Gone));
    }

    /// Everything up to the chunk `stored` is in the database.
    pub fn forget(&self, stored: u64) {
        let mut inner = self.lock();
        inner.ids.forget(stored);
        while inner.changes.front().is_some_and(|(chunk, ..)| *chunk <= stored) {
            let Some((_, key, change)) = inner.changes.pop_front() else { return };
            match change {
                Change::Begun => drop(inner.tables.insert(key, false)),
                Change::Over => drop(inner.tables.insert(key, true)),
                Change::Gone => drop(inner.tables.remove(&key)),
            }
        }
    }

    /// The tables at the chunk that was last forgotten, and whether their dumps were over.
    pub(crate) fn stored_tables(&self) -> Vec<(String, bool)> {
        self.lock().tables.iter().map(|(key, over)| (key.clone(), *over)).collect()
    }

    /// The recent events at the chunk that was last forgotten, as [`EventIds::at_stored`].
    pub(crate) fn stored_ids(&self) -> Vec<(u64, u32)> {
        self.lock().ids.at_stored()
    }

    /// A panic in the session leaves this whole enough: the session is over then, and its input is not kept.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_known_as_they_were_at_the_stored_chunk() {
        let standing = Standing::default();
        let tables = |standing: &Standing| -> Vec<String> {
            standing.stored_tables().into_iter().map(|(key, over)| format!("{key} {over}")).collect()
        };
        standing.begin_chunk(1);
        assert_eq!(standing.table_begun("a".to_owned()), None);
        standing.begin_chunk(2);
        standing.table_over("a".to_owned());
        standing.table_begun("b".to_owned());
        standing.begin_chunk(3);
        standing.table_gone("a".to_owned());
        assert_eq!(tables(&standing), [""; 0]);
        standing.forget(1);
        assert_eq!(tables(&standing), ["a false"]);
        standing.forget(2);
        assert_eq!(tables(&standing), ["a true", "b false"]);
        let context = Context {
            source: "192.0.2.1".parse().unwrap(),
            router: None,
            began: Timestamp::from_unix_micros(0),
            behind: 2,
            tables: standing.stored_tables(),
            ids: standing.stored_ids(),
            preamble: Vec::new(),
            lost: None,
        };
        let next = Standing::resume(&context);
        assert_eq!(next.table_begun("a".to_owned()), Some(true));
        assert_eq!(next.table_begun("a".to_owned()), None, "once");
        assert_eq!(next.table_begun("c".to_owned()), None);
        assert_eq!(tables(&next), ["a true", "b false"], "met or not");
        standing.forget(3);
        assert_eq!(tables(&standing), ["b false"]);
    }
}
