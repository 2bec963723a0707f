//! Routers whose collector is not alive, so that no one removes their stale routes.

use std::time::SystemTime;

use postgres::Client;
use serde::Serialize;

use super::error::Result;
use super::time::read_time;
use crate::model::Timestamp;

/// The routers of one collector that is not alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orphans {
    /// Its `COLLECTOR_ID`.
    #[serde(rename = "collector_id")]
    pub collector: String,
    /// The time until which it promised to be alive; `None` if the collector is unknown.
    pub alive_until: Option<Timestamp>,
    /// The routers' identifiers.
    pub routers: Vec<String>,
}

/// Returns all of them, by collector; none in a database without our schema or with an older one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn read(client: &mut Client) -> Result<Vec<Orphans>> {
    let is_there = "SELECT to_regclass('collectors') IS NOT NULL";
    if !client.query_typed_one(is_there, &[])?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client.query_typed(include_str!("../../sql/statements/orphans.sql"), &[])?;
    let read = |row: &postgres::Row| {
        Ok(Orphans {
            collector: row.get("collector_id"),
            alive_until: row.get::<_, Option<SystemTime>>("alive_until").map(read_time).transpose()?,
            routers: row.get("routers"),
        })
    };
    rows.iter().map(read).collect()
}

/// Counts the routers whose collector is not alive.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn count(client: &mut Client) -> Result<u64> {
    Ok(read(client)?.iter().map(|orphans| orphans.routers.len() as u64).sum())
}

/// Returns the remedy.
pub fn remedy(collector: &str) -> String {
    format!(
        "start a collector with RIB_INGESTER_COLLECTOR_ID={collector}, or point the routers at another one; a router that \
         is gone for good: `rib-ingester forget ROUTER`"
    )
}

impl Orphans {
    /// Describes them in one line: some routers, how many there are, and their collector.
    pub fn describe(&self) -> String {
        const NAMED_MAX: usize = 5;
        let named = self.routers.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let (noun, verb) = if self.routers.len() == 1 { ("router", "belongs") } else { ("routers", "belong") };
        let rest = self.routers.len().saturating_sub(NAMED_MAX);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let since = match self.alive_until {
            Some(time) => format!("not alive since {time}"),
            None => "not known".to_owned(),
        };
        format!(
            "{} {noun} ({named}{more}) {verb} to collector {}, which is {since}",
            self.routers.len(),
            self.collector
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_all_are_counted() {
        let orphans = |count: usize| Orphans {
            collector: "edge".to_owned(),
            alive_until: None,
            routers: (1..=count).map(|i| format!("10.0.0.{i}")).collect(),
        };
        assert_eq!(orphans(1).describe(), "1 router (10.0.0.1) belongs to collector edge, which is not known");
        let many = orphans(7).describe();
        assert!(many.starts_with("7 routers (10.0.0.1, ") && many.contains("10.0.0.5 and 2 more)"), "{many}");
    }
}
