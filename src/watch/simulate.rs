//! The text and the receivers of a condition, for `incidents simulate`: nothing is stored or sent.

use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::{Condition, Kind, Severity, Watch, WatchId};
use crate::store::watch::callbacks;
use crate::store::watch::{evaluate, incidents, vantages};
use crate::store::{Client, Result};

use super::candidates::{Candidate, by_asn};
use super::detail::Detail;
use super::flap_detail::FlapDetail;
use super::index::{Watches, asks};
use super::known_routers::{self, KnownRouters, Stored};
use super::life::{Tally, Terms};
use super::{cause, silence};

/// The text and its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The severity.
    pub severity: Severity,
    /// The line for people. AS64511 and the reasons are examples.
    pub summary: String,
    /// For how long the condition must hold.
    pub open_after: Duration,
    /// True if the opening is told only when there was time for more of its kind.
    pub waits: bool,
    /// False if the watch does not judge the condition.
    pub is_judged: bool,
    /// The silence in force that would keep it from being told.
    pub silence: Option<i64>,
    /// The names and formats of the callbacks that would hear of it.
    pub receivers: Vec<(String, String)>,
}

/// Returns the conditions that watches of a kind can judge.
pub fn conditions_of(kind: Kind) -> Vec<Condition> {
    let unlisted = (kind == Kind::Prefix).then_some(Condition::MoreSpecificOwn);
    kind.default_conditions().iter().copied().chain(unlisted).collect()
}

/// Returns what would be told of a condition. `None`: there is no enabled watch with this number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn simulate(client: &mut Client, id: WatchId, condition: Condition) -> Result<Option<Simulated>> {
    // It is rolled back: what it reads is of one moment.
    let mut transaction = client.transaction()?;
    let now = evaluate::now(&mut transaction)?;
    let watches = Watches::new(evaluate::watches(&mut transaction)?);
    let Some(watch) = watches.get(id) else { return Ok(None) };
    let stored: Stored = vantages::vantages(&mut transaction)?
        .into_iter()
        .map(|row| ((row.router.clone(), row.table.clone()), row))
        .collect();
    let (routers, tables) = (vantages::routers(&mut transaction)?, vantages::tables(&mut transaction)?);
    let (known_routers, _) = known_routers::derive(&routers, &tables, &stored, now);
    let candidate = example(watch, condition, &known_routers, now);
    let silences = incidents::silences(&mut transaction)?;
    let receivers =
        callbacks::receivers(&mut transaction, watch.team.as_deref(), condition, candidate.severity, watch.kind)?;
    Ok(Some(Simulated {
        severity: candidate.severity,
        summary: candidate.summary(&watches, &known_routers),
        open_after: candidate.terms.open_after,
        waits: cause::waits(candidate.severity) && condition != Condition::Flapping,
        is_judged: watch.judges(condition),
        silence: silence::of(&silences, None, watch.team.as_deref(), &candidate, &watches),
        receivers,
    }))
}

/// Makes an example: the condition at as many routers as the watch asks for.
fn example(watch: &Watch, condition: Condition, known_routers: &KnownRouters, now: Timestamp) -> Candidate {
    const FOREIGN: &str = "AS64511";
    let asked = || known_routers.values().filter(|router| asks(watch, &router.id));
    let min_vantages = if by_asn(watch) { 1 } else { watch.min_vantages };
    let at = usize::try_from(min_vantages).unwrap_or(usize::MAX);
    let routers: std::collections::BTreeSet<_> = asked().take(at).map(|router| router.id.clone()).collect();
    let known = u32::try_from(asked().count()).unwrap_or(u32::MAX).max(min_vantages);
    let own = watch.expected_origins.first().map(|asn| format!("AS{asn}"));
    let origin = match condition {
        Condition::Origin | Condition::MoreSpecific => FOREIGN.to_owned(),
        _ => own.unwrap_or_else(|| FOREIGN.to_owned()),
    };
    let has_subject = matches!(condition, Condition::Origin | Condition::MoreSpecific | Condition::MoreSpecificOwn);
    let is_of_session = watch.kind == Kind::Session;
    let is_flapping = condition == Condition::Flapping;
    let (changes, secs) = if is_of_session { (3, 3_600) } else { (30, 600) };
    Candidate {
        watch: Some(watch.id),
        condition,
        subject: match watch.prefix.filter(|_| has_subject) {
            Some(prefix) => format!("{prefix} {origin}"),
            None => String::new(),
        },
        prefix: watch.prefix,
        tally: Tally { affected: min_vantages, unknown: 0, known, since: Some(now), cause_at: None },
        terms: Terms { min_vantages, open_after: watch.open_after(condition), close_after: watch.close_after },
        severity: watch.severity(condition, min_vantages >= known),
        routers,
        detail: Detail {
            path: (!is_of_session).then(|| format!("64500 {}", origin.trim_start_matches("AS"))),
            origin: Some(origin),
            peer: watch.peer,
            reason: is_of_session.then(|| "Hold Timer Expired".to_owned()),
            flaps: is_flapping.then(|| FlapDetail { changes, secs, total: changes, ..FlapDetail::default() }),
            ..Detail::default()
        },
    }
}
