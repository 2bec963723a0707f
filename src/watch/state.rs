//! The state of the evaluator between rounds. All of it is in the database or can be computed from it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::watch::WatchId;
use crate::model::{RouterId, Timestamp};
use crate::store::watch::conditions::{self, ConditionRow};
use crate::store::watch::unsettled::{self, Unsettled};
use crate::store::watch::vantages;
use crate::store::{Result, Transaction};

use super::as_names::AsNames;
use super::evaluation::{ConditionKey, Evaluation, Scope, key_of};
use super::incidents::Incidents;
use super::index::Watches;
use super::known_routers::{KnownRouters, Stored};
use super::route_count::Medians;
use super::rpki::Memory;
use super::seen::Seen;

/// The state between rounds.
pub(super) struct EvaluatorState {
    pub(super) version: i64,
    pub(super) mitigation: Vec<String>,
    pub(super) watches: Watches,
    pub(super) stored: Stored,
    pub(super) known_routers: KnownRouters,
    pub(super) routers_read_at: Timestamp,
    /// When routers were lost before their present sessions.
    pub(super) lost: HashMap<RouterId, Timestamp>,
    /// When everything of a router was looked at last.
    pub(super) evaluated: HashMap<RouterId, Timestamp>,
    pub(super) conditions: BTreeMap<ConditionKey, ConditionRow>,
    pub(super) seen: Seen,
    pub(super) incidents: Incidents,
    pub(super) full_at: Option<Timestamp>,
    /// Watches that changed with this version: state writers may have matched older ones until all have it.
    pub(super) unmatched: Option<(i64, HashSet<WatchId>)>,
    /// Watches of ASes with newly accepted prefixes that are not in the present version yet.
    pub(super) accepting: HashSet<WatchId>,
    pub(super) ticked_at: Option<Timestamp>,
    /// Where new watches were not judged yet: what is found there first is a baseline too.
    pub(super) unsettled: Unsettled,
    pub(super) flaps_at: Option<Timestamp>,
    pub(super) medians: Medians,
    pub(super) pruned_at: Option<Timestamp>,
    pub(super) rpki: Memory,
    pub(super) as_names: AsNames,
}

/// Reads it from the database. Everything is to be evaluated.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn load(transaction: &mut Transaction<'_>, mitigation: &[String]) -> Result<EvaluatorState> {
    let stored: Stored = vantages::vantages(transaction)?
        .into_iter()
        .map(|row| ((row.router.clone(), row.table.clone()), row))
        .collect();
    let is_lost = |row: &&vantages::VantageRow| row.table.is_empty() && !row.is_known;
    let lost = stored.values().filter(is_lost).map(|row| (row.router.clone(), row.since)).collect();
    let rows = conditions::conditions(transaction)?;
    Ok(EvaluatorState {
        version: -1,
        mitigation: mitigation.to_vec(),
        watches: Watches::default(),
        known_routers: KnownRouters::new(),
        routers_read_at: Timestamp::from_unix_micros(0),
        lost,
        evaluated: HashMap::new(),
        conditions: rows.into_iter().map(|row| (key_of(&row), row)).collect(),
        seen: Seen::new(conditions::seen(transaction)?),
        incidents: Incidents::load(transaction)?,
        full_at: None,
        unmatched: None,
        accepting: HashSet::new(),
        ticked_at: None,
        unsettled: unsettled::load(transaction)?,
        flaps_at: None,
        medians: Medians::default(),
        pruned_at: None,
        rpki: Memory::default(),
        as_names: AsNames::default(),
        stored,
    })
}

impl EvaluatorState {
    /// Returns what judges the scope.
    pub(super) fn evaluation<'a>(&'a self, scope: &'a Scope, now: Timestamp) -> Evaluation<'a> {
        let EvaluatorState { watches, known_routers, seen, mitigation, medians, rpki, .. } = self;
        Evaluation { scope, watches, known_routers, seen, mitigation, medians, rpki, now }
    }
}
