//! Incidents of a common cause: their parent, and what it says.

use std::collections::BTreeMap;

use crate::model::watch::{Condition, Severity};
use crate::store::watch::evaluate::WatchRow;
use crate::store::watch::incidents::{self, Event, IncidentRow, NewEvent};
use crate::store::{Result, Transaction};

use super::candidates::Asked;
use super::cause::{self, Cause};
use super::detail::Detail;
use super::incidents::{Incidents, New};
use super::known_routers::after;
use super::life;
use super::opening::{ChangedIncident, blank};
use super::parent::{CAUSE_BEFORE, TOGETHER, condition_of, describe, is_parent, set_told};

impl Incidents {
    /// Stores what opens: parents first, so that children can name them.
    pub(super) fn store_new(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        mut new: Vec<New>,
        asked: &Asked<'_>,
    ) -> Result<Vec<ChangedIncident>> {
        // What flaps is the parent of what else its watch finds.
        let flaps = |one: &&mut New| one.change.row.condition == Condition::Flapping;
        let mut fresh: Vec<&mut IncidentRow> =
            new.iter_mut().filter(flaps).map(|one| &mut one.change.row).filter(|row| row.id == 0).collect();
        incidents::insert(transaction, &mut fresh)?;
        for one in new.iter_mut().filter(flaps) {
            self.rows.insert(one.change.row.id, one.change.row.clone());
        }
        let mut families: BTreeMap<(Option<String>, Cause), Vec<usize>> = BTreeMap::new();
        for (i, one) in new.iter().enumerate() {
            if let Some(cause) = &one.cause {
                families.entry((one.key.0.clone(), cause.clone())).or_default().push(i);
            }
        }
        let mut changes = Vec::new();
        for ((team, cause), members) in families {
            let rows: Vec<&IncidentRow> = members.iter().map(|i| &new[*i].change.row).collect();
            let change = self.family(transaction, (site, team), &cause, &rows, asked)?;
            let parent = change.row.id;
            changes.push(change);
            members.into_iter().for_each(|i| new[i].change.row.parent = Some(parent));
        }
        // What an alarm tells of already names it as its parent.
        let (mut companions, mut others): (Vec<&mut New>, Vec<&mut New>) =
            new.iter_mut().partition(|one| one.alarm.is_some());
        self.insert(transaction, &mut others)?;
        for one in &mut companions {
            let is_alarm = |row: &&IncidentRow| {
                one.alarm.as_ref().is_some_and(|(team, key)| (&row.team, &row.cause_key) == (team, key))
            };
            one.change.row.parent = self.rows.values().find(is_alarm).map(|row| row.parent.unwrap_or(row.id));
        }
        self.insert(transaction, &mut companions)?;
        changes.extend(self.adopt(&new));
        changes.extend(new.into_iter().map(|one| one.change));
        Ok(changes)
    }

    fn insert(&mut self, transaction: &mut Transaction<'_>, new: &mut [&mut New]) -> Result<()> {
        let mut fresh: Vec<&mut IncidentRow> =
            new.iter_mut().map(|one| &mut one.change.row).filter(|row| row.id == 0).collect();
        incidents::insert(transaction, &mut fresh)?;
        for one in new {
            self.rows.insert(one.change.row.id, one.change.row.clone());
        }
        Ok(())
    }

    /// Makes what is open of watches that begin to flap the children of that.
    fn adopt(&mut self, new: &[New]) -> Vec<ChangedIncident> {
        let mut changes = Vec::new();
        for parent in new.iter().map(|one| &one.change.row).filter(|row| row.condition == Condition::Flapping) {
            let is_child = |row: &&mut IncidentRow| {
                row.watch == parent.watch && row.parent.is_none() && !cause::stands_alone(row.condition)
            };
            for row in self.rows.values_mut().filter(is_child) {
                row.parent = Some(parent.parent.unwrap_or(parent.id));
                changes.push(ChangedIncident { row: row.clone(), events: Vec::new() });
            }
        }
        changes
    }

    /// Returns the parent of a cause with its new children: one that is open already with another line, or a new one.
    pub(super) fn family(
        &mut self,
        transaction: &mut Transaction<'_>,
        (site, team): (&str, Option<String>),
        cause: &Cause,
        members: &[&IncidentRow],
        asked: &Asked<'_>,
    ) -> Result<ChangedIncident> {
        let known = self.parent_of(site, team.as_deref(), cause, asked).and_then(|id| self.rows.get(&id)).cloned();
        let mut row = match known {
            // The incident of a session or of what flaps has its own line.
            Some(row) if !is_parent(&row) => return Ok(ChangedIncident { row, events: Vec::new() }),
            Some(row) => row,
            None => {
                let key = format!("{}{}", cause.stem(site, team.as_deref()), asked.now.unix_micros() / 1_000_000);
                blank((team, key), condition_of(cause, members), Severity::Info, asked.now)
            }
        };
        let is_new = row.id == 0;
        let mut children: Vec<&IncidentRow> =
            self.rows.values().filter(|child| !is_new && child.parent == Some(row.id)).collect();
        children.extend(members);
        describe(transaction, &mut row, cause, &children, asked)?;
        let mut events = Vec::new();
        if is_new {
            row.severity = members.iter().map(|member| member.severity).max().unwrap_or(Severity::Warning);
            row.is_baseline = matches!(cause, Cause::Baseline(_));
            incidents::insert(transaction, &mut [&mut row])?;
            life::tell(&mut row, true, asked.now);
            set_told(&mut row, children.len());
            events.push(NewEvent { event: Event::Opened, note: None, is_told: true });
        }
        self.rows.insert(row.id, row.clone());
        Ok(ChangedIncident { row, events })
    }

    /// Returns the parent of a cause that opened just now, or the incident of the session that is down.
    pub(super) fn parent_of(&self, site: &str, team: Option<&str>, cause: &Cause, asked: &Asked<'_>) -> Option<i64> {
        let stem = cause.stem(site, team);
        let is_recent = |row: &&IncidentRow| match cause {
            Cause::Many(..) => asked.now < after(row.opened_at, TOGETHER),
            Cause::Reload(_) | Cause::Peer(..) | Cause::Flaps(_) => asked.now < after(row.opened_at, CAUSE_BEFORE),
            // Routers that settle later have the baseline of the same watches.
            Cause::Baseline(source) => {
                let of_source =
                    |watch: &&WatchRow| watch.watch.source == *source && watch.watch.team.as_deref() == team;
                asked.watches.all().filter(of_source).all(|watch| watch.updated_at <= row.opened_at)
            }
        };
        let is_it =
            |row: &&IncidentRow| is_parent(row) && row.team.as_deref() == team && row.cause_key.starts_with(&stem);
        let parent = self.rows.values().filter(is_it).find(is_recent);
        let own = || match cause {
            Cause::Peer(router, peer) => self.rows.values().find(|row| {
                let detail = Detail::from_json(&row.detail);
                row.condition == Condition::SessionDown
                    && row.team.as_deref() == team
                    && detail.peer == Some(*peer)
                    && row.detail.contains(&serde_json::Value::from(router.as_str()).to_string())
            }),
            Cause::Flaps(watch) => {
                self.rows.values().find(|row| row.condition == Condition::Flapping && row.watch == Some(*watch))
            }
            Cause::Baseline(_) | Cause::Reload(_) | Cause::Many(..) => None,
        };
        parent.or_else(own).map(|row| row.parent.unwrap_or(row.id))
    }
}
