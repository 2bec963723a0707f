//! The coverage of watches, and those that cannot be judged, for `doctor`, `watch add` and the page.

use postgres::Client;

use super::super::error::Result;
use super::watches::full_name;
use crate::model::watch::path_match::PathMatch;

/// The coverage of watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The number of enabled watches.
    pub enabled: i64,
    /// The number of those that judge `origin` or `more_specific`.
    pub for_hijacks: i64,
    /// True if routes of some external peer are stored before policy: a network that drops its own prefixes from
    /// outside on import shows a hijack there only.
    pub has_pre_policy: bool,
    /// The collectors that are alive and evaluate watches, or would if another one stopped.
    pub evaluators: Vec<String>,
}

impl Coverage {
    /// Returns what watches cannot see, each with its remedy.
    pub fn blind_spots(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if self.enabled > 0 && self.evaluators.is_empty() {
            found.push((
                "no collector that is alive evaluates watches",
                "start one, with RIB_INGESTER_WATCH=on, which is the default",
            ));
        }
        if self.for_hijacks > 0 && !self.has_pre_policy {
            found.push((
                "hijacks that routers drop on import are not seen: no Adj-RIB-In of an external peer is stored before policy",
                "add adj-rib-in-pre to RIB_INGESTER_STORED_RIBS and have the routers send it",
            ));
        }
        found
    }

    /// Returns the same as lines.
    pub fn warnings(&self) -> Vec<String> {
        self.blind_spots().into_iter().map(|(found, remedy)| format!("{found}: {remedy}")).collect()
    }
}

/// Returns what watches can see.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn coverage(client: &mut Client) -> Result<Coverage> {
    let row = client.query_typed_one(
        "SELECT count(*),
                count(*) FILTER (WHERE kind IN ('prefix', 'address', 'origin')
                                   AND (conditions IS NULL OR conditions && '{origin,more_specific}')),
                EXISTS (SELECT FROM adj_rib_in_sync_status s
                        JOIN peers p ON p.router_id = s.router_id AND p.peer_address = s.peer_address
                        JOIN routers r ON r.router_id = s.router_id
                        WHERE NOT s.is_post_policy AND p.peer_asn IS DISTINCT FROM r.as_number),
                ARRAY(SELECT collector_id FROM collectors WHERE watch AND alive_until > now() ORDER BY collector_id)
         FROM watch.watches WHERE enabled",
        &[],
    )?;
    Ok(Coverage { enabled: row.get(0), for_hijacks: row.get(1), has_pre_policy: row.get(2), evaluators: row.get(3) })
}

/// Returns a sentence for each enabled watch whose expression for AS paths cannot be used: the evaluator judges the rest
/// of it. Commands check expressions; a row that was written with SQL may have any text.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn unusable(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query_typed(
        "SELECT team, name, path_match FROM watch.watches WHERE enabled AND path_match IS NOT NULL ORDER BY team, name",
        &[],
    )?;
    let sentences = rows.iter().filter_map(|row| {
        let why = PathMatch::parse(row.get(2)).err()?;
        Some(format!("watch {}: path_match {why}: that is not judged", full_name(row.get(0), row.get(1))))
    });
    Ok(sentences.collect())
}
