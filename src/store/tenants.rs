//! The schema `tenant`: teams that share a collector, their watches, incidents and numbers.

pub(crate) mod overview;
pub(crate) mod retention;
pub(crate) mod rights;

use postgres::Client;
use postgres::types::Type;

use super::dependents::rights_of;
use super::error::{Error, Result};
use super::watch::operator::{self, Author, IncidentChange};

/// The work that is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// The watches of all teams, whether or not anything is known to have changed.
    pub(crate) all_watches: bool,
    /// The changes of routes.
    pub(crate) analytics: bool,
    /// The deletion of old rows.
    pub(crate) retention: bool,
}

/// Returns the work that is due; `None` where there is no team.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn due(client: &mut Client) -> Result<Option<Due>> {
    let rows = client.query_typed(include_str!("../../sql/statements/tenant_due.sql"), &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    if let Some(owner) = row.get::<_, Option<&str>>(3) {
        let role: &str = row.get(4);
        return Err(Error::Unsuitable {
            found: format!("row-level security hides teams from {role}"),
            remedy: rights_of(owner, role),
        });
    }
    Ok(Some(Due { all_watches: row.get(0), analytics: row.get(1), retention: row.get(2) }))
}

/// Makes the watches of the teams whose records or resources have changed, or of all teams.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn make_watches(client: &mut Client, all: bool) -> Result<()> {
    let mut transaction = client.transaction()?;
    // What changes after this is a row of its own again.
    let rows = transaction.query_typed("DELETE FROM tenant.changes RETURNING team_id", &[])?;
    let mut teams: Vec<String> = if all {
        transaction.execute_typed("UPDATE tenant.progress SET checked_at = now()", &[])?;
        let rows = transaction.query_typed("SELECT id FROM tenant.teams", &[])?;
        rows.iter().map(|row| row.get(0)).collect()
    } else {
        rows.iter().map(|row| row.get(0)).collect()
    };
    teams.sort();
    teams.dedup();
    if !teams.is_empty() {
        for statement in [
            include_str!("../../sql/statements/tenant_addresses.sql"),
            include_str!("../../sql/statements/tenant_watches.sql"),
            include_str!("../../sql/statements/tenant_record_watches.sql"),
            include_str!("../../sql/statements/tenant_record_states.sql"),
        ] {
            transaction.execute_typed(statement, &[(&teams, Type::TEXT_ARRAY)])?;
        }
    }
    Ok(transaction.commit()?)
}

/// Acknowledges the incidents that teams have acknowledged, which tells their callbacks.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn acknowledge(client: &mut Client) -> Result<()> {
    let taken = client.query_typed(include_str!("../../sql/statements/tenant_take_acknowledgements.sql"), &[])?;
    for row in taken {
        let author = Author { who: row.get(1), note: None };
        // Where it is refused, it has closed meanwhile.
        let _ = operator::change(client, row.get(0), IncidentChange::Acknowledge, author)?;
    }
    Ok(())
}

/// Brings the incidents of teams up to date with those of their watches.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn follow_incidents(client: &mut Client) -> Result<()> {
    let mut transaction = client.transaction()?;
    transaction.execute_typed(include_str!("../../sql/statements/tenant_incidents.sql"), &[])?;
    // An event that is committed late is found by the next round.
    transaction.execute_typed(
        "UPDATE tenant.progress SET incidents_at = now() - interval '1 minute'
         WHERE incidents_at < now() - interval '1 minute 30 seconds'",
        &[],
    )?;
    Ok(transaction.commit()?)
}

/// Counts the changes of routes, by minute and hour.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn analyze(client: &mut Client) -> Result<()> {
    let mut transaction = client.transaction()?;
    // A team that is deleted meanwhile goes afterwards, with its numbers.
    transaction.query_typed("SELECT FROM tenant.teams FOR KEY SHARE", &[])?;
    transaction.batch_execute(include_str!("../../sql/statements/tenant_analytics_settings.sql"))?;
    transaction.execute_typed(include_str!("../../sql/statements/tenant_analytics.sql"), &[])?;
    transaction.execute_typed(include_str!("../../sql/statements/tenant_analytics_hours.sql"), &[])?;
    transaction.execute_typed("UPDATE tenant.progress SET analyzed_at = now()", &[])?;
    Ok(transaction.commit()?)
}
