//! The statuses of sessions, and the numbers that an installation has for them.

use crate::store::registry::sessions::SessionRow;

/// The number of sessions that are up from which on a status of error says something of the numbers.
const UP_MIN: usize = 3;

/// The status of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is to have no session.
    Disabled,
    /// It is set up.
    Active,
    /// It is set up and not up.
    Error,
    /// Somebody has to look at it first.
    PendingReview,
    /// The agent has to set it up.
    QueuedForSetup,
    /// The agent has to remove it.
    QueuedForDelete,
    /// The agent could not set it up.
    SetupFailed,
}

impl Status {
    /// All of them with their names, in the order of their numbers in the registry's documentation.
    const ALL: [(Status, &'static str); 7] = [
        (Status::Disabled, "DISABLED"),
        (Status::Active, "ACTIVE"),
        (Status::Error, "ERROR"),
        (Status::PendingReview, "PENDING_REVIEW"),
        (Status::QueuedForSetup, "QUEUED_FOR_SETUP"),
        (Status::QueuedForDelete, "QUEUED_FOR_DELETE"),
        (Status::SetupFailed, "SETUP_FAILED"),
    ];

    fn parse(text: &str) -> Option<Status> {
        Status::ALL.iter().find(|(_, name)| *name == text).map(|(status, _)| *status)
    }

    /// Returns its name in the registry.
    pub(crate) fn as_str(self) -> &'static str {
        Status::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }
}

/// The statuses that the collector writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// [`Status::Active`].
    Active,
    /// [`Status::Error`].
    Error,
}

/// The numbers of an installation.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusCodes(Vec<(i16, Status)>);

impl StatusCodes {
    /// Takes the rows of `registry.status_codes()`.
    pub(crate) fn new(rows: &[(i16, String)]) -> StatusCodes {
        StatusCodes(rows.iter().filter_map(|(code, name)| Some((*code, Status::parse(name)?))).collect())
    }

    /// Reads a list as in the setting `status_codes`.
    pub(crate) fn parse(text: &str) -> StatusCodes {
        let pair = |pair: &str| {
            let (name, code) = pair.trim().split_once('=')?;
            Some((code.parse().ok()?, Status::parse(name)?))
        };
        StatusCodes(text.split(',').filter_map(pair).collect())
    }

    /// Returns the numbers as the registry documents them.
    pub(crate) fn documented() -> StatusCodes {
        StatusCodes((0..).zip(Status::ALL.map(|(status, _)| status)).collect())
    }

    /// Returns whether most sessions that are up have the number of an active one.
    pub(crate) fn fits(&self, rows: &[SessionRow]) -> bool {
        let up = || rows.iter().filter(|row| row.peers.up > 0 && !row.peers.is_ambiguous);
        let active = up().filter(|row| self.status(row.status) == Some(Status::Active)).count();
        active * 2 > up().count()
    }

    /// Returns the meaning of a number.
    pub(crate) fn status(&self, code: i16) -> Option<Status> {
        self.0.iter().find(|(own, _)| *own == code).map(|(_, status)| *status)
    }

    /// Returns the number of a status.
    pub(crate) fn code(&self, written: Written) -> Option<i16> {
        let status = match written {
            Written::Active => Status::Active,
            Written::Error => Status::Error,
        };
        self.0.iter().find(|(_, own)| *own == status).map(|(code, _)| *code)
    }

    /// Returns why these numbers cannot be those of the installation: most sessions that are up have a number that says
    /// that they are disabled, or that they are in error though the collector has not written that.
    ///
    /// Agents take a wrong number for an order: there are installations where 1 is disabled and 2 enabled, whose tunnels
    /// would go if all that is up were set to 1.
    pub(crate) fn misfit(&self, rows: &[SessionRow]) -> Option<String> {
        let up: Vec<&SessionRow> = rows.iter().filter(|row| row.peers.up > 0 && !row.peers.is_ambiguous).collect();
        let is_wrong = |row: &&&SessionRow| match self.status(row.status) {
            Some(Status::Disabled) | None => true,
            Some(Status::Error) => {
                // With one or two sessions nobody can tell.
                up.len() >= UP_MIN && !row.before.as_ref().is_some_and(|before| before.is_own)
            }
            Some(
                Status::Active
                | Status::PendingReview
                | Status::QueuedForSetup
                | Status::QueuedForDelete
                | Status::SetupFailed,
            ) => false,
        };
        let wrong: Vec<&&SessionRow> = up.iter().filter(is_wrong).collect();
        let first = wrong.first().filter(|_| wrong.len() * 2 > up.len())?;
        let meaning = self.status(first.status).map_or("nothing", Status::as_str);
        Some(format!(
            "status_codes cannot be right: of {} sessions that are up, {} have a status such as {}, which means {meaning}; \
             no status is written",
            up.len(),
            wrong.len(),
            first.status
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependents::registry::judge::tests::row;

    /// Sessions with these numbers, up or not.
    fn rows(of: &[(i16, bool)]) -> Vec<SessionRow> {
        of.iter().map(|(status, is_up)| SessionRow { status: *status, ..row(i64::from(*is_up), 1) }).collect()
    }

    #[test]
    fn numbers_that_disable_live_sessions_are_refused() {
        let codes = StatusCodes::documented();
        // As documented: 1 is up, 2 is not.
        assert_eq!(codes.misfit(&rows(&[(1, true), (1, true), (2, false), (0, false)])), None);
        // Another installation: 1 is disabled, 2 enabled.
        let why = codes.misfit(&rows(&[(2, true), (2, true), (2, true), (1, false), (1, false)])).unwrap();
        assert!(why.contains("of 3 sessions that are up, 3 have a status such as 2, which means ERROR"), "{why}");
        let other = StatusCodes::parse("DISABLED=1, ACTIVE=2,ERROR=6");
        assert_eq!(other.0, [(1, Status::Disabled), (2, Status::Active), (6, Status::Error)]);
        assert!(other.fits(&rows(&[(2, true), (1, false)])) && !codes.fits(&rows(&[(2, true), (1, false)])));
        assert_eq!(other.misfit(&rows(&[(2, true), (2, true), (2, true), (1, false)])), None);
        assert!(other.misfit(&rows(&[(1, true), (1, true), (2, false)])).is_some());
        // Numbers that mean nothing.
        assert!(other.misfit(&rows(&[(4, true)])).is_some());
        // One session that its agent has set to error and that is up says nothing.
        assert_eq!(codes.misfit(&rows(&[(2, true)])), None);
        assert_eq!(codes.misfit(&[]), None);
    }

    #[test]
    fn what_the_collector_wrote_proves_no_numbers_wrong() {
        let own = rows(&[(2, true), (2, true), (2, true)]).into_iter().map(|row| {
            let mut row = crate::dependents::registry::judge::tests::expecting(row, 1);
            row.before.as_mut().expect("it was observed").is_own = true;
            row
        });
        assert_eq!(StatusCodes::documented().misfit(&own.collect::<Vec<_>>()), None);
    }
}
