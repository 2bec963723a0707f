//! One outage of the database, however many threads meet it: an error when it begins, a warning whenever its cause
//! changes and every five minutes, and one line when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store;

/// The interval at which the cause of a lasting outage is logged again.
const TELL_EVERY: Duration = Duration::from_secs(5 * 60);

/// The current outage, and when the last one was over.
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
    /// The threads that cannot work, and the last error of each.
    met_by: BTreeMap<String, Met>,
    /// The cause that was logged last, and when.
    told: (String, Instant),
    /// All causes that were logged.
    all_told: BTreeSet<String>,
    /// The latest cause in words.
    latest: String,
    /// The work that waited when the first thread succeeded again.
    waited: Option<Waited>,
}

/// The last error of a thread.
#[derive(Debug)]
struct Met {
    /// The SQLSTATE, or the error without its digits if it has none: it distinguishes one cause from another.
    cause: String,
    /// The full text for the log.
    words: String,
}

/// Work that the database has not stored yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waited {
    /// Changes and events in memory.
    pub(super) changes: u64,
    /// Bytes of input that the database does not have.
    pub(super) unstored: u64,
}

impl Outage {
    /// Notes that `who` cannot work. The first report is logged as an error; later, each new cause, and a lasting one
    /// periodically. `target` is the database in words.
    pub(super) fn begin(&self, who: &str, target: &str, error: &store::Error) {
        let mut inner = self.lock();
        let (cause, now) = (error.cause(), Instant::now());
        let how = if error.is_unanswered() { "not reached" } else { "not usable" };
        let latest = format!("{how}: {target}: {error}");
        let Some(trouble) = &mut inner.now else {
            let met_by = BTreeMap::from([(who.to_owned(), Met { cause: cause.clone(), words: latest.clone() })]);
            log::error!("database: {latest} ({who}); retrying");
            let all_told = BTreeSet::from([cause.clone()]);
            inner.now = Some(Trouble { since: now, met_by, told: (cause, now), all_told, latest, waited: None });
            return;
        };
        let met = Met { cause: cause.clone(), words: latest.clone() };
        let is_news = match trouble.met_by.insert(who.to_owned(), met) {
            // One more thread may only now meet a cause that others met earlier.
            None => !trouble.all_told.contains(&cause),
            Some(last) => last.cause != cause && trouble.told.0 != cause,
        };
        let is_due = now.duration_since(trouble.told.1) >= TELL_EVERY;
        if is_due || is_news {
            let seconds = now.duration_since(trouble.since).as_secs();
            log::warn!("database: still {latest} ({who}), since {seconds} s");
            trouble.all_told.insert(cause.clone());
            trouble.told = (cause, now);
        } else {
            log::debug!("database: {latest} ({who})");
        }
        trouble.latest = latest;
    }

    /// Returns the latest cause, while there is an outage.
    pub(super) fn cause(&self) -> Option<String> {
        self.lock().now.as_ref().map(|trouble| trouble.latest.clone())
    }

    /// Returns the SQLSTATE of the last error of `who`, until it succeeds; its text without digits if it has none.
    pub(super) fn code_of(&self, who: &str) -> Option<String> {
        Some(self.lock().now.as_ref()?.met_by.get(who)?.cause.clone())
    }

    /// Returns the last error of `who`, until it succeeds.
    pub(super) fn cause_of(&self, who: &str) -> Option<String> {
        Some(self.lock().now.as_ref()?.met_by.get(who)?.words.clone())
    }

    /// Notes that `who` succeeded. When the last failing thread has, the outage is over.
    pub(super) fn end(&self, who: &str, waiting: Waited) {
        let mut inner = self.lock();
        let Some(trouble) = inner.now.as_mut().filter(|trouble| trouble.met_by.contains_key(who)) else { return };
        trouble.met_by.remove(who);
        trouble.waited.get_or_insert(waiting);
        inner.answered += 1;
        inner.end_if_over();
    }

    /// Notes that `who` ends without having succeeded. If it is the last failing thread, the outage is over as well.
    pub(super) fn leave(&self, who: &str) {
        let mut inner = self.lock();
        let Some(trouble) = &mut inner.now else { return };
        trouble.met_by.remove(who);
        inner.end_if_over();
    }

    /// Returns a number that changes whenever a failing thread succeeds: then another try is worthwhile for all that
    /// wait.
    pub(super) fn answered(&self) -> u64 {
        self.lock().answered
    }

    /// Returns whether a connection made at `connected_at` may be broken by an outage that was reported and is over.
    pub(super) fn is_older(&self, connected_at: Instant) -> bool {
        self.lock().ended.is_some_and(|ended| connected_at < ended)
    }

    /// Locks the state, which a panic elsewhere leaves consistent: every change is an assignment or two.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Ends the outage if no thread meets it any more.
    fn end_if_over(&mut self) {
        let Some(trouble) = self.now.take_if(|trouble| trouble.met_by.is_empty()) else { return };
        self.ended = Some(Instant::now());
        let seconds = trouble.since.elapsed().as_secs_f64();
        match trouble.waited {
            Some(Waited { changes, unstored }) => log::info!(
                "database: works again after {seconds:.1} s; {changes} changes waited in memory, {unstored} bytes of input were in the journal"
            ),
            None => log::info!("database: no thread waits for it any more; it had not worked for {seconds:.1} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(text: &str) -> store::Error {
        store::Error::NoAnswer(text.to_owned())
    }

    #[test]
    fn it_lasts_until_the_last_one_got_through() {
        let outage = Outage::default();
        let before = Instant::now();
        outage.begin("one", "db", &away("away"));
        outage.begin("two", "db", &away("away"));
        outage.begin("two", "db", &away("still away"));
        outage.end("one", Waited { changes: 7, unstored: 8 });
        outage.end("one", Waited::default());
        assert!(!outage.is_older(before), "two waits yet");
        let waited = outage.lock().now.as_ref().and_then(|trouble| trouble.waited);
        assert_eq!(waited, Some(Waited { changes: 7, unstored: 8 }), "as it was when the first one got through");
        outage.end("two", Waited::default());
        assert!(outage.lock().now.is_none() && outage.is_older(before) && !outage.is_older(Instant::now()));
        assert_eq!(outage.answered(), 2);
    }

    #[test]
    fn the_latest_cause_is_the_one_that_is_told() {
        let outage = Outage::default();
        let told = |outage: &Outage| outage.lock().now.as_ref().unwrap().told.0.clone();
        outage.begin("one", "me@db:1/rib", &away("no answer for 7 s"));
        outage.begin("one", "me@db:1/rib", &away("no answer for 8 s"));
        assert_eq!(told(&outage), "no answer for  s", "numbers make no other cause");
        assert_eq!(outage.cause().unwrap(), "not reached: me@db:1/rib: no answer for 8 s");
        assert_eq!((outage.cause_of("one"), outage.cause_of("two")), (outage.cause(), None));
        outage.begin("one", "me@db:1/rib", &store::Error::Unexpected("who".to_owned()));
        assert!(told(&outage).contains("who"));
        let cause = outage.cause().unwrap();
        assert!(cause.starts_with("not usable: me@db:1/rib: ") && cause.ends_with("who"), "{cause}");
        // Another thread meets the first cause: that is no news. When it meets one after the other, it is.
        outage.begin("two", "me@db:1/rib", &away("no answer for 9 s"));
        outage.begin("two", "me@db:1/rib", &store::Error::Unexpected("who".to_owned()));
        assert!(told(&outage).contains("who"));
        outage.begin("two", "me@db:1/rib", &away("no answer for 9 s"));
        assert_eq!(told(&outage), "no answer for  s");
        outage.begin("one", "me@db:1/rib", &store::Error::Unexpected("who".to_owned()));
        assert_eq!(told(&outage), "no answer for  s", "it said so before");
        // A lasting cause is logged again.
        let long_ago = Instant::now().checked_sub(TELL_EVERY).unwrap();
        outage.lock().now.as_mut().unwrap().told.1 = long_ago;
        outage.begin("one", "me@db:1/rib", &store::Error::Unexpected("who".to_owned()));
        assert!(told(&outage).contains("who"));
    }

    #[test]
    fn who_ends_does_not_make_it_last() {
        let outage = Outage::default();
        let before = Instant::now();
        outage.begin("one", "db", &away("away"));
        outage.leave("two");
        assert!(outage.cause().is_some() && !outage.is_older(before), "one waits yet");
        outage.leave("one");
        assert!(outage.lock().now.is_none() && outage.is_older(before));
        assert_eq!(outage.answered(), 0);
    }
}
