//! One watch judged now, for the command `watch check`: nothing is stored, and nothing opens.

use std::collections::{BTreeMap, HashSet};

use crate::model::watch::{WatchId, mitigation};
use crate::store::watch::conditions;
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::evaluate::{self};
use crate::store::watch::vantages;
use crate::store::{Client, Result};

use super::evaluation::{Evaluation, Scope};
use super::index::{Watches, asks};
use super::known_routers::{self, Stored};
use super::origins;
use super::route_count::Medians;
use super::rpki::Memory;
use super::seen::Seen;

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The conditions that hold now.
    pub conditions: Vec<ConditionRow>,
    /// The number of routers at which the watch can be judged.
    pub known: usize,
    /// The number of routers that it asks.
    pub asked: usize,
    /// The number of conditions that may hold or not: nobody can tell now.
    pub undecided: usize,
}

/// Judges a watch now. `communities`: those of the network that say that a route is mitigated. `None`: there is no enabled watch with this number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn check(client: &mut Client, id: WatchId, communities: &[String]) -> Result<Option<Checked>> {
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
    let seen = Seen::new(conditions::seen(&mut transaction)?);
    let mut medians = Medians::default();
    medians.refresh(&mut transaction, &watches, true, now)?;
    let scope = Scope { watches: HashSet::from([id]), has_peers: true, has_flaps: true, ..Scope::default() };
    let mitigation = mitigation(communities);
    let known = &known_routers;
    let mut rpki = Memory::default();
    rpki.read(&mut transaction, &watches, &mut HashSet::new(), now)?;
    let evaluation = Evaluation {
        scope: &scope,
        watches: &watches,
        known_routers: known,
        seen: &seen,
        medians: &medians,
        mitigation: &mitigation,
        rpki: &rpki,
        now,
    };
    let mut found = origins::evaluate(&evaluation, &mut transaction)?;
    evaluation.judge_flaps(&mut transaction, &mut found, &BTreeMap::new())?;
    let asked = || known_routers.values().filter(|router| asks(watch, &router.id));
    Ok(Some(Checked {
        conditions: found.rows.into_values().filter(|row| row.watch == id).collect(),
        known: asked().filter(|router| router.is_settled(watch.settle, now)).count(),
        asked: asked().count(),
        undecided: found.undecided.iter().filter(|key| key.0 == id).count(),
    }))
}
