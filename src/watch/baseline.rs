//! The baseline of watches of ASes: what they accept at the first judgement is one incident that is over at once, for
//! all watches of one source. Callbacks get one message, and nobody has to acknowledge it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Prefix;
use crate::model::watch::{Condition, Severity, Watch, WatchId};
use crate::store::watch::incidents::{self, Event, IncidentRow, NewEvent, Silence, State};
use crate::store::{Result, Transaction};

use super::candidates::{Asked, Candidate};
use super::detail::Detail;
use super::incidents::Incidents;
use super::life::{self, Tally, Terms};
use super::opening::{ChangedIncident, blank};
use super::{silence, summary};

/// A watch, and what it accepts now.
type Accepted<'a> = (&'a Watch, &'a [Prefix]);

impl Incidents {
    /// Stores and tells what watches of ASes have accepted. Returns a log line for each source of watches.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn tell_accepted(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        accepted: &BTreeMap<WatchId, Vec<Prefix>>,
        asked: &Asked<'_>,
    ) -> Result<Vec<String>> {
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let silences = incidents::silences(transaction)?;
        let mut sources: BTreeMap<(Option<&str>, &str), Vec<Accepted<'_>>> = BTreeMap::new();
        for (id, prefixes) in accepted {
            let Some(watch) = asked.watches.get(*id) else { continue };
            sources.entry((watch.team.as_deref(), &watch.source)).or_default().push((watch, prefixes));
        }
        let mut lines = Vec::new();
        for ((team, source), by_watch) in sources {
            let of_team = team.map(|team| format!("{team}:")).unwrap_or_default();
            let key = format!("{site}/{of_team}accepted/{source}/{}", asked.now.unix_micros() / 1_000_000);
            let told: Vec<Accepted<'_>> =
                by_watch.iter().filter(|(watch, _)| silence_of(&silences, watch, asked).is_none()).copied().collect();
            let is_told = !told.is_empty();
            let silence = by_watch.first().and_then(|(watch, _)| silence_of(&silences, watch, asked));
            let mut row = IncidentRow {
                watch: if let [(watch, _)] = by_watch[..] { Some(watch.id) } else { None },
                is_baseline: true,
                silence: silence.filter(|_| !is_told),
                summary: summary::accepted(source, if is_told { &told } else { &by_watch }),
                detail: "{}".to_owned(),
                ..blank((team.map(str::to_owned), key), Condition::NewOriginPrefix, Severity::Info, asked.now)
            };
            incidents::insert(transaction, &mut [&mut row])?;
            (row.state, row.closed_at) = (State::Closed, Some(asked.now));
            life::tell(&mut row, is_told, asked.now);
            let events = vec![NewEvent { event: Event::Opened, note: None, is_told }];
            lines.extend(self.store(transaction, vec![ChangedIncident { row, events }])?);
        }
        Ok(lines)
    }
}

fn silence_of(silences: &[Silence], watch: &Watch, asked: &Asked<'_>) -> Option<i64> {
    let candidate = Candidate {
        watch: Some(watch.id),
        condition: Condition::NewOriginPrefix,
        subject: String::new(),
        prefix: None,
        tally: Tally::default(),
        terms: Terms { min_vantages: 1, open_after: Duration::ZERO, close_after: watch.close_after },
        severity: Severity::Info,
        routers: BTreeSet::new(),
        detail: Detail::default(),
    };
    silence::of(silences, None, watch.team.as_deref(), &candidate, asked.watches)
}
