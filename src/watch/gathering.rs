//! Openings that wait for more of their kind: many of them are one message.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Timestamp;
use crate::store::watch::deliveries;
use crate::store::watch::incidents::{Event, IncidentRow, NewEvent, State};
use crate::store::{Result, Transaction};

use super::candidates::Asked;
use super::cause::{self, Cause};
use super::incidents::{Group, Incidents, can_wait, group_of};
use super::known_routers::after;
use super::opening::ChangedIncident;
use super::parent::TOGETHER;

/// The time after that in which those that wait are put together, if they are many.
const MOMENT: Duration = Duration::from_secs(2);

impl Incidents {
    /// Notes openings that are to wait for more of their kind. Returns until when their deliveries wait.
    pub(super) fn wait(&mut self, changes: &[ChangedIncident], now: Timestamp) -> Vec<(Timestamp, Vec<i64>)> {
        let mut waiting: BTreeMap<Timestamp, Vec<i64>> = BTreeMap::new();
        for ChangedIncident { row, events } in changes {
            if !cause::waits(row.severity) && events.iter().any(|event| event.event == Event::Worse && event.is_told) {
                self.waiting.values_mut().for_each(|(_, ids)| ids.retain(|id| *id != row.id));
                waiting.entry(now).or_default().push(row.id);
            }
            let is_opening = |event: &NewEvent| event.is_told && matches!(event.event, Event::Opened | Event::Reopened);
            if !events.iter().any(is_opening) || !can_wait(row) {
                continue;
            }
            let (first, ids) = self.waiting.entry(group_of(row)).or_insert_with(|| (now, Vec::new()));
            ids.push(row.id);
            // A moment after they were gathered, if they are many.
            waiting.entry(after(*first, TOGETHER + MOMENT)).or_default().push(row.id);
        }
        waiting.into_iter().collect()
    }

    /// Puts openings that have waited under one parent if they are many. What was held back of them is not delivered.
    pub(super) fn gather(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        asked: &Asked<'_>,
        changes: &[ChangedIncident],
    ) -> Result<Vec<ChangedIncident>> {
        let is_over = |first: Timestamp| asked.now >= after(first, TOGETHER);
        let over: Vec<Group> =
            self.waiting.iter().filter(|(_, (first, _))| is_over(*first)).map(|(group, _)| group.clone()).collect();
        let changed: BTreeMap<i64, &IncidentRow> = changes.iter().map(|change| (change.row.id, &change.row)).collect();
        let mut gathered = Vec::new();
        for group in over {
            let Some((_, ids)) = self.waiting.remove(&group) else { continue };
            let is_single = |row: &&IncidentRow| row.state == State::Open && can_wait(row);
            let now = |id: &i64| changed.get(id).copied().or_else(|| self.rows.get(id)).filter(is_single).cloned();
            let mut rows: Vec<IncidentRow> = ids.iter().filter_map(now).collect();
            if !cause::gathered(rows.len()) {
                continue;
            }
            let (team, condition, severity) = group;
            let members: Vec<&IncidentRow> = rows.iter().collect();
            let cause = Cause::Many(condition, severity);
            let parent = self.family(transaction, (site, team), &cause, &members, asked)?;
            deliveries::supersede(transaction, &ids)?;
            for row in &mut rows {
                (row.parent, row.told) = (Some(parent.row.id), None);
                self.rows.insert(row.id, row.clone());
            }
            gathered.push(parent);
            gathered.extend(rows.into_iter().map(|row| ChangedIncident { row, events: Vec::new() }));
        }
        Ok(gathered)
    }
}
