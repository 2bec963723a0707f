//! One trouble with the database, however many threads meet it: one error when it begins, one line when it is over.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who meets a trouble now, and when the last one was over.
#[derive(Debug, Default)]
pub(super) struct Outage {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Option<Trouble>,
    ended: Option<Instant>,
    answered: u64,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    /// The threads that it keeps from their work.
    met_by: BTreeSet<String>,
    /// What waited when the first of them got through.
    waited: Option<Waited>,
}

/// What the database has not got yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waited {
    /// Changes and events in memory.
    pub(super) changes: u64,
    /// Bytes in the spool.
    pub(super) spooled: u64,
}

impl Outage {
    /// `who` cannot do its work. The first one to say so is the one who is heard.
    pub(super) fn begin(&self, who: &str, error: &dyn Display) {
        let mut inner = self.lock();
        if let Some(trouble) = &mut inner.now {
            trouble.met_by.insert(who.to_owned());
            log::debug!("database: {who} cannot work: {error}");
            return;
        }
        let met_by = BTreeSet::from([who.to_owned()]);
        inner.now = Some(Trouble { since: Instant::now(), met_by, waited: None });
        log::error!("database: {who} cannot work: {error}; trying again until it can");
    }

    /// `who` got through. When the last one has, it is over.
    pub(super) fn end(&self, who: &str, waiting: Waited) {
        let mut inner = self.lock();
        let Some(trouble) = inner.now.as_mut().filter(|trouble| trouble.met_by.contains(who)) else { return };
        trouble.met_by.remove(who);
        let waited = *trouble.waited.get_or_insert(waiting);
        let (is_over, away) = (trouble.met_by.is_empty(), trouble.since.elapsed());
        inner.answered += 1;
        if is_over {
            (inner.now, inner.ended) = (None, Some(Instant::now()));
            log::info!(
                "database: works again after {:.1} s; {} changes waited in memory, {} bytes in the spool",
                away.as_secs_f64(),
                waited.changes,
                waited.spooled
            );
        }
    }

    /// `who` ends without having got through.
    pub(super) fn leave(&self, who: &str) {
        let mut inner = self.lock();
        let Some(trouble) = &mut inner.now else { return };
        trouble.met_by.remove(who);
        if trouble.met_by.is_empty() {
            inner.now = None;
        }
    }

    /// Changes whenever somebody got through: then it is worth another try for all who wait.
    pub(super) fn answered(&self) -> u64 {
        self.lock().answered
    }

    /// Whether a connection of that age may be broken by a trouble that was told and is over.
    pub(super) fn is_older(&self, connected_at: Instant) -> bool {
        self.lock().ended.is_some_and(|ended| connected_at < ended)
    }

    /// A panic elsewhere leaves this whole: every change is an assignment or two.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_until_the_last_one_got_through() {
        let outage = Outage::default();
        let before = Instant::now();
        outage.begin("one", &"away");
        outage.begin("two", &"away");
        outage.begin("two", &"still away");
        outage.end("one", Waited { changes: 7, spooled: 8 });
        outage.end("one", Waited::default());
        assert!(!outage.is_older(before), "two waits yet");
        let waited = outage.lock().now.as_ref().and_then(|trouble| trouble.waited);
        assert_eq!(waited, Some(Waited { changes: 7, spooled: 8 }), "as it was when the first one got through");
        outage.end("two", Waited::default());
        assert!(outage.lock().now.is_none() && outage.is_older(before) && !outage.is_older(Instant::now()));
        assert_eq!(outage.answered(), 2);
    }

    #[test]
    fn who_ends_does_not_make_it_last() {
        let outage = Outage::default();
        outage.begin("one", &"away");
        outage.leave("one");
        assert!(outage.lock().now.is_none());
        assert_eq!(outage.answered(), 0);
    }
}
