//! Where threads with a connection of their own report that the database is away: one outage is one story in the log,
//! however many threads meet it.

use std::sync::Arc;
use std::time::Instant;

use super::error::{Error, Recovery};

/// The shared view of the database's outages by all threads of a collector.
pub trait Outages: Send + Sync {
    /// Notes that the thread `who` cannot work because the database is unavailable.
    fn begin(&self, who: &str, error: &Error);

    /// Notes that the thread `who` succeeded.
    fn end(&self, who: &str);

    /// Notes that the thread `who` no longer needs the database.
    fn leave(&self, who: &str);

    /// Returns whether a connection made at `connected_at` may be broken by an outage that was reported and is over.
    fn is_told(&self, connected_at: Instant) -> bool;
}

/// The reports of one thread. Dropping them says that it no longer needs the database.
pub(crate) struct OutageReports {
    thread: &'static str,
    outages: Arc<dyn Outages>,
    /// When its connection was made, as long as it works.
    connected_at: Option<Instant>,
    is_away: bool,
}

impl OutageReports {
    /// Creates the reports of `thread`, which is not connected yet.
    pub(crate) fn new(thread: &'static str, outages: &Arc<dyn Outages>) -> OutageReports {
        OutageReports { thread, outages: Arc::clone(outages), connected_at: None, is_away: false }
    }

    /// Notes that the thread has made its connection.
    pub(crate) fn connected(&mut self) {
        self.connected_at = Some(Instant::now());
    }

    /// Notes that the thread has got work done on its connection.
    pub(crate) fn works(&mut self) {
        if std::mem::take(&mut self.is_away) {
            self.outages.end(self.thread);
        }
    }

    /// Notes that the thread gives its connection up, or did not get one, because of `error`. Returns whether the
    /// database is away, which is reported then; `false`: what failed is the thread's own work, which it reports.
    pub(crate) fn fails(&mut self, error: &Error) -> bool {
        let connected_at = self.connected_at.take();
        if connected_at.is_some() && error.verdict() != Recovery::Reconnect {
            self.works();
            return false;
        }
        if connected_at.is_some_and(|at| self.outages.is_told(at)) {
            log::debug!("database: {} found its connection broken: {error}", self.thread);
            return true;
        }
        self.is_away = true;
        self.outages.begin(self.thread, error);
        true
    }
}

impl Drop for OutageReports {
    fn drop(&mut self) {
        if self.is_away {
            self.outages.leave(self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Notes what it is told; knows of an outage that is over if `is_over`.
    #[derive(Default)]
    struct Noted {
        told: Mutex<Vec<String>>,
        is_over: bool,
    }

    impl Noted {
        fn note(&self, what: &str, who: &str) {
            self.told.lock().unwrap().push(format!("{who} {what}"));
        }
    }

    impl Outages for Noted {
        fn begin(&self, who: &str, _: &Error) {
            self.note("begins", who);
        }

        fn end(&self, who: &str) {
            self.note("ends", who);
        }

        fn leave(&self, who: &str) {
            self.note("leaves", who);
        }

        fn is_told(&self, _: Instant) -> bool {
            self.is_over
        }
    }

    #[test]
    fn a_thread_tells_of_the_database_not_of_its_work() {
        let (lost, own) = (Error::NoAnswer("no answer".to_owned()), Error::Unexpected("who".to_owned()));
        let noted = Arc::new(Noted::default());
        let outages: Arc<dyn Outages> = noted.clone();
        let mut reports = OutageReports::new("watch", &outages);
        assert!(reports.fails(&own), "without a connection nothing is its own work");
        reports.connected();
        reports.works();
        reports.works();
        assert!(!reports.fails(&own));
        reports.connected();
        assert!(reports.fails(&lost) && reports.fails(&lost));
        reports.connected();
        assert!(!reports.fails(&own), "the database has answered");
        assert!(reports.fails(&lost));
        drop(reports);
        let told =
            ["begins", "ends", "begins", "begins", "ends", "begins", "leaves"].map(|what| format!("watch {what}"));
        assert_eq!(*noted.told.lock().unwrap(), told);
    }

    #[test]
    fn a_connection_that_a_past_outage_broke_is_no_news() {
        let lost = Error::NoAnswer("no answer".to_owned());
        let noted = Arc::new(Noted { is_over: true, ..Noted::default() });
        let outages: Arc<dyn Outages> = noted.clone();
        let mut reports = OutageReports::new("watch", &outages);
        reports.connected();
        assert!(reports.fails(&lost));
        assert!(noted.told.lock().unwrap().is_empty());
        assert!(reports.fails(&lost), "it cannot connect again: that is a new one");
        assert_eq!(*noted.told.lock().unwrap(), ["watch begins"]);
    }
}
