//! Which numbers an installation has for its statuses: what an import says of them.

use super::status::StatusCodes;
use crate::store::registry::{sessions, settings};
use crate::store::{Result, Transaction};

/// The numbers that installations are known to have, as the setting `status_codes`.
const KNOWN: [&str; 2] = [DOCUMENTED, "DISABLED=1,ACTIVE=2,ERROR=6"];
const DOCUMENTED: &str = "documented";

/// The numbers of the statuses of all sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// The lines for people: sessions of each number, those of them that are up, and the numbers that fit.
    pub(crate) lines: Vec<String>,
    /// The reason why the setting `status_codes` cannot be right.
    pub(crate) refusal: Option<String>,
}

/// Looks at the numbers of all sessions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn numbers(transaction: &mut Transaction<'_>) -> Result<Numbers> {
    let rows = sessions::all(transaction)?;
    let mut codes: Vec<i16> = rows.iter().map(|row| row.status).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut lines = Vec::new();
    for code in codes {
        let with = || rows.iter().filter(|row| row.status == code);
        let up = with().filter(|row| row.peers.up > 0).count();
        lines.push(format!("status {code}: {} of {} sessions, {up} of them up now", with().count(), rows.len()));
    }
    let is_any_up = rows.iter().any(|row| row.peers.up > 0);
    let fits: Vec<&str> = KNOWN
        .into_iter()
        .filter(|text| {
            let codes = if *text == DOCUMENTED { StatusCodes::documented() } else { StatusCodes::parse(text) };
            codes.fits(&rows)
        })
        .collect();
    lines.extend(match (is_any_up, fits.as_slice()) {
        _ if rows.is_empty() => None,
        (false, _) => Some("no session is up: nobody can tell yet which numbers are right for status_codes".to_owned()),
        (true, []) => Some("no numbers that are known fit: set status_codes to a list of your own".to_owned()),
        (true, fits) => Some(format!("these numbers fit, for status_codes: {}", fits.join("; or "))),
    });
    let chosen = settings::chosen_codes(transaction)?.map(|rows| StatusCodes::new(&rows));
    Ok(Numbers { lines, refusal: chosen.and_then(|codes| codes.misfit(&rows)) })
}
